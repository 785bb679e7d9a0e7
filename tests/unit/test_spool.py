"""The spool: what was written is what is read, and no name that is not ours."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_parsl.errors import StoreError
from relay_parsl.spool import HANDS, Helper, Key, Spool

KEY: Key = (bytes(range(16)), 1, 'task')


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


def test_a_body_comes_back_in_any_pieces(spool: Spool) -> None:
    data = os.urandom(100_000)
    for offset in range(0, len(data), 33_000):
        assert spool.size(KEY) == (offset or -1)
        spool.write(KEY, offset, data[offset : offset + 33_000])
    spool.sync(KEY)
    assert spool.size(KEY) == len(data)
    assert b''.join(spool.read(KEY, at, 7_000) for at in range(0, len(data), 7_000)) == data
    assert spool.read(KEY, 99_999, 10) == data[-1:]
    assert spool.read(KEY, 100_000, 10) == b''
    assert spool.path(*KEY).read_bytes() == data


def test_writing_again_does_no_harm(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for _ in range(2):
        spool.write(KEY, 0, b'abc')
        spool.write(KEY, 3, b'def')
    assert Spool(tmp_path).read(KEY, 0, 100) == b'abcdef'  # after a restart


def test_an_empty_body_is_there(spool: Spool) -> None:
    spool.write(KEY, 0, b'')
    assert spool.size(KEY) == 0


def test_what_is_not_there(spool: Spool) -> None:
    assert spool.size(KEY) == -1
    assert spool.read(KEY, 0, 10) == b''
    spool.delete(KEY)
    with pytest.raises(FileNotFoundError):
        spool.sync(KEY)


def test_keys_tell_what_is_there(spool: Spool) -> None:
    keys: list[Key] = [(bytes(16), 1, 'result'), (bytes(16), 1, 'task'), (bytes(16), 2, 'task'), KEY]
    for key in keys:
        spool.write(key, 0, b'x')
    for stranger in ('readme', '.hidden', f'{"0" * 32}.1.other', f'{"0" * 31}.1.task', f'{"A" * 32}.1.task'):
        (spool.directory / stranger).write_text('')
    assert spool.keys() == sorted(keys, key=lambda key: spool.path(*key).name)
    spool.delete(KEY)
    assert spool.keys() == keys[:-1]
    assert spool.read(keys[0], 0, 9) == b'x'


@pytest.mark.attack(25)
@pytest.mark.parametrize(
    'key',
    [(b'short', 1, 'task'), (bytes(16), -1, 'task'), (bytes(16), 10**9, 'task'), (bytes(16), 1, '../x'), (bytes(16), 1, ''), ('0' * 16, 1, 'task')],
    ids=repr,
)
def test_keys_that_are_none(spool: Spool, key: Key) -> None:
    for call in (
        lambda: spool.write(key, 0, b''),
        lambda: spool.read(key, 0, 1),
        lambda: spool.size(key),
        lambda: spool.delete(key),
        lambda: spool.sync(key),
    ):
        with pytest.raises(StoreError):
            call()
    assert os.listdir(spool.directory) == []


@pytest.mark.attack(33)
def test_files_are_private_and_never_behind_a_link(spool: Spool, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        spool.write(KEY, 0, b'x')
    finally:
        os.umask(before)
    assert stat.S_IMODE(spool.path(*KEY).stat().st_mode) == 0o600
    spool.delete(KEY)
    target = tmp_path / 'target'
    target.write_bytes(b'precious')
    spool.path(*KEY).symlink_to(target)
    with pytest.raises(OSError, match='symbolic'):
        spool.write(KEY, 0, b'gone')
    assert target.read_bytes() == b'precious'


@pytest.mark.attack(25)
@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.integers(0, 10**9 - 1), st.sampled_from(['task', 'result']))
def test_every_key_has_its_own_plain_name(task_id: bytes, attempt: int, direction: str) -> None:
    path = Spool('/spool').path(task_id, attempt, direction)
    assert path.parent == Path('/spool')
    assert path.name == f'{task_id.hex()}.{attempt}.{direction}'


def test_descriptors_are_given_back(spool: Spool) -> None:
    spool.write(KEY, 0, b'x')
    before = len(os.listdir('/proc/self/fd'))
    for _ in range(50):
        spool.write(KEY, 0, b'x')
        spool.read(KEY, 0, 1)
        spool.sync(KEY)
    assert len(os.listdir('/proc/self/fd')) == before


class Slow(Spool):
    """Its disk does nothing before it may."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.may = Event()

    def sync(self, key: Key) -> None:
        self.may.wait(10)
        super().sync(key)


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    return Slow(tmp_path)


def test_a_helper_waits_for_the_disk_and_says_how_it_went(slow: Slow) -> None:
    heard: dict[Key, type | None] = {}
    helper = Helper(slow, lambda key, error: heard.update({key: type(error) if error else None}))
    gone: Key = (bytes(16), 1, 'task')
    slow.write(KEY, 0, b'abc')
    helper.sync(KEY)
    helper.sync(gone)
    assert heard == {}
    slow.may.set()
    helper.close()
    assert heard == {KEY: None, gone: FileNotFoundError}


def test_what_comes_anew_outlives_a_late_deletion(slow: Slow) -> None:
    helper = Helper(slow, lambda _key, _error: None)
    keys: list[Key] = [(bytes([n]) * 16, 1, 'task') for n in range(3)]
    for _ in range(HANDS):
        helper.sync(KEY)  # all threads wait for the disk
    for key in keys:
        slow.write(key, 0, b'older')
        helper.delete(key)
    written, linked, gone = keys
    helper.spare(written)
    slow.write(written, 0, b'new')
    helper.keep(linked)
    slow.may.set()
    helper.close()
    assert slow.keys() == [written, linked]
    assert slow.size(gone) == -1
    assert slow.read(written, 0, 10) == b'new'


def test_sync_waits_for_the_body_and_for_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, synced = Spool(tmp_path), list[int]()
    spool.write((bytes(16), 0, 'task'), 0, b'body')
    monkeypatch.setattr('os.fsync', lambda fd: synced.append(os.fstat(fd).st_ino))
    spool.sync((bytes(16), 0, 'task'))
    assert synced == [spool.path(bytes(16), 0, 'task').stat().st_ino, tmp_path.stat().st_ino]
