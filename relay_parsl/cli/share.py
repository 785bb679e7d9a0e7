"""`relay-parsl endpoint share`, `unshare`, `shares` and `confirm`: endpoints that more than one account uses."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import click

from relay_parsl.cli import dates
from relay_parsl.cli.names import accounts_known, endpoints_known
from relay_parsl.cli.show import json_option, listing, moment, outcome, relay_options

if TYPE_CHECKING:
    from relay_parsl.client.sharing import Guest, Standing
    from relay_parsl.home import Home

yes_option = click.option('--yes', is_flag=True, help='The UUID is the one that its owner told: do not ask.')


@click.command()
@click.argument('name', shell_complete=endpoints_known)
@click.argument('account', metavar='NAME|UUID', shell_complete=accounts_known)
@click.option('--functions', metavar='HASH|NAME,…', default='', help='Only these: ids or SHA-256 of functions, or importable names.')
@click.option(
    '--until',
    callback=dates.until,
    metavar='DATE',
    help='To the end of that day (2027-01-31), or 30d for thirty days.  [default: until `unshare`]',
)
@yes_option
@relay_options
@json_option
def share(name: str, account: str, functions: str, until: float | None, yes: bool, relay: str | None, credentials: str | None, as_json: bool) -> None:
    """Let another account run tasks on NAME, an endpoint of yours that runs anywhere.

    The account is named by whom you have invited or confirmed, or by the UUID that `relay-parsl account list` shows to its owner: compare the two.

    You sign who the guests are, and the endpoint goes by that and by nothing that the relay says. With --functions the guest runs only those,
    with arguments that are JSON; without, whatever it likes, as the endpoint's Unix user. (A template that takes a `worker_init` from its users runs
    that, too.) Said again, it replaces what was said of that account.
    """
    from relay_parsl.cli.desk import open_desk
    from relay_parsl.client import sharing
    from relay_parsl.endpoint.policy import policy_of
    from relay_parsl.home import Home

    policy = policy_of([each.strip() for each in functions.split(',') if each.strip()])
    home = Home.find()
    with open_desk(relay, credentials, ('user',)) as desk:
        before = sharing.standing(home, desk, name)
        identity, known = sharing.identity_of(home, desk, account)
        guest = sharing.new_guest(identity, policy.kind, policy.allowed, until)
        if not known and not yes:
            click.confirm(f'Is {uuid.UUID(bytes=guest.id)} the UUID that the owner of that account told you?', abort=True, err=True)
        sharing.share(home, desk, before, guest)
    text = f'endpoint {name!r} is shared with {account}: {told(policy.kind, guest.functions)}{ending(guest)}'
    outcome(text, {'endpoint': name, 'endpoint_id': before.endpoint, **row_of(home, guest)}, as_json=as_json)
    click.echo(f'its owner uses it as {uuid.UUID(bytes=before.endpoint)}, or by a name after: relay-parsl endpoint confirm NAME UUID', err=True)


@click.command()
@click.argument('name', shell_complete=endpoints_known)
@click.argument('account', metavar='NAME|UUID', shell_complete=accounts_known)
@click.option('--cancel', is_flag=True, help='End what runs of that account, too.')
@relay_options
@json_option
def unshare(name: str, account: str, cancel: bool, relay: str | None, credentials: str | None, as_json: bool) -> None:
    """Take an account off the guests of NAME.

    Its tasks that wait are refused from then on, within seconds while the endpoint is online. Those that run go on, unless --cancel.
    """
    from relay_parsl.cli.desk import open_desk
    from relay_parsl.client import sharing
    from relay_parsl.client.orders import as_id
    from relay_parsl.home import Home

    home = Home.find()
    with open_desk(relay, credentials, ('user',)) as desk:
        before = sharing.standing(home, desk, name)
        guest = as_id(id_of(home, account))
        sharing.unshare(home, desk, before, guest, cancel=cancel)
    told = {'endpoint': name, 'endpoint_id': before.endpoint, 'account': guest, 'cancel': cancel}
    outcome(f'endpoint {name!r} is not shared with {account} any more', told, as_json=as_json)


@click.command()
@click.argument('name', shell_complete=endpoints_known)
@relay_options
@json_option
def shares(name: str, relay: str | None, credentials: str | None, as_json: bool) -> None:
    """Who else may use NAME, for what and until when, and whether the endpoint knows of it."""
    from relay_parsl.cli.desk import open_desk
    from relay_parsl.client import sharing
    from relay_parsl.home import Home

    home = Home.find()
    with open_desk(relay, credentials, ('user',)) as desk:
        found = sharing.standing(home, desk, name)
    listing(
        rows_of(home, found), ['account', 'name', 'policy', 'functions', 'until', 'state'], as_json=as_json, empty=f'{name!r} is shared with nobody'
    )


@click.command()
@click.argument('name')
@click.argument('endpoint', metavar='UUID')
@click.option('--trust', is_flag=True, help='Unpickle what it sends: whoever rules it can then run code here. Without it results are JSON.')
@yes_option
@relay_options
@json_option
def confirm(name: str, endpoint: str, trust: bool, yes: bool, relay: str | None, credentials: str | None, as_json: bool) -> None:
    """Call somebody else's endpoint NAME here, once its owner has told you its UUID.

    The UUID follows from the endpoint's key, so nobody takes its place. Tasks can be sent to the UUID itself without this.
    """
    from relay_parsl.cli.desk import open_desk
    from relay_parsl.cli.show import BadInput
    from relay_parsl.client import sharing
    from relay_parsl.client.orders import as_id
    from relay_parsl.home import Home

    try:
        wanted = as_id(endpoint)
    except ValueError:
        raise BadInput(f"{endpoint!r} is no UUID: give the one that the endpoint's owner told you") from None
    if not yes:
        click.confirm(f'Is {uuid.UUID(bytes=wanted)} the UUID that the owner of that endpoint told you?', abort=True, err=True)
    with open_desk(relay, credentials) as desk:
        pin = sharing.confirm_endpoint(Home.find(), desk, name, wanted, trust=trust)
    text = f'endpoint {pin.name!r} is {uuid.UUID(bytes=wanted)}; what it sends is {"unpickled" if trust else "read as JSON"}'
    outcome(text, {'endpoint': pin.name, 'endpoint_id': wanted, 'trusted': trust}, as_json=as_json)


def id_of(home: Home, account: str) -> bytes:
    """Of whom a name or UUID means: to take somebody off nobody need be asked. Raises BadInput."""
    from relay_parsl.cli.show import BadInput

    pins = home.pins()
    if account in pins:
        return pins[account].id
    try:
        return uuid.UUID(account).bytes
    except ValueError:
        raise BadInput(f'no account {account!r} is known here: give its UUID, which `relay-parsl endpoint shares` shows') from None


def rows_of(home: Home, found: Standing) -> list[dict[str, Any]]:
    """The guests of an endpoint, one a row."""
    here = found.share is not None and found.in_force == found.share.serial
    rows = []
    for each in found.guests:
        over = each.not_after < time.time()
        state = 'over' if over else 'in force' if here else 'not yet heard by the endpoint'
        rows.append({**row_of(home, each), 'state': state})
    return rows


def row_of(home: Home, guest: Guest) -> dict[str, Any]:
    """A guest, what it may do, and until when."""
    from relay_parsl.client import sharing

    name = next((name for name, pin in home.pins().items() if pin.id == guest.id), '')
    return {'account': guest.id, 'name': name, 'policy': guest.policy, 'functions': list(guest.functions), 'until': sharing.end_of(guest) or None}


def told(kind: str, functions: tuple[str, ...]) -> str:
    """A function policy in words."""
    return "it may run anything, as the endpoint's Unix user" if kind == 'any' else f'it may run {", ".join(functions)}, with JSON arguments'


def ending(guest: Guest) -> str:
    """The end of a share in words."""
    from relay_parsl.client import sharing

    when = sharing.end_of(guest)
    return f', until {moment(when)}' if when else ''
