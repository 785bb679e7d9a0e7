"""What an endpoint in the hands of an attacker returns: it has real keys and seals what it likes. What is not trusted is not unpickled."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.client import session
from relay_parsl.client.executor import Executor
from relay_parsl.errors import ProtocolError, RemoteError, SealError, SerializationError
from relay_parsl.home import Pin
from relay_parsl.transport import Peer
from relay_parsl.wire import codec, payload
from relay_parsl.wire.codec import pack
from relay_parsl.wire.messages import Body, Deliver, Delivered, Id, ResultHeader, Status, Task, TaskHeader
from relay_parsl.wire.seal import Grant
from tests.attacks.hostile_relay import Canary
from tests.attacks.stolen import failure
from tests.unit.client.fake_relay import FakeRelay, a_home

pytestmark = [pytest.mark.integration]


STATUS = {True: Status.SUCCESS, False: Status.FAILED}


class HostileEndpoint(FakeRelay):
    """Answers every call with the same blob, under a seal that holds."""

    blob: bytes | None = None
    ok = True
    word: Status | None = None
    """What it says in the header, when that is not what is sealed."""
    poses_as: Id | None = None
    """The endpoint that it says to be."""

    def _execute(self, peer: Peer, task: Task) -> None:
        if self.blob is None:
            super()._execute(peer, task)
        else:
            header: TaskHeader = self.calls[codec.task_header(task.header).task_id][0]
            grant: Grant = self._grants[header.grant]
            posing = self.poses_as or header.endpoint
            said = ResultHeader(header.grant, header.sequence, header.task_id, posing, 1, 1, self.word or STATUS[self.ok])
            sealed = grant.seal('result', codec.encode_header(said), payload.encode_outcome(payload.Outcome(self.ok, self.blob)))
            result = Delivered(header.task_id, said.status, codec.encode_header(said), '', Body(sealed))
            self._router.send(peer.routing, Deliver((result,)))


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[HostileEndpoint]:
    """It is not trusted: the user has given its UUID, and has no pin of it."""
    made = HostileEndpoint(a_home(tmp_path))
    made.home.unpin('polaris')
    try:
        yield made
        made.blob = made.word = made.poses_as = None
        assert executor(made).submit(pow, 2, 10).result(40) == 1024, 'a value that is JSON comes as ever'
    finally:
        for each in list(session._sessions.values()):
            each.close()
        session._sessions.clear()
        made.close()


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    bird = Canary(tmp_path / 'canary')
    yield bird
    assert not bird.sings


def executor(hostile: HostileEndpoint) -> Executor:
    return Executor(uuid.UUID(bytes=bytes(hostile.endpoint.id)), relay=hostile.target)


def answers(hostile: HostileEndpoint, *fields: object, ok: bool = True) -> BaseException:
    """How a task fails that is answered so."""
    hostile.blob, hostile.ok = pack(list(fields)), ok
    return failure(executor(hostile).submit(pow, 2, 3))


@pytest.mark.attack(18)
@pytest.mark.parametrize('name', ['cloudpickle', 'pickle', 'dill', 'os:system', 'pickle:loads', ''])
def test_a_pickle_for_a_value_is_not_read(hostile: HostileEndpoint, canary: Canary, name: str) -> None:
    error = answers(hostile, 'value', name, canary.pickled)
    assert isinstance(error, SerializationError)
    assert 'may not run here' in str(error)


@pytest.mark.attack(18, 20)
def test_a_pickle_that_says_it_is_json_is_not_read(hostile: HostileEndpoint, canary: Canary) -> None:
    assert isinstance(answers(hostile, 'value', 'json', canary.pickled), (SerializationError, ProtocolError))


@pytest.mark.attack(18, 20)
def test_a_pickle_in_the_place_of_all_that_is_sealed(hostile: HostileEndpoint, canary: Canary) -> None:
    hostile.blob = canary.pickled
    assert isinstance(failure(executor(hostile).submit(pow, 2, 3)), (SerializationError, ProtocolError))


@pytest.mark.attack(19)
@pytest.mark.parametrize('kind', ['builtins.ValueError', 'no.such.module.Error', 'os.system', 'RemoteError', 'SystemExit', '__class__'])
def test_a_hostile_exception_is_a_text(hostile: HostileEndpoint, canary: Canary, kind: str) -> None:
    error = answers(hostile, 'failure', kind, 'it went wrong\x1b]0;title\x07', None, canary.pickled, [['f', 1, 'g']], ok=False)
    assert type(error) is RemoteError
    assert str(error) == 'it went wrong?]0;title?'


@pytest.mark.attack(19)
@pytest.mark.parametrize('trusted', [False, True])
def test_an_exception_of_a_module_that_is_not_here_is_a_text(hostile: HostileEndpoint, trusted: bool) -> None:
    """Also from one's own endpoint, whose pickles are read: this one cannot be."""
    if trusted:
        hostile.home.pin(Pin('polaris', hostile.endpoint.keys.identity_public, 'endpoint'))
    data = pickle.dumps(ValueError('x')).replace(b'builtins', b'nowheres')
    error = answers(hostile, 'failure', 'nowheres.ValueError', 'it went wrong', None, data, [], ok=False)
    assert type(error) is RemoteError
    assert 'it went wrong' in str(error)


@pytest.mark.attack(16)
def test_an_endpoint_whose_word_and_outcome_differ(hostile: HostileEndpoint) -> None:
    """It says `success`, and what is sealed is a failure."""
    hostile.word = Status.SUCCESS
    assert isinstance(answers(hostile, 'value', 'json', b'1', ok=False), SealError)


@pytest.mark.attack(16)
def test_an_endpoint_that_poses_as_another(hostile: HostileEndpoint) -> None:
    """It has the key of the grant, and could seal in any name."""
    hostile.poses_as = Id(bytes(16))
    error = answers(hostile, 'value', 'json', b'1')
    assert isinstance(error, SealError)
    assert 'not of the endpoint' in str(error)
