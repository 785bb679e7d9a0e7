"""What travels together, and a small world of workers on a clock of its own that runs it."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from dataclasses import dataclass, field
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_parsl.engines.base import Work
from relay_parsl.engines.frames import Place, encode_work, head_of
from relay_parsl.engines.fusion import AIM, BUDGET, BYTES, GRAIN, LEAST, MOST, SHARES, Cut, Item, most
from relay_parsl.engines.inside import Inside
from relay_parsl.engines.patience import Patience
from relay_parsl.engines.shift import Attempt, Shift
from relay_parsl.engines.waiting import Waiting

SHORT = Item(b'a', LEAST, 100)


def cut(items: list[Item], room: int = MOST) -> int:
    chunk = Cut(room)
    for count, item in enumerate(items):
        if not chunk.takes(item):
            return count
    return len(items)


def test_short_ones_travel_together_up_to_the_aim() -> None:
    assert cut([SHORT] * 1000) == min(MOST, round(AIM / LEAST))
    assert cut([Item(b'a', AIM / 4, 100)] * 10) == 4
    assert cut([SHORT] * 1000, room=7) == 7
    assert cut([Item(b'a', 0.0, BYTES // 3)] * 10) == 3


@pytest.mark.parametrize(
    'other', [Item(b'b', LEAST, 1), Item(b'a', None, 1), Item(b'a', LEAST, 1, alone=True), Item(b'a', 60.0, 1), Item(b'a', LEAST, BYTES)]
)
def test_what_goes_alone(other: Item) -> None:
    assert cut([SHORT, other, SHORT]) == 1
    if other.account == SHORT.account and other.size == 1:
        assert cut([other, SHORT, SHORT]) == 1


def test_nothing_is_fused_that_another_worker_could_do() -> None:
    assert most(1000, 0) == 1
    assert [most(waiting, 4) for waiting in (1, 4, 15, 16, 600, 10**6)] == [1, 1, 1, 2, 600 // (SHARES * 4), MOST]
    assert cut([SHORT] * 10, room=1) == 1


def test_where_all_are_busy_little_is_not_made_less() -> None:
    chunk = Cut(1, GRAIN)
    assert [chunk.takes(SHORT) for _ in range(20)].count(True) == round(GRAIN / LEAST)
    chunk = Cut(1, GRAIN)
    assert [chunk.takes(Item(b'a', GRAIN, 1)) for _ in range(2)] == [True, False]


def shift_of(works: list[Work], now: float) -> Shift:
    shift = Shift(0.0, lambda now, limit: Patience(now, limit, 3.0))
    shift.take([encode_work(work, Place()) for work in works], now)
    return shift


# -- A world of workers ----------------------------------------------------------------------------------------------


Ends = list[tuple[int, bytes]]


@dataclass
class Runner:
    """Works off what was poured, on a clock of its own; `world` knows how long each takes."""

    world: World
    began: float
    clock: float
    queue: deque[int] = field(default_factory=deque)
    until: float | None = None
    said: int = 0

    def work(self, due: float) -> None:
        """Until it is through, or `due`."""
        while self.clock < due:
            if self.until is None:
                if not self.queue:
                    return
                self.begin(self.queue.popleft())
            assert self.until is not None
            if self.until > due:
                self.clock = due
                return
            self.clock, self.until = self.until, None
            self.said += 1

    def begin(self, task: int) -> None:
        self.world.ran[task] += 1
        self.world.longest_wait = max(self.world.longest_wait, self.clock - self.began)
        self.until = self.clock + self.world.durations[task]

    def take_back(self) -> int:
        count = len(self.queue)
        self.queue.clear()
        return count

    def answers(self) -> list[bytes]:
        said, self.said = self.said, 0
        return [b'end'] * said


@dataclass
class World:
    """Engine and workers; a task's duration is what it takes, its function what is believed of it."""

    durations: list[float]
    workers: int
    learned: float
    now: float = 0.0
    ran: Counter[int] = field(default_factory=Counter)
    ended: Counter[int] = field(default_factory=Counter)
    longest_wait: float = 0.0
    chunks: int = 0

    def __post_init__(self) -> None:
        self.inside, self.waiting = Inside(), Waiting()
        self.queue: list[list[int]] = []
        self.free = self.workers
        self.events: list[tuple[float, int, str, list[int], Ends]] = []
        first = Work(bytes(16), 0, b'a', b'f', b'')
        (number,) = self.inside.admit([first], 0.0)
        self.inside.pop(number)
        self.inside.load.end(hash(b'f'), self.learned, 0.0)
        for task in range(len(self.durations)):
            self.waiting.push(Work(task.to_bytes(16, 'big'), 1, b'a', b'f', b''))

    def run(self) -> None:
        self.feed()
        while self.events:
            self.now, _, what, numbers, ends = heapq.heappop(self.events)
            self.free += what == 'result'
            for place, _ in ends:
                if (work := self.inside.pop(numbers[place])) is not None:
                    self.ended[int.from_bytes(work.task_id, 'big')] += 1
                    self.inside.load.end(hash(b'f'), self.learned, self.now)
            started = {place for place, _ in ends}
            if what in ('unstarted', 'result'):
                for place, number in enumerate(numbers):
                    if place not in started and (work := self.inside.drop(number)) is not None:
                        self.waiting.push(work)
            self.feed()

    def feed(self) -> None:
        while self.waiting and self.inside.chunks < 2 * self.workers + 2:
            self.queue.append(self.inside.admit(self.inside.cut(self.waiting, self.workers, fuses=True), self.now))
        while self.free and self.queue:
            self.free -= 1
            self.begin(self.queue.pop(0))

    def begin(self, numbers: list[int]) -> None:
        self.chunks += 1
        works = [work for number in numbers if (work := self.inside.get(number)) is not None]
        assert len(works) == len(numbers)
        shift, runner = shift_of(works, self.now), Runner(self, self.now, self.now)
        while shift.busy:
            runner.queue += [int.from_bytes(head_of(frame).task_id, 'big') for frame in shift.pour(runner.clock)]
            assert shift.running is not None, 'nothing to do, and not told to go'
            shift.patience.step(runner.clock)
            pause = shift.pause(runner.clock)
            runner.work(inf if pause is None else runner.clock + pause)
            shift.ended(runner.answers(), runner.clock)
            if shift.late(runner.clock):
                shift.back(runner.take_back())
                shift.ended(runner.answers(), runner.clock)
                self.part(shift, shift.leave(runner.clock), numbers, runner.clock)
        self.say(runner.clock, 'result', numbers, [(each.place, end) for each, end in shift.ends])

    def part(self, shift: Shift, gone: list[Attempt], numbers: list[int], at: float) -> None:
        self.longest_wait = max(self.longest_wait, at - self.now)
        self.say(at, 'ended', numbers, [(each.place, end) for each, end in shift.ends])
        self.say(at, 'unstarted', [numbers[each.place] for each in gone], [])

    def say(self, at: float, what: str, numbers: list[int], ends: Ends) -> None:
        heapq.heappush(self.events, (at, len(self.events) + 1000 * self.chunks, what, numbers, ends))


durations = st.lists(st.sampled_from([0.0, 0.00001, 0.001, 0.004, 0.019, 0.03, 0.06, 2.0, 3600.0]), min_size=1, max_size=300)


@settings(deadline=None)
@given(durations, st.integers(1, 5), st.sampled_from([0.0, 0.0005, 0.003, 0.019, 5.0]))
def test_every_task_runs_once_and_waits_for_no_other_longer_than_the_budget(tasks: list[float], workers: int, learned: float) -> None:
    world = World(tasks, workers, learned)
    world.run()
    once = Counter(range(len(tasks)))
    assert world.ran == once
    assert world.ended == once
    assert world.longest_wait <= BUDGET + 1e-6
    assert world.inside.chunks == len(world.inside) == len(world.waiting) == 0


def test_a_thousand_tasks_of_nothing_are_few_chunks_that_all_workers_share() -> None:
    world = World([0.00001] * 1000, 2, 0.00001)
    world.run()
    assert world.chunks < 60
    world = World([0.05] * 100, 2, 0.05)
    world.run()
    assert world.chunks == 100
