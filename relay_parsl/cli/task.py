"""`relay-parsl task`: what waits, runs and ended, and an end to what should not."""

from __future__ import annotations

import time
import uuid
from typing import Any

import click

from relay_parsl.cli.show import BadInput, Failure, facts, json_option, listing, outcome, relay_options

TERMINAL = ('success', 'failed', 'cancelled', 'expired')
STATES = ('waiting-for-ep', 'waiting-for-nodes', 'running', *TERMINAL)
"""How a task can stand at the relay."""


@click.group()
def task() -> None:
    """See and cancel your tasks.

    What a task does is sealed: the relay knows its ids, its endpoint and its state, and no more.
    """


@task.command('list')
@click.option('--endpoint', metavar='NAME|UUID', help='Only those of this endpoint.')
@click.option('--group', metavar='UUID', help="Only those of this task group (an Executor's `task_group_id`).")
@click.option('--state', type=click.Choice(STATES), help='Only those in this state.')
@relay_options
@json_option
def list_tasks(endpoint: str | None, group: str | None, state: str | None, relay: str | None, credentials: str | None, as_json: bool) -> None:
    """List tasks, newest last."""
    from relay_parsl.cli.desk import open_desk

    with open_desk(relay, credentials) as desk:
        filters: dict[str, Any] = {}
        if group:
            filters['group'] = read_id(group)
        if endpoint:
            filters['endpoint'] = find_endpoint(desk.rows('endpoints'), endpoint)
        rows = [row for row in desk.rows('tasks', **filters) if state in (None, row.get('state'))]
    for row in rows:
        row.pop('header', None)  # a signed encoding, for programs of ours: what it says to people is in the other columns
    listing(rows, ['id', 'endpoint', 'state', 'attempt', 'priority', 'submitted'], as_json=as_json, empty='no tasks')


@task.command()
@click.argument('id', metavar='TASK')
@relay_options
@json_option
def show(id: str, relay: str | None, credentials: str | None, as_json: bool) -> None:  # noqa: A002  the name of the argument in --help
    """How one task stands: its state and, while it waits, why; where it runs; how it ended.

    The words for a batch job that waits are the scheduler's own. What has run for a second is shown with host, worker, accelerator, block and job.
    """
    from relay_parsl.cli.desk import open_desk

    with open_desk(relay, credentials) as desk:
        rows = desk.rows('tasks', id=read_id(id))
        if not rows:
            raise BadInput(f'no task {id} of yours: see `relay-parsl task list`')
        endpoints = desk.rows('endpoints', id=rows[0]['endpoint'])
    known = standing_of(rows[0], endpoints[0] if endpoints else {})
    facts(known if as_json else {key: value for key, value in known.items() if value not in (None, '')}, as_json=as_json)


def standing_of(row: dict[str, Any], endpoint: dict[str, Any]) -> dict[str, Any]:
    """What people want to know of a task, from its row and that of its endpoint, in the order in which they want it."""
    from relay_parsl.client import standing

    detail, result = row.get('detail') or {}, row.get('result') or {}
    return {
        'id': row['id'],
        'state': row['state'],
        'why': standing.why(row, endpoint),
        'endpoint': endpoint.get('name') or row['endpoint'],
        'pool': row.get('pool'),
        **{key: detail.get(key) for key in ('host', 'worker', 'accelerator', 'block')},
        'job': standing.job_of(row, endpoint),
        'attempt': result.get('attempt') or row.get('attempt'),
        'lost_tries': detail.get('lost'),
        'submitted': row.get('submitted'),
        'running_since': detail.get('since'),
        'ended': ended(row, result),
        **{key: row.get(key) for key in ('priority', 'group', 'expires')},
        'cancel': row.get('cancel') or None,
    }


def ended(row: dict[str, Any], result: dict[str, Any]) -> str:
    """How a task ended, as far as it is not sealed."""
    if row['state'] not in TERMINAL:
        return ''
    if result.get('reason'):
        return str(result['reason'])
    return f'its result has {result["bytes"]} bytes, sealed for you' if result.get('bytes') else ''


@task.command()
@click.argument('ids', nargs=-1, required=True, metavar='TASK...')
@click.option('--wait', default=10.0, show_default=True, metavar='SECONDS', help='How long to wait until they are over.')
@relay_options
@json_option
def cancel(ids: tuple[str, ...], wait: float, relay: str | None, credentials: str | None, as_json: bool) -> None:
    """End tasks: at once while they wait, and where they run, when their endpoint hears of it.

    A task that ended before keeps its result. Exit code 1 when one is still not over after --wait: the request stays, and is carried out later.
    """
    from relay_parsl.cli.desk import open_desk

    wanted = [read_id(each) for each in ids]
    with open_desk(relay, credentials) as desk:
        for task_id in wanted:
            state_of(desk, task_id)
        for task_id in wanted:
            desk.cancel(task_id)
        end = time.monotonic() + wait
        states = {task_id: state_of(desk, task_id) for task_id in wanted}
        while time.monotonic() < end and not all(state in TERMINAL for state in states.values()):
            time.sleep(0.1)
            states = {task_id: state_of(desk, task_id) for task_id in wanted}
    rows = [{'id': str(uuid.UUID(bytes=task_id)), 'state': state} for task_id, state in states.items()]
    outcome('\n'.join('{id}  {state}'.format(**row) for row in rows), rows, as_json=as_json)
    if not all(state in TERMINAL for state in states.values()):
        raise Failure(f'not all are over after {wait:g} s; the request stays')


def state_of(desk: Any, task_id: bytes) -> str:
    """The state of one task. Raises BadInput when there is no such task."""
    rows = desk.rows('tasks', id=task_id)
    if not rows:
        raise BadInput(f'no task {uuid.UUID(bytes=task_id)} of yours: see `relay-parsl task list`')
    return str(rows[0]['state'])


def read_id(text: str) -> bytes:
    """A UUID's bytes. Raises click.BadParameter."""
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        raise click.BadParameter(f'{text!r} is no UUID') from None


def find_endpoint(rows: list[dict[str, Any]], name: str) -> bytes:
    """The id of an endpoint among these, by name or UUID. Raises BadInput, which lists those that there are."""
    found = [row['id'] for row in rows if name in (row['name'], str(uuid.UUID(bytes=row['id'])))]
    if not found:
        names = ', '.join(sorted(row['name'] for row in rows)) or 'none yet: make one with `relay-parsl endpoint configure`'
        raise BadInput(f'no endpoint {name!r} that you may see; there are: {names}')
    return bytes(found[0])
