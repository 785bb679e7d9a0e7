"""A user's function that fails a few times, run by the runner's own loop over tries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_parsl.engines import task
from relay_parsl.engines.base import Work
from relay_parsl.engines.interrupts import Guard
from relay_parsl.wire.messages import Delivered, Status
from relay_parsl.wire.payload import dump_arguments

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.specs import Spec

NOTHING = dump_arguments((), {})
"""The arguments of such a function."""


class UserError(Exception):
    """What the function raises."""


class Code(task.Functions):
    """The function of one start: it raises `fails` times, and then returns."""

    def __init__(self, fails: int) -> None:
        """`runs`: how often it was called."""
        super().__init__()
        self.fails, self.runs = fails, 0

    def load(self, blob: bytes) -> object:  # type: ignore[override]
        """In the place of what a blob would hold."""
        return self._run

    def _run(self) -> None:
        self.runs += 1
        if self.runs <= self.fails:
            raise UserError


def ends_well(judge: Invariants, spec: Spec) -> bool | None:
    """Run it as one start of its task does: once, and `retries` times more at most. None for a function of another kind."""
    if spec.fails < 0:
        return None
    code, well, name = Code(spec.fails), True, spec.header.task_id
    try:
        task._call(Work(name, 1, b'', b'', NOTHING, options={'retries': spec.retries}), code, {}, Guard())
    except UserError:
        well = False
    judge.check(code.runs == 1 + min(spec.retries, spec.fails), '%s ran %d times, with %d retries', name.hex(), code.runs, spec.retries)
    judge.clock.tally.engine['retried'] += code.runs > 1
    return well


def judge_end(judge: Invariants, spec: Spec, delivered: Delivered) -> None:
    """It fails by its own code after all of its tries, and only then."""
    if spec.fails >= 0 and delivered.payload[:1] == b'R' and delivered.status in (Status.SUCCESS, Status.FAILED):
        well = spec.fails <= spec.retries
        judge.check((delivered.status is Status.SUCCESS) is well, '%d retries, %d failures: %s', spec.retries, spec.fails, delivered.status.value)
        judge.clock.tally.ends['retried with success' if well else 'retried in vain'] += spec.fails > 0
