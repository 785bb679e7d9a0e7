"""How a running function is told to end: a signal to its runner, which raises in the main thread and wakes it from a system call or a sleep.

A signal may come at any moment, also when the function has just ended. So the handler raises only while the *guard* is closed around user code,
and once: before and after it only takes note. A runner that got a signal never sees another task (`engines.worker`), so a late one hits nobody.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # CPython's own, without a stub
import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType

from relay_parsl.errors import TaskCancelled, TaskError, TaskTimeout

TIMEOUT, CANCEL = 'timeout', 'cancel'
"""Why a function is told to end."""
_TOP = int(getattr(signal, 'SIGRTMAX', 0))
SIGNALS = {TIMEOUT: _TOP - 3, CANCEL: _TOP - 4} if _TOP else {TIMEOUT: int(signal.SIGUSR1), CANCEL: int(signal.SIGUSR2)}
"""Real-time signals where there are any: user code, MPI and batch systems have uses of their own for the others."""
STARTED = b'started'
"""What a runner says when a function with a timeout starts; everything else that it says is an end frame."""
DEFAULT_TIMEOUT = 'GC_TASK_TIMEOUT'
"""The environment variable of Globus Compute: seconds for tasks that ask for no `timeout`."""


def default_limit() -> float:
    """Seconds that a function may run which has no `timeout` of its own; 0 without a limit."""
    try:
        said = float(os.environ.get(DEFAULT_TIMEOUT) or 0)
    except ValueError:
        return 0.0
    return said if said > 0 else 0.0


def interruption(reason: str, limit: float, rest: str = '') -> TaskError:
    """What is raised in the function, and what its task ends with."""
    if reason == TIMEOUT:
        return TaskTimeout(f'it ran longer than its timeout of {limit:g} s{rest}')
    return TaskCancelled(f'cancelled while it ran{rest}')


class Guard:
    """Around user code that nothing interrupts: a thread's."""

    raised = ''
    """Why the user's function was interrupted, if it was."""

    def begin(self) -> None:
        """The function starts now."""

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """User code is over."""

    def judge(self, error: BaseException) -> BaseException:
        """What the task ends with when this came out of the function."""
        return error


class Interrupts(Guard):
    """Around user code in a runner's main thread, task after task."""

    def __init__(self, say: Callable[[bytes], None]) -> None:
        """Takes the signals over. `say` reaches the worker. A task that takes them for itself does not listen, nor do those after it."""
        self._say = say
        self._limit = 0.0
        self._asked, self._open = '', False
        for number in SIGNALS.values():
            _signal.signal(number, self._heard)  # the public one looks for a name for what it returns: a tenth of a short task

    def limit(self, seconds: float) -> Interrupts:
        """How long the next function may run; 0 for as long as it likes."""
        self._limit = seconds
        return self

    def begin(self) -> None:
        """See `Guard`: the worker's clock starts."""
        if self._limit:
            self._say(STARTED)

    def __enter__(self) -> Guard:
        self._open = True
        if self._asked:
            self._raise()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """See `Guard`. A signal before the next line raises out of here, and the task has its end all the same."""
        self._open = False

    def judge(self, error: BaseException) -> BaseException:
        """See `Guard`: code between us and the user may have wrapped what we raised, and the user looks for ours."""
        if not self.raised or isinstance(error, (TaskTimeout, TaskCancelled)):
            return error
        ours = interruption(self.raised, self._limit)
        ours.__cause__ = error
        return ours

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        self._asked = self._asked or next(reason for reason, each in SIGNALS.items() if each == number)
        if self._open:
            self._raise()

    def _raise(self) -> None:
        self._open, self.raised = False, self._asked
        raise interruption(self.raised, self._limit)
