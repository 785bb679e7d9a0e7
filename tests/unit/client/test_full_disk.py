from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from relay_parsl.client.executor import Executor
from relay_parsl.errors import StoreError, TaskRejected
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import INLINE, SEGMENT
from tests.unit.client.calls import LONG, double, until
from tests.unit.client.fake_relay import FakeRelay

LARGE = INLINE + 3 * SEGMENT
"""A result that comes in several segments."""


def test_a_result_that_cannot_be_written_fails_alone(relay: FakeRelay, executor: Executor) -> None:
    directory = executor.session.spool().directory
    shutil.rmtree(directory)  # what cannot be written to, whoever runs the tests
    future = executor.submit(bytes, LARGE)
    error = future.exception(LONG)
    assert isinstance(error, StoreError)
    assert str(directory) in str(error)
    assert 'TMPDIR' in str(error)
    assert executor.submit(double, 1).result(LONG) == 2
    until(lambda: any(future.id in each.ids for each in relay.of(m.Received)))
    directory.mkdir()
    assert executor.submit(bytes, LARGE).result(LONG) == bytes(LARGE)
    until(lambda: os.listdir(directory) == [])


@pytest.mark.parametrize('size', [LARGE, INLINE + 1])
def test_without_a_directory_a_large_result_fails_alone(executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'nothing'))
    assert 'nothing' in str(executor.submit(bytes, size).exception(LONG))
    assert executor.submit(double, 1).result(LONG) == 2


def test_without_a_directory_large_arguments_fail_alone(executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'nothing'))
    assert 'nothing' in str(executor.submit(len, bytes(LARGE)).exception(LONG))
    assert executor.submit(double, 1).result(LONG) == 2


def test_arguments_that_cannot_be_read_fail_alone(relay: FakeRelay, executor: Executor) -> None:
    relay.accepts = False
    future = executor.submit(len, bytes(LARGE))
    until(lambda: relay.of(m.Submit))
    path = executor.session.spool().path(future.id, 0, 'task')
    path.unlink()
    path.symlink_to('elsewhere')  # opening it is an error, and not that of a file that is not there
    relay.accepts = True
    loop = executor.session._loop
    loop.post(lambda: loop.reactor.receive(m.Goodbye('again', hello=True), 0.0))
    assert isinstance(future.exception(LONG), TaskRejected)
    assert [each.total for each in relay.of(m.Segment)] == [-1]
    assert executor.submit(double, 1).result(LONG) == 2


def test_what_a_full_relay_does_not_take_waits_here_until_there_is_room(relay: FakeRelay, executor: Executor) -> None:
    relay.rejects = ('full', "the relay's disk is full", 0.3)
    future = executor.submit(double, 21)
    until(lambda: 'disk is full' in future.detail.get('why', ''))
    assert future.state() == 'unsent'
    with pytest.raises(TimeoutError, match='disk is full'):
        future.accepted(0.01)
    with pytest.raises(TimeoutError):
        future.result(0.01)
    relay.rejects = None
    assert future.result(LONG) == 42
    assert future.detail == {}
