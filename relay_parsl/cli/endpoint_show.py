"""`relay-parsl endpoint show`: how an endpoint stands, by this machine and by its relay."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from relay_parsl.cli.names import names_here, place_of
from relay_parsl.cli.show import BadInput, Failure, facts, harmless, json_option, listing

if TYPE_CHECKING:
    from relay_parsl.endpoint.place import Place
    from relay_parsl.home import Home

OWNER_ONLY = 'only its owner can ask the relay: run this where the account is'
PATIENCE = 5.0
"""Seconds until a relay that does not answer is given up."""
TABLES = {
    'pools': ('pool', 'state', 'workers', 'managers', 'blocks', 'reason'),
    'blocks': ('pool', 'block', 'job', 'state', 'reason'),
    'managers': ('pool', 'host', 'block', 'workers', 'tasks'),
}


@click.command()
@click.argument('name', shell_complete=names_here)
@click.option('--hardware', is_flag=True, help='Also run a task on one of its workers that looks at the machine: GPUs, CPUs, memory.')
@click.option('--wait', default=60.0, show_default=True, metavar='SECONDS', help='How long to wait for that task.')
@json_option
def show(name: str, hardware: bool, wait: float, as_json: bool) -> None:
    """How NAME stands: its process, its queue, and its pools with their blocks, batch jobs, managers and workers.

    A block that waits, or has failed, is told in the scheduler's own words. An endpoint of yours that runs on another machine is shown as the relay
    knows it. What the relay knows is what the endpoint last said, a few seconds ago while it is online.
    """
    known = here_or_there(name)
    if hardware:
        known['hardware'] = hardware_of(name, wait)
    if as_json:
        facts(known, as_json=True)
    else:
        tell(known)


def here_or_there(name: str) -> dict[str, Any]:
    """What this machine and the relay know of an endpoint. Raises BadInput when neither knows it."""
    from relay_parsl.errors import RelayError

    place = place_of(name, exists=False)
    if not place.exists:
        return elsewhere(name)
    known = {**summary(place), 'file': str(place.config), 'log': str(place.log)}
    try:
        if place.key.exists():
            known['trusts'] = list(place.trusted())
            known.update(relays_view(place))
        else:
            known['at_relay'] = f'not joined yet: {how_to_join(name)}'
    except RelayError as error:
        known['at_relay'] = str(error)
    return known


def how_to_join(name: str) -> str:
    """What gives an endpoint its keys."""
    return f'where your account is, `relay-parsl invite {name} --role endpoint`, and here `relay-parsl join URL`'


def summary(place: Place) -> dict[str, Any]:
    """What this machine knows of an endpoint; a file that cannot be used is said to be so, and the others are listed all the same."""
    from relay_parsl.errors import RelayError

    row: dict[str, Any] = {'name': place.name, 'id': '', 'status': 'unusable', 'host': '', 'relay': ''}
    try:
        process = place.pid_file.running()
        row['status'] = 'configured' if place.config.exists() else 'joined'
        if process:
            row.update(status='running' if process.here else 'running elsewhere', host=process.host, pid=process.pid)
        if place.key.exists():
            relay, credentials = place.identity()
            row.update(id=credentials.id, relay=relay.name)
    except RelayError as error:
        row['error'] = str(error)
    return row


def relays_view(place: Place) -> dict[str, Any]:
    """What the relay says of an endpoint of this machine, asked as the endpoint's owner. Raises RelayError."""
    from relay_parsl.cli.desk import choose, may_ask
    from relay_parsl.client.admin import Desk
    from relay_parsl.home import Home

    relay, credentials = place.identity()
    if not may_ask(Home.find(), relay):
        return {'at_relay': OWNER_ONLY}
    with Desk(*choose(Home.find(), relay.name, None, ('user', 'operator')), timeout=PATIENCE) as desk:
        rows = [row for row in desk.rows('endpoints', id=credentials.id) if row['id'] == credentials.id]
    return at_relay(rows[0]) if rows else {'at_relay': 'unknown there'}


def at_relay(row: dict[str, Any]) -> dict[str, Any]:
    """What there is to tell of one row of the relay's list."""
    known = {key: row.get(key) for key in ('online', 'last_seen', 'backlog', 'leases', 'versions', 'report')}
    if policy := (row.get('report') or {}).get('function_policy'):
        known['function_policy'] = policy
    for key in ('shared', 'terms'):  # with whom, for the owner; for what and until when, for a guest
        known.update({key: row[key]} if row.get(key) else {})
    return known


def elsewhere(name: str) -> dict[str, Any]:
    """An endpoint that runs on another machine, if the relay shows it to this account. Raises BadInput."""
    from relay_parsl.cli.desk import choose
    from relay_parsl.client.admin import Desk
    from relay_parsl.errors import RelayError
    from relay_parsl.home import Home

    home = Home.find()
    rows: list[dict[str, Any]] = []
    try:
        if home.relays():
            with Desk(*choose(home, None, None, ('user', 'operator')), timeout=PATIENCE, home=home) as desk:
                rows = desk.rows('endpoints', **meant(home, name))
    except RelayError as error:
        raise BadInput(f'no endpoint {name!r} here, and the relay cannot be asked for it: {error}') from error
    if not rows:
        place_of(name)  # says which there are
    if len(rows) > 1:
        raise BadInput(f'the relay knows {len(rows)} endpoints named {name!r}: see `relay-parsl account list`')
    return {'name': rows[0].get('name') or name, 'id': rows[0]['id'], 'status': 'elsewhere', **at_relay(rows[0])}


def meant(home: Home, name: str) -> dict[str, bytes | str]:
    """What to ask the relay for: what is pinned under this name, a UUID, or what the relay calls so."""
    from relay_parsl.client.sharing import SHARED

    pin = home.pins().get(name)
    if pin is not None and pin.kind in ('endpoint', SHARED):
        return {'id': pin.id}
    try:
        return {'id': uuid.UUID(name).bytes}
    except ValueError:
        return {'name': name}


def hardware_of(name: str, wait: float) -> str:
    """What a worker tells of its machine. Raises Failure when there is no answer in time, and what the task raises."""
    from relay_parsl.client.client import Client
    from relay_parsl.errors import TaskPending

    with Client() as client:
        task = client.get_worker_hardware_details(name)
        end = time.monotonic() + wait
        while time.monotonic() < end:
            with suppress(TaskPending):
                return str(client.get_result(task))
            time.sleep(0.2)
    raise Failure(f'no worker has told of its machine within {wait:g} s; why, says `relay-parsl task show {task}`')


def tell(known: dict[str, Any]) -> None:
    """For people: facts, then a table each of pools, blocks and managers."""
    from relay_parsl.client import standing

    report = known.get('report') or {}
    named = {'backlog': 'waiting at the relay', 'leases': 'held by the endpoint'}
    shown = {named.get(key, key): value for key, value in known.items() if key not in ('report', 'hardware')}
    facts({**shown, **{key: report[key] for key in ('host', 'python', 'audit', 'clock') if report.get(key) and not shown.get(key)}}, as_json=False)
    rows = {'pools': standing.pool_rows(known), 'blocks': standing.block_rows(known), 'managers': standing.manager_rows(known)}
    for title, columns in TABLES.items():
        if rows[title]:
            click.echo(f'\n# --- {title}\n')
            listing(rows[title], [column for column in columns if column in rows[title][0]], as_json=False, empty='')
    if more := standing.left_out(known):
        click.echo(f'\n{more} older blocks or managers are not shown: the report had no room for them')
    if 'hardware' in known:
        click.echo(f'\n# --- hardware of a worker\n\n{harmless(known["hardware"])}')
