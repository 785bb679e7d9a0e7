"""A future that needs no lock before somebody looks at it.

A `concurrent.futures.Future` is 15 objects, nearly all of them its condition. Of tens of thousands of tasks, most are settled before anybody asks
for their results; there the making of conditions, and the garbage collector's walks over them, took a quarter of the client's time.

All that waits for a future, or wants to be called, goes by way of its condition first. So it is made then; and what is settled before that has
nobody to tell, and can never be waited for.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, InvalidStateError
from concurrent.futures._base import FINISHED, PENDING
from typing import Any

_making = threading.RLock()
"""Held while a condition is made, or a future is settled that has none: one comes before the other."""

os.register_at_fork(before=_making.acquire, after_in_parent=_making.release, after_in_child=_making.release)


class _Nothing:
    """The condition of a future that is done, and will not change: there is nothing to guard."""

    def acquire(self) -> bool:
        """At once."""
        return True

    def release(self) -> None:
        """For whoever comes next."""

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_error: object) -> None:
        """As it was."""


class _Condition:
    """Makes what guards a future, with what is guarded, when it is first looked at."""

    def __get__(self, future: QuietFuture, _owner: type) -> Any:
        own, fresh = vars(future), {'_waiters': [], '_done_callbacks': [], '_condition': threading.Condition()}
        with _making:
            if '_condition' not in own:
                future.seen_by_somebody = True
                own.update(fresh if not future.done() else {**fresh, '_condition': _NOTHING})
            return own['_condition']


_NOTHING = _Nothing()


class QuietFuture(Future[Any]):
    """A real future, but for when its parts are made."""

    _state = PENDING
    _result: Any = None
    _exception: BaseException | None = None
    _waiters: Any = ()
    _done_callbacks: Any = ()
    _condition = _Condition()
    seen_by_somebody = False

    def __init__(self) -> None:
        """Pending, and nothing else: what the standard constructor sets are defaults of the class here."""

    def done(self) -> bool:
        """Whether it has ended, in whatever way. Takes no lock: the state is the last thing that is set."""
        return self._state == FINISHED

    def result(self, timeout: float | None = None) -> Any:
        """What the function returned; raises what it raised.

        Args:
            timeout: seconds; None waits for as long as it takes.

        Raises:
            TimeoutError: it is not done by then.
        """
        return self._result if self._state == FINISHED and self._exception is None else super().result(timeout)

    @property
    def calls(self) -> bool:
        """Whether somebody wants to be called."""
        return bool(self._done_callbacks)

    def settle_unheard(self, result: Any) -> bool:
        """As `settle`, but not if somebody wants to be called: then nothing is done."""
        with _making:
            if not self.seen_by_somebody:
                return self.settle(result, None)
        with self._condition:
            return not self._done_callbacks and self.settle(result, None)

    def settle(self, result: Any, error: BaseException | None) -> bool:
        """Give it its result, or its exception; False: it has one. Callbacks run in this thread."""
        with _making:
            if not self.seen_by_somebody:
                if self.done():
                    return False
                self._result, self._exception = result, error
                self._state = FINISHED
                return True
        try:
            self.set_result(result) if error is None else self.set_exception(error)
        except InvalidStateError:
            return False
        return True
