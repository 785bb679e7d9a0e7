"""Each message of a whole session in turn is dropped, doubled, or overtaken by the next one: the same end of each task."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from relay_parsl.engines import htex
from relay_parsl.wire.messages import Message
from tests.simulation.network import Connection
from tests.simulation.patches import patched
from tests.simulation.world import PATIENCE, World

pytestmark = [pytest.mark.fault(48), pytest.mark.timeout(600)]

FAULTS = ['drop', pytest.param('double', marks=pytest.mark.slow), pytest.param('swap', marks=pytest.mark.slow)]
TASKS = 3
"""In each of two submits."""
SEED = 7


class Session(World):
    """A world in which nothing goes wrong but one thing: with message `number` of all that are sent."""

    def __init__(self, fault: str = '', number: int = -1) -> None:
        super().__init__(SEED, calm=True)
        self._fault, self._number, self.count = fault, number, 0
        self.names: list[str] = []
        self._held: tuple[Connection, int, Message] | None = None
        self._carry = self.network.transmit
        self.network.transmit = self._transmit  # type: ignore[method-assign]
        self.speed.losses = self.speed.failures = 0.0

    def _transmit(self, connection: Connection, way: int, message: Message) -> None:
        at, self.count = self.count, self.count + 1
        self.names.append(type(message).__name__)
        held, self._held = self._held, None
        if at == self._number and self._fault == 'swap':
            self._held = connection, way, message
            self.clock.after(1.0, self._release)  # when nothing comes to overtake it
            return
        if at != self._number or self._fault != 'drop':
            self._carry(connection, way, message)
        if at == self._number and self._fault == 'double':
            self._carry(connection, way, message)
        if held:
            self._carry(*held)

    def _release(self) -> None:
        if self._held:
            held, self._held = self._held, None
            self._carry(*held)

    def play(self) -> dict[bytes, str]:
        """Two clients send tasks, cancel some, watch some, ask something; how each task has ended, if nobody cancelled it. Raises Violation."""
        with patched((*self.scale.bounds, (htex, 'time', SimpleNamespace(monotonic=lambda: self.clock.now)), (htex.logger, 'disabled', True))):
            self.clock.after_step = self.invariants.after_step
            begin = self.clock.now
            for process in self.processes:
                process.start()
            for number, client in enumerate(self.clients[:2]):
                self._at(begin + 12.0 + number, client.submit, self.sites_of(client)[0], TASKS)
                self._at(begin + 12.01 + number, client.watch_some, 2)
                self._at(begin + 12.02 + number, client.cancel_some, 1)
                self._at(begin + 14.0 + number, client.ask, 'tasks')
            self.clock.run(begin + 20.0)
            quiet = self.clock.run(self.clock.now + PATIENCE, self.invariants.idle)
            self.invariants.check(quiet, '8: not idle: %s', self.invariants.unrest)
            self.invariants.final()
        return {task: 'any' if task in self.cancelled else end[0] for task, end in self.invariants.ended.items()}

    def _at(self, moment: float, act: Callable[..., None], *arguments: object) -> None:
        """The same ids, tasks and choices whatever has drawn lots before."""
        self.clock.at(moment, self.clock.random.seed, moment)
        self.clock.at(moment, act, *arguments)


@pytest.mark.parametrize('fault', FAULTS)
def test_a_session_with_one_message_that_is_not_as_it_was(fault: str) -> None:
    whole = Session()
    ends = whole.play()
    assert len(ends) == 2 * TASKS
    assert {'Hello', 'Submit', 'Accepted', 'Dispatch', 'Results', 'Recorded', 'Deliver', 'Received', 'Cancel'} <= {*whole.names}
    failures = {f'{fault} of message {number}, a {name}': _failure(fault, number, ends) for number, name in enumerate(whole.names)}
    assert {what: why for what, why in failures.items() if why} == {}


def _failure(fault: str, number: int, ends: dict[bytes, str]) -> str:
    try:
        found = Session(fault, number).play()
    except AssertionError as error:
        return str(error)
    return '' if found == ends else f'the ends are {found}, and not {ends}'
