"""Sets of sequence numbers as disjoint intervals: a client counts up, so a million finished tasks are a few pairs of integers."""

from __future__ import annotations

from bisect import bisect_right

from relay_parsl.errors import StoreError
from relay_parsl.wire import codec


class Intervals:
    """A set of integers, kept as sorted, disjoint, never adjacent intervals."""

    def __init__(self) -> None:
        """Empty."""
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __contains__(self, number: int) -> bool:
        if not self._ends or number > self._ends[-1]:
            return False  # as new ones are
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number <= self._ends[at]

    def __len__(self) -> int:
        """Intervals, not members."""
        return len(self._starts)

    def add(self, number: int) -> None:
        """Put a number in; the numbers beside it grow together with it."""
        if self._ends and number == self._ends[-1] + 1:
            self._ends[-1] = number  # as most do
            return
        at = bisect_right(self._starts, number)
        left = at > 0 and self._ends[at - 1] >= number - 1
        right = at < len(self._starts) and self._starts[at] == number + 1
        if left and self._ends[at - 1] >= number:
            return
        if left and right:
            self._ends[at - 1] = self._ends.pop(at)
            del self._starts[at]
        elif left:
            self._ends[at - 1] = number
        elif right:
            self._starts[at] = number
        else:
            self._starts.insert(at, number)
            self._ends.insert(at, number)

    def encode(self) -> bytes:
        """The set as bytes, for a journal."""
        return codec.pack([self._starts, self._ends])

    @classmethod
    def decode(cls, data: bytes) -> Intervals:
        """What `encode` wrote. Raises StoreError when it is anything else."""
        found = cls()
        value = codec.unpack(data)
        whole = isinstance(value, list) and len(value) == 2 and all(type(each) is list for each in value) and len(value[0]) == len(value[1])
        if not whole or any(type(number) is not int for each in value for number in each):
            raise StoreError('the journal holds a damaged set of sequence numbers')
        found._starts, found._ends = value
        return found
