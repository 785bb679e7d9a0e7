"""What a run's file and table hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import results, tables
from benchmarks.aims import AIMS, HTEX, OURS
from benchmarks.parties import name_of
from benchmarks.results import Report
from benchmarks.systems import STARTS, SYSTEMS


@pytest.fixture
def report() -> Report:
    report = Report()
    for ours, theirs in ((9000.0, 1000.0), (12000.0, 2000.0), (10000.0, 4000.0)):
        report.add('throughput', 'no-op', OURS, tasks_per_s=(ours, '1/s'))
        report.add('throughput', 'no-op', HTEX, tasks_per_s=(theirs, '1/s'))
    report.add('latency', 'round-trip', OURS, p50=(3.0, 'ms'))
    return report


def test_a_row_is_the_median_and_the_bounds_of_its_rounds(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path / 'some' / 'latest.json')
    document = json.loads((tmp_path / 'some' / 'latest.json').read_text())
    assert set(document) == {'machine', 'versions', 'results'}
    assert document['results'][0] == {
        'suite': 'throughput',
        'case': 'no-op',
        'system': 'relay-parsl',
        'metric': 'tasks_per_s',
        'unit': '1/s',
        'median': 10000.0,
        'min': 9000.0,
        'max': 12000.0,
        'rounds': 3,
    }
    assert [row['suite'] for row in document['results']] == ['throughput', 'throughput', 'latency', 'must']
    assert {'cores', 'processor', 'load', 'notes'} <= set(document['machine'])


def test_the_table_says_what_is_reached(report: Report) -> None:
    table = tables.whole(report.document())
    assert '| no-op throughput: ours / HTEX | ≥ 5 | 5 (2.5 to 9) | yes |' in table
    assert '| no-op | tasks_per_s | 1/s | 10,000 (9,000 to 12,000) | 2,000 (1,000 to 4,000) |' in table
    assert '| round-trip | p50 | ms | 3 |' in table
    assert 'cold start' not in table  # not measured, so nothing is said


def test_a_ratio_is_that_of_the_medians_and_spreads_as_single_rounds_do(report: Report) -> None:
    (row,) = report.musts()
    assert (row.system, row.metric, row.rounds) == (OURS, 'ratio', 3)
    assert (row.median, row.min, row.max) == (5.0, 2.5, 9.0)


def test_what_is_not_measured_now_stays_when_it_is_added_to(report: Report) -> None:
    later = Report()
    later.keep(report.document())
    later.add('depth', '1000000', OURS, relay_memory=(100.0, 'MB'))
    later.add('latency', 'round-trip', OURS, p50=(2.0, 'ms'))
    rows = {(row.suite, row.system): row for row in later.rows()}
    assert rows['throughput', OURS].rounds == 3
    assert rows['latency', OURS].median == 2.0
    assert [(row.case, row.min) for row in later.musts()] == [('no-op throughput: ours / HTEX', 2.5), ('1,000,000 queued: relay', 100.0)]
    assert later.document()['machine']['time'] == report.machine['time']


def test_peers_of_an_earlier_run_are_not_absent_because_this_one_lacks_them(monkeypatch: pytest.MonkeyPatch, report: Report) -> None:
    earlier = report.document()
    earlier['versions'] = {**earlier['versions'], 'ray': '2.60.0'}
    earlier['machine'] = {**earlier['machine'], 'notes': ['payload: cut']}
    monkeypatch.setattr(results, 'SYSTEMS', {**SYSTEMS, 'ray': type(SYSTEMS['ray'])(SYSTEMS['ray'].start, 'no-such-distribution')})
    later = Report()
    later.keep(earlier)
    document = later.document()
    assert document['versions']['ray'] == '2.60.0'
    assert 'ray: not installed' not in document['machine']['notes']
    assert 'payload: cut' in document['machine']['notes']


def test_absent_peers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, 'SYSTEMS', {**SYSTEMS, 'ray': type(SYSTEMS['ray'])(SYSTEMS['ray'].start, 'no-such-distribution')})
    report = Report()
    assert report.document()['versions']['ray'] == 'absent'
    assert 'ray: not installed' in report.document()['machine']['notes']
    assert '- ray: not installed' in tables.whole(report.document())


def test_a_note_keeps_what_was_said_first_and_last_and_no_directories() -> None:
    report = Report()
    report.note("throughput: ray ended: Traceback\n  File '/home/me/ray.py', line 3\nOSError: '/home/me/x/log.txt' is 1/2 full")
    assert report.notes[-1] == "throughput: ray ended: Traceback … OSError: 'log.txt' is 1/2 full"


def test_only_two_systems_bear_the_names_that_are_looked_for() -> None:
    assert [name for name in STARTS if 'relay-parsl' in name] == [OURS]
    assert [name for name in STARTS if 'htex' in name] == [HTEX]


def test_no_aim_stands_twice() -> None:
    assert len({aim.label for aim in AIMS}) == len(AIMS)


@pytest.mark.parametrize(
    ('command', 'party'),
    [
        ('python -m relay_parsl.local.parties relay /tmp/x relay', 'relay'),
        ('python -m relay_parsl.local.parties endpoint /tmp/x local', 'endpoint'),
        ('python -m relay_parsl.engines.child 4 20', 'engine'),
        ('parsl: HTEX interchange', 'interchange'),
        ('python -m relay_parsl.engines.leash --watch 1 parsl.executors.high_throughput.process_worker_pool', 'manager'),
        ('python -B -c from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5)', 'worker'),
        ("python -c from multiprocessing.forkserver import main; main(7, 8, ['parsl.executors.high_throughput.process_worker_pool'])", 'worker'),
        ('python -m relay_parsl.engines.runner 9 212', 'runner'),
        ('bash script.sh', 'other'),
    ],
)
def test_parties_are_known_by_their_command_lines(command: str, party: str) -> None:
    assert name_of(command.split(' ')) == party
