"""What goes wrong with transfers in practice: each of these has eaten somebody's data."""

import errno
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.flows.actions.base import ActionUnableToRun
from relay_parsl.flows.actions.transfer import TransferAction
from relay_parsl.flows.storage import task as tasks
from relay_parsl.flows.storage.local import LocalStore
from tests.unit.flows.storage.desk import Desk, desk, ended, one, parts_left, tree, wait_for

MEGA = 1_000_000


# --- names, links, shapes ------------------------------------------------------------------------------------------------------------------------


def test_names_of_any_kind(transfer: Desk, here: Path, there: Path) -> None:
    plain = ['ünïcode', 'new\nline', ' space ', '-rf', '*', "it's", 'a"b', '.hidden', '~tilde', '日本', 'tab\t', '%2e%2e', '..x']
    names = [*plain, 'x' * 255, os.fsdecode(b'caf\xe9')]
    for name in names:
        (here / 'd' / name).parent.mkdir(exist_ok=True)
        (here / 'd' / name).write_text(name, errors='surrogateescape')
        (here / 'd' / f'{name[:200]}.d').mkdir()
    found = ended(transfer.do(one('/d', '/d')))
    assert tree(there) == tree(here)
    assert found['files_transferred'] == len(names)
    for name in names:
        ended(transfer.do(one(f'/d/{name}', f'/single/{name}')))
    assert len(os.listdir(there / 'single')) == len(names)


def test_an_empty_directory_arrives(transfer: Desk, here: Path, there: Path) -> None:
    (here / 'empty').mkdir()
    found = ended(transfer.do(one('/empty/', '/a/b/', recursive=True)))
    assert tree(there) == {'a': None, 'a/b': None}
    assert (found['files'], found['directories']) == (0, 1)


def test_the_root_itself(transfer: Desk, here: Path, there: Path) -> None:
    (here / 'f').write_text('f')
    ended(transfer.do(one('/', '/', recursive=True)))
    assert tree(there) == tree(here)


def test_links_in_a_tree_are_passed_over_or_copied(transfer: Desk, here: Path, there: Path) -> None:
    (here / 'd/sub').mkdir(parents=True)
    (here / 'd/f').write_text('f')
    (here / 'd/to-f').symlink_to('f')
    (here / 'd/to-sub').symlink_to('sub')
    found = ended(transfer.do(one('/d', '/ignored')))
    assert (found['symlinks'], found['recursive_symlinks']) == (2, 'ignore')
    assert tree(there) == {'ignored': None, 'ignored/f': b'f', 'ignored/sub': None}
    ended(transfer.do(one('/d', '/copied', recursive_symlinks='copy')))
    assert tree(there / 'copied') == {'f': b'f', 'sub': None, 'to-f': b'f', 'to-sub': None}


@pytest.mark.parametrize('target', ['.', '..', '../d', 'loop'])
def test_a_loop_of_links_ends(transfer: Desk, here: Path, there: Path, target: str) -> None:
    (here / 'd').mkdir()
    (here / 'd/f').write_text('f')
    (here / 'd/loop').symlink_to(target)
    assert ended(transfer.do(one('/d', '/x', recursive_symlinks='copy')), 'FAILED')['code'] in ('PERMISSION_DENIED', 'SYMLINK_LOOP')
    ended(transfer.do(one('/d', '/x')))
    assert tree(there) == {'x': None, 'x/f': b'f'}


def test_a_link_at_the_destination_is_replaced_and_not_written_through(transfer: Desk, here: Path, there: Path, tmp_path: Path) -> None:
    (here / 'd').mkdir()
    (here / 'd/f').write_text('new')
    (tmp_path / 'precious').write_text('precious')
    (there / 'd').mkdir()
    (there / 'd/f').symlink_to(tmp_path / 'precious')
    ended(transfer.do(one('/d', '/d')))
    assert (tmp_path / 'precious').read_text() == 'precious'
    assert tree(there) == {'d': None, 'd/f': b'new'}


def test_a_directory_that_is_a_link_out_is_not_entered(transfer: Desk, here: Path, there: Path, tmp_path: Path) -> None:
    (here / 'd/sub').mkdir(parents=True)
    (here / 'd/sub/f').write_text('new')
    (tmp_path / 'outside').mkdir()
    (there / 'd').mkdir()
    (there / 'd/sub').symlink_to(tmp_path / 'outside')
    assert ended(transfer.do(one('/d', '/d')), 'FAILED')['code'] in ('PERMISSION_DENIED', 'NOT_A_DIRECTORY')
    assert tree(tmp_path / 'outside') == {}


def test_two_sources_for_one_file_are_refused(transfer: Desk, here: Path, there: Path) -> None:
    (here / 'a').write_text('a')
    (here / 'b').write_text('b')
    body = one('/a', '/x')
    body['DATA'].append({'source_path': '/a', 'destination_path': '//x'})
    assert ended(transfer.do(body))['files'] == 1
    body['DATA'].append({'source_path': '/b', 'destination_path': '/x'})
    assert ended(transfer.do(body), 'FAILED')['code'] == 'EXISTS'
    assert tree(there) == {'x': b'a'}


def test_onto_itself_changes_nothing(transfer: Desk, here: Path) -> None:
    (here / 'a').write_text('a')
    assert ended(transfer.do(one('/a', '/a', destination_endpoint='here')))['files_skipped'] == 1
    assert tree(here) == {'a': b'a'}


def test_into_a_directory_of_itself_ends(transfer: Desk, here: Path) -> None:
    (here / 'd').mkdir()
    (here / 'd/f').write_text('f')
    ended(transfer.do(one('/d', '/d/copy', destination_endpoint='here')))
    assert tree(here) == {'d': None, 'd/f': b'f', 'd/copy': None, 'd/copy/f': b'f'}


def test_filters(transfer: Desk, here: Path, there: Path) -> None:
    for name in ('a.h5', 'b.tmp', 'keep.tmp', 'sub/c.h5', 'cache/d.h5'):
        (here / 'd' / name).parent.mkdir(parents=True, exist_ok=True)
        (here / 'd' / name).write_text(name)
    rules = [{'method': 'include', 'name': 'keep.*'}, {'method': 'exclude', 'name': '*.tmp', 'type': 'file'}, {'name': 'cache', 'type': 'dir'}]
    ended(transfer.do(one('/d', '/d', filter_rules=rules)))
    assert sorted(tree(there)) == ['d', 'd/a.h5', 'd/keep.tmp', 'd/sub', 'd/sub/c.h5']


@pytest.mark.parametrize(
    ('level', 'expected'),
    [
        (None, b'new'),
        ('exists', b'old'),
        (1, b'old'),
        ('mtime', b'old'),
        (3, b'new'),
    ],
)
def test_sync_levels(transfer: Desk, here: Path, there: Path, level: Any, expected: bytes) -> None:
    (here / 'f').write_bytes(b'new')
    (there / 'f').write_bytes(b'old')
    os.utime(here / 'f', (1e9, 1e9))
    found = ended(transfer.do(one('/f', '/f', sync_level=level)))
    assert (there / 'f').read_bytes() == expected
    assert found['files_skipped'] == int(expected == b'old')


def test_a_newer_or_longer_source_is_copied(transfer: Desk, here: Path, there: Path) -> None:
    (here / 'f').write_bytes(b'newer')
    (there / 'f').write_bytes(b'older')
    os.utime(there / 'f', (1e9, 1e9))
    assert ended(transfer.do(one('/f', '/f', sync_level=2)))['files_transferred'] == 1
    (here / 'f').write_bytes(b'longer')
    assert ended(transfer.do(one('/f', '/f', sync_level=1)))['files_transferred'] == 1
    assert ended(transfer.do(one('/f', '/f', sync_level=0)))['files_transferred'] == 0


# --- contents ----------------------------------------------------------------------------------------------------------------------------------


def test_one_byte_of_a_big_file(transfer: Desk, here: Path, there: Path) -> None:
    block = os.urandom(MEGA)
    with (here / 'big').open('wb') as file:
        for _ in range(200):
            file.write(block)
    ended(transfer.do(one('/big', '/big')))
    with (there / 'big').open('r+b') as file:
        file.seek(123_456_789)
        byte = file.read(1)
        file.seek(123_456_789)
        file.write(bytes([byte[0] ^ 1]))
    assert ended(transfer.do(one('/big', '/big')))['files_transferred'] == 1
    assert subprocess.run(['cmp', here / 'big', there / 'big'], check=False).returncode == 0
    assert ended(transfer.do(one('/big', '/big')))['files_skipped'] == 1


@pytest.mark.parametrize('change', ['append', 'truncate', 'rewrite', 'replace'])
def test_a_source_that_changes_is_noticed(transfer: Desk, here: Path, there: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is copied again, and what arrives is one state of it."""
    (here / 'f').write_bytes(b'1' * 5 * MEGA)
    real, changed = LocalStore.write, threading.Event()

    def write(store: LocalStore, parts: Any, part: str) -> Any:
        writer = real(store, parts, part)
        put = writer.write

        def late(data: bytes) -> None:
            put(data)
            if writer.size > 2 * MEGA and not changed.is_set():
                changed.set()
                _change(here / 'f', change)

        writer.write = late
        return writer

    monkeypatch.setattr(LocalStore, 'write', write)
    found = ended(transfer.do(one('/f', '/f')))
    assert found['faults'] == 1
    assert found['event_list'][0]['code'] == 'FILE_CHANGED'
    assert (there / 'f').read_bytes() == (here / 'f').read_bytes()
    assert not parts_left(there)


def _change(path: Path, change: str) -> None:
    if change == 'append':
        with path.open('ab') as file:
            file.write(b'more')
    elif change == 'truncate':
        os.truncate(path, 3 * MEGA)
    elif change == 'rewrite':
        with path.open('r+b') as file:
            file.write(b'2' * 5 * MEGA)
    else:
        path.with_name('new').write_bytes(b'3' * 5 * MEGA)
        path.with_name('new').replace(path)


def test_a_source_that_never_rests_ends_as_failed(transfer: Desk, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / 'f').write_bytes(b'1' * 3 * MEGA)
    real = LocalStore.write

    def write(store: LocalStore, parts: Any, part: str) -> Any:
        _change(here / 'f', 'append')
        return real(store, parts, part)

    monkeypatch.setattr(LocalStore, 'write', write)
    monkeypatch.setattr(tasks, 'FIRST_WAIT', 0.01)
    assert ended(transfer.do(one('/f', '/f')), 'FAILED')['code'] == 'FILE_CHANGED'
    assert tree(there) == {}


def test_what_arrives_damaged_is_sent_again(transfer: Desk, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / 'f').write_bytes(b'1' * 3 * MEGA)
    real, damaged = LocalStore.write, threading.Event()

    def write(store: LocalStore, parts: Any, part: str) -> Any:
        writer = real(store, parts, part)
        if not damaged.is_set():
            sync = writer.sync

            def late() -> None:
                sync()
                damaged.set()
                os.pwrite(writer.fd, b'X', MEGA)  # type: ignore[attr-defined]

            writer.sync = late
        return writer

    monkeypatch.setattr(LocalStore, 'write', write)
    found = ended(transfer.do(one('/f', '/f')))
    assert found['event_list'][0]['code'] == 'VERIFY_CHECKSUM'
    assert tree(there) == tree(here)
    assert found['bytes_transferred'] == found['bytes_checksummed'] == 3 * MEGA


def test_a_checksum_from_elsewhere_must_hold(transfer: Desk, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, 'FIRST_WAIT', 0.01)
    (here / 'f').write_bytes(b'hello')
    body = one('/f', '/f')
    body['DATA'][0]['external_checksum'] = '5D41402ABC4B2A76B9719D911017C592'
    ended(transfer.do(body))
    (there / 'f').unlink()
    body['DATA'][0] |= {'external_checksum': '0' * 64, 'checksum_algorithm': 'SHA256'}
    assert ended(transfer.do(body), 'FAILED')['code'] == 'VERIFY_CHECKSUM'
    assert tree(there) == {}


# --- room ---------------------------------------------------------------------------------------------------------------------------------------


def full_after(count: int, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A disk with room for so many files; setting the event makes more."""
    real, room, used = LocalStore.write, threading.Event(), []

    def write(store: LocalStore, parts: Any, part: str) -> Any:
        if len(used) >= count and not room.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), '/'.join(parts))
        used.append(part)
        return real(store, parts, part)

    monkeypatch.setattr(LocalStore, 'write', write)
    return room


@pytest.mark.skipif(os.geteuid() != 0, reason='mounts a file system')
def test_a_full_disk_waits_for_room_and_goes_on(transfer: Desk, here: Path, there: Path) -> None:
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', there], check=False).returncode != 0:
        pytest.skip('no right to mount')
    try:
        for number in range(4):
            (here / f'{number}').write_bytes(os.urandom(MEGA))
        begun = transfer.run(one('/', '/'))
        found = ended(transfer.end(begun), 'INACTIVE')
        assert (found['code'], found['is_ok']) == ('QUOTA_EXCEEDED', False)
        assert 'make room' in found['description']
        subprocess.run(['mount', '-o', 'remount,size=20m', there], check=True)
        transfer.action.resume(begun.action_id)
        found = ended(transfer.end(begun))
        assert found['files_transferred'] + found['files_skipped'] == 4
        assert tree(there) == tree(here)
    finally:
        wait_for(lambda: subprocess.run(['umount', there], check=False).returncode == 0)


def test_a_quota_may_be_fatal(transfer: Desk, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / 'f').write_bytes(b'f')
    full_after(0, monkeypatch)
    assert ended(transfer.do(one('/f', '/f', fail_on_quota_errors=True)), 'FAILED')['code'] == 'QUOTA_EXCEEDED'


def test_what_waits_for_room_may_be_cancelled(transfer: Desk, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (here / f'{number}').write_bytes(b'f')
    full_after(2, monkeypatch)
    begun = transfer.run(one('/', '/'))
    ended(transfer.end(begun), 'INACTIVE')
    assert ended(transfer.action.cancel(begun.action_id), 'FAILED')['code'] == 'CANCELED'
    assert not parts_left(there)


def test_a_fault_of_one_file_ends_the_others(transfer: Desk, here: Path, there: Path) -> None:
    """A terabyte that is on its way does not hold up the bad news."""
    (here / 'd').mkdir()
    with (here / 'd/1-endless').open('wb') as file:
        file.truncate(1 << 40)
    (here / 'd/2-bad').write_text('x')
    (there / 'd/2-bad').mkdir(parents=True)
    found = ended(transfer.do(one('/d', '/d')), 'FAILED')
    assert found['code'] == 'IS_A_DIRECTORY'
    assert tree(there) == {'d': None, 'd/2-bad': None}


def test_what_must_be_encrypted_is_not_read_in_the_clear(tmp_path: Path) -> None:
    web = {'root': 'http://127.0.0.1:1/x'}
    with desk(TransferAction, tmp_path, here=web, there=tmp_path / 'there') as made, pytest.raises(ActionUnableToRun, match='encrypt_data'):
        made.run(one('/f', '/f', encrypt_data=True))
