"""What an endpoint counts and measures."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from relay_parsl.endpoint.census import Census
from relay_parsl.engines.base import EngineStatus
from relay_parsl.metrics import Family, Histogram, counter, gauge
from relay_parsl.version import VERSION

STATES = ('starting', 'ready', 'rebuilding', 'stopped', 'broken')


class Meter:
    """Counters of one process, from its start."""

    def __init__(self) -> None:
        self.began = time.time()
        self._started = self._errors = 0
        self._ended = Counter(success=0, failed=0, cancelled=0)
        self._lost: Counter[str] = Counter()
        self._refused = Counter(refuse=0, reject=0)
        self._turns, self._commits = Histogram(), Histogram()

    def noted(self, event: str, fields: Mapping[str, Any]) -> None:
        """What goes into the audit log is counted too."""
        if event == 'start':
            self._started += len(fields['tasks'])
        elif event in self._refused:
            self._refused[event] += fields.get('left_out', 1)

    def finished(self, *, ok: bool, cancelled: bool) -> None:
        """An attempt ran to its end."""
        self._ended['success' if ok else 'cancelled' if cancelled else 'failed'] += 1

    def lost(self, cause: str) -> None:
        """An attempt died with what ran it."""
        self._lost[cause] += 1

    def turn(self, seconds: float) -> None:
        """A turn is over, its waiting not counted."""
        self._turns.observe(seconds)

    def commit(self, seconds: float) -> None:
        """A commit of the journal is over."""
        self._commits.observe(seconds)

    def error(self) -> None:
        """The journal refused."""
        self._errors += 1

    def families(self, census: Census, engines: Mapping[str, EngineStatus], facts: Mapping[str, float]) -> Iterator[Family]:
        """All of it. `facts`: handshakes, bytes of journal, spool and free disk, and whether the audit log halts work."""
        yield Family('relay_parsl_endpoint_build_info', 'gauge', 'The version that runs.', (('', (('version', VERSION),), 1),))
        yield gauge('endpoint_start_time_seconds', 'When this process began, in seconds since 1970.', self.began)
        yield gauge('endpoint_connected', 'Whether there is a session with the relay.', census.live)
        yield counter('endpoint_handshakes_total', 'Connections to the relay; all but the first are reconnects.', facts['handshakes'])
        yield gauge('endpoint_tasks', 'Tasks that are held, by what they wait for.', {
            'queued': census.held - census.started, 'started': census.started, 'result': census.outbox}, 'state')  # fmt: skip
        yield gauge('endpoint_pool_tasks', 'Tasks that are held, by pool.', census.pools, 'pool')
        yield counter('endpoint_tasks_started_total', 'Attempts that were handed to an engine.', self._started)
        yield counter('endpoint_tasks_ended_total', 'Attempts that ran to their end, by how it was.', self._ended, 'status')
        yield counter('endpoint_attempts_lost_total', 'Attempts that died with what ran them, and are tried again if they may.', self._lost, 'cause')
        yield counter(
            'endpoint_refusals_total', 'Tasks and functions that were not let in (refuse), or cannot run here (reject).', self._refused, 'by'
        )
        yield from _engines(engines)
        yield gauge('endpoint_bytes', 'Bytes of the journal and its log, and free bytes of their disk.', {
            'journal': facts['journal'], 'free': facts['free']}, 'of')  # fmt: skip
        yield counter('endpoint_journal_errors_total', 'Turns that the journal refused.', self._errors)
        yield gauge('endpoint_paused', 'Whether no tasks are asked for, for the audit log cannot be written.', census.paused)
        yield gauge('endpoint_draining', 'Whether it is about to end.', census.draining)
        yield self._turns.family('endpoint_turn_seconds', 'Time of a turn: what came in is judged, committed and done.')
        yield self._commits.family('endpoint_commit_seconds', 'Time of a commit of the journal, its fsync included.')


def _engines(engines: Mapping[str, EngineStatus]) -> Iterator[Family]:
    yield gauge('endpoint_workers', 'Workers that are connected.', {pool: each.workers for pool, each in engines.items()}, 'pool')
    yield gauge('endpoint_managers', 'Managers that are connected.', {pool: each.managers for pool, each in engines.items()}, 'pool')
    yield gauge('endpoint_blocks', 'Blocks that are pending or running.', {pool: each.blocks for pool, each in engines.items()}, 'pool')
    yield gauge('endpoint_capacity', 'Tasks that may run at once.', {pool: each.capacity for pool, each in engines.items()}, 'pool')
    states = tuple(
        ('', (('pool', pool), ('state', state)), float(each.state == state)) for pool, each in sorted(engines.items()) for state in STATES
    )  # fmt: skip
    yield Family('relay_parsl_endpoint_engine_state', 'gauge', 'How an engine is; broken: no block is submitted until a restart.', states)
