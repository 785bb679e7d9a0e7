"""What an expression may use: fuel, charged before anything is made, so that the same expression on the same payload always ends the same way.

A unit is about a microsecond, or 25 characters. A clock stands behind it, of the thread's own CPU time, which a busy machine does not shorten; it
is there for what nobody thought of.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from relay_parsl.errors import with_article
from relay_parsl.flows.definition import Json
from relay_parsl.flows.terms.places import kind

FUEL = 250_000
"""Units for one expression. An ordinary one takes ten; one that looks at each of 10,000 elements takes some ten thousand."""
TOGETHER = 1_000_000
"""Units for all paths and expressions of one state."""
SECONDS = 2.0
"""CPU time of one expression, as a last resort: fuel ends in a fraction of it."""
BITS = 1_024
"""Of a whole number."""
DEEPEST = 200
"""Levels of lists and objects in each other; a state may have as many."""


class Refused(Exception):
    """The fence does not let this through, or the budget is spent. The text says what, and what there is instead."""


class Fuel:
    """What is left."""

    __slots__ = ('_look', 'left', 'units', 'until')

    def __init__(self, units: int = FUEL) -> None:
        self.left = self._look = self.units = units
        self.until = time.thread_time() + SECONDS * max(1, units // FUEL)

    def take(self, units: int) -> None:
        """Use so much.

        Raises:
            Refused: there is not so much left.
        """
        self.left -= units
        if self.left < self._look:
            self._checked()

    def _checked(self) -> None:
        if self.left < 0:
            what = 'steps, elements made and characters made divided by 25'
            raise Refused(
                f'it takes too much: more than {self.units} {what}{"" if self.units >= FUEL else ", which is what the rest of this state left"}'
            )
        self._look = self.left - 2_000
        if time.thread_time() > self.until:
            raise Refused('it takes too long')

    def text(self, length: int) -> None:
        """Pay for a string of so many characters that is about to be made."""
        self.take(1 + length // 25)

    def scan(self, needle: int, hay: int, *, backwards: bool = False) -> None:
        """Pay for looking for a string of `needle` characters in one of `hay`: CPython is slow for short ones and backwards, at worst."""
        self.take(1 + hay * (max(1, needle) if backwards else min(needle, 100)) // 1_000)

    def whole(self, value: Json, depth: int = 0) -> None:
        """Pay for all that is in a value, each time that it is in it: what comparing and writing it out would look at."""
        if isinstance(value, str):
            return self.take(1 + len(value) // 1_000)
        if not isinstance(value, (list, tuple, dict)):
            return self.take(1)
        if depth > DEEPEST:
            raise Refused(f'it has more than {DEEPEST} levels')
        self.take(1 + len(value))
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, (str, list, tuple, dict)):
                self.whole(item, depth + 1)
        return None


def number(bits: int) -> None:
    """Refuse a whole number of so many bits before it is made."""
    if bits > BITS:
        raise Refused(f'a whole number of more than {BITS} bits')


def plain(value: Json, fuel: Fuel, depth: int = 0) -> Json:
    """The value as JSON: tuples become lists; nothing else is bent.

    Raises:
        Refused: it is none, or is too large.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        fuel.take(1 + len(value) // 25)
        return _encodable(value)
    fuel.take(1)
    if isinstance(value, int):
        number(value.bit_length())
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Refused(f'{value} is no number that JSON has')
        return value
    if depth > DEEPEST:
        raise Refused(f'the result has more than {DEEPEST} levels')
    if isinstance(value, (list, tuple)):
        return [plain(item, fuel, depth + 1) for item in value]
    if isinstance(value, (dict, Mapping)):
        return {_key(key, fuel): plain(item, fuel, depth + 1) for key, item in value.items()}
    raise Refused(f'the result has {with_article(type(value).__name__)} in it, which is no JSON')


def _key(key: object, fuel: Fuel) -> str:
    if not isinstance(key, str):
        raise Refused(f'a key is {kind(key)}; write str(…)')
    fuel.take(1 + len(key) // 25)
    return _encodable(key)


def _encodable(text: str) -> str:
    """A half of a surrogate pair cannot be written to any file."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Refused('the result has half a surrogate pair in it, which is no text') from None
    return text
