"""An owner that stood still, and another one that came meanwhile: of a relay's store, and of an endpoint's identity."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.rig import PATIENCE, PROCESSES, QUICK, Running, Site, Work, until
from tests.integration.commands import commands

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.fault(41)
@pytest.mark.parametrize('told', [True, False], ids=['with its pid file', 'without'])
def test_a_relay_that_stands_still_keeps_its_store(site: Site, work: Callable[..., Work], told: bool) -> None:
    site.whole('one', settings=QUICK)
    mine = work()
    mine.submit(range(10))
    mine.done()
    site.running['relay'].signal(signal.SIGSTOP)
    if not told:
        (site.home.root / 'relay' / 'relay.pid').unlink()
    said = site.cli.refused('relay', 'start', '--bind', '127.0.0.1:0')
    assert 'already runs as process' in said or 'is in use' in said
    mine.submit(range(10, 20))
    site.running['relay'].signal(signal.SIGCONT)
    mine.done()
    mine.once()
    site.check(mine.ids)


@pytest.mark.fault(19, 41)
def test_an_endpoint_that_stood_still_is_fenced_by_the_one_that_took_over(site: Site, work: Callable[..., Work], tmp_path: Path) -> None:
    site.start('relay', settings=QUICK)
    site.configure('one', config=PROCESSES)
    site.start('one', settings=QUICK)
    mine = work()
    mine.submit([0])
    mine.done()
    mine.submit([1], seconds=2.0)
    mine.submit(range(2, 10))
    mine.flush()
    until(lambda: site.runs()[1])
    stopped = site.running['one']
    stopped.signal(signal.SIGSTOP)
    until(lambda: not any(row['online'] for row in mine.executor.session.list('endpoints')))
    states = {mine.futures[number].state() for number in range(2, 10)}
    assert states <= {'waiting-for-nodes', 'running'}, 'silence has ended no lease'
    with commands(tmp_path / 'other') as other:
        copy = other.root / 'endpoints' / 'one'
        shutil.copytree(site.home.root / 'endpoints' / 'one', copy, ignore=shutil.ignore_patterns('*.pid', 'runs', 'spool'))
        second = Running(['-m', 'relay_parsl', 'endpoint', 'start', 'one'], other.environment, other.cwd / 'second.log', other.cwd)
        assert second.ready(), second.log.read_text()
        mine.done()
        stopped.signal(signal.SIGCONT)
        assert stopped.process.wait(PATIENCE) == 3, 'the older one is told that it is fenced, and ends'
        mine.submit(range(10, 20))
        mine.done()
        runs = site.runs()
        assert max(runs[number] for number in (0, *range(10, 20))) == 1
        assert max(runs.values()) <= 2, 'what the first one held may have started there: it is the next attempt here'
        second.stop()
