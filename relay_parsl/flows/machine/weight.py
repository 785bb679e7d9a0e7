"""How much a value is, as JSON: in size and in depth. It ends where a value would not.

A value that refers to the same part many times is small in memory and has no end as text. So whoever made it says how much it might be;
what might be huge is walked until the bound is passed, any other is written down by the encoder in C, which is faster.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from relay_parsl.flows.definition import Json

DEPTH = 200
"""Objects and lists inside one another. Encoders recurse, and Python ends that at about 1000."""
AT_ONCE = 4_000_000
"""Bytes that may be written down to be counted."""
text = json.JSONEncoder(separators=(',', ':'), check_circular=False).encode
"""A value as JSON, without spaces."""
_BRACKETS = str.maketrans('{}', '[]', ''.join(chr(code) for code in range(128) if chr(code) not in '{}[]'))
_SIZED = (dict, list, str)
_PRIVATE = ('"_private', '"_tokens"')


class Exceeded(Exception):
    """A limit of the run, which no `Catch` may name. `code` is that of the run's details."""

    def __init__(self, code: str, cause: str) -> None:
        super().__init__(code, cause)
        self.code, self.cause = code, cause


class Weight(NamedTuple):
    """`size`: bytes as JSON. `private`: whether there may be keys in it that logs leave out."""

    size: int
    private: bool


def weigh(value: Json, most: int, *, about: int = 0) -> Weight:
    """Measure it.

    Args:
        value: What is to be written to a payload or a log.
        most: Bytes that it may have.
        about: Bytes that it might have: far more than it has in memory, where it refers to the same part many times.

    Raises:
        Exceeded: it is larger, or deeper than `DEPTH`.
    """
    if about > AT_ONCE:
        _walk(value, most)
    try:
        written = text(value)
    except RecursionError:
        raise _too_deep() from None
    if len(written) > most:
        raise too_large(most)
    if written.count('{') + written.count('[') > DEPTH and _deeper(written):
        raise _too_deep()
    return Weight(len(written), any(each in written for each in _PRIVATE))


def _deeper(written: str) -> bool:
    """Whether it is too deep: of its brackets alone, outside of strings, one level of pairs after the other is taken away."""
    bare = written.replace(r'\\', '').replace(r'\"', '')
    brackets = ''.join(bare.split('"')[::2]).translate(_BRACKETS)
    for _ in range(DEPTH):
        brackets = brackets.replace('[]', '')
    return bool(brackets)


def _walk(value: Json, most: int) -> None:
    """Raise as soon as it is known to be too large or too deep; level by level, since recursion would not survive what this looks for."""
    least, level, depth = 0, [value], 0
    while level:
        found: list[Json] = []
        deeper = False
        for each in level:
            least += len(each) + 2 if type(each) in _SIZED else 1
            if least > most:
                raise too_large(most)
            if type(each) is dict or type(each) is list:
                deeper = True
                found.extend(each.values() if type(each) is dict else each)
        level, depth = found, depth + deeper
        if depth > DEPTH:
            raise _too_deep()


def too_large(most: int) -> Exceeded:
    """Larger than the run's limit."""
    return Exceeded(
        'StateSizeExceeded', f'the state of this run may have {most:,} bytes as JSON; keep large data in files, or raise limits.state_bytes'
    )


def _too_deep() -> Exceeded:
    return Exceeded('StateSizeExceeded', f'the state of this run may have {DEPTH} objects and lists inside one another')
