"""Who knows the id of another account's task learns nothing by asking for it: neither from what is said, nor from how much work that is."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay_parsl.relay.sqlite import SqliteStore
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Id
from tests.integration.relay_site import an_id as site_id
from tests.integration.relay_site import leases, site_in, submit
from tests.unit.relay.stage import Stage, a_hash, an_id

LARGE = bytes(200_000)
ASKS: dict[str, Callable[[Id], m.Message]] = {
    'list': lambda task_id: m.List(1, 'tasks', {'id': task_id}),
    'follow': lambda task_id: m.Follow((), (task_id,)),
    'cancel': lambda task_id: m.Cancel((m.Attempt(task_id, 0),)),
    'watch': lambda task_id: m.Watch((task_id,)),
    'fetch': lambda task_id: m.Fetch(task_id, 1, 'result', 0, 100),
}


class Counted:
    """A stage on a real store, whose statements and steps are counted."""

    def __init__(self, root: Path) -> None:
        self.store = SqliteStore(root / 'relay.db')
        self.stage = Stage(self.store)
        self.ann, self.bob, self.site = self.stage.client('ann'), self.stage.client('bob'), self.stage.endpoint(window=(2, 1 << 30))
        names = ['done', 'leased', 'queued']
        self.stage.submit(self.ann, *names, payload=LARGE)
        self.stage.finish(self.site, 'done', payload=LARGE)
        self.stage.submit(self.ann, 'last', payload=LARGE)
        self.statements: list[str] = []
        self.steps = 0

    def ask(self, question: m.Message, name: bytes) -> tuple[bytes, list[str], int]:
        """What bob gets for this, as bytes of the wire; the statements, and how many steps SQLite took; without the name in any of it."""
        self.bob.inbox.clear()
        self.statements.clear()
        self.steps = 0
        self.store._db.set_trace_callback(self.statements.append)
        self.store._db.set_progress_handler(self._step, 1)
        self.bob.say(question)
        self.store._db.set_trace_callback(None)
        self.store._db.set_progress_handler(None, 0)
        answer = b''.join(frame for each in self.bob.inbox for frame in codec.encode(each))
        return answer.replace(name, b'ID'), [each.replace(name.hex(), 'ID') for each in self.statements], self.steps

    def _step(self) -> int:
        self.steps += 1
        return 0


@pytest.fixture(scope='module')
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    made = Counted(tmp_path_factory.mktemp('store'))
    yield made
    made.store.close()


@pytest.mark.attack(9)
@pytest.mark.parametrize('task', ['done', 'leased', 'queued', 'last'])
@pytest.mark.parametrize('what', ASKS)
def test_the_answer_and_the_work_are_those_for_a_task_that_is_not_there(counted: Counted, what: str, task: str) -> None:
    """The same bytes, the same statements, none of which reads a payload, and some steps more of SQLite, whatever the task is like."""
    absent = counted.ask(ASKS[what](an_id('absent')), an_id('absent'))
    there = counted.ask(ASKS[what](an_id(task)), an_id(task))
    assert there[0] == absent[0]
    assert absent[0] or what == 'watch', 'said'
    assert there[1] == absent[1]
    assert not [each for each in there[1] if 'payload' in each or 'result' in each]
    assert 0 <= there[2] - absent[2] <= 60


@pytest.mark.attack(9)
@pytest.mark.parametrize('what', ['asked for', 'brought', 'referred to'])
def test_an_object_that_another_has_brought_is_as_one_that_is_not_there(counted: Counted, what: str) -> None:
    absent, there = a_hash('nobody ' + what), a_hash('ann has ' + what)
    counted.ann.say(m.Objects((m.Object(there, 'function', m.Body(LARGE)),)))

    def question(name: m.Hash) -> m.Message:
        if what == 'asked for':
            return m.Need((name,))
        if what == 'brought':
            return m.Objects((m.Object(name, 'function', m.Body(LARGE)),))
        header = m.TaskHeader(name, 1, an_id('bobs'), an_id('group'), an_id('far'), name, counted.stage.now + 1000)
        return m.Submit((m.Task(codec.encode_header(header), m.Body(b'call')),))

    of_absent, of_there = (counted.ask(question(each), each) for each in (absent, there))
    assert of_there[0] == of_absent[0]
    assert [each[:60] for each in of_there[1]] == [each[:60] for each in of_absent[1]]
    assert -60 <= of_there[2] - of_absent[2] <= 60
    assert what == 'brought' or not [each for each in of_there[1] if 'data' in each]


@pytest.mark.attack(9)
def test_the_counting_sees_a_task_of_ones_own(counted: Counted) -> None:
    """The test of the test: what an owner asks for is more work, and another answer."""
    counted.bob, bob = counted.ann, counted.bob
    try:
        absent, own = (counted.ask(ASKS['list'](each), each) for each in (an_id('absent'), an_id('done')))
    finally:
        counted.bob = bob
    assert own[0] != absent[0]
    assert len(own[1]) > len(absent[1])
    assert own[2] > absent[2] + 60


def likelier(first: list[float], second: list[float]) -> float:
    """How often one of the first is larger than one of the second: 0.5 when nothing tells them apart (Mann and Whitney)."""
    ordered = sorted([(each, 1) for each in first] + [(each, 0) for each in second])
    ranks = sum(rank for rank, (_, which) in enumerate(ordered, 1) if which)
    return (ranks - len(first) * (len(first) + 1) / 2) / (len(first) * len(second))


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.attack(9)
def test_the_time_of_an_answer_tells_nothing_over_a_socket(tmp_path: Path) -> None:
    """A relay, asked in turns for a task of somebody else that waits, one that has ended, and one that is not there; by the rank of the times."""
    site, took = site_in(tmp_path / 'home'), {name: list[float]() for name in ('absent', 'waits', 'done')}
    ids = {'done': site_id(1), 'waits': site_id(2), 'absent': site_id(3)}
    with site.serving() as server, site.client('ann', server.port) as ann, site.client('root', server.port) as asker:
        with site.endpoint(server.port, window=1) as endpoint:
            submit(ann, [site.task(1, LARGE), site.task(2, LARGE)])
            [leased] = leases(endpoint, 1)
            endpoint.say(m.Results((site.result(leased, LARGE),)))
            endpoint.one(m.Recorded)
        for _ in range(400):
            for name in random.sample(sorted(ids), 3):
                start = time.perf_counter()
                asker.say(ASKS['follow'](ids[name]))
                asker.one(m.Rejected)
                took[name].append(time.perf_counter() - start)
    for name in ('waits', 'done'):
        assert 0.35 < likelier(took[name], took['absent']) < 0.65, name
