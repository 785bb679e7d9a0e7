"""How an endpoint stands, and why a task waits, in words: from what the relay lists of both. Pure.

```
task (LIST tasks, by id)  ─┐
                           ├─► why(): one sentence, the scheduler's own words in it
endpoint (LIST endpoints) ─┘
        └─ report: pools ─► pool_rows, block_rows, manager_rows: tables
```
A report comes from an endpoint: what is in it is looked at before it is believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

MANY = 1000
"""What a relay says for this many tasks, or more, before one."""
SHOWN = 3
"""Jobs that are named, at most."""
ENDED = ('COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT', 'MISSING', 'SCALED_IN')
"""States of blocks that have ended, as Parsl names them."""
NEVER = ('can never run', 'never run:')
"""Words of providers and schedulers for a job that nothing but a changed request will start."""


def pools_of(endpoint: Row) -> dict[str, Row]:
    """The pools of an endpoint by name, from its last report; those of templates as `POOL/NAME`."""
    report = endpoint.get('report')
    pools = report.get('pools') if isinstance(report, Mapping) else None
    found: dict[str, Row] = {}
    for name, pool in (pools if isinstance(pools, Mapping) else {}).items():
        if isinstance(pool, Mapping):
            found[str(name)] = pool
            found |= {f'{name}/{row.get("pool", "")}'.lstrip('/'): row for row in _rows(pool, 'pools')}
    return found


def _rows(pool: Row, what: str) -> list[Row]:
    detail = pool.get('detail')
    rows = detail.get(what) if isinstance(detail, Mapping) else None
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, Sequence) and not isinstance(rows, str) else []


# --- tables ------------------------------------------------------------------------------------------------------------------------------------


def pool_rows(endpoint: Row) -> list[dict[str, Any]]:
    """A row for each pool: `pool`, `state`, `workers`, `managers`, `blocks`, and in `reason` why it is not ready or why its blocks fail."""
    rows = [{'pool': name, **{key: pool.get(key) for key in ('state', 'workers', 'managers', 'blocks')}, 'reason': _words(pool.get('reason'))}
            for name, pool in pools_of(endpoint).items()]  # fmt: skip
    return _without_pool(rows)


def block_rows(endpoint: Row) -> list[dict[str, Any]]:
    """A row for each block: `pool`, `block`, `job`, `state`, and in `reason` what the scheduler says."""
    return _without_pool(list(_each(endpoint, 'blocks', ('block', 'job', 'state', 'reason'))))


def manager_rows(endpoint: Row) -> list[dict[str, Any]]:
    """A row for each manager: `pool`, `host`, `block`, `workers`, `tasks`."""
    return _without_pool(list(_each(endpoint, 'managers', ('host', 'block', 'workers', 'tasks'))))


def _each(endpoint: Row, what: str, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    for name, pool in pools_of(endpoint).items():
        for row in _rows(pool, what):
            yield {'pool': name, **{key: _words(row.get(key)) if key == 'reason' else row.get(key) for key in keys}}


def left_out(endpoint: Row) -> int:
    """Rows of blocks and managers that the report had no room for."""
    counts = [detail.get('more') for pool in pools_of(endpoint).values() if isinstance(detail := pool.get('detail'), Mapping)]
    return sum(count for count in counts if isinstance(count, int))


def _without_pool(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The one pool of an endpoint has no name worth a column."""
    if any(row['pool'] for row in rows):
        return rows
    return [{key: value for key, value in row.items() if key != 'pool'} for row in rows]


def _words(text: Any) -> str:
    return ' '.join(str(text or '').split())


# --- why a task waits --------------------------------------------------------------------------------------------------------------------------


def job_of(task: Row, endpoint: Row) -> str:
    """The batch job that a running task is in; '' where nobody knows."""
    detail = task.get('detail') or {}
    block = str(detail.get('block', ''))
    jobs = [str(row.get('job') or '') for row in _rows(pool_of(task, endpoint), 'blocks') if block and str(row.get('block')) == block]
    return str(detail.get('job') or '') or (jobs[0] if jobs else '')


def pool_of(task: Row, endpoint: Row) -> Row:
    """The pool that a task goes to, as its endpoint reports it; empty where it does not."""
    pools = pools_of(endpoint)
    named = str(task.get('pool') or '')
    first = next(iter(pools.values()), {})
    return pools.get(named, {}) if named else pools.get('', pools.get('default', first))


def why(task: Row, endpoint: Row) -> str:
    """Why a task does not run yet, in a sentence; '' where there is nothing to say.

    Args:
        task: As `LIST tasks` by its id gives it.
        endpoint: Its endpoint, as `LIST endpoints` gives it; empty where one may not see it.
    """
    state = task.get('state')
    if state not in ('waiting-for-ep', 'waiting-for-nodes'):
        return ''
    if task.get('cancel'):
        return 'its cancellation is on the way'
    said = str((task.get('detail') or {}).get('why') or '')
    if not endpoint.get('online'):
        return said or 'its endpoint is not connected'
    reasons = [] if state == 'waiting-for-nodes' else [_before(task)]
    return '; '.join(filter(None, [*reasons, _pool(pool_of(task, endpoint))])) or said or 'its turn has not come'


def _before(task: Row) -> str:
    ahead = task.get('ahead')
    if not isinstance(ahead, int):
        return ''
    count = f'{MANY} or more tasks' if ahead >= MANY else '1 task' if ahead == 1 else f'{ahead} tasks'
    return f'{count} of yours before it' if ahead else 'it is the next of yours'


def _pool(pool: Row) -> str:
    """What keeps a pool from running more."""
    if not pool:
        return ''
    state, reason = str(pool.get('state') or ''), _words(pool.get('reason'))
    if state == 'broken':
        return f'engine broken: {reason}'
    if state not in ('ready', 'running'):
        return f'engine {state}' + (f': {reason}' if reason else '')
    if not pool.get('workers'):
        return _no_workers(pool, reason)
    tasks = sum(row.get('tasks') or 0 for row in _rows(pool, 'managers') if isinstance(row.get('tasks'), int))
    return f'all {pool["workers"]} workers are busy' if tasks >= pool['workers'] else ''


def _no_workers(pool: Row, reason: str) -> str:
    if templates := _rows(pool, 'pools'):
        return '; '.join(f'pool {row.get("pool")}: {said}' for row in templates[:SHOWN] if (said := _pool(row)))
    blocks = [row for row in _rows(pool, 'blocks') if row.get('state') not in ENDED]
    if not blocks:
        return 'no workers, and no block is asked for' + (f': {reason}' if reason else ' yet')
    jobs = [_job(row) for row in blocks[:SHOWN]]
    more = f', and {len(blocks) - SHOWN} more' if len(blocks) > SHOWN else ''
    return f'no workers yet: {", ".join(jobs)}{more}'


def _job(row: Row) -> str:
    """`job 123 pending: "Not Running: …"`, in the scheduler's own words."""
    words, state = _words(row.get('reason')), str(row.get('state') or '').lower()
    name = f'job {row["job"]}' if row.get('job') else f'block {row.get("block")}'
    if any(never in words.lower() for never in NEVER):
        return f'{name} can never run as it was asked for; the scheduler says: "{words}"'
    if state == 'running' and not words:
        return f'{name} is running, its workers have not connected'
    return f'{name} is {state}' + (f': "{words}"' if words else '')
