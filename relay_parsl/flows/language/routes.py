"""Where a flow may go: from each state to the next, whether it can end, and by which ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from relay_parsl.flows.definition import Action, AwaitWebInput, Choice, CreateWebInput, Definition, Fail, State

TRIES, LISTED = 20_000, 20
"""Steps that the search for traversals may take, and how many of them are kept."""


def following(state: State) -> tuple[str, ...]:
    """The states that may come after it, each once: `Next`, those of its rules, `Default`, `Catch`."""
    names: list[str | None] = []
    if isinstance(state, Choice):
        names = [*(name for _, name in state.choices), state.default]
    elif not isinstance(state, Fail):
        names = [state.next]
    if isinstance(state, Action | CreateWebInput | AwaitWebInput):
        names += [catcher.next for catcher in state.catch]
    return tuple(dict.fromkeys(name for name in names if name is not None))


def ends(state: State) -> bool:
    """Whether the run may be through after it: an `End`, or a Fail."""
    return isinstance(state, Fail) or (not isinstance(state, Choice) and state.next is None)


@dataclass(frozen=True)
class Traversals:
    """Ways from the start to an end that pass no state twice.

    Attributes:
        count: How many were found.
        complete: Whether there are no more; a large flow is not searched to the end.
        listed: The first of them.
    """

    count: int
    complete: bool
    listed: tuple[tuple[str, ...], ...]


class Routes:
    """A definition as a graph."""

    def __init__(self, definition: Definition) -> None:
        self.states: Mapping[str, State] = definition.states
        self.start = definition.start_at
        self.after = {name: following(state) for name, state in self.states.items()}

    @cached_property
    def before(self) -> Mapping[str, tuple[str, ...]]:
        """The states that may come before each."""
        found: dict[str, list[str]] = {name: [] for name in self.states}
        for name, others in self.after.items():
            for other in others:
                found[other].append(name)
        return {name: tuple(others) for name, others in found.items()}

    @cached_property
    def reached(self) -> frozenset[str]:
        """What can be reached from the start, the start among it."""
        return self.reach([self.start])

    @cached_property
    def saved(self) -> frozenset[str]:
        """States from which an end can be reached."""
        return self._spread([name for name, state in self.states.items() if ends(state)], self.before, lambda name: False)

    def reach(self, starts: Iterable[str], stop: Callable[[str], bool] = lambda name: False) -> frozenset[str]:
        """What can be reached from these states, they among it. `stop`: nobody goes beyond such a state."""
        return self._spread(starts, self.after, stop)

    @staticmethod
    def _spread(starts: Iterable[str], edges: Mapping[str, tuple[str, ...]], stop: Callable[[str], bool]) -> frozenset[str]:
        found = set(starts)
        todo = list(found)
        while todo:
            name = todo.pop()
            for other in () if stop(name) else edges[name]:
                if other not in found:
                    found.add(other)
                    todo.append(other)
        return frozenset(found)

    def traversals(self) -> Traversals:
        """The ways through, in the order of the definition."""
        count, listed = 0, []
        way, branches = [self.start], [iter(self.after[self.start])]
        on_way = {self.start}
        new = True
        for _ in range(TRIES):
            if new and ends(self.states[way[-1]]):
                count += 1
                listed += [tuple(way)] if count <= LISTED else []
            name = next((other for other in branches[-1] if other not in on_way and other in self.saved), None)
            new = name is not None
            if name is not None:
                way.append(name)
                on_way.add(name)
                branches.append(iter(self.after[name]))
                continue
            on_way.discard(way.pop())
            branches.pop()
            if not way:
                return Traversals(count, True, tuple(listed))
        return Traversals(count, False, tuple(listed))
