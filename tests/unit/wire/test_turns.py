"""Who asks for the next segment: small bodies do not wait, the oldest is done first, and the connection is never over-full."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from relay_parsl.wire.turns import turns

AT_ONCE = 8


@dataclass(eq=False)
class Body:
    """A body of so many segments, of which some are on their way."""

    size: int
    flying: int = 0
    todo: list[int] = field(default_factory=list)
    asked: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.asked = set(range(min(self.flying, self.size)))
        self.todo = list(range(len(self.asked), self.size))


def ask(bodies: list[Body]) -> list[Body]:
    """Let them ask; whose turns it was."""
    found = []
    for body in turns(bodies, AT_ONCE):
        body.asked.add(body.todo.pop(0))
        found.append(body)
    return found


def test_the_oldest_has_the_connection() -> None:
    one, other = Body(20), Body(20)
    assert ask([one, other]) == [one, other, *[one] * 6]
    one.asked.pop()
    assert ask([one, other]) == [one]


def test_a_small_body_does_not_wait_for_large_ones() -> None:
    large, small = [Body(1000, 3) for _ in range(5)], Body(1)
    assert ask([*large, small]) == [small]
    crowd = [Body(1000) for _ in range(40)]
    assert ask([*crowd, small := Body(1)])[0] is small


bodies = st.lists(st.builds(Body, st.integers(0, 30), st.integers(0, 9)), max_size=30)


@given(bodies)
def test_it_is_bounded_and_never_idle(given_bodies: list[Body]) -> None:
    before = sum(len(body.asked) for body in given_bodies)
    asked = ask(given_bodies)
    flying = sum(len(body.asked) for body in given_bodies)
    assert flying == before + len(asked)
    assert flying <= max(before, 2 * AT_ONCE)
    if flying < AT_ONCE:
        assert not any(body.todo for body in given_bodies)


@given(bodies)
def test_everything_comes_in_the_end(given_bodies: list[Body]) -> None:
    for body in given_bodies:
        body.asked.clear()
    for _ in range(sum(len(body.todo) for body in given_bodies)):
        ask(given_bodies)
        next(body for body in given_bodies if body.asked).asked.pop()
    assert not any(body.todo for body in given_bodies)
