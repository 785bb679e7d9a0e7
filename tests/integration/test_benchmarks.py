"""The benchmarks' own command, and what it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.lone import LoneRelay
from benchmarks.run import LEAST, Run, Stop
from benchmarks.suites import SUITES, run_suite
from benchmarks.systems import Shape
from benchmarks.visit import Visit, VisitError

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.integration


def test_one_suite_gives_its_rows_and_ends_well(tmp_path: Path) -> None:
    file = tmp_path / 'results.json'
    command = [sys.executable, '-m', 'benchmarks', '--suite', 'latency', '--quick', '--rounds', '1', '--systems', 'relay-parsl,htex']
    done = subprocess.run([*command, '--json', str(file)], check=False, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())['results']
    for system in ('relay-parsl', 'htex'):
        found = [row for row in rows if (row['suite'], row['case'], row['system'], row['metric']) == ('latency', 'round-trip', system, 'p50')]
        assert len(found) == 1
        assert 0 < found[0]['min'] <= found[0]['median'] <= found[0]['max']
        assert (found[0]['unit'], found[0]['rounds']) == ('ms', 1)
    assert 'round trip p50: ours / HTEX' in done.stdout
    assert file.with_suffix('.md').exists()


def test_what_a_lone_relay_is_given_stays_when_it_is_killed() -> None:
    with LoneRelay() as relay:
        with relay.client() as client:
            assert client.order('fill', count=300)['tasks_per_s'] > 0
        assert relay.restart() > 0
        process = relay.process
        with relay.client() as client:
            assert client.order('fill', count=10)['tasks_per_s'] > 0
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert not relay.root.exists()


def test_a_system_that_fails_is_named_and_the_others_go_on() -> None:
    run, visited = Run(rounds=2), []
    stops = [Stop('broken', 'no-such-system'), Stop('fine', 'many-endpoints', Shape(1))]
    run.rounds_of('some suite', stops, 60.0, lambda visit, stop: visited.append((stop.name, visit.order('trips', most=3, seconds=5.0)['trips'])))
    assert visited == [('fine', 3), ('fine', 3)]
    assert [note for note in run.report.notes if note.startswith('some suite: broken: no-such-system ended')]


def test_a_suite_that_goes_wrong_is_noted_and_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(run: Run) -> None:
        run.report.add('sessions', '10', 'relay-parsl', relay_cpu=(0.5, 'cores'))
        raise OSError('no more files')

    monkeypatch.setitem(SUITES, 'sessions', breaks)
    run = Run(path=tmp_path / 'results.json')
    run_suite('sessions', run)
    document = json.loads(run.path.read_text())
    assert document['results'][0]['median'] == 0.5
    assert 'sessions: OSError: no more files' in document['machine']['notes']


def test_what_must_be_over_is_cut_short() -> None:
    assert Run(end=time.monotonic() - 1.0).budget(200.0) == LEAST
    assert Run(quick=True).budget(200.0) == 40.0
    assert Run().budget(200.0) == 200.0


def test_a_system_that_cannot_start_says_why() -> None:
    with pytest.raises(VisitError, match='no-such-system'), Visit('no-such-system'):
        pass
