"""How often somebody may try to join with a wrong token, or with an invitation that is over. Pure.

Whoever guesses at an invitation waits longer after each wrong try. Counted are the tries of an address at one invitation: so nobody shuts others out,
not even from the same host, but who has that invitation's one-use key. Only where very many guess at once do all that are new share one allowance, so
that neither the tries nor what is remembered of them grows without end.
"""

from __future__ import annotations

from dataclasses import dataclass

FREE = 5
"""Wrong tries after which to wait: a link that is over is tried more than once."""
LONGEST = 64.0
"""Seconds between two tries at most: somebody honest may share the address with who guesses."""
FORGOTTEN = 600.0
"""Seconds without a wrong try after which nothing is held against anybody."""
MOST = 10_000
"""Guessers that are remembered. Beyond them the tries of new ones are looked at one in `PACE` seconds, all together."""
PACE = 1.0


@dataclass
class _Record:
    tries: int = 0
    last: float = 0.0
    until: float = 0.0


class Guesses:
    """Counts the wrong tries of each address at each invitation. Times in seconds."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, bytes], _Record] = {}
        self._next = 0.0
        self._unseen = 0

    def wait(self, address: str, key: bytes, now: float) -> float:
        """Seconds until a try from here, over this one-use key, is looked at; 0: at once. Who must wait is counted in the next line on record."""
        record = self._records.get((address, key))
        if record is None and len(self._records) >= MOST:
            self._forget(now)
        crowded = record is None and len(self._records) >= MOST
        wait = max(0.0, (record.until if record else self._next if crowded else 0.0) - now)
        self._unseen += wait > 0
        if crowded and not wait:
            self._next = now + PACE
        return wait

    def wrong(self, address: str, key: bytes, now: float) -> dict[str, int | str]:
        """A try that was looked at was wrong: the next may have to wait. What to put on record of it."""
        record = self._records.get((address, key)) or _Record()
        if now - record.last >= FORGOTTEN:
            record.tries = 0
        record.tries, record.last = record.tries + 1, now
        if record.tries >= FREE:
            record.until = now + min(LONGEST, 2.0 ** min(record.tries - FREE, 16))
        if (address, key) in self._records or len(self._records) < MOST:
            self._records[address, key] = record
        unseen, self._unseen = self._unseen, 0
        return {'address': address, 'tries': record.tries, **({'left_out': unseen} if unseen else {})}

    def _forget(self, now: float) -> None:
        self._records = {who: record for who, record in self._records.items() if now - record.last < FORGOTTEN}
