"""The codec against every message, and against whatever else may arrive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay_parsl.errors import ProtocolError, ProtocolMismatch, UnknownMessage
from relay_parsl.wire import codec, messages
from relay_parsl.wire.messages import (
    PROTOCOL,
    Accepted,
    Body,
    Fetch,
    Hash,
    Hello,
    Id,
    Listing,
    Message,
    Ping,
    Report,
    ResultHeader,
    Status,
    Submit,
    Task,
    TaskHeader,
    Welcome,
    Window,
)

MESSAGES = get_args(Message)
ID = Id(bytes(range(16)))
TEXTS = st.text(st.characters(exclude_categories=['Cs']), max_size=20)
INTEGERS = st.integers(-(2**63), 2**64 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS | st.binary(max_size=20)
PLAIN = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8)
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    Id: st.binary(min_size=16, max_size=16),
    Hash: st.binary(min_size=32, max_size=32),
    Body: st.binary(max_size=64),
    bytes: st.binary(max_size=64),
    bool: st.booleans(),
    int: INTEGERS,
    float: FLOATS,
    str: TEXTS,
    Any: PLAIN,
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Whatever a field of this declared type may hold."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin is dict:
        return st.dictionaries(TEXTS, values_of(args[1]), max_size=3)
    if origin is tuple and args[-1] is Ellipsis:
        return st.lists(values_of(args[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, args))
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: values_of(hints[name]) for name in hints})


ANY_MESSAGE = st.one_of([values_of(kind) for kind in MESSAGES])


def only_protocol_errors(call: Callable[..., Any], *args: Any) -> Any:
    """The result, or None after a ProtocolError; anything else fails the test."""
    try:
        return call(*args)
    except ProtocolError:
        return None


def header(*values: Any) -> bytes:
    return bytes(msgpack.packb([*PROTOCOL, *values]))


@pytest.mark.parametrize('kind', MESSAGES, ids=lambda kind: kind.__name__)
def test_every_message_comes_back_as_it_was(kind: Any) -> None:
    @settings(max_examples=25, deadline=None)
    @given(values_of(kind))
    def check(message: Message) -> None:
        frames = codec.encode(message)
        assert codec.decode(frames) == message
        assert codec.encode(codec.decode(frames)) == frames

    check()


@settings(max_examples=50, deadline=None)
@given(values_of(TaskHeader), values_of(ResultHeader))
def test_bound_headers_come_back_as_they_were(task: TaskHeader, result: ResultHeader) -> None:
    assert codec.task_header(codec.encode_header(task)) == task
    assert codec.result_header(codec.encode_header(result)) == result


@settings(max_examples=150, deadline=None)
@given(ANY_MESSAGE, st.data())
def test_cut_and_changed_bytes_raise_nothing_but_protocol_errors(message: Message, data: st.DataObject) -> None:
    frames = codec.encode(message)
    which = data.draw(st.sampled_from([0, 1]))
    raw = bytearray(frames[which])
    if raw and data.draw(st.booleans()):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del raw[data.draw(st.integers(0, len(raw))) :]
    frames[which] = bytes(raw)
    found = only_protocol_errors(codec.decode, frames)
    if found is not None:  # what was taken in can go out again
        assert codec.decode(codec.encode(found)) is not None


def test_every_cut_of_a_real_message_is_refused() -> None:
    frames = codec.encode(Submit((Task(b'header', Body(b'payload')), Task(b'', Body(b'x' * 40)))))
    for which in (0, 1):
        for length in range(len(frames[which])):
            cut = list(frames)
            cut[which] = frames[which][:length]
            with pytest.raises(ProtocolError):
                codec.decode(cut)


@pytest.mark.fault(47)
@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=4))
def test_junk_raises_nothing_but_protocol_errors(frames: list[bytes]) -> None:
    only_protocol_errors(codec.decode, frames)


@pytest.mark.fault(47)
@settings(max_examples=200, deadline=None)
@given(st.sampled_from([kind.__name__ for kind in MESSAGES]), PLAIN, st.binary(max_size=16))
def test_well_formed_junk_in_a_known_type_raises_nothing_but_protocol_errors(name: str, values: Any, body: bytes) -> None:
    only_protocol_errors(codec.decode, [header(name, values), body])


@pytest.mark.fault(47)
@settings(max_examples=100, deadline=None)
@given(ANY_MESSAGE, st.dictionaries(TEXTS.map('later_'.__add__), PLAIN, max_size=3), PLAIN)
def test_fields_of_a_later_version_are_ignored(message: Message, extra: dict[str, Any], more: Any) -> None:
    frames = codec.encode(message)
    major, minor, name, values = msgpack.unpackb(frames[0], strict_map_key=True)
    frames[0] = msgpack.packb([major, minor + 1, name, {**values, **extra}, more])
    assert codec.decode(frames) == message


def test_items_of_a_later_version_are_longer() -> None:
    longer = [*msgpack.unpackb(codec.encode_header(a_header())), 'new', 7]
    assert codec.task_header(msgpack.packb(longer)) == a_header()


def test_items_of_an_earlier_version_are_shorter() -> None:
    needed = msgpack.unpackb(codec.encode_header(a_header()))[:7]
    assert codec.task_header(msgpack.packb(needed)) == a_header()
    with pytest.raises(ProtocolError):
        codec.task_header(msgpack.packb(needed[:6]))


def test_missing_fields_take_their_defaults_or_are_refused() -> None:
    assert codec.decode([header('Hello', {'role': 'client', 'instance': ID}), b'']) == Hello('client', ID)
    with pytest.raises(ProtocolError, match='lacks a field'):
        codec.decode([header('Hello', {'role': 'client'}), b''])


@pytest.mark.parametrize('body', [b'', b'abc', b'abcde'])
def test_a_body_frame_has_the_length_that_its_header_says(body: bytes) -> None:
    right = codec.encode(Submit((Task(b'h', Body(b'abcd')),)))
    with pytest.raises(ProtocolError, match='body frame'):
        codec.decode([right[0], body])


@pytest.mark.parametrize('length', [-1, 2**63, 2**64 - 1, 1.0, True, None, 'x', b'4', [4]])
def test_lengths_that_are_none(length: Any) -> None:
    with pytest.raises(ProtocolError):
        codec.decode([header('Submit', {'tasks': [[b'h', length]]}), b'abcd'])


@pytest.mark.fault(47)
@pytest.mark.parametrize('frames', [[], [b''], [b'', b''], [b'', b'', b''], [b'\x90', b'', b'']], ids=repr)
def test_a_message_has_two_frames(frames: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        codec.decode(frames)
    with pytest.raises(ProtocolError, match='2 frames'):
        codec.decode([*codec.encode(Submit(())), *frames, b''])


BOMBS = {
    'lists': b'\x91' * 100_000 + b'\xc0',
    'maps': b'\x81\xa1a' * 100_000 + b'\xc0',
    'list of 2**32': b'\xdd\xff\xff\xff\xff',
    'map of 2**32': b'\xdf\xff\xff\xff\xff',
    'bytes of 2**32': b'\xc6\xff\xff\xff\xff',
    'text of 2**32': b'\xdb\xff\xff\xff\xff',
    'extension of 2**32': b'\xc9\xff\xff\xff\xff\x01',
    'never used': b'\xc1',
    'not UTF-8': b'\xa1\xff',
    'number as key': b'\x81\x01\x01',
    'list as key': b'\x81\x90\x01',
    'extension': msgpack.packb(msgpack.ExtType(5, b'x')),
    'two values': b'\x01\x01',
    'nothing': b'',
}


@pytest.mark.attack(38)
@pytest.mark.parametrize('bomb', BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused(bomb: bytes) -> None:
    with pytest.raises(ProtocolError):
        codec.unpack(bomb)
    with pytest.raises(ProtocolError):
        codec.decode([bomb, b''])
    with pytest.raises(ProtocolError):
        codec.decode([b'\x94\x01\x00\xa6Report\x81\xa6status\x81\xa1x' + bomb, b''])


DEEP: Any = 1
for _ in range(40):
    DEEP = [DEEP]


@pytest.mark.attack(38)
@pytest.mark.parametrize('value', [msgpack.Timestamp(1), DEEP, [msgpack.Timestamp(1)], {b'bytes': 1}, {'a': {b'b': 1}}], ids=repr)
def test_free_fields_hold_plain_values_of_bounded_depth(value: Any) -> None:
    """What msgpack reads it may not be able to write: such a thing must not get as far as a relay's answer."""
    with pytest.raises(ProtocolError):
        codec.decode([header('Report', {'status': {'x': value}}), b''])


def test_what_is_almost_too_deep_goes_out_again() -> None:
    deep: Any = 1
    for _ in range(codec.DEEPEST):
        deep = [deep]
    message = Report({'x': deep})
    assert codec.decode(codec.encode(message)) == message


@pytest.mark.attack(38)
@pytest.mark.parametrize('number', [float('nan'), float('inf'), float('-inf'), '1', None, True, [1]], ids=repr)
def test_times_are_finite_numbers(number: Any) -> None:
    with pytest.raises(ProtocolError):
        codec.decode([header('Welcome', {'session': 1, 'time': number}), b''])


def test_a_whole_number_is_a_time_too() -> None:
    found = codec.decode([header('Welcome', {'session': 1, 'time': 7}), b''])
    assert found == Welcome(1, 7.0)
    assert isinstance(found, Welcome)
    assert type(found.time) is float


@pytest.mark.parametrize('length', [0, 15, 17, 32])
def test_ids_have_their_length(length: int) -> None:
    with pytest.raises(ProtocolError):
        codec.decode([header('Accepted', {'ids': [bytes(length)]}), b''])
    assert codec.decode([header('Accepted', {'ids': [ID]}), b'']) == Accepted((ID,))


@pytest.mark.parametrize('status', ['', 'Success', 'done', 3, None, ['success'], {'a': 1}, b'success'], ids=repr)
def test_unknown_members_are_refused(status: Any) -> None:
    right = codec.encode_header(ResultHeader(Hash(bytes(32)), 1, ID, ID, 1, 1, Status.SUCCESS))
    values = msgpack.unpackb(right)
    values[6] = status
    with pytest.raises(ProtocolError):
        codec.result_header(msgpack.packb(values))


def test_long_strings_are_refused() -> None:
    with pytest.raises(ProtocolError):
        codec.decode([header('Goodbye', {'reason': 'x' * (codec.TEXT + 1)}), b''])
    with pytest.raises(ProtocolError):
        codec.task_header(b'\x90' + bytes(codec.TEXT))


@pytest.mark.attack(41)
@pytest.mark.parametrize('major', [0, PROTOCOL[0] + 1, -1, 2**63])
def test_another_major_version_is_a_mismatch(major: int) -> None:
    with pytest.raises(ProtocolMismatch, match='update'):
        codec.decode([msgpack.packb([major, 0, 'Ping', {}]), b''])


@pytest.mark.parametrize('major', [1.0, True, '1', None, [1]], ids=repr)
def test_a_major_version_is_a_number(major: Any) -> None:
    with pytest.raises(ProtocolError):
        codec.decode([msgpack.packb([major, 0, 'Ping', {}]), b''])


@pytest.mark.parametrize(
    'name', ['', 'ping', 'Task', 'TaskHeader', 'Frobnicate', '__class__', 'x' * 10_000, 7, None, ['Ping'], {'Ping': 1}], ids=lambda n: repr(n)[:20]
)
def test_unknown_types_are_told_apart_and_bounded(name: Any) -> None:
    with pytest.raises(UnknownMessage) as caught:
        codec.decode([header(name, {}), b''])
    assert len(str(caught.value)) <= 64


def test_a_minor_version_does_not_matter() -> None:
    assert codec.decode([msgpack.packb([PROTOCOL[0], 99, 'Ping', {}]), b'']) == Ping()


@pytest.mark.parametrize('value', [object(), {1: object()}, 2**64, -(2**63) - 1, '\ud800', {1, 2}, DEEP], ids=lambda v: repr(v)[:20])
def test_what_is_not_plain_is_not_packed_or_not_taken(value: Any) -> None:
    with pytest.raises(ProtocolError):
        codec.plain(codec.unpack(codec.pack(value)))


@example([])
@settings(max_examples=50, deadline=None)
@given(st.lists(values_of(dict[str, tuple[int, int]]), max_size=3))
def test_windows_come_back_as_tuples(pools: list[dict[str, tuple[int, int]]]) -> None:
    for each in pools:
        assert codec.decode(codec.encode(Window(each))) == Window(each)


def test_rows_are_maps() -> None:
    assert codec.decode(codec.encode(Listing(1, ({'a': [1, b'x']},)))) == Listing(1, ({'a': [1, b'x']},))
    with pytest.raises(ProtocolError):
        codec.decode([header('Listing', {'request': 1, 'rows': [7]}), b''])


def test_bodies_are_cut_in_the_order_of_the_header() -> None:
    message = Submit(tuple(Task(bytes([n]), Body(bytes([n]) * n)) for n in range(50)))
    frames = codec.encode(message)
    assert frames[1] == b''.join(bytes([n]) * n for n in range(50))
    assert codec.decode(frames) == message


def test_the_module_keeps_no_message_back() -> None:
    """Every dataclass that may be a message is in the union: a forgotten one would be refused as unknown."""
    declared = {name for name, value in vars(messages).items() if is_dataclass(value)}
    assert declared - {'TaskState'} == {kind.__name__ for kind in MESSAGES}
    assert Fetch in MESSAGES


def test_packing_goes_on_after_what_cannot_be_packed() -> None:
    for _ in range(3):
        with pytest.raises(ProtocolError):
            codec.pack(['left over', object()])
        assert codec.pack([1]) == msgpack.packb([1])


def a_header() -> TaskHeader:
    return TaskHeader(Hash(bytes(32)), 1, ID, ID, ID, Hash(bytes(32)), 2.5)
