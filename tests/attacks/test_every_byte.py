"""Each byte of a task and of its result is changed in the relay's hands: none of them runs, none of them comes to a value, each is told of."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest

from relay_parsl.client import arrivals
from relay_parsl.errors import ProtocolError, RelayError
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Body, Delivered, Hash, Id, Leased, Object
from tests.attacks.hostile_relay import until
from tests.attacks.stolen import Stolen, lines, note

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
EVERY = [pytest.param(31, id='some'), pytest.param(1, id='each', marks=pytest.mark.slow)]
FLIP = 0x41
Place = tuple[str, int]
"""Which part, and which byte of it."""


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= FLIP
    return bytes(changed)


def places(each: Leased | Delivered, step: int) -> list[Place]:
    """Every `step`th byte of header and payload."""
    return [(part, at) for part in ('header', 'payload') for at in range(0, len(getattr(each, part)), step)]


def refused(stolen: Stolen) -> int:
    """How many refusals are on record, those that have no line of their own included."""
    return sum(line.get('left_out', 1) for line in stolen.refusals())


class Changing:
    """Changes each task that passes in another place; `made` says which has become what."""

    def __init__(self, left: list[Place]) -> None:
        self.left, self.made = left, dict[Id, tuple[Place, Leased]]()

    def __call__(self, message: m.Dispatch) -> m.Dispatch:
        return m.Dispatch(message.session, message.serial, tuple(map(self._changed, message.tasks)))

    def _changed(self, task: Leased) -> Leased:
        task_id = codec.task_header(task.header).task_id
        if task_id not in self.made:
            part, at = self.left.pop()
            self.made[task_id] = (part, at), task._replace(**{part: type(getattr(task, part))(flipped(getattr(task, part), at))})
        return self.made[task_id][1]

    def asks(self) -> set[Hash]:
        """The objects that nobody has, for which these tasks will wait."""
        found = set()
        for _, task in self.made.values():
            try:
                header = codec.task_header(task.header)
            except ProtocolError:
                continue
            found |= {header.grant, header.function}
        return found


@pytest.mark.attack(12)
@pytest.mark.parametrize('step', EVERY)
def test_a_byte_of_a_task(stolen: Stolen, step: int) -> None:
    """Each of many tasks in another place. What then refers to an object that nobody has is asked for; all others are refused on record."""
    trace, executor = stolen.trace(), stolen.executor()
    first = executor.submit(note, str(stolen.trace()), 'the function and the grant are there')
    first.result(40)
    right = stolen.relay.dispatched(Id(first.id))
    known = codec.task_header(right.header)
    before, changing = refused(stolen), Changing(places(right, step))
    count = len(changing.left)
    stolen.relay.down[m.Dispatch] = changing
    futures = [executor.submit(note, str(trace), 'the function and the grant are there') for _ in range(count)]
    until(lambda: not changing.left, 'all tasks')
    strange = changing.asks() - {known.grant, known.function}
    until(lambda: strange <= {each for message in list(stolen.relay.heard) if isinstance(message, m.Need) for each in message.hashes}, 'questions')
    until(lambda: refused(stolen) - before >= count - len(strange), 'a refusal of each other')
    assert lines(trace) == []
    assert [each for each in futures if each.done() and each.exception(0) is None] == []


@pytest.mark.attack(11)
@pytest.mark.parametrize('step', EVERY)
def test_a_byte_of_a_grant(stolen: Stolen, step: int) -> None:
    """The attacker names it by the hash that it has then; so it is its signature or its box that must fail."""
    site, trace = stolen.credentials('site').id, stolen.trace()
    future = stolen.executor().submit(note, str(trace), 'once')
    assert future.result(40) == 'once'
    task = stolen.relay.dispatched(Id(future.id))
    header = codec.task_header(task.header)
    objects = [each for message in list(stolen.relay.heard) if isinstance(message, m.Objects) for each in message.objects]
    right = next(each for each in objects if each.hash == header.grant)
    before, numbers = refused(stolen), range(0, len(right.data), step)
    for number, at in enumerate(numbers, 1 << 40):
        data = Body(flipped(right.data, at))
        named = Hash(sha256(data).digest())
        changed = header._replace(grant=named, task_id=Id(number.to_bytes(16, 'big')), sequence=number)
        stolen.relay.dispatch(site, task._replace(header=codec.encode_header(changed)))
        stolen.relay.say(site, m.Objects((Object(named, 'grant', data),)))
    until(lambda: refused(stolen) - before >= len(numbers), 'a refusal of each')
    assert lines(trace) == ['once']


def distinct(number: int) -> Callable[[str], str]:
    """A function that no other one is."""

    def function(path: str) -> str:
        with open(path, 'a') as file:
            file.write(f'{number}\n')
        return path

    return function


@pytest.mark.attack(12)
@pytest.mark.parametrize('step', EVERY)
def test_a_byte_of_a_function(stolen: Stolen, step: int) -> None:
    """Each comes under the hash that its task names. So many functions as there are bytes."""
    trace, before, executor = stolen.trace(), refused(stolen), stolen.executor()
    done: dict[Hash, bytes] = {}

    def passing(message: m.Objects) -> m.Objects:
        for each in message.objects:
            if each.kind == 'function':
                done.setdefault(each.hash, flipped(each.data, len(done) * step % len(each.data)))
        return m.Objects(tuple([each._replace(data=Body(done.get(each.hash, each.data))) for each in message.objects]))

    stolen.relay.down[m.Objects] = passing
    futures = [executor.submit(distinct(number), str(trace)) for number in range(1200 // step)]
    errors = [each.exception(100) for each in futures]
    assert [each for each in errors if not isinstance(each, RelayError)] == []
    assert len(done) == len(futures)
    assert max(map(len, done.values())) <= 1200, 'each byte once, at least'
    until(lambda: refused(stolen) - before >= len(futures), 'a refusal of each')
    assert lines(trace) == []


@pytest.mark.attack(16, 17)
@pytest.mark.parametrize('step', EVERY)
def test_a_byte_of_a_result(stolen: Stolen, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """As many tasks as there are bytes; each is delivered with another one changed. What is delivered to nobody comes again."""
    monkeypatch.setattr(arrivals, 'GRANT_PATIENCE', 0.5)  # a grant that nobody has is waited for
    kept: list[Delivered] = []
    stolen.relay.down[m.Deliver] = lambda message: kept.extend(message.results) or message
    executor = stolen.executor()
    assert executor.submit(pow, 2, 3).result(40) == 8
    left = [('task_id', at) for at in range(0, 16, min(step, 8))] + places(kept[-1], step)
    made: dict[Id, Place] = {}

    def passing(message: m.Deliver) -> m.Deliver:
        changed = []
        for each in message.results:
            part, at = made[each.task_id] = made.get(each.task_id) or left.pop()
            changed.append(each._replace(**{part: type(getattr(each, part))(flipped(getattr(each, part), at))}))
        return m.Deliver(tuple(changed))

    stolen.relay.down[m.Deliver] = passing
    futures = [executor.submit(pow, 2, 3) for _ in left]
    until(lambda: not left, 'all results')
    astray = {task_id for task_id, (part, _) in made.items() if part == 'task_id'}
    errors = [each.exception(40) for each in futures if Id(each.id) not in astray]
    assert [each for each in errors if not isinstance(each, RelayError)] == [], 'none has a value'
    stolen.relay.honest()
    assert [each.result(40) for each in futures if Id(each.id) in astray] == [8] * len(astray)
