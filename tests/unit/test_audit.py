"""The audit log: lines in a chain, and who breaks it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay_parsl.home.audit import AuditLog, verify


def test_the_log_is_a_chain_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / 'audit.log'
    for life in range(3):
        log = AuditLog(path)
        log.write(life, 'event', {'name': 'a\nb', 'life': life})
        log.close()
    lines = path.read_text().splitlines()
    assert [json.loads(line)['number'] for line in lines] == [1, 2, 3]
    assert path.stat().st_mode & 0o777 == 0o600
    assert verify(path) == 0


@pytest.mark.parametrize('harm', ['edit', 'delete', 'cut', 'insert'])
def test_whoever_changes_the_log_is_found_out(tmp_path: Path, harm: str) -> None:
    path = tmp_path / 'audit.log'
    log = AuditLog(path)
    for number in range(5):
        log.write(number, 'event', {'n': number})
    log.close()
    lines = path.read_text().splitlines(keepends=True)
    changed = {
        'edit': [*lines[:2], lines[2].replace('"n": 2', '"n": 7'), *lines[3:]],
        'delete': lines[:2] + lines[3:],
        'cut': [*lines[:2], lines[2][:20] + '\n', *lines[3:]],
        'insert': [*lines[:2], '7\n', *lines[2:]],
    }[harm]
    path.write_text(''.join(changed))
    assert verify(path) == 3


def test_a_line_cut_by_a_crash_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / 'audit.log'
    log = AuditLog(path)
    log.write(1, 'one', {})
    log.close()
    with path.open('a') as file:
        file.write('{"number": 2, "ti')
    log = AuditLog(path)
    log.write(2, 'two', {})
    log.close()
    assert [json.loads(line)['event'] for line in path.read_text().splitlines()[::2]] == ['one', 'two']
    assert verify(path) == 2
