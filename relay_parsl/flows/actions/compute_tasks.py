"""The tasks behind compute actions: submitted by one thread, followed by their futures' callbacks, watched by another thread. Nothing polls."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any

from relay_parsl.client.executor import Executor
from relay_parsl.client.futures import TaskFuture
from relay_parsl.client.orders import EXPIRES, Options, as_id
from relay_parsl.client.submitting import Request, plain, specified
from relay_parsl.errors import RelayError, RelayUnavailable, TaskCancelled
from relay_parsl.flows.actions.base import ActionUnableToRun
from relay_parsl.flows.actions.compute_bodies import Job, Work
from relay_parsl.flows.actions.compute_outcomes import Standing
from relay_parsl.flows.actions.requests import derived, group_of

log = logging.getLogger(__name__)

LOOK = 5.0
"""Seconds that a request waits for the relay's word on its endpoint, and for which a relay that did not answer is not asked again."""
KNOWN = 60.0
"""Seconds that such a word counts."""
PAUSE, SHORT = 1.0, 0.1
"""Seconds, at least, between two reports of progress; and while the relay has not taken all tasks, which is to be written down soon."""
WATCHED = 100
"""Tasks of one action whose states are asked for."""


class Flight:
    """The tasks of one action: none before they were submitted, or where they cannot be."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = ids
        self.futures: list[TaskFuture] = []
        self.error: BaseException | None = None
        self.cancelled = False
        self.accepted = False
        self.left = len(ids)


class Tasks:
    """One executor for all. Thread-safe."""

    def __init__(self, settings: Mapping[str, Any], report: Callable[[str], None], accepted: Callable[[str], None]) -> None:
        """`report` hears of changes, `accepted` that the relay has all tasks of an action. Raises ConfigError, HomeError."""
        self._executor = Executor(
            'flows',  # each request names its own; that one is named says that no private relay is wanted
            relay=settings.get('relay'),
            credentials=settings.get('credentials'),
            serializer='json',
            result_serializers=['json'],
            label='flows',
        )
        self._once = bool(settings.get('at_most_once', False))
        self._report = report
        self._accepted = accepted
        self._flights: dict[str, Flight] = {}
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}
        self._away = 0.0
        self._closed, self._fresh = threading.Event(), threading.Event()
        self._starts: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._watcher = threading.Thread(target=self._watch, name='relay-parsl compute watches', daemon=True)
        self._watcher.start()
        threading.Thread(target=self._submit_all, name='relay-parsl compute submits', daemon=True).start()

    # -- What can be carried out ------------------------------------------------------------------------------------------

    def check(self, job: Job) -> None:
        """Whether its endpoints and functions are there, as far as the relay answers. Raises ActionUnableToRun."""
        try:
            plain('user_endpoint_config', job.user_endpoint_config)
            specified(job.resource_specification)
            for endpoint in dict.fromkeys(each.endpoint for each in job.works):
                self._find(endpoint)
            for function in dict.fromkeys(each.function for each in job.works):
                if time.monotonic() >= self._away or function.count(':') == 1:
                    self._executor.library.get(function, self._executor.session)
        except RelayUnavailable:
            self._away = time.monotonic() + LOOK
        except RelayError as error:
            raise ActionUnableToRun(str(error)) from None

    def _find(self, endpoint: str) -> None:
        """Raises RelayError for one that is not there, RelayUnavailable for a relay that is not."""
        now = time.monotonic()
        if now < self._away or now - self._seen.get(endpoint, -KNOWN) < KNOWN:
            return
        self._executor.find_endpoint(endpoint, LOOK)
        self._seen[endpoint] = now

    # -- What an action asks ----------------------------------------------------------------------------------------------

    def knows(self, action_id: str) -> bool:
        """Whether it was started here."""
        return action_id in self._flights

    def start(self, action_id: str, job: Job, row: Mapping[str, Any], *, again: bool) -> None:
        """Have its tasks submitted, or followed; soon, in another thread. `again`: an earlier process may have done so."""
        ids = [derived(f'{row["request"]}/{at}', row['time']) for at in range(len(job.works))]
        flight = Flight(ids)
        flight.cancelled = bool(row.get('cancelled'))
        with self._lock:
            if self._flights.setdefault(action_id, flight) is not flight:
                return
        follow = bool(row.get('sent')) or (again and flight.cancelled)
        self._starts.put(partial(self._start, action_id, flight, job, row, follow))

    def standings(self, action_id: str) -> list[Standing]:
        """How each of its tasks stands."""
        flight = self._flights[action_id]
        futures = flight.futures
        if flight.error is not None and not futures:
            return [Standing(each, 'failed', done=True, error=flight.error) for each in flight.ids]
        if not futures:
            return [Standing(each, 'unsent') for each in flight.ids]
        return [self._standing(each) for each in futures]

    def cancel(self, action_id: str) -> None:
        """End its tasks; those that are not submitted yet will not be."""
        flight = self._flights[action_id]
        flight.cancelled = True
        for future in flight.futures:
            future.cancel()

    def forget(self, action_id: str) -> None:
        """Nobody asks any more."""
        with self._lock:
            self._flights.pop(action_id, None)

    def close(self) -> None:
        """The threads end; tasks go on."""
        self._closed.set()
        self._fresh.set()
        self._starts.put(None)
        self._executor.session.changed()
        self._watcher.join(LOOK)
        self._executor.shutdown(wait=False)

    def _standing(self, future: TaskFuture) -> Standing:
        if future.done():
            error = future.exception()
            state = 'success' if error is None else 'cancelled' if isinstance(error, TaskCancelled) else 'failed'
            return Standing(future.task_id, state, done=True, value=None if error else future.result(), error=error)
        if not future.is_accepted:
            return Standing(future.task_id, 'unsent', f'relay {self._executor.target.relay.name!r} has not taken it yet')
        if future.seen is None:
            return Standing(future.task_id, 'waiting-for-ep')
        return Standing(future.task_id, future.seen.value, str(future.detail.get('why') or ''))

    # -- The thread that submits ------------------------------------------------------------------------------------------

    def _submit_all(self) -> None:
        while (start := self._starts.get()) is not None:
            start()

    def _start(self, action_id: str, flight: Flight, job: Job, row: Mapping[str, Any], follow: bool) -> None:
        try:
            if flight.cancelled and not follow:
                raise TaskCancelled('cancelled before it was submitted')
            futures = self._executor.reload_tasks(task_ids=flight.ids) if follow else self._submit(flight, job, row)
        except Exception as error:  # noqa: BLE001  whatever it is, the action must end with it
            log.info('action %s could not be submitted: %s', action_id, error)
            flight.error, flight.left = error, 0
            self._tell(action_id)
            return
        if futures is None:  # the process ends; the next one goes on
            return
        flight.futures = futures
        if flight.cancelled:
            self.cancel(action_id)
        for future in futures:
            future.add_done_callback(partial(self._ended, action_id, flight))
        self._fresh.set()
        self._executor.session.changed()

    def _submit(self, flight: Flight, job: Job, row: Mapping[str, Any]) -> list[TaskFuture] | None:
        """Never begun twice: the ids are those of the request."""
        functions = self._functions(job.works)
        if functions is None:
            return None
        options = Options(
            at_most_once=self._once,
            resource_specification=specified(job.resource_specification),
            user_endpoint_config=plain('user_endpoint_config', job.user_endpoint_config),
        )
        group, expires = as_id(job.group or group_of(row['request'], row['time'])), row['time'] + EXPIRES
        return [
            self._executor.send(
                Request(functions[work.function], work.args, dict(work.kwargs), options, work.endpoint, group, as_id(task_id), expires)
            )
            for work, task_id in zip(job.works, flight.ids)
        ]

    def _functions(self, works: Iterable[Work]) -> dict[str, Any] | None:
        """Waits for a relay that is away, for as long as it takes; None at the end of the process. Raises RelayError."""
        found: dict[str, Any] = {}
        for name in dict.fromkeys(each.function for each in works):
            while name not in found:
                try:
                    found[name] = self._executor.library.get(name, self._executor.session)
                except RelayUnavailable:  # noqa: PERF203  each try waits for an answer
                    if self._closed.is_set():
                        return None
        return found

    # -- What happens to them ---------------------------------------------------------------------------------------------

    def _ended(self, action_id: str, flight: Flight, _future: Future[Any]) -> None:
        """In the thread that settles."""
        with self._lock:
            flight.left -= 1
            last = flight.left == 0
        if last:
            self._tell(action_id)

    def _tell(self, action_id: str) -> None:
        if not self._closed.is_set():
            self._report(action_id)

    def _watch(self) -> None:
        """What changes on the way: told now and then."""
        seen: dict[str, Any] = {}
        heard: tuple[Any, int] = (None, 0)
        while not self._closed.is_set():
            session = self._executor.session
            session.wait_for(lambda board=session.board, heard=heard: self._closed.is_set() or heard != (board, board.rings), None)  # type: ignore[misc]  # bound early
            heard = (session.board, session.board.rings)  # before the look: what rings meanwhile is looked at next time
            now = self._look()
            for action_id in now.keys() - {each for each in now if now[each] == seen.get(each)}:
                self._changed(action_id)
            seen = now
            self._fresh.wait(PAUSE if all(each.accepted for each in list(self._flights.values()) if each.left) else SHORT)
            self._fresh.clear()

    def _look(self) -> dict[str, Any]:
        """Of each action that goes on: by what one sees that something changed."""
        with self._lock:
            flights = [(action_id, each) for action_id, each in self._flights.items() if each.left and each.futures]
        return {action_id: tuple([(each.is_accepted, each.done(), each.seen) for each in flight.futures]) for action_id, flight in flights}

    def _changed(self, action_id: str) -> None:
        flight = self._flights.get(action_id)
        if flight is None or self._closed.is_set():
            return
        for future in [each for each in flight.futures if each.is_accepted and not each.done()][:WATCHED]:
            self._executor.session.observe(future.id)
        if not flight.accepted and all(each.is_accepted for each in flight.futures):
            flight.accepted = True
            self._accepted(action_id)
        self._report(action_id)
