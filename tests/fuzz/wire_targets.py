"""What reaches a party through its sockets: messages, headers, cards, grants, seals, payloads, and the control channel of an engine."""

from __future__ import annotations

import io
from dataclasses import replace
from enum import Enum
from hashlib import sha256
from typing import Any, get_args, get_origin, get_type_hints

from relay_parsl.engines import control, frames
from relay_parsl.engines.base import Work
from relay_parsl.errors import ConfigError, ProtocolError, RelayError, SealError, SerializationError
from relay_parsl.home.records import Invitation
from relay_parsl.wire import codec, payload
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Body, Hash, Id, ResultHeader, TaskHeader
from relay_parsl.wire.seal import (
    Guest,
    Keys,
    function_id,
    issue_card,
    issue_share,
    issue_succession,
    issue_voucher,
    make_grant,
    new_body_key,
    open_body,
    open_function,
    open_grant,
    read_card,
    read_share,
    read_succession,
    read_voucher,
    reopen_grant,
    seal_body,
    seal_function,
)  # fmt: skip
from relay_parsl.wire.seal.keys import sign
from tests.fuzz.harness import Target

NOW = 1_800_000_000.0
SIMPLE: dict[Any, Any] = {
    Id: Id(bytes(range(16))), Hash: Hash(bytes(range(32))), Body: Body(b'a body'), bytes: b'bytes', bool: True, int: 7, float: 1.5, str: 'text',
    Any: {'plain': [1, 'x', None]},
}  # fmt: skip
MALLORY, SITE = Keys.generate(), Keys.generate()
CARD = issue_card(SITE, 'endpoint', serial=1, not_after=NOW + 1e6)
SERVICE = issue_card(MALLORY, 'service', serial=1, not_after=NOW + 1e6)
GRANT = make_grant(MALLORY, 'user', CARD, now=NOW, lifetime=1000.0)
VOUCHER = issue_voucher(SITE, 'robot', SERVICE)
SHARE = issue_share(MALLORY, CARD.id, 7, [Guest(SITE.identity_public, 'names', ('math:sqrt',), NOW), Guest(MALLORY.identity_public)])
RELAY = issue_card(MALLORY, 'relay', serial=1, not_after=NOW + 1e6)
HEIR = issue_card(replace(MALLORY, curve=SITE.curve), 'relay', serial=2, not_after=NOW + 1e6)
SUCCESSION = issue_succession(MALLORY, RELAY, HEIR, NOW)
BLOB = payload.dump_source('def f():\n    return 1\n', 'f')
BODY_KEY = new_body_key()


def sample(kind: Any) -> Any:
    """A value of a declared type."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin is dict:
        return {'key': sample(args[1])}
    if origin is tuple:
        return (sample(args[0]),) * 2 if args[-1] is Ellipsis else tuple(map(sample, args))
    if issubclass(kind, Enum):
        return next(iter(kind))
    return kind(**{name: sample(hint) for name, hint in get_type_hints(kind).items()})


def framed(frames_of: list[bytes]) -> bytes:
    """A message as one piece: how long its header is, header, body."""
    return len(frames_of[0]).to_bytes(2, 'big') + b''.join(frames_of)


def message(data: bytes) -> Any:
    """What a peer says; what was taken in goes out again."""
    length = int.from_bytes(data[:2], 'big')
    found = codec.decode([data[2 : 2 + length], data[2 + length :]])
    codec.decode(codec.encode(found))
    return found


def heard(data: bytes) -> None:
    """What a worker or an engine process says to the other."""
    found = message(data)
    for kind, hear in HEARD.items():
        if isinstance(found, kind):
            hear(found)


HEARD: dict[type, Any] = {
    m.States: control.hear_running, m.Cancel: control.hear_cancel, m.Window: control.hear_window, m.Dispatch: control.hear_refill,
    m.Results: lambda found: control.hear_parcel(found, lambda _shift: 5), m.Recorded: control.hear_recorded,
    m.Returned: control.hear_not_started, m.Held: control.hear_closed,
}  # fmt: skip


def of_a_stranger(data: bytes) -> Any:
    """A result of an endpoint that is not trusted: its value, or its failure, which is always of our own tree."""
    try:
        return payload.load_outcome(data, trusted=False)
    except RelayError as error:
        return str(error)


def sealed_body() -> bytes:
    """A large body."""
    target = io.BytesIO()
    seal_body(BODY_KEY, 5000, io.BytesIO(bytes(5000)), target)
    return target.getvalue()


def inside(data: bytes) -> bytes:
    """What is signed in a signed thing."""
    values: Any = codec.unpack(data)
    return bytes(values[0])


def signed(context: bytes) -> Any:
    """Signs, as a hostile account, what became of a body: so it is read to its end."""
    return lambda body: sign(MALLORY, context, body)


def granted(data: bytes) -> Any:
    """A grant with these terms, which Mallory has signed, to an endpoint that trusts her."""
    values: Any = codec.unpack(GRANT.data)
    boxes = codec.unpack(values[0])[1:]  # type: ignore[call-overload,index]
    return open_grant(sign(MALLORY, b'relay-parsl/1/grant\0', codec.pack([data, *boxes])), SITE, now=NOW, trusted={MALLORY.identity_public})


CARD_OF, VOUCHER_OF = signed(b'relay-parsl/1/card\0'), signed(b'relay-parsl/1/voucher\0')
SHARE_OF, SUCCESSION_OF = signed(b'relay-parsl/1/share\0'), signed(b'relay-parsl/1/succession\0')
OPENED = open_grant(GRANT.data, SITE, now=NOW, trusted={MALLORY.identity_public})
TASK, RESULT = codec.encode_header(sample(TaskHeader)), codec.encode_header(sample(ResultHeader))
WORK = frames.encode_work(
    Work(bytes(16), 1, bytes(16), BLOB, payload.dump_arguments((1,), {}), None, {'timeout': 5.0}, '/spool'), frames.Place('', False, {})
)
ENDS = frames.encode_ends([(0, frames.encode_end(frames.End(True, b'x'))), (1, frames.encode_end(frames.Death('worker', 'killed')))])
MESSAGES = [framed(codec.encode(sample(kind))) for kind in get_args(m.Message)]
KEY = (bytes(16), 1)
SAID = [
    framed(codec.encode(each))
    for each in (
        *(control.say_running(control.Running(*KEY, {'host': 'nid1'})), control.say_cancel(KEY), control.say_window(7, 3, 4096)),
        control.say_refill(control.Refill(7, 1, 2.0, frames.encode_chunk([WORK]), (1, 2))),
        control.say_parcel(control.Parcel(7, 1, [(0, frames.encode_end(frames.End(True, b'x')))])),
        *(control.say_recorded(7, [1, 2]), control.say_not_started(7, 1, [KEY]), control.say_closed(7, 1)),
    )
]
FUNCTION = seal_function(MALLORY, BLOB)
LINK = Invitation('tcp://127.0.0.1:7400', bytes(32), MALLORY.identity_public, MALLORY.curve, bytes(32), bytes(32), 'new', 'user', NOW).link()
CALL = payload.Call(sha256(BLOB).digest(), 'f', '3.11', payload.dump_arguments(([1], 'x'), {'k': None}, 'json'), b'', 0, {'timeout': 5.0})
VALUE, FAILURE = payload.dump_value({'a': [1, 2.5]}, ['json']), payload.dump_failure(ValueError('no'))

TARGETS = [
    Target('message', message, (ProtocolError,), MESSAGES, few=120),
    Target('message of an engine', heard, (ProtocolError,), SAID),
    Target('header of a task', codec.task_header, (ProtocolError,), [TASK]),
    Target('header of a result', codec.result_header, (ProtocolError,), [RESULT]),
    Target('card', lambda data: read_card(data, now=NOW), (SealError,), [CARD.data, SERVICE.data]),
    Target('body of a card', lambda data: read_card(CARD_OF(data), now=NOW), (SealError,), [inside(SERVICE.data)]),
    Target('voucher', lambda data: read_voucher(data, now=NOW), (SealError,), [VOUCHER.data]),
    Target(
        'body of a voucher',
        lambda data: read_voucher(VOUCHER_OF(data), now=NOW),
        (SealError,),
        [inside(issue_voucher(MALLORY, 'robot', SERVICE).data)],
    ),
    Target('share', read_share, (SealError,), [SHARE.data]),
    Target('body of a share', lambda data: read_share(SHARE_OF(data)), (SealError,), [inside(SHARE.data)]),
    Target("a relay's next key", read_succession, (SealError,), [SUCCESSION.data]),
    Target("body of a relay's next key", lambda data: read_succession(SUCCESSION_OF(data)), (SealError,), [inside(SUCCESSION.data)]),
    Target('grant', lambda data: open_grant(data, SITE, now=NOW, trusted={MALLORY.identity_public}), (SealError,), [GRANT.data]),
    Target('terms of a grant', granted, (SealError,), [bytes(codec.unpack(inside(GRANT.data))[0])]),  # type: ignore[index,call-overload,arg-type]
    Target("grant of one's own", lambda data: reopen_grant(data, MALLORY), (SealError,), [GRANT.data]),
    Target('sealed task', lambda data: OPENED.open('task', TASK, data), (SealError,), [GRANT.seal('task', TASK, b'call')]),
    Target('large body', lambda data: b''.join(open_body(BODY_KEY, 5000, io.BytesIO(data))), (SealError,), [sealed_body()]),
    Target('registered function', lambda data: open_function(data, MALLORY, function_id(BLOB)), (SealError,), [FUNCTION]),
    Target('call', payload.decode_call, (ProtocolError,), [payload.encode_call(CALL)]),
    Target('outcome', payload.decode_outcome, (ProtocolError,), [payload.encode_outcome(payload.Outcome(True, VALUE))]),
    Target('blob of a function', payload.describe, (ProtocolError,), [BLOB, payload.dump_importable('math:sqrt')]),
    Target(
        'arguments that must be data', lambda data: payload.load_arguments(data, ('json',)), (SerializationError, ProtocolError), [CALL.arguments]
    ),
    Target('result of a stranger', of_a_stranger, (), [VALUE, FAILURE]),
    Target('work of an engine', frames.decode_work, (ProtocolError,), [WORK]),
    Target('head of work', frames.head_of, (ProtocolError,), [WORK]),
    Target('chunk of work', frames.decode_chunk, (ProtocolError,), [frames.encode_chunk([WORK, WORK])]),
    Target('ends of a chunk', lambda data: [frames.decode_end(each) for _, each in frames.decode_ends(data, 5)[1]], (ProtocolError,), [ENDS]),
    Target('invitation', lambda data: Invitation.read(data.decode('utf-8', 'replace')), (ConfigError,), [LINK.encode()]),
]
