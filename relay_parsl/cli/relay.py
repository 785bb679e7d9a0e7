"""`relay-parsl relay`: the broker itself."""

from __future__ import annotations

import logging
import platform
import re
import socket
import time
from typing import TYPE_CHECKING, Any

import click

from relay_parsl.cli.serving import bind_option, detached, serves, serving_options
from relay_parsl.cli.show import BadInput, Failure, facts, json_option, log_at, outcome, relay_options
from relay_parsl.cli.sizes import read_size
from relay_parsl.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from relay_parsl.daemon import PidFile
    from relay_parsl.home import Credentials, Home

DEFAULT_BIND = '127.0.0.1:7400'
START = 30.0
"""Seconds that a detached relay has until it serves."""
OPERATOR = 'operator'


@click.group()
def relay() -> None:
    """Run the broker that clients and endpoints dial.

    It stores tasks and results on disk, sealed, and hands them on; it can open none of them. Any host that both sides reach will do.
    """


@relay.command()
@click.option(
    '--bind',
    default=DEFAULT_BIND,
    show_default=True,
    metavar='HOST:PORT',
    help='Where to listen; 0.0.0.0:7400 for all interfaces, port 0 for any free one.',
)
@click.option('--public', metavar='HOST:PORT', help='What invitations say where the relay is.  [default: --bind, or the host name for 0.0.0.0]')
@click.option('--user', metavar='NAME', help='Make an account NAME on this machine too, that may submit tasks.')
@click.option(
    '--body-limit',
    metavar='SIZE',
    callback=read_size,
    help='The largest argument or result of a task; those up to 256KiB always pass.  [default: 1GiB]',
)
@click.option(
    '--store-limit', metavar='SIZE', callback=read_size, help='Over this, results that were received make room, the oldest first.  [default: 20GiB]'
)
@click.option(
    '--queue-limit',
    type=click.IntRange(1),
    metavar='N',
    help='Tasks of one account that may wait; later ones stay in its clients.  [default: 2000000]',
)
@click.option('--quota-tasks', type=click.IntRange(1), metavar='N', help='Tasks of one account that are not over.  [default: any number]')
@click.option('--quota-bytes', metavar='SIZE', callback=read_size, help='What one account may have stored here.  [default: any size]')
@click.option(
    '--quota-rate', type=click.FloatRange(0, min_open=True), metavar='N', help='Tasks that one account may submit a second.  [default: any number]'
)
@click.option(
    '--audit',
    type=click.Choice(('required', 'best-effort')),
    help='While the audit log cannot be written: take nothing new, or go on.  [default: required]',
)
@bind_option
@serving_options
@click.option('--detach', is_flag=True, help='Go on in the background.')
def start(bind: str, public: str | None, user: str | None, detach: bool, **limits: float | str | None) -> None:
    """Serve, until Ctrl-C, SIGTERM or `relay stop`.

    The first start makes the relay's keys and its first operator, and says what to do next. Everything accepted is on disk, in
    ~/.relay_parsl/relay: a relay that was killed goes on where it was.

    One open TCP port is all it needs. At 127.0.0.1, the default, only this machine reaches it: to be reached from others, --bind 0.0.0.0:7400
    and, if they know this host by another name, --public NAME:7400.

    Limits and quotas hold for this start and are not remembered: say them at each start. A quota never loses a task: clients wait until there
    is room. `relay-parsl account quota` sets other ones for single accounts, which are remembered.
    """
    from relay_parsl.home import Home

    home = Home.find()
    listen, told = address(bind, '--bind'), address(public, '--public') if public else public_address(address(bind, '--bind'))
    running = pid_file(home).running()
    if running:
        raise BadInput(f'the relay of {home.root} already runs as {running}: `relay-parsl relay stop`, or choose another $RELAY_PARSL_HOME')
    given = {name: limit for name, limit in limits.items() if limit is not None}
    if detach:
        options = ['--bind', bind, *(['--public', public] if public else []), *(['--user', user] if user else [])]
        options += [word for name, limit in given.items() for word in (f'--{name.replace("_", "-")}', str(limit))]
        click.echo(detached(['relay', 'start', *options], home.directory('relay') / 'relay.log', START))
        return
    serve(home, listen, told, user, given)


def serve(home: Home, listen: str, told: str, user: str | None, limits: Mapping[str, Any]) -> None:
    """Be the relay, until it is told to stop. `limits`: as the options of `start` name them."""
    from relay_parsl import daemon
    from relay_parsl.metrics import published
    from relay_parsl.relay.reactor import RelaySettings
    from relay_parsl.relay.server import RelayServer

    daemon.guard_memory()
    home.directory('relay')
    with pid_file(home).held(), published() as publisher:
        first = not (home.root / 'relay' / 'relay.db').exists()
        founders = enrol_founders(home, user)
        settings = RelaySettings.limited(limits, versions={'relay-parsl': VERSION})
        bootstrap = [(each.name, each.role, each.card, None) for each in founders]
        server = RelayServer(home, f'tcp://{listen}', bootstrap=bootstrap, settings=settings, publisher=publisher)
        server.start()
        log_at(logging.INFO)  # from here on: the self-test before refuses a stranger, and that is no news
        told = told.removesuffix(':0') + f':{server.port}' if told.endswith(':0') else told
        remember(home, told, user)
        text = f'relay at {told} ({daemon.Process.current()}), keys and store in {home.root}' + (
            f'\n{next_commands(founders, told)}' if first else ''
        )
        with daemon.terminated_by(server.stop):  # who reads that it serves may end it at once
            serves(text)
            server.run()


def enrol_founders(home: Home, user: str | None) -> Sequence[Credentials]:
    """The relay's first operator and the user who was asked for, made where they are missing, and the relay's own keys."""
    made(relay_key(home), 'relay', 'relay')
    founders = [made(home.credentials_path(OPERATOR), OPERATOR, OPERATOR)]
    if user:
        founders.append(made(home.credentials_path(user), user, 'user'))
    return founders


def relay_key(home: Home) -> Path:
    """Where the relay's keys are."""
    return home.directory('relay') / 'relay.key'


def remember(home: Home, told: str, user: str | None) -> None:
    """This home knows its own relay: the user stands for it, once there is one, else the operator."""
    from relay_parsl.home import RelayEntry
    from relay_parsl.relay.keyring import Keyring

    ring = Keyring(home.directory('relay'), 0.0)
    key = ring.current.keys.curve_public
    known = next((entry for entry in home.relays().values() if key in (entry.key, entry.heir)), None)
    credentials = f'accounts/{user or OPERATOR}.key'
    if known and not user:
        credentials = known.credentials
    home.add_relay(RelayEntry(known.name if known else 'relay', f'tcp://{told}', key, credentials).told(key, ring.succession))


def made(path: Path, name: str, role: str) -> Credentials:
    """The credentials in a file, made when it is missing. Raises BadInput when they are of another role."""
    from relay_parsl.client.enrol import LIFETIME
    from relay_parsl.home import Credentials

    if not path.exists():
        Credentials.create(name, role, now=time.time(), lifetime=LIFETIME).save(path)
    found = Credentials.load(path)
    if found.role != role:
        raise BadInput(f'{path} holds the keys of another role ({found.role}, not {role}): choose another name')
    return found


def next_commands(founders: Sequence[Credentials], told: str) -> str:
    """What to do after the first start."""
    user = next((each.name for each in founders if each.role == 'user'), None)
    near = told.startswith(('127.', 'localhost', '[::1]'))
    lines = [f'operator {OPERATOR!r} was made' + (f', and user {user!r}' if user else '')]
    if user:
        lines += ['next, for an endpoint on this machine:  relay-parsl endpoint start NAME --detach']
        lines += ['      for one elsewhere:                relay-parsl invite NAME --role endpoint']
    else:
        lines += ['next, for yourself:    relay-parsl invite NAME --role user, then relay-parsl join URL']
        lines += ['      (or start with --user NAME, which does both on this machine)']
    if near:
        lines += ['only this machine reaches 127.0.0.1: --bind 0.0.0.0:7400 lets others in']
    return '\n'.join(lines)


@relay.command()
@click.option('--grace', default=20.0, show_default=True, metavar='SECONDS', help='How long to wait for its end.')
@click.option('--drain', type=click.FloatRange(0), metavar='SECONDS', help='Before that, let tasks that are under way end; see above.')
@json_option
def stop(grace: float, drain: float | None, as_json: bool) -> None:
    """Stop the relay of this home. Nothing is lost: clients and endpoints wait, and go on when it is started again.

    With --drain it first takes no new tasks and gives none out, and stops when endpoints have brought the results of all that they hold, or after
    so many seconds in any case. Clients keep new tasks meanwhile. What is still under way then goes on at its endpoint, and is brought later.
    """
    from relay_parsl.home import Home

    home, left = Home.find(), None
    if drain is not None and (home.root / 'relay').exists() and pid_file(home).running():
        left = drained(drain)
        if not as_json:
            click.echo(f'{left} tasks are still at endpoints after {drain:g} s' if left else 'nothing is under way')
    stopped = pid_file(home).stop(grace) if (home.root / 'relay').exists() else None
    told = {'stopped': stopped is not None, 'process': str(stopped) if stopped else None, 'under_way': left}
    outcome(f'relay stopped ({stopped})' if stopped else f'no relay of {home.root} runs', told, as_json=as_json)


def drained(seconds: float) -> int:
    """Have the relay drain for so long at most; how many tasks are still under way. Whoever interrupts this leaves it as it was."""
    from relay_parsl.cli.desk import open_desk

    end = time.monotonic() + seconds
    with open_desk(None, None, (OPERATOR,)) as desk:
        try:
            while (left := int(desk.order('drain')['leases'])) and time.monotonic() < end:
                time.sleep(0.2)
        except BaseException:
            desk.order('drain', off=True)
            raise
    return left


@relay.command()
@relay_options
@json_option
def status(relay: str | None, credentials: str | None, as_json: bool) -> None:
    """Whether the relay runs, and what is in it: of everybody for an operator, else of yours.

    Exit code 1 when it is this machine's and does not run, 2 when it does not answer.
    """
    from relay_parsl.cli.desk import accounts, open_desk
    from relay_parsl.home import Home

    home = Home.find()
    known: dict[str, Any] = {}
    if (home.root / 'relay').exists():
        process = pid_file(home).running()
        if process is None and is_own(home, relay, credentials):
            raise Failure(f'the relay of {home.root} does not run: start it with `relay-parsl relay start`')
        known['process'] = str(process) if process else 'none on this machine'
    operators = any(each.role == OPERATOR for each in accounts(home)) if home.root.exists() else False
    with open_desk(relay, credentials, (OPERATOR,) if operators else ()) as desk:
        known['address'] = desk.entry.url
        known |= {'next_key_from': desk.entry.since} if desk.entry.heir else {}
        known.update(desk.order('status'))
    facts(known, as_json=as_json)


def is_own(home: Home, relay: str | None, credentials: str | None) -> bool:
    """Whether the relay that is meant is the one of this home."""
    from relay_parsl.home import Credentials

    path = home.root / 'relay' / 'relay.key'
    known = path.exists() and bool(home.relays())
    if not known:
        return False
    entry = home.find_relay(relay, credentials)[0]
    return Credentials.load(path).keys.curve_public in (entry.key, entry.heir)


def pid_file(home: Home) -> PidFile:
    """Which process the relay of this home is."""
    from relay_parsl.daemon import PidFile

    return PidFile(home.root / 'relay' / 'relay.pid', f'the relay of {home.root}')


# -- Addresses ---------------------------------------------------------------------------------------------------------


def address(text: str, option: str) -> str:
    """`HOST:PORT`, checked. Raises click.BadParameter."""
    bare = text.removeprefix('tcp://')
    match = re.fullmatch(r'(\*|[^\s/:]+|\[[0-9a-fA-F:.%]+\]):(\d{1,5})', bare)
    if match is None or int(match[2]) > 65535:
        raise click.BadParameter(f'{text!r} is no HOST:PORT, such as {DEFAULT_BIND}', param_hint=option)
    return bare


def public_address(listen: str) -> str:
    """Where others find a relay that listens on `listen`: there, or, for all interfaces, at this host's name, if that can be looked up."""
    host, _, port = listen.rpartition(':')
    if host not in ('0.0.0.0', '*', '[::]'):  # noqa: S104  compared with, not bound to
        return listen
    name = platform.node()
    try:
        socket.getaddrinfo(name, int(port))
    except OSError:
        click.echo(f'note: the name of this host, {name!r}, cannot be looked up: say with --public how others call it', err=True)
        return f'127.0.0.1:{port}'
    return f'{name}:{port}'
