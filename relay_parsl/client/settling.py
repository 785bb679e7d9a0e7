"""The thread that settles futures: it unpickles results and runs users' callbacks, so that nothing of theirs runs in the I/O thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, NamedTuple

from relay_parsl.client.futures import TaskFuture
from relay_parsl.errors import (
    AccessDenied,
    NotFound,
    RelayError,
    RemoteExit,
    SealError,
    SerializationError,
    StoreError,
    TaskCancelled,
    TaskError,
    TaskExpired,
    TaskLost,
    TaskRejected,
)
from relay_parsl.wire import payload
from relay_parsl.wire.messages import Delivered, Rejection, ResultHeader, Status
from relay_parsl.wire.seal import Grant, open_stream

log = logging.getLogger(__name__)

REJECTED: dict[str, type[RelayError]] = {
    'not-found': NotFound,
    'unknown': NotFound,
    'denied': AccessDenied,
    'expired': TaskExpired,
    'full': StoreError,
}
"""What a task's rejection is raised as; every other code is `TaskRejected`."""

LOST = frozenset({'lost', 'replayed', 'body-gone'})
"""Codes of an endpoint that cannot run the task any more, though it might have."""


Read = Callable[..., Any]
"""What a blob of an outcome is read with: `load_outcome`, or what raises where that would run code."""


class Settler:
    """One thread, one queue. Started by the first job, ended by `close`."""

    def __init__(self, name: str) -> None:
        """`name` is the thread's."""
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Callable[[], object]) -> None:
        """Do this after what was put before."""
        self._jobs.put(job)

    def close(self) -> None:
        """End when everything that was put is done; does not wait."""
        self._jobs.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the end, at most `timeout` seconds; a callback of the user may never end."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except BaseException:  # noqa: PERF203  a user's callback may raise SystemExit, and the other results must still come
                log.exception('a callback of a future failed')


class Ending(NamedTuple):
    """All that settling takes: see `settle`. Without a future nobody waits for it any more."""

    future: TaskFuture | None
    delivered: Delivered
    header: ResultHeader | None
    grant: Grant | None
    trusted: bool
    body: Path | None


def settle_all(endings: list[Ending], then: Callable[[list[Ending]], None]) -> None:
    """Settle these futures, whatever the callbacks of one of them do; `then` hears of it."""
    for future, delivered, header, grant, trusted, body in endings:
        if future is not None:
            try:
                settle(future, delivered, header, grant, trusted=trusted, body=body)
            except BaseException:  # a user's callback may raise SystemExit, and the other results must still come
                log.exception('a callback of a future failed')
    then(endings)


def settle_here(ending: Ending) -> bool:
    """Settle a future in this thread, if no code of a user runs by that: the value is plain, and nobody is to be called. Whether it is settled."""
    future, delivered, header, grant, trusted, body = ending
    if future is None or future.done():
        return True
    if body is not None or future.calls:
        return False
    try:
        return future.settle_unheard(_value(delivered, header, grant, trusted=trusted, body=body, read=payload.load_plain))
    except Exception:  # noqa: BLE001  whatever it is, the settler's thread says it properly
        return False


def settle(future: TaskFuture, delivered: Delivered, header: ResultHeader | None, grant: Grant | None, *, trusted: bool, body: Path | None) -> None:
    """Open what came and give it to the future.

    Args:
        future: the task's.
        delivered: as the relay sent it.
        header: the decoded header of the result, None when `delivered` is the relay's own word.
        grant: the one under which the task was sealed.
        trusted: whether the endpoint's result may be unpickled here.
        body: the file of a large result.
    """
    if future.done():
        return
    try:
        value = _value(delivered, header, grant, trusted=trusted, body=body)
    except Exception as error:  # noqa: BLE001  it is the task's: the user's own, or why there is none
        future.fail(error)
    except BaseException as error:  # noqa: BLE001  the same; a future that carries one hangs Parsl
        future.fail(RemoteExit(f'{type(error).__name__}: {error}'))
    else:
        future.succeed(value)


def rejection_error(rejection: Rejection) -> RelayError:
    """Why the relay did not take the task, as an exception."""
    kind = REJECTED.get(rejection.code, TaskRejected)
    return kind(f'the relay did not take the task ({rejection.code}): {rejection.reason}')


def _value(
    delivered: Delivered,
    header: ResultHeader | None,
    grant: Grant | None,
    *,
    trusted: bool,
    body: Path | None,
    read: Read = payload.load_outcome,
) -> object:
    if header is None:
        raise _word(delivered)
    if header.task_id != delivered.task_id or header.status is not delivered.status:
        raise SealError('the relay delivered the result of another task, or with another status')
    if not delivered.payload:
        raise _refusal(header)
    if grant is None or grant.endpoint != header.endpoint:
        raise SealError('the result is not of the endpoint that the task was sealed for')
    outcome = payload.decode_outcome(grant.open('result', delivered.header, delivered.payload))
    if outcome.ok is not (header.status is Status.SUCCESS):
        raise SealError('the result and its status contradict one another')
    if not outcome.body_key:
        return read(outcome.data, trusted=trusted)
    with _opened(body) as source:
        return read(open_stream(outcome.body_key, outcome.length, source), trusted=trusted)


def _word(delivered: Delivered) -> TaskError:
    """The relay's own word."""
    kinds = {Status.CANCELLED: TaskCancelled, Status.EXPIRED: TaskExpired}
    code, _, reason = delivered.reason.partition(': ')
    if code == 'no-pool':
        return TaskRejected(reason)
    return kinds.get(delivered.status, TaskLost)(f'the relay says: {delivered.reason or delivered.status.value}')


def _refusal(header: ResultHeader) -> TaskError:
    """What the endpoint said without a seal, for it could not or would not open the task: as good as the relay's word."""
    kinds: dict[Status, type[TaskError]] = {Status.CANCELLED: TaskCancelled, Status.EXPIRED: TaskExpired}
    code = header.reason.partition(':')[0]
    kind = kinds.get(header.status, TaskLost if code in LOST else TaskRejected)
    return kind(f'the endpoint did not run the task: {header.reason}')


def _opened(body: Path | None) -> BinaryIO:
    if body is None:
        raise SealError('the body of a large result is missing')
    try:
        return body.open('rb', buffering=0)
    except OSError as error:
        raise SerializationError(f'the result cannot be read from {body}: {error}') from error
