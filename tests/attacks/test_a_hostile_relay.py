"""What a relay in the hands of an attacker does to tasks: endpoints refuse it on record, nothing of his is unpickled, nothing runs twice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from relay_parsl.errors import TaskError
from relay_parsl.wire import codec, payload
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Body, Hash, Id, Leased, Object
from relay_parsl.wire.payload import Call
from relay_parsl.wire.seal import Keys
from tests.attacks.hostile_relay import Canary, until
from tests.attacks.stolen import Stolen, failure, lines, note, stolen_in
from tests.unit.endpoint.sender import Sender

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
DAY = 86400.0


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stolen]:
    with stolen_in(tmp_path_factory.mktemp('stolen')) as made:
        made.start('site')
        made.start('other')
        yield made


@pytest.fixture
def stolen(world: Stolen) -> Iterator[Stolen]:
    """Honest before, and after: then a task must run as ever."""
    yield world
    world.relay.honest()
    assert [world.executor(name).submit(pow, 2, 10).result(40) for name in ('site', 'other')] == [1024] * 2


@pytest.fixture
def canary(tmp_path: Path, stolen: Stolen) -> Iterator[Canary]:
    bird = Canary(tmp_path / 'canary')
    yield bird
    assert not bird.sings


def recorded(stolen: Stolen, name: str = 'site') -> tuple[Leased, Path]:
    """A task that has run, as the attacker has recorded it, and its trace."""
    trace = stolen.trace()
    future = stolen.executor(name).submit(note, str(trace), 'once')
    assert future.result(40) == 'once'
    return stolen.relay.dispatched(Id(future.id)), trace


def header(each: Leased, **fields: object) -> Leased:
    """The task with another header."""
    return each._replace(header=codec.encode_header(codec.task_header(each.header)._replace(**fields)))  # type: ignore[arg-type]


# -- Tasks of his own ------------------------------------------------------------------------------------------------


@pytest.mark.attack(11)
@pytest.mark.parametrize('signer', ['himself', 'himself in the name of the user', 'nobody'])
def test_a_task_that_the_relay_makes_up_is_refused(stolen: Stolen, canary: Canary, signer: str) -> None:
    """He knows the endpoint's card, and what a grant looks like."""
    site = stolen.credentials('site')
    sender = Sender(Keys.generate(), site.card, time.time())
    grant = sender.grant_object
    if signer != 'himself':
        mine, users = sender.keys.identity_public, stolen.user.card.identity
        data = grant.data.replace(mine, users) if signer != 'nobody' else canary.pickled
        assert data != grant.data
        grant = Object(Hash(sha256(data).digest()), 'grant', Body(data))
    function = Object(Hash(sha256(canary.pickled).digest()), 'function', canary.pickled)
    task = sender.task(function, payload.dump_function(note), ('x', 'y'))
    forged = header(Leased(1, task.header, canary.pickled), grant=grant.hash)

    def act() -> None:
        stolen.relay.dispatch(site.id, forged)
        stolen.relay.say(site.id, m.Objects((grant, function)))

    assert stolen.refuses(act)['object'] == grant.hash.hex()
    task_id = codec.task_header(forged.header).task_id
    assert until(lambda: stolen.relay.reasons(task_id))[0].startswith('denied')


@pytest.mark.attack(11)
def test_another_users_grant_is_no_grant_here(stolen: Stolen, canary: Canary) -> None:
    """Mallory has an account at the relay; the relay says that his tasks are for this endpoint, and shows it his card."""
    mallory, site = Keys.generate(), stolen.credentials('site')
    sender = Sender(mallory, site.card, time.time())
    function = sender.function(payload.dump_function(note))
    task = sender.task(function, payload.dump_function(note), (str(canary.path), 'sings'))

    def act() -> None:
        stolen.relay.dispatch(site.id, Leased(1, *task))
        stolen.relay.say(site.id, m.Objects((function, sender.grant_object)))

    assert 'not trusted' in stolen.refuses(act)['reason']


# -- Tasks of the user, changed --------------------------------------------------------------------------------------

CHANGES: dict[str, Callable[[Leased, Leased, Canary], Leased]] = {
    'the payload of another task': lambda each, other, canary: each._replace(payload=other.payload),
    'a pickle for a payload': lambda each, other, canary: each._replace(payload=canary.pickled),
    'a pickle behind the payload': lambda each, other, canary: each._replace(payload=Body(each.payload + canary.pickled)),
    'no payload': lambda each, other, canary: each._replace(payload=Body(b'')),
    'half a payload': lambda each, other, canary: each._replace(payload=Body(each.payload[: len(each.payload) // 2])),
    'another number': lambda each, other, canary: header(each, sequence=1 << 40),
    'another id': lambda each, other, canary: header(each, task_id=Id(os.urandom(16))),
    'another group': lambda each, other, canary: header(each, group=Id(os.urandom(16))),
    'a longer life': lambda each, other, canary: header(each, expires=time.time() + 80 * DAY),
    'another priority': lambda each, other, canary: header(each, priority=-5),
    'once or more': lambda each, other, canary: header(each, at_most_once=True),
    'a pool by its name': lambda each, other, canary: header(each, pool='default'),
    'another function': lambda each, other, canary: header(each, function=codec.task_header(other.header).function),
}


@pytest.mark.attack(12)
@pytest.mark.parametrize('change', CHANGES)
def test_a_task_that_the_relay_changes_is_refused(stolen: Stolen, canary: Canary, change: str) -> None:
    other = stolen.executor().submit(divmod, 7, 2)
    other.result(40)
    leased = stolen.relay.dispatched(Id(other.id))
    trace = stolen.trace()

    def passing(message: m.Dispatch) -> m.Dispatch:
        return m.Dispatch(message.session, message.serial, tuple(CHANGES[change](each, leased, canary) for each in message.tasks))

    stolen.relay.down[m.Dispatch] = passing
    line = stolen.refuses(lambda: stolen.executor().submit(note, str(trace), 'changed'))
    assert line['reason'].startswith(('denied', 'no-pool'))
    assert lines(trace) == []


@pytest.mark.attack(12)
@pytest.mark.parametrize('what', ['a pickle', 'the object of another', 'another kind'])
def test_functions_and_grants_that_the_relay_exchanges_are_refused(stolen: Stolen, canary: Canary, what: str) -> None:
    foreign = Sender(Keys.generate(), stolen.credentials('site').card, time.time())
    trace = stolen.trace()
    word = os.urandom(8).hex()

    def passing(message: m.Objects) -> m.Objects:
        if what == 'a pickle':
            return m.Objects(tuple(each._replace(data=canary.pickled) for each in message.objects))
        if what == 'another kind':
            return m.Objects(tuple(each._replace(kind={'grant': 'function', 'function': 'grant'}[each.kind]) for each in message.objects))
        return m.Objects(tuple(each._replace(data=foreign.grant_object.data) for each in message.objects))

    def fresh(path: str) -> str:
        with open(path, 'a') as file:
            file.write(word)
        return word

    stolen.relay.down[m.Objects] = passing
    futures = []
    line = stolen.refuses(lambda: futures.append(stolen.executor().submit(fresh, str(trace))))
    assert line['reason'].startswith('denied')
    assert isinstance(failure(futures[0]), TaskError)
    assert lines(trace) == []


@pytest.mark.attack(20)
@pytest.mark.parametrize('name', ['json', '', 'pickle', 'os:system', 'x' * 300])
def test_the_serializer_is_not_the_relays_to_choose(stolen: Stolen, canary: Canary, name: str) -> None:
    trace = stolen.trace()

    def passing(message: m.Dispatch) -> m.Dispatch:
        changed = [header(each, serializer=name) for each in message.tasks]
        assert changed != list(message.tasks)
        return m.Dispatch(message.session, message.serial, tuple(changed))

    stolen.relay.down[m.Dispatch] = passing
    futures = []
    stolen.refuses(lambda: futures.append(stolen.executor().submit(note, str(trace), 'changed')))
    assert 'denied' in str(failure(futures[0]))
    assert lines(trace) == []


def bare(canary: Canary) -> Body:
    """A call as it is under its seal, whose arguments are the attacker's."""
    blob = payload.dump_function(note)
    return Body(payload.encode_call(Call(sha256(blob).digest(), 'note', payload.PYTHON, bytes(canary.pickled), b'', 0, {})))


@pytest.mark.attack(41)
@pytest.mark.parametrize('what', ['call', 'function', 'grant', 'all'])
def test_what_comes_without_its_seal_is_refused_whatever_the_relay_says_of_itself(stolen: Stolen, canary: Canary, what: str) -> None:
    """The relay says that it knows nothing of seals, and sends what is under them: there is nothing to be negotiated."""
    site, blob = stolen.credentials('site'), payload.dump_function(note)
    task, trace = recorded(stolen)
    function = Object(Hash(sha256(blob).digest()), 'function', Body(blob))
    grant = Object(Hash(sha256(b'').digest()), 'grant', Body(b''))
    fields: dict[str, object] = {'task_id': Id(os.urandom(16)), 'sequence': 1 << 41}
    fields |= {'function': function.hash} if what in ('function', 'all') else {}
    fields |= {'grant': grant.hash} if what in ('grant', 'all') else {}
    changed = header(task, **fields)._replace(payload=bare(canary) if what in ('call', 'all') else task.payload)
    session = stolen.relay.endpoint(site.id)

    def act() -> None:
        stolen.relay.say(site.id, m.Welcome(session.number, time.time(), {'seals': 0, 'unsealed': 1, 'protocol': 0}))
        stolen.relay.dispatch(site.id, changed)
        stolen.relay.say(site.id, m.Objects((function, grant)))

    assert stolen.refuses(act)['reason'].startswith('denied')
    assert lines(trace) == ['once']


@pytest.mark.attack(13)
def test_a_task_for_another_endpoint_is_refused_there(stolen: Stolen) -> None:
    task, trace = recorded(stolen)
    other = stolen.credentials('other')
    assert 'another endpoint' in stolen.refuses(lambda: stolen.relay.dispatch(other.id, task), 'other')['reason']
    rewritten = header(task, endpoint=other.id, task_id=Id(os.urandom(16)))
    stolen.refuses(lambda: stolen.relay.dispatch(other.id, rewritten), 'other')
    assert lines(trace) == ['once']


# -- Tasks of the user, again ----------------------------------------------------------------------------------------


@pytest.mark.attack(14)
def test_a_task_that_the_relay_repeats_runs_once(tmp_path: Path) -> None:
    """At once, after a restart, out of an old store, and when the endpoint has long forgotten its number."""
    with stolen_in(tmp_path) as stolen:
        relay, site = stolen.relay, stolen.credentials('site')
        trace = stolen.trace()
        future = stolen.executor().submit(note, str(trace), 'once')
        until(lambda: [each for each in list(relay.seen) if isinstance(each, m.Accepted)], 'the acceptance')
        relay.keep(tmp_path / 'before')
        stolen.start()
        assert future.result(40) == 'once'
        task_id = Id(future.id)
        task = relay.dispatched(task_id)

        def repeated(again: int) -> str:
            assert stolen.refuses(lambda: relay.dispatch(site.id, task._replace(attempt=again)))['task'] == task_id.hex()
            assert lines(trace) == ['once']
            until(lambda: relay.recorded(task_id, again), 'the end of that')
            return relay.reasons(task_id)[-1].split(':')[0]

        assert [repeated(2), repeated(3)] == ['replayed'] * 2
        stolen.stop()
        stolen.start()
        assert repeated(4) == 'replayed'
        stolen.refuses(lambda: relay.restart(tmp_path / 'before'))
        assert lines(trace) == ['once']
        stolen.stop()
        stolen.start(shift=16 * DAY)
        again = count(5)
        until(lambda: repeated(next(again)) == 'expired', 'the end of its number')


@pytest.mark.attack(15)
@pytest.mark.parametrize(('shift', 'why'), [(15 * DAY, 'expired'), (-DAY, 'not valid now')])
def test_a_task_out_of_its_time_does_not_run(tmp_path: Path, shift: float, why: str) -> None:
    """The clock of the endpoint, and so the time of the task, is another: the relay has held it back, or sends it too early."""
    with stolen_in(tmp_path) as stolen:
        stolen.start(shift=shift)
        trace = stolen.trace()
        futures = []
        line = stolen.refuses(lambda: futures.append(stolen.executor().submit(note, str(trace), 'late')))
        assert why in line['reason']
        assert isinstance(failure(futures[0]), TaskError)
        assert lines(trace) == []
