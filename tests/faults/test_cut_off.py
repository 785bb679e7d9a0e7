"""Logs that a crash has torn under a real relay and a real endpoint: what was cut off had been told to nobody, and comes again."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from relay_parsl.errors import TaskLost
from tests.faults.rig import Site, Work

pytestmark = [pytest.mark.integration, pytest.mark.fault(38)]

FEW, MANY = (0.4,), (0.0, 0.01, 0.2, 0.4, 0.6, 0.8, 0.99, 1.0)
"""Where the log is cut, between the last that was acknowledged and its end."""
CUTS = pytest.mark.parametrize('cuts', [pytest.param(FEW, id='once'), pytest.param(MANY, id='everywhere', marks=pytest.mark.slow)])


def log_of(file: Path) -> bytes:
    """The write-ahead log, without the zeros that wait to be written over."""
    return Path(f'{file}-wal').read_bytes().rstrip(b'\0')


def cut(file: Path, before: bytes, part: float) -> None:
    """Cut off what came into a log since it was `before`, from that part of it on. After a cut an end of `before` may have been none of a frame."""
    after = log_of(file)
    kept = next((at for at, pair in enumerate(zip(before, after)) if pair[0] != pair[1]), min(len(before), len(after)))
    assert len(after) - kept > 4096, 'some pages were written since'
    Path(f'{file}-wal').write_bytes(after[: kept + int(part * (len(after) - kept))])


def tasks_in(store: Path, elsewhere: Path) -> int:
    """How many a relay will find, seen in a copy."""
    elsewhere.mkdir(exist_ok=True)
    for end in ('', '-wal'):
        shutil.copyfile(f'{store}{end}', elsewhere / f'relay.db{end}')
    with closing(sqlite3.connect(elsewhere / 'relay.db')) as copy:
        return int(copy.execute('SELECT count(*) FROM tasks').fetchone()[0])


@CUTS
def test_what_was_cut_off_the_log_of_a_relay_is_sent_again(site: Site, work: Callable[..., Work], tmp_path: Path, cuts: tuple[float, ...]) -> None:
    """It dies between a commit and its acknowledgement, and the commit is torn: clients have the tasks still."""
    store = site.home.root / 'relay' / 'relay.db'
    point = 'relay:after_commit/Submit'
    site.start('relay', point)
    site.configure('one')
    mine = work()
    for number, part in enumerate(cuts):
        mine.submit(range(100 * number, 100 * number + 5))
        mine.flush()
        before, told = log_of(store), len(mine.ids)
        site.arm()
        mine.submit(range(100 * number + 5, 100 * number + 45))
        site.running['relay'].died()
        cut(store, before, part)
        found = tasks_in(store, tmp_path / f'copy {number}')
        assert found == told if part < 1 else found > told, 'of a commit that is not whole nothing is left'
        site.armed.unlink()
        site.start('relay', point)
        mine.flush()
    site.start('one')
    mine.done()
    mine.once()
    site.check(mine.ids)


@pytest.mark.slow
def test_what_was_cut_off_the_journal_of_an_endpoint_runs_at_most_once(site: Site, work: Callable[..., Work]) -> None:
    """It dies with results that it has written and nobody has seen, and what it wrote is torn: they come, or their tasks are lost and say so."""
    journal = site.home.root / 'endpoints' / 'one' / 'journal.db'
    point = 'endpoint:before_send/Results'
    site.start('relay')
    site.configure('one')
    site.start('one', point)
    mine = work()
    lost = 0
    for number, part in enumerate(MANY):
        first = range(100 * number, 100 * number + 5)
        mine.submit(first)
        for each in first:
            assert mine.futures[each].result(60) == each * each
        before = log_of(journal)
        site.arm()
        second = range(100 * number + 5, 100 * number + 15)
        mine.submit(second, at_most_once=True)
        site.running['one'].died()
        cut(journal, before, part)
        site.armed.unlink()
        site.start('one', point)
        ends = [mine.futures[each].exception(60) for each in second]
        assert all(end is None or isinstance(end, TaskLost) for end in ends), ends
        assert None in ends or part < 1, 'what is whole is delivered'
        lost += len(ends) - ends.count(None)
    assert lost, 'something was cut off'
    mine.once()
    site.check(mine.ids, {'success', 'failed'})
