"""`relay-parsl invite`, `join` and `account`: who may use a relay, and how one gets there."""

from __future__ import annotations

import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay_parsl.cli import dates
from relay_parsl.cli.rotate import now_option, overlap_option, replace_keys
from relay_parsl.cli.show import BadInput, Failure, facts, json_option, listing, moment, outcome, passphrase_option, relay_option, relay_options
from relay_parsl.cli.sizes import read_limit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay_parsl.client.admin import Desk
    from relay_parsl.home import Credentials, Home, Invitation, Pin, RelayEntry

ROLES = ('user', 'endpoint', 'service', 'operator')


@click.command()
@click.argument('name')
@click.option('--role', type=click.Choice(ROLES), default='user', show_default=True, help='What the joiner may do; see above.')
@click.option('--until', callback=dates.until, metavar='DATE', help='When its account ends: 2027-01-31, or 90d.  [default: in ten years]')
@click.option('--wait', is_flag=True, help='Stay until the joiner came, and confirm its key at once.')
@relay_options
@json_option
def invite(name: str, role: str, until: float | None, wait: bool, relay: str | None, credentials: str | None, as_json: bool) -> None:
    """Let someone, or an endpoint, join the relay as NAME: prints a URL.

    \b
    user       submits tasks to endpoints of its own       invited by an operator
    endpoint   runs tasks, at first those of the inviter   invited by a user
    service    submits tasks, for programs                 invited by a user or an operator
    operator   administers the relay, submits nothing      invited by an operator

    The URL works once, and for ten minutes. It holds secrets: send it the way you would send a password. On the other machine:

        relay-parsl join 'relay-parsl://...'

    Both sides keep the other's identity key. The relay takes no part in that and can put nobody in between. The joiner is confirmed by the next
    command that talks to the relay here, or right away with --wait; until then a service cannot run anything.

    With --until the relay shuts it out when that is over, live sessions too, and endpoints take no task of such a service any more.
    """  # noqa: D301  click takes the backspaces for its marks
    from relay_parsl.cli.desk import open_desk
    from relay_parsl.client import enrol
    from relay_parsl.home import Home

    home = Home.find()
    with open_desk(relay, credentials, enrol.MAY_INVITE[role]) as desk:
        invitation = enrol.invite(home, desk, name, role, until or 0.0)
        told = {'name': name, 'role': role, 'relay': desk.entry.name, 'url': invitation.link(), 'expires': invitation.expires, 'until': until}
        outcome(invitation.link(), told, as_json=as_json)
        click.echo(f'valid once, until {moment(invitation.expires)}; on the other machine: relay-parsl join URL (in quotes)', err=True)
        if invitation.url.startswith(('tcp://127.', 'tcp://localhost', 'tcp://[::1]')):
            click.echo('note: the relay listens on this machine only; start it with --bind 0.0.0.0:7400 to be reached from others', err=True)
        if wait:
            pin = wait_for(home, desk, invitation)
            click.echo(f'{pin.kind} {pin.name!r} joined and is confirmed', err=True)


def wait_for(home: Home, desk: Desk, invitation: Invitation) -> Pin:
    """The joiner, confirmed. Raises Failure when the invitation ends before it came."""
    from relay_parsl.client.enrol import confirm

    while time.time() < invitation.expires:
        for pin in confirm(home, desk):
            if pin.name == invitation.name:
                return pin
        time.sleep(0.5)
    raise Failure(f'{invitation.name!r} did not come: the invitation has expired')


@click.command()
@click.argument('url', required=False)
@click.option('--name', metavar='NAME', help="What to call the relay here.  [default: the URL's host]")
@json_option
def join(url: str | None, name: str | None, as_json: bool) -> None:
    """Join a relay with the URL that `invite` printed. Without it, it is asked for, or read from stdin.

    Others on this host can read what stands on a command line: on a login node let it be asked for.

    The keys are made here and never leave this machine. An invitation of an endpoint makes a directory for it, to be filled by
    `relay-parsl endpoint configure`; any other one makes an account.
    """
    from relay_parsl.client import enrol
    from relay_parsl.home import Home, Invitation

    home = Home.find()
    invitation = Invitation.read(url or asked_url())
    entry = entry_for(home, invitation, name)
    if invitation.role == 'endpoint':
        join_endpoint(home, invitation, entry, as_json=as_json)
        return
    path = home.credentials_path(invitation.name)
    credentials = enrol.join(invitation, keep=lambda made: made.save(path), drop=lambda _made: path.unlink(missing_ok=True))
    if entry.name not in home.relays():
        home.add_relay(entry)
    home.pin(enrol.inviter_pin(invitation), replace=True)
    text = f'{credentials.role} {credentials.name!r} of relay {entry.name!r} ({entry.url}); keys in {path}'
    if credentials.role == 'user':
        text += '\nnext: relay-parsl invite NAME --role endpoint, and on the cluster relay-parsl join URL'
    outcome(text, joined(credentials, entry, path), as_json=as_json)


def joined(credentials: Credentials, entry: RelayEntry, keys: Path) -> dict[str, Any]:
    """Who joined which relay, for programs."""
    who = {'name': credentials.name, 'role': credentials.role, 'id': credentials.id}
    return {**who, 'relay': entry.name, 'address': entry.url, 'keys': keys}


def asked_url() -> str:
    """The invitation, typed without being shown, or from a pipe."""
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    return str(click.prompt('URL of the invitation (it is not shown)', hide_input=True, err=True))


def entry_for(home: Home, invitation: Invitation, name: str | None) -> RelayEntry:
    """How this home calls the relay: by the name it has here, else as asked, else by its host. Raises BadInput when that is another relay's."""
    from relay_parsl.home import RelayEntry, check_name

    known = home.relays()
    for entry in known.values():
        if invitation.relay_key in (entry.key, entry.heir) and name in (None, entry.name):
            return entry
    chosen = check_name(name or host_of(invitation.url))
    if chosen in known and known[chosen].key != invitation.relay_key:
        raise BadInput(f'another relay is called {chosen!r} here, at {known[chosen].url}: choose a name with --name')
    return RelayEntry(chosen, invitation.url, invitation.relay_key, f'accounts/{invitation.name}.key')


def host_of(url: str) -> str:
    """The host in an address, as a name: without brackets and colons."""
    return url.removeprefix('tcp://').rpartition(':')[0].strip('[]').replace(':', '.')


def join_endpoint(home: Home, invitation: Invitation, entry: RelayEntry, *, as_json: bool) -> None:
    """Enrol an endpoint: its keys and its owner stand in its own directory, and no account is made."""
    from relay_parsl.client import enrol
    from relay_parsl.endpoint.place import Place

    place = Place(home, invitation.name)
    owner = enrol.inviter_pin(invitation)

    def keep(made: Credentials) -> None:
        place.enrolled(made, entry, owner)

    credentials = enrol.join(invitation, keep=keep, drop=lambda _made: place.forget())
    text = f'endpoint {place.name!r} of relay {entry.name!r} ({entry.url}); keys in {place.root}'
    following = f'next: relay-parsl endpoint configure {place.name} --endpoint-config FILE, then relay-parsl endpoint start {place.name}'
    outcome(f'{text}\n{following}', joined(credentials, entry, place.root), as_json=as_json)


@click.group()
def account() -> None:
    """See, revoke and move accounts."""


@account.command('list')
@relay_options
@json_option
def list_accounts(relay: str | None, credentials: str | None, as_json: bool) -> None:
    """List accounts: those that you invited and your own, or, as an operator, all."""
    from relay_parsl.cli.desk import open_desk
    from relay_parsl.home import Home, ending

    with open_desk(relay, credentials) as desk:
        rows = desk.rows('accounts')
        me = desk.credentials.id
    pins = {name: pin.id for name, pin in Home.find().pins().items()}
    for row in rows:
        row['you'] = row['id'] == me
        row['confirmed'] = row['you'] or pins.get(row['name']) == row['id']
        if row['you'] and not as_json:
            row['confirmed'] = 'you'  # one's own key needs nobody's word
    listing(rows, ['name', 'role', 'id', 'standing', 'seen', 'not_after', 'confirmed'], as_json=as_json, empty='no accounts')
    for row in rows:
        if row['standing'] == 'active' and (soon := ending(row['name'], row['role'], row['not_after'], time.time())):
            click.echo(f'note: {soon}', err=True)


@account.command()
@click.argument('name', metavar='NAME|UUID')
@relay_options
@json_option
def revoke(name: str, relay: str | None, credentials: str | None, as_json: bool) -> None:
    """Shut NAME out, at once: live sessions end, and its key is not admitted again.

    An operator revokes anyone, a user those whom it invited, nobody their own account; a user's services end with it. Names are
    one's own: where an operator sees several of one name, it takes the UUID. What is revoked stays so; invite it again under another name.
    """
    from relay_parsl.cli.desk import open_desk

    with open_desk(relay, credentials, ('operator', 'user')) as desk:
        try:
            done = desk.order('revoke', id=uuid.UUID(name).bytes)
        except ValueError:
            done = desk.order('revoke', name=name)
    outcome(f'{done["name"]!r} is revoked', {**done, 'standing': 'revoked'}, as_json=as_json)


@account.command()
@click.argument('name', metavar='[NAME|UUID]', required=False)
@click.option('--tasks', metavar='N', callback=read_limit, help='Tasks that are not over.')
@click.option('--bytes', 'size', metavar='SIZE', callback=read_limit, help='Stored bytes: tasks, results, functions on their way.')
@click.option('--rate', metavar='N', callback=read_limit, help='Tasks that it may submit a second.')
@click.option('--default', is_flag=True, help="Forget what was set: the relay's own quotas hold.")
@relay_options
@json_option
def quota(
    name: str | None,
    tasks: float | None,
    size: float | None,
    rate: float | None,
    default: bool,
    relay: str | None,
    credentials: str | None,
    as_json: bool,
) -> None:
    """Show what an account may have at the relay and what it has, and as an operator set it.

    A quota never loses a task. While there is no room a client keeps its tasks as `unsent`, says why, and sends them when there is. What is
    stored makes room by itself: results that were received go first, the oldest before others. `unlimited` lifts one limit, 0 shuts it.
    A service counts for the user who invited it. Without a name: yourself.
    """
    from relay_parsl.cli.desk import open_desk

    given: dict[str, object] = {key: value for key, value in (('tasks', tasks), ('bytes', size), ('rate', rate)) if value is not None}
    setting = bool(given or default)
    if name is not None:
        try:
            given['id'] = uuid.UUID(name).bytes
        except ValueError:
            given['name'] = name
    with open_desk(relay, credentials, ('operator',) if setting else ()) as desk:
        found = desk.order('quota', **given, default=default)
    facts(quota_facts(found), as_json=as_json)


def quota_facts(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the relay says of a quota, for people and programs."""
    limits = found['quota']
    counts = {} if found['payer'] == found['name'] else {'counts_for': found['payer']}
    return {
        'name': found['name'],
        **counts,
        'tasks': found['tasks'],
        'tasks_allowed': limits.get('tasks', 'unlimited'),
        'bytes': found['bytes'],
        'bytes_allowed': limits.get('bytes', 'unlimited'),
        'rate_allowed': limits.get('rate', 'unlimited'),
        'set_by_an_operator': ', '.join(sorted(found['own'])) or 'nothing',
    }


def account_here(ctx: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    """The account that was meant, looked for before a passphrase is asked. Raises BadInput."""
    from relay_parsl.cli.desk import accounts
    from relay_parsl.home import Home

    if ctx.resilient_parsing:
        return name
    home = Home.find()
    here = accounts(home) if home.root.exists() else []
    users = [each.name for each in here if each.role == 'user']
    names = [each.name for each in here]
    if not here:
        raise BadInput(f'there is no account in {home.root}: run this where yours is, or join a relay with `relay-parsl join URL`')
    if name in names:
        return name
    fits = users if len(users) == 1 else names
    if name is None and len(fits) == 1:
        return fits[0]
    wrong = f'no account {name!r} here' if name else f'{len(names)} accounts are here'
    raise BadInput(f'{wrong}: say which with --account ({", ".join(names)})')


@account.command()
@click.argument('file', type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    '--account', 'name', metavar='NAME', is_eager=True, callback=account_here, help='Which one.  [default: the only one here, or the only user]'
)
@passphrase_option('Passphrase for the file', new=True)
@json_option
def export(file: Path, name: str, passphrase: str, as_json: bool) -> None:
    """Write an account's keys, relays and pins to FILE, under a passphrase, to move it to another machine."""
    from relay_parsl.home import Home

    Home.find().export_account(name, file, passphrase)
    outcome(f'{name!r} is in {file}; on the other machine: relay-parsl account import {file.name}', {'name': name, 'file': file}, as_json=as_json)


@account.command('import')
@click.argument('file', type=click.Path(exists=True, dir_okay=False, path_type=Path))
@passphrase_option('Passphrase of the file')
@json_option
def import_account(file: Path, passphrase: str, as_json: bool) -> None:
    """Take in an account from FILE, which `account export` wrote. What is here already is not overwritten."""
    from relay_parsl.home import Home

    new = Home.find().import_account(file, passphrase)
    outcome(f'{new.role} {new.name!r} is here now', {'name': new.name, 'role': new.role, 'id': new.id}, as_json=as_json)


@account.command()
@click.option(
    '--account', 'name', metavar='NAME', is_eager=True, callback=account_here, help='Which one.  [default: the only one here, or the only user]'
)
@overlap_option
@now_option
@relay_option
@json_option
def rotate(name: str, overlap: float, at_once: bool, relay: str | None, as_json: bool) -> None:
    """Give an account of this home new sealing and CURVE keys.

    Its id and identity stay, and everybody who trusts it goes on. Old results stay readable: the old sealing keys are kept for them. Programs that
    run now have the old keys, and must be started again before the overlap ends; and other machines of the account must get the new ones, by
    `account export` here and `account import` there.
    """
    from relay_parsl.home import Home

    home = Home.find()
    known = list(home.relays().values())
    entries = [entry for entry in known if relay in (entry.name, entry.url)] if relay else home.relays_of(name) or known
    replace_keys(home.credentials_path(name), entries, 0.0 if at_once else overlap, as_json=as_json)
