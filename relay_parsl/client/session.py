"""One session for each process and relay: the board, the I/O thread and the settler's thread behind every `Executor` and `Client`.

```
 caller's thread ── orders ──► Loop ══ relay        results: Loop ── opened and settled by ──► Settler ──► futures, callbacks
                                                             └─ one or two, of plain types, and nobody to call: settled there
```

A child of `fork` has none of its parent's: it makes its own, with grants of its own, on first use. At exit what was submitted is flushed.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import Any

from relay_parsl.client.board import Board
from relay_parsl.client.defaults import Target
from relay_parsl.client.futures import TaskFuture
from relay_parsl.client.loop import Loop
from relay_parsl.client.orders import Order
from relay_parsl.client.settling import Settler
from relay_parsl.errors import RelayError, RelayUnavailable
from relay_parsl.spool import Spool
from relay_parsl.wire.messages import Id

log = logging.getLogger(__name__)

LAST_FLUSH = 30.0
"""Seconds, in all, that the interpreter's exit waits for tasks to be accepted."""
ANSWER = 10.0
"""Seconds that a question to the relay may take."""


class Session:
    """A process's way to one relay as one account. Thread-safe. Use `shared`."""

    def __init__(self, target: Target) -> None:
        """Connects in the background. Raises ConfigError for a relay's address that is none."""
        self.target = target
        self.board = Board()
        self.users = 0
        self._process = _process
        self._directory: str | None = None
        self._making = threading.Lock()
        self._ended = False
        name = f'relay-parsl {target.relay.name}'
        self._settler = Settler(f'{name} results')
        self._loop = Loop(target, self.board, self._settler, self.spool, self._idle)
        self._thread = threading.Thread(target=self._run, name=f'{name} i/o', daemon=True)
        self._thread.start()

    @classmethod
    def shared(cls, target: Target) -> Session:
        """The session of this process, counted as used once more; `release` it."""
        key = (target.relay.url, target.relay.key, bytes(target.credentials.id), str(target.home.root))
        with _lock:
            session = _sessions.get(key)
            if session is None or not session.usable or session.board.refusal is not None:
                session = _sessions[key] = cls(target)
            session.users += 1
            return session

    @property
    def usable(self) -> bool:
        """False in a child of `fork`, and after its end."""
        return self._process is _process and not self._ended

    def release(self) -> None:
        """One user less; without users and open futures the session ends. Takes no lock, for the garbage collector may call it anywhere."""
        if self._process is _process:
            self._loop.post(self._leave)

    def _leave(self) -> None:
        with _lock:
            self.users -= 1

    # -- Tasks ------------------------------------------------------------------------------------------------------

    def submit(self, order: Order, future: TaskFuture) -> None:
        """Have it sealed and sent. Never blocks."""
        self.board.futures[order.task_id] = future
        self._loop.post((order, future))
        self._refuse([future])

    def follow(self, futures: Iterable[TaskFuture]) -> None:
        """Settle these futures of tasks that another process has submitted."""
        futures = list(futures)
        for future in futures:
            future.is_accepted = True
            self.board.futures[future.id] = future
        ids = [future.id for future in futures]
        self._loop.post(lambda: self._loop.reactor.follow(ids, [], time.monotonic()))
        self._refuse(futures)

    def _refuse(self, futures: Iterable[TaskFuture]) -> None:
        """Called after they were posted: the loop may have ended before it saw them."""
        if self.board.refusal is not None:
            for future in futures:
                self.board.futures.pop(future.id, None)
                future.fail(self.board.refusal)

    def cancel(self, task_id: Id) -> None:
        """Ask for the end of the task, again and again until it has ended."""
        self._loop.post(partial(self._loop.cancel, task_id))

    def observe(self, task_id: Id) -> None:
        """Have the relay tell the task's states from now on."""
        self._loop.post(partial(self._loop.observe, task_id))

    def wait_for(self, happened: Callable[[], bool], timeout: float | None) -> bool:
        """Until something happened, at most `timeout` seconds; whether it did."""
        return self.board.wait_for(happened, timeout)

    def changed(self) -> None:
        """Something happened that somebody may wait for."""
        self.board.changed()

    def trouble(self, seconds: float) -> str:
        """Why the relay has said nothing for so long; '' while there is a session with it."""
        return self._loop.trouble(seconds)

    def spool(self) -> Spool:
        """Large arguments and results of this process; made when first used, gone at its end."""
        with self._making:
            if self._directory is None:
                self._directory = tempfile.mkdtemp(prefix='relay-parsl-')
            return Spool(self._directory)

    # -- Questions --------------------------------------------------------------------------------------------------

    def list(self, what: str, wanted: dict[str, Any] | None = None, timeout: float = ANSWER) -> Sequence[dict[str, Any]]:
        """All rows that one may see of `accounts`, `endpoints`, `tasks`, `cards`, `invites` or `functions`.

        Raises:
            RelayUnavailable: there was no answer in `timeout` seconds.
            AccessDenied, NotFound: the relay's refusal.
        """
        questions = self._loop.questions
        return self._wait(lambda then, otherwise: questions.ask(what, wanted or {}, then, otherwise), timeout)  # type: ignore[no-any-return]

    def order(self, verb: str, arguments: dict[str, Any], timeout: float = ANSWER) -> dict[str, Any]:
        """Have the relay do something. Raises what `list` raises."""
        questions = self._loop.questions
        return self._wait(lambda then, otherwise: questions.order(verb, arguments, then, otherwise), timeout)  # type: ignore[no-any-return]

    def _wait(self, ask: Callable[[Callable[[Any], None], Callable[[RelayError], None]], None], timeout: float) -> Any:
        if self.board.refusal is not None:
            raise self.board.refusal
        answer: Future[Any] = Future()
        self._loop.post(lambda: ask(answer.set_result, answer.set_exception))
        try:
            return answer.result(timeout)
        except FutureTimeoutError:
            raise RelayUnavailable(f'the relay at {self.target.relay.url} has not answered within {timeout:g} s') from self.board.refusal

    # -- The end ----------------------------------------------------------------------------------------------------

    def close(self, timeout: float = 5.0) -> None:
        """End both threads; open futures fail. At most `timeout` seconds."""
        self._loop.post(self._loop.close)
        self._thread.join(timeout)
        self._settler.join(timeout)

    def _run(self) -> None:
        try:
            self._loop.run()
        finally:
            self._ended = True
            self._settler.put(self._clean)
            self._settler.close()

    def _clean(self) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _idle(self) -> bool:
        """In the I/O thread: nobody uses this session, and nothing is open. From then on nobody gets it any more."""
        if self.users > 0 or self.board.futures:
            return False
        with _lock:
            self._ended = self.users <= 0 and not self.board.futures
            return self._ended


_process = object()
"""This process: a child of `fork` has another. To ask for its number each time would be a system call for each task."""
_lock = threading.Lock()
_sessions: dict[tuple[str, bytes, bytes, str], Session] = {}
_graveyard: list[Session] = []


def _after_fork() -> None:
    """In the child: locks may be held by threads that are not there, and sockets are the parent's; nothing of it may even be collected."""
    global _lock, _process
    _lock, _process = threading.Lock(), object()
    _graveyard.extend(_sessions.values())
    _sessions.clear()


def _at_exit() -> None:
    """Flush, then say what is lost: the text names the number, for nobody looks at futures any more."""
    end = time.monotonic() + LAST_FLUSH
    for session in list(_sessions.values()):
        if not session.usable:
            continue
        left = session.board.wait_accepted(session.board.futures.values(), max(0.0, end - time.monotonic()))
        if left:
            log.error('%d tasks were not accepted by relay %s and are lost: it did not answer', len(left), session.target.relay.name)
        session.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
