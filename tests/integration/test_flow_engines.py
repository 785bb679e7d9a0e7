"""Engines as real processes: killed at any moment, two at once, stopped and woken up again."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.flows.journal import Journal
from relay_parsl.flows.journal.lease import Lease
from relay_parsl.home import Home
from tests.unit.flows import providers
from tests.unit.flows.engine_rig import flow, until

LEASE = 1.0


def append(name: str, seconds: float, **more: Any) -> dict[str, Any]:
    """A state that writes a file."""
    parameters = {'text.=': f'"{name}-" + str(n)', 'seconds': seconds}
    return {'Type': 'Action', 'ActionUrl': 'https://example.org/append', 'Parameters': parameters, 'ResultPath': f'$.{name}', **more}


STATES = {
    'First': append('first', 0.1, Next='Wait'),  # three visits outlast a life of 0.15 s, on a fast machine too
    'Wait': {'Type': 'Wait', 'Seconds': 0, 'Next': 'Count'},
    'Count': {'Type': 'ExpressionEval', 'Parameters': {'n.=': 'n + 1'}, 'ResultPath': '$.next', 'Next': 'Move'},
    'Move': {'Type': 'Pass', 'InputPath': '$.next.n', 'ResultPath': '$.n', 'Next': 'Second'},
    'Second': append('second', 0.0, Next='Again'),
    'Again': {'Type': 'Choice', 'Choices': [{'Variable': '$.n', 'NumericLessThan': 4, 'Next': 'First'}], 'Default': 'Last'},
    'Last': append('last', 0.01, Next='End'),
    'End': {
        'Type': 'ExpressionEval',
        'Parameters': {'all.=': '[first.details.said, second.details.said, last.details.said]'},
        'ResultPath': '$.end',
        'End': True,
    },
}
BODY = {'n': 1}
PAYLOAD = {
    'n': 4,
    'next': {'n': 4},
    'first': {'said': 'first-3'},
    'second': {'said': 'second-4'},
    'last': {'said': 'last-4'},
    'end': {'all': ['first-3', 'second-4', 'last-4']},
}
CODES_OF_A_ROUND = ['Action', 'Wait', 'ExpressionEval', 'Pass', 'Action', 'Choice']


def codes() -> list[str]:
    """Of an uninterrupted run."""
    types = CODES_OF_A_ROUND * 3 + ['Action', 'ExpressionEval']
    return ['FlowStarted', *(f'{kind}{end}' for kind in types for end in ('Started', 'Completed')), 'FlowSucceeded']


def timeless(payload: dict[str, Any]) -> dict[str, Any]:
    """Of an action what it said; the rest of its document are times and ids."""
    return {key: value.get('details', value) if isinstance(value, dict) else value for key, value in payload.items()}


class Site:
    """A home directory, and engines over it."""

    def __init__(self, tmp_path: Path) -> None:
        self.home = Home(tmp_path / 'home')
        self.journal = Journal.open(self.home)
        self.engines: list[subprocess.Popen[str]] = []
        self.environment = {**os.environ, 'RELAY_PARSL_HOME': str(self.home.root)}

    def engine(self) -> subprocess.Popen[str]:
        """Start one."""
        command = [sys.executable, '-m', 'tests.unit.flows.engine_process', str(LEASE)]
        started = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.engines.append(started)
        return started

    def holder(self) -> int:
        """The process that holds the lease; 0 for none."""
        found = self.journal.engine()
        return int(found['pid']) if found else 0

    def close(self) -> None:
        """Kill them all."""
        for engine in self.engines:
            engine.kill()
            engine.wait()
            if engine.stdout:
                engine.stdout.close()
        self.journal.close()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv(providers.MARKS, str(tmp_path / 'marks'))
    site = Site(tmp_path)
    yield site
    site.close()


def ended(site: Site, run_id: str) -> dict[str, Any]:
    until(lambda: site.journal.status(run_id) not in ('ACTIVE', 'INACTIVE'), f'run {run_id} ended')
    return site.journal.run(run_id)


def check(site: Site, ids: list[str], kills: int) -> None:
    """Each run ended as if nothing had happened, and asked for each thing under one id: once, and after a kill perhaps once more."""
    for run_id in ids:
        run = ended(site, run_id)
        assert run['status'] == 'SUCCEEDED', run['details']
        assert timeless(run['payload']) == PAYLOAD
        assert [entry['code'] for entry in site.journal.log(run_id)] == codes()
    expected = [
        f'{run_id}:{state}:{n}' for run_id in ids for state, visits in (('First', 3), ('Second', 3), ('Last', 1)) for n in range(1, visits + 1)
    ]
    assert providers.marks() == sorted(expected)
    asked = providers.asked()
    assert sorted(asked) == sorted(expected)
    assert max(asked.values()) <= 1 + kills
    assert sum(asked.values()) <= len(expected) + kills * len(ids)


@pytest.mark.fault(54)
@pytest.mark.parametrize('seed', range(6))
def test_engines_that_are_killed_at_any_moment(site: Site, seed: int) -> None:
    """Each is killed a little after it has the lease; the next one goes on. What is left is run to the end by one that lives."""
    chance = random.Random(seed)
    definition = flow(STATES)
    ids = [site.journal.submit(definition, BODY) for _ in range(5)]
    kills = 0
    while kills < 7 and any(site.journal.status(run_id) == 'ACTIVE' for run_id in ids):
        engine = site.engine()
        until(lambda engine=engine: site.holder() == engine.pid, 'it has the lease')
        seen = site.journal.version()
        until(lambda seen=seen: site.journal.version() != seen, 'it writes')
        time.sleep(chance.random() * 0.15)
        engine.kill()
        engine.wait()
        kills += 1
    site.engine()
    check(site, ids, kills)
    assert kills > 1


def test_of_two_engines_one_works_and_the_other_takes_over(site: Site) -> None:
    one = site.engine()
    until(lambda: site.holder() == one.pid, 'the first has the lease')
    other = site.engine()
    definition = flow(STATES)
    ids = [site.journal.submit(definition, BODY) for _ in range(20)]
    until(providers.marks, 'something was done')
    assert site.holder() == one.pid
    one.kill()
    one.wait()
    begun = time.monotonic()
    until(lambda: site.holder() == other.pid, 'the second took over')
    assert time.monotonic() - begun < 5, 'a dead process of this host is seen at once'
    check(site, ids, 1)


@pytest.mark.fault(50)
def test_an_engine_that_is_told_to_end_gives_its_lease_back(site: Site) -> None:
    engine = site.engine()
    until(lambda: site.holder() == engine.pid, 'it has the lease')
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(20) == 0
    assert site.journal.file.one('SELECT count(*) FROM lease')[0] == 0


def stop_between_turns(site: Site, engine: subprocess.Popen[str]) -> None:
    """SIGSTOP, but not while it writes: then nobody could, which is another story."""
    path = site.journal.file.path
    for _ in range(100):
        engine.send_signal(signal.SIGSTOP)
        database = sqlite3.connect(path, timeout=0.2, isolation_level=None)
        try:
            database.execute('BEGIN IMMEDIATE')
        except sqlite3.OperationalError:
            engine.send_signal(signal.SIGCONT)
        else:
            return
        finally:
            database.close()


def test_an_engine_that_was_stopped_and_wakes_up_writes_nothing(site: Site) -> None:
    one = site.engine()
    until(lambda: site.holder() == one.pid, 'the first has the lease')
    definition = flow(STATES)
    ids = [site.journal.submit(definition, BODY) for _ in range(20)]
    until(providers.marks, 'it works')
    stop_between_turns(site, one)
    other = site.engine()
    until(lambda: site.holder() == other.pid, 'the second took over from one that says nothing')
    until(lambda: len(providers.marks()) > 40, 'it works')
    one.send_signal(signal.SIGCONT)
    check(site, ids, 1)
    assert site.holder() == other.pid
    assert one.poll() is None, 'it stands by'
    other.kill()
    other.wait()
    until(lambda: site.holder() == one.pid, 'the first has the lease again')


def test_a_lease_is_taken_over_by_what_is_heard_and_not_by_clocks(tmp_path: Path) -> None:
    now = [0.0]
    with Journal.open(Home(tmp_path / 'home')) as journal:
        holder, other = (Lease(journal.file, length=10, clock=lambda: now[0]) for _ in range(2))
        assert holder.take()
        journal.file.run("UPDATE lease SET host = 'elsewhere', since = since - 1e6")
        for _ in range(20):
            now[0] += 4
            assert not other.take(), 'it beats'
            with journal.file.turn():
                holder.check(journal.file)
        assert not other.take()
        now[0] += 9
        assert not other.take()
        assert holder.sure
        now[0] += 2
        assert not holder.sure
        assert other.take(), 'it was silent for its length'
        with pytest.raises(Exception, match='another engine'), journal.file.turn():
            holder.check(journal.file)
        holder.give()
        assert journal.file.one('SELECT owner FROM lease')[0] == other.owner
