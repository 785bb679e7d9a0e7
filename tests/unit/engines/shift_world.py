"""A small world of workers, of HTEX and of a control channel that loses and doubles what it likes, around the book of shifts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from relay_parsl.engines import control
from relay_parsl.engines.frames import NO_SERIAL, decode_chunk, decode_ends, encode_chunk, encode_ends, without
from relay_parsl.engines.shifts import Chunk, Shifts
from relay_parsl.wire import codec
from relay_parsl.wire.messages import Dispatch, Held, Recorded, Results, Returned, Window


def shifts(*, fuses: bool = True) -> Shifts:
    numbers = count(1001)
    return Shifts(lambda: next(numbers), fuses=fuses)


@dataclass
class Worker:
    """As the contract of the control channel wants it."""

    reachable: bool
    shift: int = 0
    serial: int = 0
    closed: bool = False
    taken: list[tuple[int, int]] = field(default_factory=list)  # places and tasks that have not started
    count: int = 0
    said: int = 0
    ends: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)  # parcels that were not recorded
    fresh: list[tuple[int, bytes]] = field(default_factory=list)
    to_engine: list[list[bytes]] = field(default_factory=list)
    to_worker: list[list[bytes]] = field(default_factory=list)

    def take(self, data: bytes) -> None:
        for frame in decode_chunk(data):
            self.taken.append((self.count, int(frame)))
            self.count += 1

    def say(self, message: Any) -> None:
        if self.reachable:
            self.to_engine.append(codec.encode(message))


class World:
    """Everything there is; `chance` decides what happens next. A task is its number; a killer takes its worker with it."""

    def __init__(self, chance: Random, tasks: int) -> None:
        self.chance = chance
        self.book = shifts()
        self.workers = [Worker(chance.random() < 0.8) for _ in range(chance.randint(1, 4))]
        self.strict = {task for task in range(tasks) if chance.random() < 0.1}
        self.killers = {task for task in range(tasks) if chance.random() < 0.05}
        self.waiting = list(range(tasks))
        self.suspects: set[int] = set()
        self.ids: dict[int, int] = {}  # number -> task
        self.htex: list[Chunk] = []
        self.starts, self.ends, self.lost = Counter[int](), Counter[int](), Counter[int]()
        self.risen = Counter[int]()  # how often a worker's death sent a task round again
        self.chaos = True

    def key(self, task: int) -> tuple[bytes, int]:
        return task.to_bytes(16, 'big'), 1

    # The endpoint's part

    def put(self) -> None:
        if self.waiting:
            task = self.waiting[0]
            size = 1 if task in self.strict | self.suspects else self.chance.randint(1, 5)
            going = [task]
            for other in self.waiting[1:size]:
                if other in self.strict | self.suspects:
                    break
                going.append(other)
            del self.waiting[: len(going)]
            numbers = [len(self.ids) + each for each in range(len(going))]
            self.ids.update(zip(numbers, going))
            data = encode_chunk([str(each).encode() for each in going])
            self.book.put(Chunk(numbers, data, strict=task in self.strict | self.suspects))

    def back(self, numbers: list[int]) -> None:
        self.waiting[:0] = [self.ids[number] for number in numbers]

    def ended(self, ends: list[tuple[int, bytes]]) -> None:
        for number, end in ends:
            assert int(end) == self.ids[number]
            self.ends[self.ids[number]] += 1

    def take_back(self) -> None:
        if self.ids:
            number = self.chance.randrange(len(self.ids))
            if self.book.take_back(number, without):
                self.back([number])

    # The engine's part

    def deal(self) -> None:
        for gift in self.book.deal(len(self.workers)):
            if not gift.serial:
                self.htex.append(gift)
                continue
            worker = next(each for each in self.workers if each.shift == gift.shift and self.book.where(gift.numbers[0]))
            if self.chaos and self.chance.random() < 0.05:
                self.book.unsent(gift)
            else:
                refill = control.say_refill(control.Refill(gift.shift, gift.serial, gift.seconds, gift.data))
                worker.to_worker.append(codec.encode(refill))
        out = len(self.book._shifts)
        mute = sum(not worker.reachable for worker in self.workers)
        assert mute or out <= len(self.workers), 'HTEX has more shifts than there are workers'

    def hear(self, worker: Worker) -> None:
        message = self.arrived(worker.to_engine)
        if isinstance(message, Window):
            shift, tasks, _ = control.hear_window(message)
            self.book.ask(shift, b'there', tasks)
        elif isinstance(message, Results):
            parcel = control.hear_parcel(message, self.book.given)
            self.ended(self.book.heard(parcel.shift, parcel.ends))
            worker.to_worker.append(codec.encode(control.say_recorded(parcel.shift, [parcel.number])))
        elif isinstance(message, Returned):
            shift, last, keys = control.hear_not_started(message)
            tasks_ = {int.from_bytes(task_id, 'big') for task_id, _ in keys}
            inside = [number for number, task in self.ids.items() if task in tasks_ and number in self.book._at]
            self.back(self.book.not_started(shift, last, inside))
        elif isinstance(message, Held):
            self.back(self.book.closed(*control.hear_closed(message)))

    def arrived(self, queue: list[list[bytes]]) -> Any:
        """The next message, which may come once more."""
        if not queue:
            return None
        twice = self.chaos and self.chance.random() < 0.2
        return codec.decode(queue[0] if twice else queue.pop(0))

    # The workers' part

    def begin(self, worker: Worker) -> None:
        if not worker.shift and self.htex:
            given = self.htex.pop(0)
            worker.shift, worker.serial, worker.count, worker.closed = given.shift, 0, 0, not worker.reachable
            worker.take(given.data)

    def listen(self, worker: Worker) -> None:
        message = self.arrived(worker.to_worker)
        if isinstance(message, Dispatch):
            refill = control.hear_refill(message)
            if refill.shift == worker.shift and refill.serial == worker.serial + 1 and not worker.closed:
                worker.serial += 1
                worker.take(refill.chunk)
        elif isinstance(message, Recorded):
            for shift, number in control.hear_recorded(message):
                if shift == worker.shift:
                    worker.ends.pop(number, None)

    def run(self, worker: Worker) -> None:
        if not worker.taken:
            return None
        place, task = worker.taken.pop(0)
        self.starts[task] += 1
        if task in self.strict | self.suspects:
            assert not worker.taken, 'something else is with a strict one'
        if task in self.killers:
            return self.die(worker, task)
        worker.fresh.append((place, str(task).encode()))
        return None

    def say(self, worker: Worker) -> None:
        if worker.shift and not worker.closed:
            for parcel in control.parcels(worker.shift, worker.said, worker.fresh):
                worker.said = parcel.number + 1
                worker.ends[parcel.number] = parcel.ends
                worker.say(control.say_parcel(parcel))
            worker.fresh.clear()

    def ask(self, worker: Worker) -> None:
        if worker.shift and not worker.closed:
            worker.say(control.say_window(worker.shift, 100, 1 << 17))

    def give_back(self, worker: Worker) -> None:
        if worker.taken and not worker.closed:
            worker.say(control.say_not_started(worker.shift, worker.serial, [self.key(task) for _, task in worker.taken]))
            worker.taken.clear()

    def cut(self, worker: Worker) -> None:
        """The connection breaks: some of what was on its way is lost, and the shift takes nothing more."""
        for queue in (worker.to_engine, worker.to_worker):
            queue[:] = [each for each in queue if self.chance.random() < 0.3]
        worker.closed = True
        if worker.shift:
            worker.say(control.say_closed(worker.shift, worker.serial))

    def finish(self, worker: Worker) -> None:
        if worker.shift and not worker.taken:
            ends = [*(end for parcel in worker.ends.values() for end in parcel), *worker.fresh]
            result = encode_ends(ends, worker.serial if worker.reachable else NO_SERIAL)
            last, heard = decode_ends(result, self.book.given(worker.shift) or 0)
            ended, returned = self.book.over(worker.shift, heard, reached=last != NO_SERIAL)
            self.ended(ended)
            self.back(returned)
            self.reset(worker)

    def die(self, worker: Worker, guilty: int | None = None) -> None:
        """Of a task, or of its node."""
        if not worker.shift:
            return
        left = self.book.died(worker.shift)
        tasks = [self.ids[number] for number in left]
        if len(left) == 1:
            self.lost[tasks[0]] += 1
            assert guilty is None or tasks == [guilty]
        else:
            assert not self.strict & set(tasks)
            self.suspects |= set(tasks)
            self.risen.update(tasks)
            self.back(left)
        self.reset(worker)

    def reset(self, worker: Worker) -> None:
        worker.shift, worker.taken, worker.ends, worker.fresh = 0, [], {}, []

    # Time

    def live(self, steps: int) -> None:
        things = [self.run, self.say, self.ask, self.hear, self.hear, self.listen, self.listen, self.begin, self.finish, self.give_back]
        for _ in range(steps):
            self.put()
            self.deal()
            if self.chaos and self.chance.random() < 0.02:
                self.chance.choice([self.cut, self.die])(self.chance.choice(self.workers))
            if self.chaos and self.chance.random() < 0.05:
                self.take_back()
            self.chance.choice(things)(self.chance.choice(self.workers))

    def settle(self) -> None:
        """No more faults: everything comes to its end."""
        self.chaos = False
        for _ in range(10_000):
            self.put()
            self.deal()
            for worker in self.workers:
                for do in (self.begin, self.listen, self.run, self.say, self.hear, self.ask, self.hear):
                    do(worker)
                if not worker.taken and not worker.to_worker and not worker.to_engine and self.chance.random() < 0.2:
                    self.finish(worker)
            if not self.waiting and not len(self.book):
                return
        raise AssertionError('it does not come to an end')
