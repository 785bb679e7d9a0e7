"""What a relay counts and measures."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping

from relay_parsl.errors import ProtocolError
from relay_parsl.metrics import Family, Histogram, counter, gauge
from relay_parsl.relay.census import Census
from relay_parsl.version import VERSION
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Message

SENT = {
    m.Accepted: ('accepted', 'ids'), m.Dispatch: ('dispatched', 'tasks'), m.Recorded: ('recorded', 'tasks'), m.Deliver: ('delivered', 'results'),
}  # fmt: skip
"""Of these messages, how many tasks are in them."""
HEARD = {m.Submit: ('submitted', 'tasks'), m.Results: ('returned', 'results'), m.Received: ('received', 'ids')}
WORDS = ('submitted', 'accepted', 'dispatched', 'returned', 'recorded', 'delivered', 'received')


class Meter:
    """Counters of one process, from its start."""

    def __init__(self) -> None:
        self.began = time.time()
        self._tasks = Counter(dict.fromkeys(WORDS, 0))
        self._refusals: Counter[str] = Counter()
        self._sessions = self._junk = self._errors = 0
        self._turns, self._commits = Histogram(), Histogram()

    def heard(self, message: Message | ProtocolError) -> None:
        """A message came in, or what is none."""
        about = HEARD.get(type(message))
        if about:
            self._tasks[about[0]] += len(getattr(message, about[1]))
        elif isinstance(message, ProtocolError):
            self._junk += 1

    def sent(self, message: Message) -> None:
        """A message goes out."""
        about = SENT.get(type(message))
        if about:
            self._tasks[about[0]] += len(getattr(message, about[1]))
        elif isinstance(message, m.Rejected):
            self._refusals.update([each.code for each in message.tasks])
        elif isinstance(message, m.Refused):
            self._refusals[message.code] += 1
        elif isinstance(message, m.Welcome):
            self._sessions += 1

    def turn(self, seconds: float) -> None:
        """A turn is over, its waiting not counted."""
        self._turns.observe(seconds)

    def commit(self, seconds: float) -> None:
        """A commit is over."""
        self._commits.observe(seconds)

    def error(self) -> None:
        """The store refused a turn."""
        self._errors += 1

    def families(self, census: Census, sizes: Mapping[str, float], halted: bool) -> Iterator[Family]:
        """All of it. `sizes`: bytes of store, spool and free disk."""
        yield Family('relay_parsl_relay_build_info', 'gauge', 'The version that runs.', (('', (('version', VERSION),), 1),))
        yield gauge('relay_start_time_seconds', 'When this process began, in seconds since 1970.', self.began)
        yield counter('relay_tasks_total', 'Tasks in messages since the start, by what happened; said again, counted again.', self._tasks, 'event')
        yield counter('relay_tasks_stored_total', 'Tasks that this store has ever taken.', census.stored)
        yield counter('relay_tasks_ended_total', 'Tasks that have ended in this store, ever.', census.ended)
        yield gauge('relay_tasks', 'Tasks that have not ended.', {'queued': census.waiting, 'leased': census.leased}, 'state')
        yield gauge('relay_queue_age_seconds', 'How long the task that has waited longest for an endpoint that is here has waited.', census.age)
        yield gauge('relay_sessions', 'Sessions that are live.', census.sessions, 'role')
        yield counter('relay_sessions_opened_total', 'Sessions begun or resumed; many beside few live ones are reconnects.', self._sessions)
        yield counter('relay_refusals_total', 'Tasks and requests that were refused.', self._refusals, 'code')
        yield counter('relay_malformed_total', 'Messages that were none.', self._junk)
        yield counter('relay_store_errors_total', 'Turns that the store or the audit log refused.', self._errors)
        yield gauge('relay_bytes', 'Bytes of the store and of spooled bodies, and free bytes of their disk.', sizes, 'of')
        yield gauge('relay_full', 'Whether new tasks are refused, for the disk is full.', census.full)
        yield gauge('relay_audit_halted', 'Whether nothing new is taken, for the audit log cannot be written.', halted)
        yield self._turns.family('relay_turn_seconds', 'Time of a turn: what came in is judged, committed and answered.')
        yield self._commits.family('relay_commit_seconds', 'Time of a commit, its fsync included.')
