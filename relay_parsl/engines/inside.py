"""Attempts inside HTEX: under which numbers, what load they are, which were heard to run, which shall end. Not thread-safe."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from relay_parsl.engines.base import Event, Finished, Work
from relay_parsl.engines.demand import Load
from relay_parsl.engines.frames import Place, encode_chunk, encode_work
from relay_parsl.engines.fusion import GRAIN, Cut, Item, most
from relay_parsl.engines.waiting import Waiting, urgency
from relay_parsl.errors import ProtocolError

SHOW_AFTER = 1.0
"""Seconds after which an attempt is shown as running: shorter ones are over before anybody looks."""


class Inside:
    """What HTEX was given and has not given back, oldest first."""

    def __init__(self) -> None:
        """Nothing."""
        self.load = Load()
        self._works: OrderedDict[int, tuple[Work, float]] = OrderedDict()
        self._number = 0
        self._chunks: dict[int, int] = {}  # number -> that of the first of its chunk
        self._left: dict[int, int] = {}  # first -> how many of the chunk are inside
        self._alone: set[tuple[bytes, int]] = set()
        self._heard: set[int] = set()
        self._doomed: set[int] = set()
        self._orders: list[int] = []
        self._shown = 0.0

    def __len__(self) -> int:
        return len(self._works)

    def get(self, number: int) -> Work | None:
        """The attempt of this number, if it is inside."""
        entry = self._works.get(number)
        return None if entry is None else entry[0]

    @property
    def chunks(self) -> int:
        """Tasks of HTEX that they are."""
        return len(self._left)

    def admit(self, works: Sequence[Work], now: float) -> list[int]:
        """One chunk more; returns the numbers of its attempts."""
        numbers = list(range(self._number + 1, self._number + 1 + len(works)))
        self._number += len(works)
        for number, work in zip(numbers, works):
            self._works[number] = (work, now)
            self._chunks[number] = numbers[0]
        for function, count in Counter(hash(work.function) for work in works).items():
            self.load.add(function, now, count)
        self._left[numbers[0]] = len(numbers)
        return numbers

    def cut(self, waiting: Waiting, workers: int, *, fuses: bool) -> list[Work]:
        """Take the next chunk off what waits: one attempt, or as many as go with it."""
        idle = self.chunks < workers
        cut = Cut(most(len(waiting), workers), 0.0 if idle else GRAIN) if fuses and workers else Cut(1)
        return waiting.take_while(lambda work: cut.takes(self._item(work)))

    def _item(self, work: Work) -> Item:
        alone = self.is_strict(work) or work.options.get('timeout') is not None
        size = len(work.function) + len(work.arguments or b'')
        return Item(work.account, self.load.seconds(hash(work.function)), size, alone)

    def is_strict(self, work: Work) -> bool:
        """Whether a worker that dies with it must have nothing else: it may not start twice, or is under suspicion."""
        return work.at_most_once or (bool(self._alone) and (work.task_id, work.attempt) in self._alone)

    def part(self, number: int) -> None:
        """The worker of a chunk died, and nobody knows of which attempt: each goes alone from now on, and is known by that."""
        work = self.get(number)
        if work is not None:
            self._alone.add((work.task_id, work.attempt))

    def pop(self, number: int) -> Work | None:
        """It has ended; its load ends with what it says of itself."""
        self._heard.discard(number)
        self._doomed.discard(number)
        entry = self._works.pop(number, None)
        if entry is None:
            return None
        first = self._chunks.pop(number)
        self._left[first] -= 1
        if not self._left[first]:
            del self._left[first]
        return entry[0]

    def learn(self, events: Iterable[tuple[Work, Event]], now: float) -> None:
        """These have ended; what they say of how long they ran counts by function."""
        ran: dict[int, list[float | None]] = {}
        for work, event in events:
            ran.setdefault(hash(work.function), []).append(event.seconds if isinstance(event, Finished) else None)
        for function, seconds in ran.items():
            self.load.ends(function, seconds, now)

    def drop(self, number: int) -> Work | None:
        """It never ran."""
        work = self.pop(number)
        if work is not None:
            self.load.drop(hash(work.function))
        return work

    def clear(self) -> list[Work]:
        """All leave at once."""
        works = [work for work, _ in self._works.values()]
        for held in (self._works, self._chunks, self._left, self._alone):
            held.clear()
        self.load.clear()
        self._heard.clear()
        self._doomed.clear()
        self._orders.clear()
        return works

    # -- What shall end ----------------------------------------------------------------------------------------------

    def doom(self, task_id: bytes, attempt: int) -> None:
        """An attempt shall end, if it is inside."""
        number = self._find(task_id, attempt)
        if number is not None and number not in self._doomed:
            self._doomed.add(number)
            self._orders.append(number)

    def withdraw(self, task_id: bytes, attempt: int) -> bool:
        """Take one out that no worker can have begun, for there is none; whether it was inside. One that comes after all is told to end it."""
        self.doom(task_id, attempt)
        number = self._find(task_id, attempt)
        return number is not None and self.drop(number) is not None

    def _find(self, task_id: bytes, attempt: int) -> int | None:
        return next((each for each, (work, _) in self._works.items() if (work.task_id, work.attempt) == (task_id, attempt)), None)

    def is_doomed(self, number: int) -> bool:
        """Whether it shall end."""
        return number in self._doomed

    @property
    def ordered(self) -> bool:
        """Whether there are orders to pass on."""
        return bool(self._orders)

    def orders(self) -> list[int]:
        """What shall end and was not passed on yet."""
        orders, self._orders = self._orders, []
        return orders

    # -- What runs ---------------------------------------------------------------------------------------------------

    def heard(self, number: int) -> Work | None:
        """A worker has said that it runs this attempt; returns it, if it is inside."""
        work = self.get(number)
        if work is not None:
            self._heard.add(number)
        return work

    def guess(self, capacity: int, now: float) -> list[Work]:
        """Attempts that run by now and did not before, by the look of it: until their workers have said so, or where they cannot.

        HTEX works off its queue in order, so those are the oldest, as many as there are workers.
        """
        if now < self._shown + SHOW_AFTER:
            return []
        last, self._shown = self._shown, now
        oldest = islice(self._works.items(), capacity)
        return [work for number, (work, since) in oldest if last - SHOW_AFTER <= since < now - SHOW_AFTER and number not in self._heard]


def pack(inside: Inside, numbers: Sequence[int], place: Place, needs: Callable[[Work], dict[str, Any]]) -> tuple[list[Any], list[tuple[Work, str]]]:
    """A chunk as the child takes it, and what cannot be packed, with the reason: it is out.

    Its numbers and attempts, what Parsl is told of it, how long it takes (None: nobody knows), whether nothing else may be with its worker, and its
    frames.
    """
    kept, frames, refused = list[int](), list[bytes](), []
    works: list[Work] = []
    for number in numbers:
        work = inside.get(number)
        if work is None:
            continue  # the engine has died since, and it is lost
        try:
            frames.append(encode_work(work, place))
        except ProtocolError as error:
            inside.drop(number)
            refused.append((work, str(error)))
            continue
        kept.append(number)
        works.append(work)
    keys = [(work.task_id, work.attempt) for work in works]
    specification = {**needs(works[0]), 'priority': urgency(works[0])} if works else {'priority': 0}  # all of a chunk are equally urgent
    known = [inside.load.seconds(hash(work.function)) for work in works]
    seconds = None if None in known else sum([each or 0.0 for each in known], 0.0)  # a whole number would be refused as no time
    return [kept, keys, specification, seconds, any(map(inside.is_strict, works)), encode_chunk(frames)], refused
