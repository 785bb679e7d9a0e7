"""One attempt from bytes to outcome, in this very process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay_parsl.engines import task
from relay_parsl.engines.base import SealedBody, Work
from relay_parsl.engines.frames import End
from relay_parsl.errors import RelayError, SealError, SerializationError, TaskError, VersionMismatch
from relay_parsl.wire import codec, messages, payload, seal

CALLS: list[int] = []


def run(function: bytes, *args: Any, body: SealedBody | None = None, spool: str = '', **options: Any) -> End:
    arguments = None if body else payload.dump_arguments(args, {})
    return task.run(Work(b'\x01' * 16, 1, b'', function, arguments, body, options, spool), task.Functions())


def value(end: End) -> Any:
    return payload.load_outcome(payload.decode_outcome(end.outcome).data)


def grow(items: list[int]) -> int:
    items.append(1)
    CALLS.append(len(items))
    if len(CALLS) < 3:
        raise OSError('again')
    return len(items)


def test_each_try_has_fresh_arguments() -> None:
    CALLS.clear()
    end = run(payload.dump_importable(f'{__name__}:grow'), [], retries=5)
    assert value(end) == 1
    assert CALLS == [1, 1, 1]
    assert payload.decode_outcome(end.outcome).meta['tries'] == 3


def test_bytecode_of_another_python_is_not_run() -> None:
    blob = payload.dump_function(lambda: 1)
    how, _, name, data, *rest = codec.unpack(blob)
    with pytest.raises(VersionMismatch):
        value(run(codec.pack([how, '3.1', name, data, *rest])))


def test_a_serializer_that_is_not_allowed_is_not_used() -> None:
    with pytest.raises((RelayError, SerializationError)):
        value(run(payload.dump_importable('builtins:abs'), -1, allowed_serializers=['json']))


@pytest.mark.fault(39)
def test_a_damaged_body_is_not_used(tmp_path: Path) -> None:
    (tmp_path / 'body').write_bytes(b'x' * 200)
    with pytest.raises(SealError):
        value(run(payload.dump_importable('builtins:abs'), body=SealedBody(str(tmp_path / 'body'), seal.new_body_key(), 100)))


def test_a_missing_body_is_the_outcome(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        value(run(payload.dump_importable('builtins:abs'), body=SealedBody(str(tmp_path / 'none'), seal.new_body_key(), 100)))


def test_no_arguments_at_all_is_the_outcome() -> None:
    end = task.run(Work(b'', 1, b'', payload.dump_importable('builtins:abs'), None), task.Functions())
    assert not end.ok


@pytest.mark.fault(36)
def test_a_result_that_cannot_be_spooled_is_a_failure_that_says_so(tmp_path: Path) -> None:
    end = run(payload.dump_importable('builtins:bytes'), 1_000_000, spool=str(tmp_path / 'gone'))
    assert not end.ok
    with pytest.raises(TaskError, match='could not be written'):
        value(end)


def test_functions_are_loaded_once_and_forgotten_in_order(tmp_path: Path) -> None:
    functions = task.Functions(limit=2)
    blobs = [payload.dump_source(f'def f():\n    return {n}\n', 'f') for n in range(3)]
    first = functions.load(blobs[0])
    assert functions.load(blobs[0]) is first
    functions.load(blobs[1])
    functions.load(blobs[0])
    functions.load(blobs[2])
    assert functions.load(blobs[0]) is first
    assert functions.load(blobs[1])() == 1


@pytest.mark.parametrize(('name', 'mask'), [('CUDA_VISIBLE_DEVICES', '3'), ('ROCR_VISIBLE_DEVICES', '1'), ('ZE_AFFINITY_MASK', '0.1')])
def test_meta_names_the_accelerator_that_the_worker_was_given(monkeypatch: pytest.MonkeyPatch, name: str, mask: str) -> None:
    for each in task.MASKS:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, mask)
    monkeypatch.setenv('PARSL_WORKER_RANK', '2')
    meta = payload.decode_outcome(run(payload.dump_importable('builtins:abs'), -1).outcome).meta
    assert (meta['accelerator'], meta['worker']) == (mask, '2')


@pytest.mark.parametrize(('set_by', 'seconds'), [(0.0, 2.0), (-3600.0, 0.0)])
def test_an_end_says_how_long_it_ran_even_when_the_clock_is_set_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, set_by: float, seconds: float
) -> None:
    for size in (1, 2 * messages.INLINE):
        ticks = iter([1000.0, 1002.0 + set_by])
        monkeypatch.setattr(task.time, 'time', lambda ticks=ticks: next(ticks))
        end = run(payload.dump_importable('builtins:bytes'), size, spool=str(tmp_path))
        assert end.ok
        assert bool(end.body) == (size > 1)
        assert end.seconds == seconds
