"""What is read at once, a header or a batch, is checked as if it were read value by value."""

from __future__ import annotations

from typing import Any, get_type_hints

import msgpack
import pytest

from relay_parsl.errors import ProtocolError
from relay_parsl.wire import codec
from relay_parsl.wire.messages import Deliver, Hash, Id, ResultHeader, Status, TaskHeader
from tests.unit.wire.test_codec import ID, header, only_protocol_errors

HEADERS = {
    TaskHeader: TaskHeader(Hash(bytes(32)), 1, ID, ID, ID, Hash(bytes(32)), 2.5, 3, 'pool', True, 'json', 4),
    ResultHeader: ResultHeader(Hash(bytes(32)), 1, ID, ID, 1, 1, Status.FAILED, 'json', 4, 'why'),
}
ODD = [None, True, -1, 1.5, float('nan'), float('inf'), 'text', b'', b'x' * 16, b'x' * 32, [1], {'a': 1}]


@pytest.mark.parametrize('kind', HEADERS, ids=lambda kind: kind.__name__)
def test_a_header_is_short_whatever_a_later_version_adds_to_it(kind: Any) -> None:
    read = codec.task_header if kind is TaskHeader else codec.result_header
    assert read(codec.pack([*HEADERS[kind], b'more'])) == HEADERS[kind]
    with pytest.raises(ProtocolError, match='too long'):
        read(codec.pack([*HEADERS[kind], bytes(codec.TEXT)]))


@pytest.mark.parametrize('kind', HEADERS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize('odd', ODD, ids=repr)
def test_each_field_of_a_header_is_checked(kind: Any, odd: Any) -> None:
    """A header is read at once if all is well with it: what is not must be refused all the same, wherever it stands."""
    right = HEADERS[kind]
    read = codec.task_header if kind is TaskHeader else codec.result_header
    hints = get_type_hints(kind)
    for at, name in enumerate(kind._fields):
        values = msgpack.unpackb(codec.encode_header(right))
        good, values[at] = values[at], odd
        allowed = {
            Id: type(odd) is bytes and len(odd) == 16,
            Hash: type(odd) is bytes and len(odd) == 32,
            float: odd in (-1, 1.5) and odd is not True,
        }
        if allowed.get(hints[name], type(odd) is type(good) and hints[name] is not Status):
            assert read(msgpack.packb(values))[at] == odd
        else:
            with pytest.raises(ProtocolError):
                read(msgpack.packb(values))


BATCH = [[ID, 'success', b'h', 'why', 1] for _ in range(5)]


@pytest.mark.parametrize('at', range(5))
@pytest.mark.parametrize('odd', ODD, ids=repr)
def test_an_odd_value_in_a_batch_is_refused_wherever_it_stands(at: int, odd: Any) -> None:
    """A batch is read field by field: what is odd in one of many must be seen as if it stood alone."""
    for number in (0, 2, 4):
        batch, alone = [list(each) for each in BATCH], list(BATCH[0])
        batch[number][at] = alone[at] = odd
        alone_is_fine = only_protocol_errors(codec.decode, [header('Deliver', {'results': [alone]}), b'x'])
        found = only_protocol_errors(codec.decode, [header('Deliver', {'results': batch}), b'xxxxx'])
        assert (found is None) == (alone_is_fine is None)


def test_an_item_of_another_version_in_a_batch_is_read_as_if_it_stood_alone() -> None:
    batch = [*BATCH[:4], [*BATCH[4], 'later']]
    found = codec.decode([header('Deliver', {'results': batch}), b'abcde'])
    assert isinstance(found, Deliver)
    assert [each.payload for each in found.results] == [b'a', b'b', b'c', b'd', b'e']
    with pytest.raises(ProtocolError):
        codec.decode([header('Deliver', {'results': [*BATCH[:4], BATCH[4][:4]]}), b'abcde'])
    with pytest.raises(ProtocolError):
        codec.decode([header('Deliver', {'results': [*BATCH[:4], 'item5']}), b'abcde'])


@pytest.mark.parametrize('lengths', [[2**63, 1], [-1, 2], [1, 2**64 - 1], [1, 1.0], [True, 1], [None, 1], [1, 3]], ids=repr)
def test_lengths_of_a_batch_that_are_none(lengths: list[Any]) -> None:
    with pytest.raises(ProtocolError):
        codec.decode([header('Submit', {'tasks': [[b'h', each] for each in lengths]}), b'ab'])
