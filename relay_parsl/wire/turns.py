"""Whose turn it is, when large bodies are fetched over one connection: soon done by large ones, soon begun by small ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Protocol, TypeVar


class Body(Protocol):
    """A body that is being fetched."""

    @property
    def todo(self) -> Sized:
        """Its segments that are not asked for yet."""

    @property
    def asked(self) -> Sized:
        """Its segments that are on their way."""


B = TypeVar('B', bound=Body)


def turns(bodies: Iterable[B], at_once: int) -> Iterator[B]:
    """Which body asks for its next segment, and which after that; the caller moves one from `todo` to `asked` each time.

    Each that has nothing on its way asks for one, the smallest first, so that no small body waits for a large one. What is left of the
    connection belongs to the oldest, which is handed on the sooner: several that came in together would all be late.

    Args:
        bodies: oldest first.
        at_once: segments that shall be on their way; twice as many are, at most.
    """
    every = list(bodies)
    flying = sum([len(body.asked) for body in every])
    for body in sorted([body for body in every if body.todo and not body.asked], key=lambda body: len(body.todo)):
        if flying >= 2 * at_once:
            return
        flying += 1
        yield body
    for body in every:
        while body.todo and flying < at_once:
            flying += 1
            yield body
