"""Bytes that are nearly right: what is found with them lies deeper than what random ones find."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

WORDS = [
    *(b'', b'\0', b'\xff', b'\xc1', b'\x80', b'\x90', b'\xa0', b'\xc0', b'\xc2', b'\xc3', b'\xcb\x7f\xf8' + bytes(6), b'\xcb\x7f\xf0' + bytes(6)),
    *(b'\xdd\xff\xff\xff\xff', b'\xdf\xff\xff\xff\xff', b'\xdb\xff\xff\xff\xff', b'\xc6\xff\xff\xff\xff', b'\xc9\xff\xff\xff\xff\x01', b'\xd4\xff\0'),
    *(b'\xcf' + b'\xff' * 8, b'\xd3\x80' + bytes(7), b'\xd6\xff' + bytes(4), b'\xc4\x10' + bytes(16), b'\xc4\x20' + bytes(32), b'\x91' * 200),
    *(b'[' * 2000, b'{"a":' * 2000, b'NaN', b'1e999', b'9' * 5000, b'-', b'""', b'null', b'\\ud800', b'\\u0000', b'"__class__"', b'{}', b'[]'),
    *(
        b'\n',
        b'\r\n',
        b'\t',
        b'&a [*a,*a]',
        b'!!python/name:os.system',
        b'<<: ',
        b'*a',
        b'? ',
        b'|',
        b'%',
        b'{{ 9**9**9 }}',
        b'${HOME}',
        b'$(id)',
        b'../',
    ),
    *(
        b'$.',
        b'$..*',
        b'[?(@.a)]',
        b'[*]',
        b'.=',
        b'.$',
        b'@',
        b'**',
        b'*9**9',
        b'for x in ',
        b'lambda: 0',
        b'()',
        b'.format',
        b'"*99999999',
        b'\xe2\x80\xae',
    ),
]
"""msgpack's and JSON's own bombs, and the marks of every language that is read here."""


def mutated(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A seed that was changed in up to four places, or anything at all."""
    changes = st.lists(st.one_of(_flip(), _cut(), _put(), _twice()), min_size=1, max_size=4)
    nearly = st.builds(_apply, st.sampled_from(list(seeds)), changes)
    return st.one_of(nearly, nearly, nearly, st.binary(max_size=300))


Change = Callable[[bytes], bytes]
_PLACES = st.floats(0, 1, exclude_max=True)
"""Where in the bytes, however many there are."""


def _apply(seed: bytes, changes: Sequence[Change]) -> bytes:
    for change in changes:
        seed = change(seed)
    return seed


def _flip() -> st.SearchStrategy[Change]:
    return st.builds(_flipped, _PLACES, st.integers(1, 255))


def _flipped(at: float, mask: int) -> Change:
    def change(data: bytes) -> bytes:
        place = int(at * len(data))
        return data[:place] + bytes(byte ^ mask for byte in data[place : place + 1]) + data[place + 1 :]

    return change


def _cut() -> st.SearchStrategy[Change]:
    return st.builds(lambda at, size: lambda data: data[: int(at * len(data))] + data[int(at * len(data)) + size :], _PLACES, st.integers(1, 40))


def _put() -> st.SearchStrategy[Change]:
    words = st.sampled_from(WORDS) | st.binary(max_size=9)
    return st.builds(
        lambda at, word, over: lambda data: data[: int(at * len(data))] + word + data[int(at * len(data)) + (len(word) if over else 0) :],
        _PLACES, words, st.booleans(),
    )  # fmt: skip


def _twice() -> st.SearchStrategy[Change]:
    """A piece of it, somewhere else again."""
    return st.builds(
        lambda begin, size, at: lambda data: data[: int(at * len(data))] + data[int(begin * len(data)) :][:size] + data[int(at * len(data)) :],
        _PLACES, st.integers(1, 60), _PLACES,
    )  # fmt: skip
