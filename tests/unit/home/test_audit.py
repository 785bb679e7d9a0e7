"""The audit log: lines in a chain, and who breaks it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from relay_parsl.home import audit
from relay_parsl.home.audit import AuditLog, verify
from relay_parsl.home.chain import read_head
from relay_parsl.wire.seal import Keys

KEYS = Keys.generate()


def written(path: Path, count: int, **options: int) -> list[str]:
    log = AuditLog(path, KEYS, **options)
    for number in range(count):
        log.write(number, 'event', {'n': number})
    log.close()
    return path.read_text().splitlines(keepends=True)


def kinds(path: Path, **options: int) -> list[tuple[int, str]]:
    return [(each.line, each.kind) for each in verify(path, identity=KEYS.identity_public, **options)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'audit.log'


def test_the_log_is_a_chain_that_goes_on(path: Path) -> None:
    for life in range(3):
        log = AuditLog(path, KEYS)
        log.write(life, 'event', {'name': 'a\nb', 'life': life})
        log.close()
    lines = path.read_text().splitlines()
    assert [json.loads(line)['number'] for line in lines] == [1, 2, 3]
    assert path.stat().st_mode & 0o777 == 0o600
    assert (path.parent / 'audit.head').stat().st_mode & 0o777 == 0o600
    assert kinds(path) == []


def test_lines_that_follow_one_another_have_one_head_and_the_next_look_covers_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, 'SIGNED', 3600.0)
    log = AuditLog(path, KEYS)
    for number in range(3):
        log.write(number, 'event', {})
    head = path.with_suffix('.head')
    assert read_head(head.read_bytes()).number == 1
    monkeypatch.setattr(audit, 'SIGNED', 0.0)
    log.flush()
    assert read_head(head.read_bytes()).number == 3
    monkeypatch.setattr(audit, 'SIGNED', 3600.0)
    log.note(3, 'event', {})
    log.flush(sync=True)
    assert read_head(head.read_bytes()).number == 4, 'what must be on the disk is covered at once'
    log.close()


def rewritten(text: str) -> str:
    """A line with other words, and the hash of those."""
    body = {**json.loads(text), 'n': 7}
    del body['hash']
    plain = json.dumps(body)
    return json.dumps({**body, 'hash': sha256(plain.encode()).hexdigest()}) + '\n'


HARMS: dict[str, tuple[Callable[[list[str]], list[str]], list[tuple[int, str]]]] = {
    'edit': (lambda lines: [*lines[:2], lines[2].replace('"n": 2', '"n": 7'), *lines[3:]], [(3, 'changed')]),
    'spaces': (lambda lines: [*lines[:2], lines[2].replace('"n": 2', '"n":  2'), *lines[3:]], [(3, 'changed')]),
    'a word before': (lambda lines: [*lines[:2], lines[2].replace('"n": 2', '"n": 7, "n": 2'), *lines[3:]], [(3, 'changed')]),
    'endless number': (lambda lines: [*lines[:2], lines[2].replace('"number": 3', '"number": 1e999'), *lines[3:]], [(3, 'cut'), (4, 'removed')]),
    'rewrite': (lambda lines: [*lines[:2], rewritten(lines[2]), *lines[3:]], [(4, 'appended')]),
    'delete': (lambda lines: lines[:2] + lines[3:], [(3, 'removed')]),
    'delete the first': (lambda lines: lines[1:], [(1, 'removed')]),
    'cut': (lambda lines: [*lines[:2], lines[2][:20] + '\n', *lines[3:]], [(3, 'cut'), (4, 'removed')]),
    'insert': (lambda lines: [*lines[:2], '7\n', *lines[2:]], [(3, 'cut')]),
    'twice': (lambda lines: [*lines[:2], *lines[1:]], [(3, 'appended')]),
    'swap': (lambda lines: [*lines[:2], lines[3], lines[2], lines[4]], [(3, 'removed'), (4, 'appended')]),
    'truncate': (lambda lines: lines[:3], [(0, 'removed')]),
    'empty': (lambda _lines: [], [(0, 'removed')]),
}


@pytest.mark.attack(42)
@pytest.mark.parametrize('harm', HARMS)
def test_whoever_changes_the_log_is_found_out(path: Path, harm: str) -> None:
    lines = written(path, 5)
    change, expected = HARMS[harm]
    path.write_text(''.join(change(lines)))
    assert kinds(path) == expected


def test_a_head_without_end_is_none(path: Path) -> None:
    written(path, 2)
    path.with_suffix('.head').write_bytes(b'[' * 100_000)
    assert kinds(path) == [(0, 'head')]


@pytest.mark.attack(42)
def test_a_log_that_was_written_anew_does_not_fit_its_head(path: Path) -> None:
    written(path, 5)
    head = (path.parent / 'audit.head').read_bytes()
    path.unlink()
    log = AuditLog(path)
    for number in range(5):
        log.write(number, 'event', {'n': 0})
    log.close()
    (path.parent / 'audit.head').write_bytes(head)
    assert kinds(path) == [(0, 'changed')]


@pytest.mark.attack(42)
def test_a_head_signed_by_another_counts_for_nothing(path: Path) -> None:
    written(path, 5)
    assert [each.kind for each in verify(path, identity=Keys.generate().identity_public)] == ['head']
    head = read_head((path.parent / 'audit.head').read_bytes())
    (path.parent / 'audit.head').write_bytes(head.signed(Keys.generate()))
    assert [each.text for each in verify(path)] == ['the signature does not hold'], 'who it is stands in it, and is no proof'
    (path.parent / 'audit.head').write_text('{}')
    assert kinds(path) == [(0, 'head')]
    (path.parent / 'audit.head').unlink()
    assert kinds(path) == [(0, 'head')]


@pytest.mark.attack(42)
def test_lines_of_another_that_fit_are_not_covered_by_the_head_and_on_record_later(path: Path) -> None:
    written(path, 2)
    forged = AuditLog(path)
    forged.write(2, 'event', {'n': 'forged'})
    forged.close()
    assert kinds(path) == [(0, 'appended')]
    AuditLog(path, KEYS).close()
    last = json.loads(path.read_text().splitlines()[-1])
    assert (last['event'], last['head'], last['last']) == ('audit-not-covered', 2, 3)


def test_a_copy_of_the_head_proves_that_nothing_was_cut_off_since(path: Path, tmp_path: Path) -> None:
    written(path, 3)
    copy = tmp_path / 'elsewhere'
    copy.write_bytes((path.parent / 'audit.head').read_bytes())
    lines = written(path, 3)
    assert verify(path, head=copy) == []
    path.write_text(''.join(lines[:2]))
    assert [each.kind for each in verify(path, head=copy)] == ['removed']


def test_a_line_cut_by_a_crash_does_not_swallow_the_next(path: Path) -> None:
    written(path, 1)
    with path.open('a') as file:
        file.write('{"number": 2, "ti')
    written(path, 1)
    assert [json.loads(line)['n'] for line in path.read_text().splitlines()[::2]] == [0, 0]
    assert kinds(path) == [(2, 'cut')]


def test_a_last_line_longer_than_any_tail_is_found(path: Path) -> None:
    log = AuditLog(path, KEYS)
    log.write(1, 'start', {'tasks': ['0' * 32] * 20_000})
    log.close()
    written(path, 1)
    assert kinds(path) == []


def test_a_full_file_makes_room_for_the_next_and_the_chain_goes_on(path: Path) -> None:
    for _ in range(2):
        written(path, 10, largest=700)
    found = audit.files(path)
    assert len(found) > 3
    assert found[-1] == path
    assert found[-2].name == 'audit.log.1'
    numbers = [json.loads(data)['number'] for _, _, data in audit.lines(path)]
    assert numbers == list(range(1, 21))
    assert kinds(path) == []
    found[0].unlink()
    assert [kind for _, kind in kinds(path)] == ['removed']
    assert kinds(path, begins=json.loads(found[1].read_bytes().splitlines()[0])['number']) == []


def test_a_crash_between_two_files_breaks_no_chain(path: Path) -> None:
    written(path, 3)
    path.rename(path.with_name('audit.log.1'))
    written(path, 2)
    assert kinds(path) == []


def test_what_the_disk_does_not_take_waits_and_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(path, KEYS)
    log.write(1, 'one', {})
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if len(data) > 20:
            return write(fd, data[:20])
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(os, 'write', full)
        for number in range(audit.WAITING + 5):
            log.note(2, 'waits', {'n': number})
        with pytest.raises(OSError, match='No space'):
            log.flush()
    assert kinds(path) == []
    log.flush(sync=True)
    log.close()
    events = [json.loads(data)['event'] for _, _, data in audit.lines(path)]
    assert events == ['one', *['waits'] * audit.WAITING, 'audit-gap']
    assert kinds(path) == []
