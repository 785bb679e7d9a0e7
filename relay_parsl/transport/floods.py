"""Who sends a message that does not end. Pure.

libzmq bounds the length of a frame and the number of messages; the frames of a message that is not complete it keeps, however many they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ONE, ALL = 64 << 20, 256 << 20
"""Bytes that one connection, and all together, may have brought of messages that are not complete. The longest that we send has half of `ONE`."""


class Floods:
    """Tells by the bytes that have come by each connection, and by whose messages were read."""

    def __init__(self) -> None:
        self._heard: set[int] = set()
        self._from: dict[int, int] = {}

    def forget(self, descriptor: int) -> None:
        """The descriptor is of another connection, or of none."""
        self._heard.discard(descriptor)
        self._from.pop(descriptor, None)

    def heard(self, descriptors: Iterable[int]) -> None:
        """A whole message was read from each of these: what it has brought until now is no part of another, or little of it is."""
        self._heard.update(descriptors)

    def excess(self, received: Mapping[int, int]) -> list[int]:
        """Which connections are to be cut, the worst first. To be asked when all whole messages were read.

        Args:
            received: bytes that have come by each connection since it is there.
        """
        pending = self._pending(received)
        total, gone = sum(pending.values()), []
        for each in sorted(pending, key=lambda each: -pending[each]):
            if pending[each] <= ONE and total <= ALL:
                break
            total -= pending[each]
            gone.append(each)
        return gone

    def unread(self, received: Mapping[int, int], most: int) -> list[int]:
        """Which connections have brought more than `most` bytes of which nothing was read, whole messages or not. May be asked at any time."""
        return [each for each, count in self._pending(received).items() if count > most]

    def _pending(self, received: Mapping[int, int]) -> dict[int, int]:
        self._from.update({each: received[each] for each in self._heard if each in received})
        self._heard.clear()
        return {each: count - self._from.setdefault(each, 0) for each, count in received.items()}
