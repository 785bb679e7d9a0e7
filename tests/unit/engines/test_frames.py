"""Work and end frames: what is sent is what is read, and strangers' bytes are an event, never an exception."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_parsl.engines.base import CAUSES, Finished, Lost, SealedBody, Work
from relay_parsl.engines.frames import (
    NO_SERIAL,
    Death,
    End,
    Place,
    decode_end,
    decode_ends,
    decode_work,
    encode_end,
    encode_ends,
    encode_work,
    event_of,
    head_of,
    result_name,
    with_environment,
)
from relay_parsl.errors import ProtocolError
from relay_parsl.wire import codec

WORK = Work(b'\x01' * 16, 3, b'account', b'blob', b'arguments', None, {'retries': 1}, '/spool')
sizes = st.integers(0, 2**40)
works = st.builds(
    Work,
    st.binary(min_size=16, max_size=16),
    sizes,
    st.binary(max_size=255),
    st.binary(),
    st.none() | st.binary(),
    st.none() | st.builds(SealedBody, st.text(), st.binary(), sizes),
    st.dictionaries(st.text().filter(lambda name: name != 'timeout'), st.integers(0, 9) | st.lists(st.text())),
    st.text(),
)


@given(works, st.builds(Place, st.text(), st.booleans(), st.dictionaries(st.text(), st.text())))
def test_a_work_frame_brings_the_work_and_its_place(work: Work, place: Place) -> None:
    frame = encode_work(work, place)
    head = head_of(frame)
    assert (head.account, head.key, head.timeout) == (work.account, (work.task_id, work.attempt), 0.0)
    assert decode_work(frame) == (work, place)


def test_an_attempt_gets_variables_on_its_way() -> None:
    frame = with_environment(encode_work(WORK, Place('/work', True)), {'PARSL_MPI_PREFIX': 'mpiexec -n 2'})
    assert decode_work(frame) == (WORK, Place('/work', True, {'PARSL_MPI_PREFIX': 'mpiexec -n 2'}))


@given(
    st.builds(End, st.booleans(), st.binary(), st.text(), sizes)
    | st.builds(End, st.just(False), st.binary(), cancelled=st.booleans())
    | st.builds(Death, st.sampled_from(CAUSES), st.text())
)
def test_an_end_frame_brings_the_end(end: End | Death) -> None:
    assert decode_end(encode_end(end)) == end


@pytest.mark.parametrize(
    'end', [End(True, b'', seconds=each) for each in (inf, -inf, nan, -1.0)] + [End(True, b'', size=-1), End(True, b'', cancelled=True)]
)
def test_an_end_that_cannot_be_is_refused(end: End) -> None:
    with pytest.raises(ProtocolError):
        decode_end(encode_end(end))


def test_the_head_tells_the_timeout() -> None:
    work = Work(b'', 1, b'', b'', b'', None, {'timeout': 3})
    assert head_of(encode_work(work, Place())).timeout == 3.0


def test_options_that_are_no_plain_data_are_refused() -> None:
    with pytest.raises(ProtocolError):
        encode_work(Work(b'', 1, b'', b'', b'', None, {'x': object()}), Place())


@pytest.mark.parametrize('junk', [b'\x00', b'\x00\x93\x01\x02\x03', b'\x05abcde'])
def test_junk_is_no_work(junk: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_work(junk)


@given(st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=50)), max_size=20), st.integers(NO_SERIAL, 2**40))
def test_the_result_of_a_shift_brings_ends_and_the_last_serial(ends: list[tuple[int, bytes]], last: int) -> None:
    assert decode_ends(encode_ends(ends, last), 10) == (last, ends)
    assert decode_ends(encode_ends(ends), 10) == (NO_SERIAL, ends)


@pytest.mark.parametrize(
    'fields', [7, [], [0, [0]], ['0', [0], [b'']], [0, [0], []], [0, [3], [b'']], [0, [-1], [b'']], [0, [True], [b'']], [0, [0], ['text']], [0, 0, 0]]
)
def test_what_is_no_result_of_a_shift_is_refused(fields: object) -> None:
    with pytest.raises(ProtocolError):
        decode_ends(codec.pack(fields), 3)


@given(st.binary(max_size=200))
def test_any_bytes_of_a_worker_are_an_event(junk: bytes) -> None:
    assert isinstance(event_of(WORK, junk), (Finished, Lost))


@pytest.mark.parametrize(
    'fields',
    [
        ['end', True, b'', '', -1, 0.0, False],
        ['end', 1, b'', '', 0, 0.0, False],
        ['end', True, 'text', '', 0, 0.0, False],
        ['end', True, b'', '', 0, -1.0, False],
        ['end', True, b'', '', 0, float('nan'), False],
        ['end', True, b'', '', 0, 1, False],
        ['end', True, b'', '', 0, 0.0, True],
        ['end', False, b'', '', 0, 0.0, 1],
        ['end', True, b'', '', 0, 0.0],
        ['death', 'boredom', ''],
        ['death', 'worker'],
        7,
        ['other'],
    ],
)
def test_what_is_no_end_is_the_workers_fault(fields: object) -> None:
    event = event_of(WORK, codec.pack(fields))
    assert isinstance(event, Lost)
    assert event.cause == 'worker'


def test_ends_become_events() -> None:
    assert event_of(WORK, encode_end(End(True, b'o'))) == Finished(WORK.task_id, 3, True, b'o')
    assert event_of(WORK, encode_end(End(False, b'o', seconds=1.5))) == Finished(WORK.task_id, 3, False, b'o', seconds=1.5)
    assert event_of(WORK, encode_end(End(True, b'o', result_name(WORK), 5))) == Finished(
        WORK.task_id, 3, True, b'o', f'/spool/{"01" * 16}.3.result', 5
    )
    assert event_of(WORK, encode_end(End(False, b'o', cancelled=True))) == Finished(WORK.task_id, 3, False, b'o', cancelled=True)
    assert event_of(WORK, encode_end(Death('manager', 'gone'))) == Lost(WORK.task_id, 3, 'manager', 'gone')


@pytest.mark.parametrize('name', ['/etc/passwd', '../secret', 'a/b', '..', '.', f'{"02" * 16}.3.result'])
def test_a_worker_cannot_name_files_outside_of_the_spool(name: str) -> None:
    event = event_of(WORK, encode_end(End(True, b'', name, 1)))
    assert isinstance(event, Lost)
    assert 'not its own' in event.evidence
