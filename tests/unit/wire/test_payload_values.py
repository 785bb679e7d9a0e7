"""Arguments and values through bytes, and what they must not be able to break."""

from __future__ import annotations

import json
import math
import threading
from typing import Any

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_parsl.errors import ProtocolError, RemoteError, SerializationError
from relay_parsl.wire import codec, payload
from tests.unit.wire.strange import FIRED, UNPICKLABLE, Fires, Firing, Hostile

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(JSON, max_size=3), st.dictionaries(st.text(), JSON, max_size=3), st.sampled_from(['cloudpickle', 'json']))
def test_arguments_come_back_as_they_were(args: list[Any], kwargs: dict[str, Any], serializer: str) -> None:
    assert payload.load_arguments(payload.dump_arguments(tuple(args), kwargs, serializer)) == (tuple(args), kwargs)


@pytest.mark.parametrize(
    'args', [(1, 'x', b'y', None, 2.5, 1j), ([1], {2: 3}), (math.nan,), (lambda x: x,), (range(3), {4})], ids=lambda a: type(a[0]).__name__
)
def test_any_object_is_an_argument(args: tuple[Any, ...]) -> None:
    found, kwargs = payload.load_arguments(payload.dump_arguments(args, {}))
    assert [type(each) for each in found] == [type(each) for each in args]
    assert kwargs == {}


@pytest.mark.parametrize('value', UNPICKLABLE, ids=lambda value: type(value).__name__)
def test_an_argument_that_cannot_travel_is_named(value: Any) -> None:
    with pytest.raises(SerializationError, match='argument 2 '):
        payload.dump_arguments((1, value), {})
    with pytest.raises(SerializationError, match="argument 'key' "):
        payload.dump_arguments((), {'key': value})
    with pytest.raises(SerializationError, match='argument 1 '):
        payload.dump_arguments((value,), {}, 'json')


@pytest.mark.attack(20, 23)
def test_serializers_are_refused_before_anything_is_read() -> None:
    fired: list[int] = []
    blob = codec.pack(['cloudpickle', cloudpickle.dumps(Fires(fired))])
    with pytest.raises(SerializationError, match='not allowed here; allowed: json'):
        payload.load_arguments(blob, ['json'])
    assert payload.load_arguments(payload.dump_arguments((1,), {}, 'json'), ['json']) == ((1,), {})
    with pytest.raises(SerializationError, match='no serializer'):
        payload.load_arguments(codec.pack(['no_such_module:Thing', b'']))


@pytest.mark.parametrize('data', [b'', b'{', b'7', b'[1,2,3]', b'[1,2]', b'[[],[]]', b'\xff', b'[' * 100_000])
def test_json_that_is_no_list_of_arguments(data: bytes) -> None:
    with pytest.raises(SerializationError):
        payload.load_arguments(codec.pack(['json', data]))


@pytest.mark.attack(20, 23)
def test_pickles_do_not_pass_for_json() -> None:
    with pytest.raises(SerializationError):
        payload.load_arguments(codec.pack(['json', cloudpickle.dumps(((), {}))]))


@pytest.mark.parametrize('blob', [b'', codec.pack([]), codec.pack(['json']), codec.pack([1, b'']), codec.pack(['json', 'text'])])
def test_junk_is_no_list_of_arguments(blob: bytes) -> None:
    with pytest.raises(ProtocolError):
        payload.load_arguments(blob)


class Reversed:
    """A serializer of the user's own."""

    name = 'reversed'

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()[::-1]

    def loads(self, data: bytes) -> Any:
        return json.loads(data[::-1])


def test_serializers_of_ones_own_go_by_their_importable_name() -> None:
    name = payload.serializer_name(Reversed)
    assert name == f'{__name__}:Reversed' == payload.serializer_name(Reversed()) == payload.serializer_name(name)
    assert payload.load_arguments(payload.dump_arguments((1,), {'a': 2}, name)) == ((1,), {'a': 2})
    assert payload.load_outcome(payload.dump_value([1], [name])) == [1]
    assert payload.serializer_name(payload.JsonSerializer) == 'json' == payload.serializer_name(payload.JsonSerializer())
    for wrong in ('dill', 'json:dumps', 'os:sep', ''):
        with pytest.raises(SerializationError):
            payload.serializer_name(wrong)


class OneWay:
    """Pickles, and no more."""

    def __reduce__(self) -> tuple[object, ...]:
        return there_only, ()


def there_only() -> None:
    raise OSError('it has no way back')


def test_check_sends_function_and_arguments_through_bytes() -> None:
    function = payload.dump_function(json.dumps)
    payload.check(function, ([1],), {'indent': 2})
    with pytest.raises(SerializationError, match="argument 'indent'"):
        payload.check(function, ([1],), {'indent': threading.Lock()})
    with pytest.raises(SerializationError, match=r'argument 2 \(a set\) cannot be serialized with json'):
        payload.check(function, ([1], {2}), {}, 'json')
    with pytest.raises(SerializationError, match=r'argument 2 \(a OneWay\) does not survive cloudpickle.*it has no way back'):
        payload.check(function, ([1], OneWay()), {})
    payload.check(payload.dump_importable('no_such_module:function'), ([1],), {}, 'json')


@pytest.mark.parametrize('value', [None, 1, 'x', b'y', [1, (2, 3)], {'a': {1}}, bytes(100_000)], ids=lambda value: repr(value)[:10])
def test_values_come_back(value: Any) -> None:
    assert payload.load_outcome(payload.dump_value(value)) == value


def test_serializers_are_tried_in_turn() -> None:
    assert codec.unpack(payload.dump_value([1], ['json', 'cloudpickle']))[1] == 'json'
    assert codec.unpack(payload.dump_value({1, 2}, ['json', 'cloudpickle']))[1] == 'cloudpickle'
    with pytest.raises(SerializationError, match=r'\(a set\).*json: TypeError'):
        payload.dump_value({1}, ['json'])


@pytest.mark.parametrize('value', [*UNPICKLABLE, Hostile(SystemExit(3)), Hostile(GeneratorExit())], ids=lambda value: type(value).__name__)
def test_a_value_that_cannot_travel_fails_its_own_task_only(value: Any) -> None:
    with pytest.raises(SerializationError, match='the result'):
        payload.dump_value(value)


@pytest.mark.attack(18)
def test_results_of_strangers_are_never_unpickled() -> None:
    FIRED.clear()
    with pytest.raises(SerializationError, match='JSON'):
        payload.load_outcome(payload.dump_value(Fires([])), trusted=False)
    hostile = codec.pack(['failure', 'x', 'its \x1b[31mtext', None, cloudpickle.dumps(Firing()), [['f', 1, 'g']]])
    with pytest.raises(RemoteError, match=r'its \?\[31mtext') as caught:
        payload.load_outcome(hostile, trusted=False)
    assert '\x1b' not in str(caught.value)
    with pytest.raises(SerializationError):
        payload.load_outcome(codec.pack(['value', 'os:system', b'x']), trusted=False)
    assert not FIRED
    assert payload.load_outcome(payload.dump_value([1], ['json']), trusted=False) == [1]


def test_a_value_that_cannot_be_read_here() -> None:
    with pytest.raises(SerializationError, match='cannot be loaded here: ModuleNotFoundError'):
        payload.load_outcome(codec.pack(['value', 'cloudpickle', b'\x80\x05cno_such_module\nx\n.']))


@pytest.mark.parametrize('value', [None, 1, 'x', b'y', [1, {'a': (2.5, True)}], {3}], ids=repr)
def test_plain_values_are_read_without_running_anything(value: Any) -> None:
    assert payload.load_plain(payload.dump_value(value)) == value


@pytest.mark.parametrize('value', [Fires([]), ValueError, 1j, 'x' * 5000], ids=lambda value: type(value).__name__)
def test_what_is_not_plain_or_not_small_is_not_read_so(value: Any) -> None:
    before = len(FIRED)
    with pytest.raises(Exception, match=r'plain'):
        payload.load_plain(payload.dump_value(value))
    assert len(FIRED) == before


@pytest.mark.attack(18)
def test_failures_and_pickles_of_strangers_are_not_read_as_plain_values() -> None:
    with pytest.raises(SerializationError):
        payload.load_plain(payload.dump_failure(ValueError('x')))
    with pytest.raises(SerializationError):
        payload.load_plain(payload.dump_value(1), trusted=False)
    assert payload.load_plain(payload.dump_value([1], ('json',)), trusted=False) == [1]
