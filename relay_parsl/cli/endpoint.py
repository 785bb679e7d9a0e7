"""`relay-parsl endpoint`: the agents of this machine."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from relay_parsl import logs as log_lines
from relay_parsl.cli import boot
from relay_parsl.cli.check import check
from relay_parsl.cli.endpoint_show import how_to_join, show, summary
from relay_parsl.cli.from_script import from_script
from relay_parsl.cli.names import names_here, place_of, refuse_typo
from relay_parsl.cli.render import keep_template, render
from relay_parsl.cli.rotate import rotate
from relay_parsl.cli.serving import detached, serving_options
from relay_parsl.cli.share import confirm, share, shares, unshare
from relay_parsl.cli.show import BadInput, json_option, listing, log_at, outcome

if TYPE_CHECKING:
    from relay_parsl.daemon import Process
    from relay_parsl.endpoint.place import Place

START = 60.0
"""Seconds that a detached endpoint has until it serves."""
FIRST_FILE = """\
# What this endpoint runs tasks on. `relay-parsl endpoint check {name}` says what it makes of it. For a cluster see the files in
# relay_parsl/configs, and docs/endpoint-files.md for every key.
display_name: {name}
engine:
  type: HtexEngine
  max_workers_per_node: {workers}
  provider:
    type: LocalProvider
    init_blocks: 1
    min_blocks: 1
    max_blocks: 1
"""


def a_time(_ctx: click.Context, _parameter: click.Parameter, value: float) -> float:
    """Seconds that an endpoint may be given. Raises click.BadParameter, also for `inf` and `nan`."""
    from relay_parsl.endpoint.grace import LONGEST

    if not 0 <= value <= LONGEST:
        raise click.BadParameter(f'{value:g} is no number of seconds from 0 to {LONGEST:.0f} (a year)')
    return value


take_over_option = click.option('--take-over', is_flag=True, help='Replace the same endpoint that runs elsewhere, or did when its host went away.')
detach_option = click.option('--detach', is_flag=True, help='Go on in the background; what it writes is in `relay-parsl endpoint logs NAME`.')
grace_option = click.option(
    '--grace',
    type=float,
    callback=a_time,
    default=30.0,
    show_default=True,
    metavar='SECONDS',
    help='What running tasks have; then they are ended.',
)
name_argument = click.argument('name', shell_complete=names_here)


@click.group()
def endpoint() -> None:
    """Run tasks on this machine, or on the cluster that it is the login node of.

    Usually: `from-script` or `configure`, then `check`, then `start --detach`; `show` and `logs` tell how it goes, `stop` ends it.
    """


endpoint.add_command(boot.enable)
endpoint.add_command(boot.disable)
endpoint.add_command(check)
endpoint.add_command(render)
endpoint.add_command(from_script)
endpoint.add_command(show)
for shared in (share, unshare, shares, confirm, rotate):
    endpoint.add_command(shared)


@endpoint.command()
@name_argument
@click.option('--endpoint-config', metavar='FILE', help='Checked, then copied. Or a configuration that comes with us: polaris/gpu, perlmutter/cpu, …')
@click.option('--template-config', metavar='FILE', help='A template (.j2) that tasks fill in, beside a --endpoint-config without an engine.')
@click.option('--schema-config', metavar='FILE', help='The JSON schema of its values. Without it: user_config_schema.json beside the template.')
@click.option('--force', is_flag=True, help='Replace the file that is there.')
@json_option
def configure(name: str, endpoint_config: str | None, template_config: str | None, schema_config: str | None, force: bool, as_json: bool) -> None:
    """Keep an endpoint file for NAME.

    Without FILE it is one for this machine: HighThroughputExecutor with a worker for each core. An endpoint file of Globus Compute is taken as it is;
    so is a template (FILE.j2), which each task's `user_endpoint_config` fills in.
    If NAME never joined a relay and your account is on this machine, it joins now, as an endpoint of yours.
    """
    place = place_of(name, exists=False)
    if place.config.exists() and not force:
        raise BadInput(f'{place.config} exists: edit it, or replace it with --force')
    if template_config is None and str(endpoint_config).endswith('.j2'):
        endpoint_config, template_config = None, endpoint_config
    if schema_config and template_config is None:
        raise BadInput('--schema-config is of a template: give that, too, by --template-config')
    kept = keep_template(place, endpoint_config, template_config, schema_config) if template_config else write_config(place, endpoint_config)
    if not as_json:  # also where the relay, which is asked next, does not answer
        click.echo('\n'.join([*kept, f'{place.config}']))
    new = {} if place.key.exists() else enrol_here(place)
    lines = [told(new)] if new else []
    joined = place.key.exists()
    lines.append(f'next: relay-parsl endpoint check {name}, then relay-parsl endpoint start {name}' if joined else f'next: {how_to_join(name)}')
    outcome('\n'.join(lines), {'name': name, 'file': place.config, 'warnings': kept, 'joined': joined, **new}, as_json=as_json)


def write_config(place: Place, source: str | None) -> tuple[str, ...]:
    """Keep the endpoint file; what is worth a word about it. Raises ConfigError with everything that is wrong with it; then nothing is written."""
    from relay_parsl.endpoint.config import load_endpoint_config
    from relay_parsl.endpoint.files import find_file

    if source is None:
        place.configure(FIRST_FILE.format(name=place.name, workers=len(os.sched_getaffinity(0))).encode())
        return ()
    config = load_endpoint_config(source)
    place.configure(find_file(source).read_bytes())
    return config.warnings


def enrol_here(place: Place) -> dict[str, Any]:
    """Join the relay as an endpoint of the user whose keys are on this machine; of what that has become, or nothing when there is none."""
    from relay_parsl.cli.desk import accounts, choose
    from relay_parsl.client import enrol
    from relay_parsl.client.admin import Desk
    from relay_parsl.home import Home, Pin

    home = Home.find()
    if not home.relays() or not any(each.role == 'user' for each in accounts(home)):
        return {}
    entry, own = choose(home, None, None, ('user',))
    owner = Pin(own.name, own.card.identity, own.role)
    with Desk(entry, own, home=home) as desk:
        invitation = enrol.invite(home, desk, place.name, 'endpoint')
        enrol.join(invitation, keep=lambda made: place.enrolled(made, desk.entry, owner), drop=lambda _made: leave_nothing(place))
        enrol.confirm(home, desk)
    return {'name': place.name, 'id': place.identity()[1].id, 'relay': entry.name, 'owner': own.name}


def told(new: dict[str, Any]) -> str:
    """That an endpoint has joined, in words."""
    return f'endpoint {new["name"]!r} joined relay {new["relay"]!r} as one of {new["owner"]!r}'


def leave_nothing(place: Place) -> None:
    """The relay would not have it: no keys stay, and no directory if that was all."""
    place.forget()
    with suppress(OSError):
        place.root.rmdir()


@endpoint.command()
@name_argument
@detach_option
@take_over_option
@serving_options
@click.pass_context
def start(ctx: click.Context, name: str, detach: bool, take_over: bool) -> None:
    """Serve NAME: take tasks from the relay, run them, send results back.

    In the foreground it runs until Ctrl-C or SIGTERM. Then what runs has 30 s to end, and what has not begun goes back. One process serves an
    endpoint at a time; one that finds itself replaced ends with exit code 3 and must not be restarted.

    NAME need not be configured first: without a file it gets one for this machine.
    """
    place = place_of(name, exists=False)
    if not place.exists:
        refuse_typo(place)
    ctx.exit(begin(place, detach=detach, take_over=take_over))


def begin(place: Place, *, detach: bool, take_over: bool) -> int:
    """Serve, once there are keys and a file; the exit code. Raises ConfigError when there are no keys and none can be had here."""
    if not place.key.exists() and (new := enrol_here(place)):
        click.echo(told(new))
    place.identity()
    if not place.config.exists():
        write_config(place, None)
        click.echo(f'made {place.config}, for this machine')
    return start_detached(place, take_over) if detach else serve(place, take_over)


def start_detached(place: Place, take_over: bool) -> int:
    """Start the same command in the background."""
    running = place.pid_file.running()
    if running and (running.here or not take_over):
        raise BadInput(f'endpoint {place.name!r} already runs as {running}')
    arguments = ['endpoint', 'start', place.name, *(['--take-over'] if take_over else [])]
    click.echo(detached(arguments, place.log, START))
    return 0


def serve(place: Place, take_over: bool) -> int:
    """Be the endpoint, until it is told to stop; its exit code."""
    from relay_parsl.endpoint.ahead import start_engine_process

    start_engine_process(place.config)  # before what follows imports as much

    from relay_parsl import daemon
    from relay_parsl.endpoint.config import load_endpoint_config
    from relay_parsl.endpoint.endpoint import Endpoint
    from relay_parsl.home import ending
    from relay_parsl.metrics import published

    config = load_endpoint_config(place.config)
    daemon.guard_memory()  # before there are keys in it; the engine's process, which tasks run under, has none
    relay, credentials = place.identity()
    log_at(logging.DEBUG if config.debug else logging.INFO)
    if soon := ending(credentials.name, credentials.role, credentials.card.not_after, time.time()):
        logging.getLogger(__name__).warning('%s', soon)
    log_lines.about(endpoint=place.name)
    with place.pid_file.held(take_over=take_over), published() as publisher:
        running = Endpoint(place.root, config, relay, credentials, take_over=take_over, publisher=publisher)
        return int(running.run() or 0)


@endpoint.command()
@name_argument
@grace_option
@json_option
def stop(name: str, grace: float, as_json: bool) -> None:
    """Stop NAME: what runs has --grace seconds to end, what has not begun goes back to the relay.

    What still runs then is ended. It runs again when the endpoint is started again; a task that is `at_most_once` fails as lost. While it stops,
    another `stop` says the seconds anew, from then on; --grace 0 ends it at once. Exit code 1 when it still runs half a minute after them.
    """
    stopped = ended(place_of(name), grace)
    text = f'endpoint {name!r} stopped ({stopped})' if stopped else f'endpoint {name!r} does not run'
    outcome(text, {'name': name, 'stopped': stopped is not None, 'process': str(stopped) if stopped else None}, as_json=as_json)


def ended(place: Place, grace: float) -> Process | None:
    """Stop it; None when nothing ran."""
    stopped, why = place.stop(grace)
    if why:
        click.echo(f'note: it could not be told --grace, and had its own 30 s: {why}', err=True)
    return stopped


@endpoint.command()
@name_argument
@detach_option
@take_over_option
@grace_option
@serving_options
@click.pass_context
def restart(ctx: click.Context, name: str, detach: bool, take_over: bool, grace: float) -> None:
    """Stop NAME, as `stop` does, and start it again, for a changed file."""
    place = place_of(name)
    stopped = ended(place, grace)
    if stopped or not detach:
        click.echo(f'endpoint {name!r} stopped ({stopped})' if stopped else f'endpoint {name!r} was not running; starting')
    code = begin(place, detach=detach, take_over=take_over)
    if not stopped and detach:
        click.echo(f'endpoint {name!r} was not running; started')
    ctx.exit(code)


@endpoint.command('list')
@json_option
def list_endpoints(as_json: bool) -> None:
    """List the endpoints of this machine's home."""
    from relay_parsl.endpoint.place import Place
    from relay_parsl.home import Home

    rows = [summary(place) for place in Place.all(Home.find())]
    listing(rows, ['name', 'id', 'status', 'host', 'relay'], as_json=as_json, empty='no endpoints here: `relay-parsl endpoint configure NAME`')


@endpoint.command()
@name_argument
@click.option('-n', '--lines', default=50, show_default=True, help='How many of the last lines.')
@click.option('-f', '--follow', is_flag=True, help='Go on with what is written from now on, until Ctrl-C.')
def logs(name: str, lines: int, follow: bool) -> None:
    """What NAME wrote while it ran detached."""
    place = place_of(name)
    if not place.log.exists():
        raise BadInput(f'endpoint {name!r} has written nothing: only one that was started with --detach writes to {place.log}')
    with place.log.open(errors='replace') as file:
        click.echo(''.join(file.readlines()[-lines:]), nl=False)
        while follow:
            click.echo(file.read(), nl=False)
            sys.stdout.flush()
            time.sleep(0.5)


@endpoint.command()
@name_argument
@click.option('--yes', is_flag=True, help='Do not ask.')
@json_option
def delete(name: str, yes: bool, as_json: bool) -> None:
    """Delete NAME here and at the relay; its tasks that have not ended fail.

    The relay forgets it only if your account is on this machine; else revoke it where that is.
    """
    if not yes:
        click.confirm('Its keys, journal and results that the relay does not have yet are lost. Delete it?', abort=True, err=True)
    place = place_of(name)
    running = place.pid_file.running()
    if running:  # before the relay forgets it, after which it could not go on
        raise BadInput(f'endpoint {name!r} runs as {running}: stop it first')
    note = forget_at_relay(place)
    unit, about = boot.remove(name)
    place.delete()
    text = f'endpoint {name!r} is deleted' + (f' here; {note}' if note else '')
    told = {'name': name, 'deleted': True, 'note': note or None, 'boot': about if unit else None}
    outcome('\n'.join(filter(None, (unit, text))), told, as_json=as_json)


def forget_at_relay(place: Place) -> str:
    """Have the relay forget an endpoint; a note for the user when it was not asked."""
    from relay_parsl.cli.desk import choose, may_ask
    from relay_parsl.client.admin import Desk
    from relay_parsl.errors import RelayError
    from relay_parsl.home import Home

    home = Home.find()
    if not place.key.exists():
        return ''
    try:
        relay, credentials = place.identity()
        if not may_ask(home, relay):
            return f'the relay still knows it, and only its owner can ask it: `relay-parsl account revoke {place.name}` where the account is'
        with Desk(*choose(home, relay.name, None, ('user', 'operator')), home=home) as desk:
            desk.order('delete-endpoint', id=credentials.id)
        home.unpin(place.name)
    except RelayError as error:
        return f'the relay still knows it ({error})'
    return ''
