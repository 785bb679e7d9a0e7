"""What a relay in the hands of an attacker does to results, and tells of accounts: the client raises `SealError`, and unpickles nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay_parsl.client import arrivals
from relay_parsl.client.executor import Executor
from relay_parsl.errors import NotFound, SealError, TaskCancelled, TaskError, TaskExpired, TaskLost
from relay_parsl.wire import codec, payload
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Body, Delivered, Hash, Id, Result, Status
from relay_parsl.wire.seal import Keys, issue_card, issue_voucher
from tests.attacks.hostile_relay import Canary, until
from tests.attacks.stolen import Stolen, failure, lines, stolen_in

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
Change = Callable[[Delivered, Delivered, Canary], Delivered]


@pytest.fixture
def canary(tmp_path: Path, stolen: Stolen) -> Iterator[Canary]:
    bird = Canary(tmp_path / 'canary')
    yield bird
    assert not bird.sings


def header(each: Delivered, **fields: object) -> Delivered:
    """The result with another header."""
    return each._replace(header=codec.encode_header(codec.result_header(each.header)._replace(**fields)))  # type: ignore[arg-type]


def of(each: Delivered | Result) -> m.ResultHeader:
    return codec.result_header(each.header)


FORGERIES: dict[str, Change] = {
    'the outcome of another task': lambda each, other, canary: each._replace(payload=other.payload),
    'the result of another task': lambda each, other, canary: other._replace(task_id=each.task_id),
    'that of another task in its name': lambda each, other, canary: header(other, task_id=each.task_id)._replace(task_id=each.task_id),
    'all but the id of another task': lambda each, other, canary: header(each, sequence=of(other).sequence)._replace(payload=other.payload),
    'a pickle': lambda each, other, canary: each._replace(payload=canary.pickled),
    'a pickle behind the outcome': lambda each, other, canary: each._replace(payload=Body(each.payload + canary.pickled)),
    'half an outcome': lambda each, other, canary: each._replace(payload=Body(each.payload[: len(each.payload) // 2])),
    'a failure of a success': lambda each, other, canary: each._replace(status=Status.FAILED),
    'a failure of a success, in its header too': lambda each, other, canary: header(each, status=Status.FAILED)._replace(status=Status.FAILED),
    'cancelled, in its header too': lambda each, other, canary: header(each, status=Status.CANCELLED)._replace(status=Status.CANCELLED),
    'another grant': lambda each, other, canary: header(each, grant=Hash(b'?' * 32)),
    'another endpoint': lambda each, other, canary: header(each, endpoint=Id(b'?' * 16)),
    'another serializer': lambda each, other, canary: header(each, serializer='cloudpickle'),
    'a reason': lambda each, other, canary: header(each, reason='denied: no'),
}
ATTEMPTS: dict[str, Change] = {
    'a later attempt': lambda each, other, canary: header(each, attempt=of(each).attempt + 1),
    'attempt 0': lambda each, other, canary: header(each, attempt=0),
    'a later epoch': lambda each, other, canary: header(each, epoch=of(each).epoch + 1),
    'an earlier epoch': lambda each, other, canary: header(each, epoch=of(each).epoch - 1),
}
WORDS: dict[str, tuple[Change, type[TaskError]]] = {
    'lost': (lambda each, other, canary: each._replace(header=b'', payload=Body(b''), status=Status.FAILED), TaskLost),
    'a success without a result': (lambda each, other, canary: each._replace(header=b''), TaskLost),
    'a success with a header that is none': (lambda each, other, canary: each._replace(header=canary.pickled), TaskLost),
    'expired': (lambda each, other, canary: each._replace(header=b'', payload=Body(b''), status=Status.EXPIRED), TaskExpired),
    'cancelled': (lambda each, other, canary: each._replace(header=b'', payload=Body(b''), status=Status.CANCELLED), TaskCancelled),
    'a success without an outcome': (lambda each, other, canary: each._replace(payload=Body(b'')), TaskError),
}


def delivered(stolen: Stolen, change: Change, canary: Canary) -> BaseException:
    """How a task fails whose result the attacker changes; he has that of another one."""
    kept: list[Delivered] = []
    stolen.relay.down[m.Deliver] = lambda message: kept.extend(message.results) or message
    assert stolen.executor().submit(divmod, 7, 2).result(40) == (3, 1)
    other = kept[-1]

    def passing(message: m.Deliver) -> m.Deliver:
        return m.Deliver(tuple([change(each, other, canary) for each in message.results]))

    stolen.relay.down[m.Deliver] = passing
    return failure(stolen.executor().submit(pow, 3, 3))


@pytest.mark.attack(16)
@pytest.mark.parametrize('what', FORGERIES)
def test_a_result_that_the_relay_forges_or_changes(stolen: Stolen, canary: Canary, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(arrivals, 'GRANT_PATIENCE', 0.5)  # a grant that nobody has is waited for
    error = delivered(stolen, FORGERIES[what], canary)
    assert isinstance(error, (SealError, TaskLost) if what == 'another grant' else SealError)


@pytest.mark.attack(17)
@pytest.mark.parametrize('what', ATTEMPTS)
def test_a_result_is_of_one_attempt_and_life_of_its_endpoint(stolen: Stolen, canary: Canary, what: str) -> None:
    assert isinstance(delivered(stolen, ATTEMPTS[what], canary), SealError)


@pytest.mark.attack(41)
@pytest.mark.parametrize('what', ['a value', 'a failure'])
def test_a_result_without_its_seal_is_no_result(stolen: Stolen, canary: Canary, what: str) -> None:
    data = bytes(canary.pickled) if what == 'a value' else payload.dump_failure(ValueError('made up'))
    bare = payload.encode_outcome(payload.Outcome(what == 'a value', data))
    assert isinstance(delivered(stolen, lambda each, other, canary: each._replace(payload=Body(bare)), canary), SealError)


def fresh(path: str) -> str:
    word = os.urandom(8).hex()
    with open(path, 'a') as file:
        file.write(word + '\n')
    return word


class Twice:
    """Tasks of which the endpoint has sealed two results, of two attempts in two of its lives; the attacker has both, and delivers nothing yet."""

    def __init__(self, stolen: Stolen, count: int) -> None:
        self.kept: dict[tuple[Id, int], Result] = {}
        self.saved = self.again = False
        trace = stolen.trace()
        stolen.relay.down[m.Deliver] = lambda _message: None
        stolen.relay.up[m.Results] = self._hear
        self.futures = [stolen.executor().submit(fresh, str(trace)) for _ in range(count)]
        until(lambda: len(self.kept) == count, 'results of the first attempts')
        stolen.kill()  # within the second in which they are nowhere but in its memory
        self.again = True
        stolen.start()
        until(lambda: self.saved or len(self.kept) == 2 * count, 'results of the second attempts')
        assert self.saved or len(set(lines(trace))) == 2 * count

    def _hear(self, message: m.Results) -> m.Results | None:
        first = [each for each in message.results if of(each).attempt == 1]
        self.saved |= self.again and bool(first)
        self.kept.update({(of(each).task_id, of(each).attempt): each for each in message.results})
        return None if first else message


def twice(stolen: Stolen, count: int) -> Twice:
    """On a machine that was too slow to kill it in time, once more."""
    return next(made for made in (Twice(stolen, count) for _ in range(5)) if not made.saved)


OLDER: dict[str, Callable[[Delivered, Result], Delivered]] = {
    'the outcome': lambda each, old: each._replace(payload=old.payload),
    'the header': lambda each, old: each._replace(header=old.header),
    'all but the attempt': lambda each, old: header(each._replace(header=old.header, payload=old.payload), attempt=2),
    'all but the life': lambda each, old: header(each._replace(header=old.header, payload=old.payload), epoch=of(each).epoch),
}


@pytest.mark.attack(17)
def test_the_result_of_an_older_attempt_under_the_newer_one(tmp_path: Path) -> None:
    with stolen_in(tmp_path) as stolen:
        stolen.start()
        made = twice(stolen, len(OLDER) + 1)
        changes = dict(zip([Id(each.id) for each in made.futures], OLDER.values()))

        def passing(message: m.Deliver) -> m.Deliver:
            olds = [made.kept[each.task_id, 1] for each in message.results]
            return m.Deliver(tuple([changes.get(each.task_id, lambda each, _: each)(each, old) for each, old in zip(message.results, olds)]))

        stolen.relay.down[m.Deliver] = passing
        assert [type(failure(each)) for each in made.futures[:-1]] == [SealError] * len(OLDER)
        assert len(made.futures[-1].result(40)) == 16, 'left alone, the newer one is read'


@pytest.mark.attack(16)
@pytest.mark.parametrize('what', WORDS)
def test_the_relays_word_is_told_as_its_word_and_never_as_a_value(stolen: Stolen, canary: Canary, what: str) -> None:
    change, kind = WORDS[what]
    error = delivered(stolen, change, canary)
    assert isinstance(error, kind)
    assert 'the relay says' in str(error) or what == 'a success without an outcome'


@pytest.mark.attack(16)
def test_two_results_that_are_swapped(stolen: Stolen) -> None:
    """Both are delivered, each with the whole of the other."""
    kept: list[Delivered] = []

    def passing(message: m.Deliver) -> m.Deliver | None:
        kept.extend(each for each in message.results if each.task_id not in {one.task_id for one in kept})
        if len(kept) < 2:
            return None
        first, second = kept[:2]
        return m.Deliver((first._replace(header=second.header, payload=second.payload), second._replace(header=first.header, payload=first.payload)))

    stolen.relay.down[m.Deliver] = passing
    futures = [stolen.executor().submit(pow, 2, number) for number in (3, 4)]
    assert [type(failure(each)) for each in futures] == [SealError] * 2


@pytest.mark.attack(12, 16)
@pytest.mark.parametrize('direction', ['task', 'result'])
def test_segments_of_large_bodies_that_the_relay_changes(stolen: Stolen, canary: Canary, direction: str) -> None:
    def passing(message: m.Segment) -> m.Segment:
        changed = bytearray(message.data)
        changed[:50] = canary.pickled[:50]
        return m.Segment(message.task_id, message.attempt, message.direction, message.offset, message.total, Body(bytes(changed)))

    stolen.relay.down[m.Segment] = passing
    large = bytes(3 << 20)
    future = stolen.executor().submit(len, large) if direction == 'task' else stolen.executor().submit(bytes, 3 << 20)
    error = failure(future)
    assert isinstance(error, SealError)
    assert 'segment' in str(error)


# -- What it tells of accounts ---------------------------------------------------------------------------------------


def exchanged(listing: m.Listing, **fields: object) -> m.Listing:
    """The listing with other fields in its rows."""
    return m.Listing(listing.request, tuple([{**row, **{key: value for key, value in fields.items() if key in row}} for row in listing.rows]))


@pytest.mark.attack(16)
@pytest.mark.parametrize('what', ['his card', 'his card under her id', 'no card', 'a pickle', 'her card with his keys'])
def test_a_card_that_the_relay_exchanges_gets_no_task(tmp_path: Path, what: str) -> None:
    """Mallory would like to be the endpoint that the user has pinned: whoever's card he shows, nothing is sealed to it."""
    mallory, canary = Keys.generate(), Canary(tmp_path / 'canary')
    with stolen_in(tmp_path) as stolen:
        site = stolen.credentials('site')
        his = issue_card(mallory, 'endpoint', serial=9, not_after=time.time() + 1e6)
        cards = {
            'his card': {'card': his.data, 'id': bytes(his.id)},
            'his card under her id': {'card': his.data},
            'no card': {'card': b''},
            'a pickle': {'card': canary.pickled},
            'her card with his keys': {'card': site.card.data.replace(site.card.sealing, mallory.sealing_public)},
        }
        stolen.relay.down[m.Listing] = lambda message: exchanged(message, **cards[what])
        assert isinstance(failure(stolen.executor().submit(pow, 2, 3)), (SealError, NotFound))
        assert [each for each in stolen.relay.heard if isinstance(each, m.Submit)] == []
        assert not canary.sings


@pytest.mark.attack(16)
def test_a_voucher_or_a_name_of_mallorys_makes_no_endpoint_of_the_users(tmp_path: Path) -> None:
    """He has signed a voucher for himself, and the relay says that the user owns it."""
    with stolen_in(tmp_path) as stolen:
        mallory = Keys.generate()
        card = issue_card(mallory, 'endpoint', serial=1, not_after=time.time() + 1e6)
        row = {'id': bytes(card.id), 'name': 'new', 'role': 'endpoint', 'card': card.data, 'mac': b'', 'owner': bytes(stolen.user.id), 'online': True}
        row['voucher'] = issue_voucher(mallory, 'new', card).data
        stolen.relay.down[m.Listing] = lambda message: m.Listing(message.request, (row,))
        assert isinstance(failure(Executor('new', relay=stolen.target).submit(pow, 2, 3)), NotFound)
        assert 'new' not in stolen.home.pins()
        assert [each for each in stolen.relay.heard if isinstance(each, m.Submit)] == []
