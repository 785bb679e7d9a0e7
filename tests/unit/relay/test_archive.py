"""A backup as a file: what is in it is what was, and what was changed in it is named before anything is believed."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from relay_parsl.errors import HomeError
from relay_parsl.relay.archive import Manifest, pack, unpack

BODY = f'{"ab" * 16}.1.result'


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    snapshot = tmp_path / 'snapshot'
    (snapshot / 'spool').mkdir(parents=True)
    (snapshot / 'relay.db').write_bytes(b'store' * 1000)
    (snapshot / 'audit.log').write_bytes(b'{}\n')
    (snapshot / 'relay.log').write_bytes(b'no part of a backup')
    (snapshot / 'spool' / BODY).write_bytes(b'body')
    (snapshot / 'spool' / f'{"cd" * 16}.0.task').write_bytes(b'still being written')
    manifest = pack(snapshot, tmp_path / 'backup', Manifest('1', 5.0, 3, 7), b'sealed keys', {BODY})
    assert set(manifest.files) == {'relay.db', 'audit.log', f'spool/{BODY}', 'keys'}
    return tmp_path / 'backup'


def unpacked(backup: Path) -> dict[str, bytes]:
    target = backup.parent / 'target'
    target.mkdir()
    unpack(backup, target)
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob('*') if path.is_file()}


def test_what_was_packed_comes_out(backup: Path) -> None:
    assert backup.stat().st_mode & 0o777 == 0o600
    assert unpacked(backup) == {'relay.db': b'store' * 1000, 'audit.log': b'{}\n', f'spool/{BODY}': b'body', 'keys': b'sealed keys'}


@pytest.mark.attack(33)
def test_a_file_that_somebody_has_laid_in_its_way_is_not_written_to(backup: Path) -> None:
    part, theirs = backup.with_name('next.part'), backup.with_name('theirs')
    part.write_bytes(b'')
    part.chmod(0o666)
    theirs.hardlink_to(part)
    pack(backup.parent / 'snapshot', backup.with_name('next'), Manifest('1', 5.0, 3, 7), None, {BODY})
    assert backup.with_name('next').stat().st_mode & 0o777 == 0o600
    assert theirs.read_bytes() == b'', 'whoever has it open reads nothing'


@pytest.mark.parametrize('headers', [{'GNU.sparse.map': '0,5,x', 'GNU.sparse.size': '10'}, {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0'}])
def test_numbers_that_are_none_are_an_error_of_ours(headers: dict[str, str], tmp_path: Path) -> None:
    text = json.dumps({'version': '1', 'made': 1.0, 'store': 3, 'tasks': 1, 'format': 1, 'files': {'relay.db': [10, 'x']}}).encode()
    members = [tarfile.TarInfo('manifest.json'), tarfile.TarInfo('relay.db')]
    members[1].pax_headers = headers
    with tarfile.open(tmp_path / 'bad', 'w', format=tarfile.PAX_FORMAT) as archive:
        for member, data in zip(members, (text, b'0123456789')):
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with pytest.raises(HomeError):
        unpacked(tmp_path / 'bad')


@pytest.mark.parametrize('number', ['Infinity', '1e400'])
def test_a_manifest_without_end_is_an_error_of_ours(number: str, tmp_path: Path) -> None:
    text = b'{"version": "1", "made": 1.0, "store": 3, "tasks": %s, "format": 1, "files": {}}' % number.encode()
    member = tarfile.TarInfo('manifest.json')
    member.size = len(text)
    with tarfile.open(tmp_path / 'bad', 'w') as archive:
        archive.addfile(member, io.BytesIO(text))
    with pytest.raises(HomeError, match='damaged'):
        unpacked(tmp_path / 'bad')


@pytest.mark.parametrize('at', [700, 1600, 4000, 9000])
def test_no_byte_can_be_changed(backup: Path, at: int) -> None:
    data = bytearray(backup.read_bytes())
    while not data[at]:
        at += 1  # not the padding between members, which nobody reads
    data[at] ^= 1
    backup.write_bytes(data)
    with pytest.raises(HomeError):
        unpacked(backup)


@pytest.mark.parametrize('length', [0, 100, 512, 3000, 7000])
def test_what_is_cut_off_is_refused(backup: Path, length: int) -> None:
    backup.write_bytes(backup.read_bytes()[:length])
    with pytest.raises(HomeError):
        unpacked(backup)


def made_anew(backup: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """The archive with other members, whose hashes are right."""
    with tarfile.open(backup) as archive:
        members = {each.name: stream.read() for each in archive if (stream := archive.extractfile(each))}
    manifest = json.loads(members.pop('manifest.json'))
    change(members)
    manifest['files'] = {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in members.items()}
    scratch = backup.parent / 'scratch'
    scratch.mkdir()
    with tarfile.open(backup, 'w') as archive:
        for number, (name, data) in enumerate({'manifest.json': json.dumps(manifest).encode(), **members}.items()):
            (scratch / str(number)).write_bytes(data)
            archive.add(scratch / str(number), name)


@pytest.mark.parametrize('name', ['../escaped', '/etc/escaped', 'spool/../../escaped', 'other', 'spool/x.task'])
def test_a_member_goes_nowhere_else(backup: Path, name: str) -> None:
    made_anew(backup, lambda members: members.update({name: b'bad'}))
    with pytest.raises(HomeError, match='no backup'):
        unpacked(backup)
    assert not list(backup.parent.rglob('escaped'))


def test_a_backup_without_a_store_is_none(backup: Path) -> None:
    made_anew(backup, lambda members: members.pop('relay.db') and None)
    with pytest.raises(HomeError, match='store'):
        unpacked(backup)


def test_another_format_is_named(backup: Path) -> None:
    data = backup.read_bytes().replace(b'"format": 1', b'"format": 2')
    backup.write_bytes(data)
    with pytest.raises(HomeError, match='format 2'):
        unpacked(backup)
