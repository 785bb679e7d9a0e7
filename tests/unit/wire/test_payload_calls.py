"""What is sealed: calls and outcomes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_parsl.errors import ProtocolError
from relay_parsl.wire import codec, payload

CALL = payload.Call(bytes(32), 'f', '3.11', b'arguments', options={'retries': 2, 'resource_specification': {'num_nodes': 2}})
OUTCOME = payload.Outcome(True, b'data', meta={'host': 'x', 'started': 1.5})


def test_calls_and_outcomes_come_back() -> None:
    for call in (CALL, payload.Call(bytes(32), 'f', '', b'', b'k' * 32, 12345)):
        assert payload.decode_call(payload.encode_call(call)) == call
    for each in (OUTCOME, payload.Outcome(False, b'', b'k' * 32, 12345)):
        assert payload.decode_outcome(payload.encode_outcome(each)) == each


def test_fields_of_later_versions_are_ignored() -> None:
    assert payload.decode_call(codec.pack([*codec.unpack(payload.encode_call(CALL)), 'new'])) == CALL
    assert payload.decode_outcome(codec.pack([*codec.unpack(payload.encode_outcome(OUTCOME)), 'new'])) == OUTCOME


def test_keys_of_bodies_are_never_shown() -> None:
    assert 'kkkk' not in repr(payload.Call(bytes(32), 'f', '', b'', b'k' * 32, 1)) + repr(payload.Outcome(True, b'', b'k' * 32, 1))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 6),
    st.none() | st.integers(-(2**63), 2**63) | st.binary(max_size=40) | st.text(max_size=4) | st.lists(st.integers(0, 9), max_size=2),
)
def test_changed_calls_raise_nothing_but_protocol_errors(at: int, value: Any) -> None:
    for encoded, decode in ((payload.encode_call(CALL), payload.decode_call), (payload.encode_outcome(OUTCOME), payload.decode_outcome)):
        values = codec.unpack(encoded)
        values[at % len(values)] = value
        with suppress(ProtocolError):
            decode(codec.pack(values))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_junk_is_no_call_and_no_outcome(data: bytes) -> None:
    for decode in (payload.decode_call, payload.decode_outcome):
        with pytest.raises(ProtocolError):
            decode(data)


def test_a_call_has_a_hash_and_a_body_has_a_key() -> None:
    for wrong in (
        payload.Call(b'short', 'f', '', b''),
        payload.Call(bytes(32), 'f', '', b'', b'short', 1),
        payload.Call(bytes(32), 'f', '', b'', b'', -1),
    ):
        with pytest.raises(ProtocolError):
            payload.decode_call(payload.encode_call(wrong))
    with pytest.raises(ProtocolError):
        payload.encode_call(payload.Call(bytes(32), 'f', '', b'', options={'x': object()}))
