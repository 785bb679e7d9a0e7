"""What the simulated users asked for and what they may see: the truth that parties are judged by."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from random import Random

from relay_parsl.errors import SealError
from relay_parsl.wire.codec import encode_header
from relay_parsl.wire.messages import Body, Hash, Id, Object, Task, TaskHeader
from relay_parsl.wire.seal.bodies import TAG, open_body, seal_body

SIZES = (TAG + 1, 700)
"""Bytes of a large body, from and to."""


@dataclass
class Account:
    """A key with a role; the id is what the relay knows it by."""

    name: str
    role: str
    id: Id
    key: bytes
    owner: Id | None = None
    hostile: bool = False


@dataclass
class Spec:
    """One task, as its user made it."""

    account: Id
    header: TaskHeader
    task: Task
    body: bytes
    deadly: str = ''
    """What it kills each time that it runs, if anything: its `runner` or its `worker`."""
    timeout: float = 0.0
    made: float = 0.0
    slow: bool = False
    """It would run for longer than its timeout."""
    wrong: str = ''
    """The code that the relay must reject it with, if any."""
    retries: int = 0
    """How often it is run again after its own exception."""
    fails: int = -1
    """How often its function raises in one start, before it returns; -1: once in a while, as the engine's dice have it."""
    mark: bytes = field(default=b'', repr=False)

    def __post_init__(self) -> None:
        self.mark = sha256(self.task.header + self.task.payload + self.body).digest()[:8]


def sealed(key: bytes, size: int) -> bytes:
    """A body of `size` bytes on the wire and on disks, sealed as every large one is."""
    plain, target = (key * (size // 32 + 1))[: size - TAG], BytesIO()
    seal_body(key, len(plain), BytesIO(plain), target)
    return target.getvalue()


def opens(key: bytes, size: int, body: bytes) -> bool:
    """Whether what has the key of a body can read it."""
    try:
        return bool(b''.join(open_body(key, size - TAG, BytesIO(body))))
    except SealError:
        return False


def key_of(name: bytes) -> bytes:
    """The key of the body of a task, or of a result: by its id, or by what its payload begins with."""
    return sha256(name).digest()


def random_id(random: Random) -> Id:
    """16 random bytes."""
    return Id(random.getrandbits(128).to_bytes(16, 'big'))


def random_object(random: Random, kind: str) -> Object:
    """Some bytes under their hash."""
    data = kind.encode() + random.getrandbits(256).to_bytes(32, 'big')
    return Object(Hash(sha256(data).digest()), kind, Body(data))


def make_spec(account: Id, header: TaskHeader, random: Random) -> Spec:
    """A task with a payload, and a body when its header says so; a few are deadly, a few have a timeout, and a few `retries`."""
    trait = random.random()
    deadly = random.choice(('runner', 'worker')) if trait < 0.02 else ''
    timeout = random.choice((0.05, 1.0, 6.0)) if 0.02 <= trait < 0.06 else 0.0
    payload = Body(b'call' + random.getrandbits(64).to_bytes(8, 'big') * random.choice((1, 1, 4, 40)))
    body = sealed(key_of(header.task_id), header.body) if header.body else b''
    retries, fails = (random.randrange(4), random.randrange(5)) if 0.06 <= trait < 0.1 else (0, -1)
    slow = bool(timeout) and random.random() < 0.7
    return Spec(account, header, Task(encode_header(header), payload), body, deadly, timeout, slow=slow, retries=retries, fails=fails)


def outcome(mark: bytes, number: int, size: int) -> tuple[bytes, bytes]:
    """Payload and body of the result of the `number`-th start of the task with this mark: no two starts give the same bytes."""
    body = sealed(key_of(b'R' + mark + number.to_bytes(4, 'big')), size) if size else b''
    return b'R' + mark + number.to_bytes(4, 'big') + sha256(body).digest()[:8], body


def outcome_opens(payload: bytes, size: int, body: bytes) -> bool:
    """Whether a client can read the body of a result."""
    return opens(key_of(payload[:13]), size, body)


def outcome_holds(spec: Spec, payload: bytes, body: bytes) -> bool:
    """Whether these are bytes that some start of this very task has made."""
    return len(payload) == 21 and payload[:1] == b'R' and payload[1:9] == spec.mark and payload[13:] == sha256(body).digest()[:8]
