"""A relay's backup, made while it serves, and what becomes of everybody when it is restored after more has happened."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import relay_parsl as rp
from relay_parsl.errors import TaskLost
from tests.faults.rig import Site, Work, until

pytestmark = pytest.mark.integration
PASSPHRASE = ('--passphrase', 'correct horse')


def gated() -> Callable[..., Any]:
    """A function that notes its number, then waits for a file."""

    def run(record: str, number: int, gate: str) -> int:
        import os
        import time

        handle = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, b'%d\n' % number)
        os.close(handle)
        while not os.path.exists(gate):
            time.sleep(0.02)
        return number

    return run


class Gates:
    """Tasks that run until they are let go."""

    def __init__(self, site: Site, executor: rp.Executor) -> None:
        self._site, self._executor, self._run = site, executor, gated()

    def path(self, number: int) -> Path:
        return self._site.cli.cwd / f'gate-{number}'

    def waiting(self, number: int, **options: Any) -> rp.TaskFuture:
        """A task that the relay has."""
        future = self._executor.with_options(**options).submit(self._run, str(self._site.record), number, str(self.path(number)))
        future.accepted(30)
        return future

    def running(self, number: int) -> rp.TaskFuture:
        """One that has begun."""
        future = self.waiting(number)
        until(lambda: self._site.runs()[number])
        return future

    def open(self, number: int) -> None:
        self.path(number).touch()


@pytest.mark.fault(42)
@pytest.mark.parametrize('begun', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_old_backup_is_restored_and_nothing_is_lost_in_silence_nor_runs_twice(site: Site, work: Callable[..., Work], begun: bool) -> None:
    """In the backup three tasks wait, or have `begun`; when it is restored two of them run and the third has ended."""
    site.start('relay')
    site.configure('one', config='display_name: processes\nengine:\n  type: ProcessPoolEngine\n  max_workers: 4\n')
    mine = work()
    gates = Gates(site, mine.executor)
    kept, once, over = gates.waiting(1), gates.waiting(2, at_most_once=True), gates.waiting(3)
    if begun:
        site.start('one')
        until(lambda: site.runs().keys() >= {1, 2, 3})
    site.cli.ok('relay', 'backup', 'old.backup', *PASSPHRASE)
    if not begun:
        site.start('one')
    until(lambda: site.runs().keys() >= {1, 2, 3})
    gates.open(3)
    assert over.result(30) == 3
    late = gates.running(4)
    waits = [gates.waiting(number) for number in range(5, 20)]
    site.running['relay'].kill()
    said = site.cli.ok('relay', 'restore', 'old.backup', '--force', *PASSPHRASE)
    assert 'the store before is in' in said
    site.start('relay')

    for future in (late, *waits):
        with pytest.raises(TaskLost, match=r'restored at .* from a backup of'):
            future.result(30)
    for number in (1, 2, *range(4, 20)):
        gates.open(number)
    assert (kept.result(30), once.result(30)) == (1, 2), 'what ran on at the endpoint is taken over'
    mine.submit([50])
    assert mine.futures[50].result(30) == 2500, 'the endpoint is not locked out'
    runs = site.runs()
    assert {number: runs[number] for number in (1, 2, 3, 50)} == {1: 1, 2: 1, 3: 1, 50: 1}
    # number 3 had ended after the backup: the relay sends it out again, and the endpoint's journal does not let it run
    site.check([kept.task_id, once.task_id, over.task_id, *mine.ids], {'success', 'failed'})
    with sqlite3.connect(site.home.root / 'relay' / 'relay.db') as store:
        found = dict(store.execute('SELECT id, status FROM tasks'))
    store.close()
    assert {bytes(each).hex(): status for each, status in found.items()}[over.task_id.replace('-', '')] == 'failed'


@pytest.mark.slow
def test_backups_of_a_relay_under_load_and_of_one_that_is_down_bring_all_of_it_back(site: Site, work: Callable[..., Work]) -> None:
    site.whole('one')
    mine = work()
    mine.submit(range(300))
    mine.executor.submit(bytes, 3 << 20).accepted(30)
    for number in range(3):
        mine.submit(range(1000 + 100 * number, 1100 + 100 * number))
        site.cli.ok('relay', 'backup', f'{number}.backup', *PASSPHRASE)
    mine.done()
    site.running.pop('relay').stop()
    down = site.cli.ok('relay', 'backup', str(site.cli.cwd), '--without-keys')
    assert '601 tasks' in down
    [file] = site.cli.cwd.glob('relay-*.backup')
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list((site.home.root / 'relay' / 'snapshots').iterdir())
    said = site.cli.refused('relay', 'restore', str(file))
    assert '--force' in said
    for backup in ('0.backup', '2.backup', str(file)):
        site.cli.ok('relay', 'restore', backup, '--force', *PASSPHRASE)
    site.start('relay')
    mine.submit([2000])
    mine.done()
    mine.once()


@pytest.mark.slow
def test_a_relay_is_restored_on_another_machine_with_its_keys(site: Site, work: Callable[..., Work], tmp_path: Path) -> None:
    site.whole('one')
    mine = work()
    mine.submit([1])
    mine.done()
    site.cli.ok('relay', 'backup', 'whole.backup', *PASSPHRASE)
    site.cli.ok('relay', 'backup', 'bare.backup', '--without-keys')
    assert 'runs as' in site.cli.refused('relay', 'restore', 'whole.backup', '--force', *PASSPHRASE)
    site.running.pop('relay').kill()
    home = site.cli.root
    relay, operator = home / 'relay', home / 'accounts' / 'operator.key'
    relay.rename(tmp_path / 'gone')
    operator.unlink()
    assert 'has no keys' in site.cli.refused('relay', 'restore', 'bare.backup')
    assert 'passphrase is another' in site.cli.refused('relay', 'restore', 'whole.backup', '--passphrase', 'wrong horse')
    assert not (relay / 'relay.db').exists()
    site.cli.ok('relay', 'restore', 'whole.backup', *PASSPHRASE)
    assert operator.stat().st_mode & 0o777 == 0o600
    site.start('relay')
    mine.submit([2])
    mine.done()
    assert 'restored at' in (relay / 'audit.log').read_text()
