"""Tables of a results file, and the documents that they go into."""

from __future__ import annotations

import json

import pytest

from benchmarks import publish, tables
from benchmarks.aims import HTEX, OURS
from benchmarks.results import DEFAULT, Report


@pytest.fixture
def report() -> Report:
    report = Report()
    report.add('throughput', 'no-op', OURS, tasks_per_s=(7000.0, '1/s'), cpu_relay=(40.0, 'us/task'), cpu_runner=(35.0, 'us/task'))
    report.add('throughput', 'no-op', HTEX, tasks_per_s=(1400.0, '1/s'), cpu_worker=(500.0, 'us/task'))
    for case, cost in (('endpoints: 16', 42.0), ('endpoints: 4', 41.0), ('tasks: 1000', 7.0)):
        report.add('curves', case, OURS, cpu_relay=(cost, 'us/task'))
    return report


def test_costs_stand_by_party_in_the_order_of_the_way(report: Report) -> None:
    assert tables.costs(report.rows()).splitlines() == [
        '| µs a task | relay | worker | runner | together |',
        '| --- | --- | --- | --- | --- |',
        '| relay-parsl | 40 |  | 35 | 75 |',
        '| htex |  | 500 |  | 500 |',
    ]


def test_a_curve_rises_by_its_amounts(report: Report) -> None:
    rows = [row for row in report.rows('curves') if row.case.startswith('endpoints')]
    assert tables.curve(rows, 'endpoints', {'cpu_relay': 'relay'}).splitlines()[2:] == ['| 4 | 41 |', '| 16 | 42 |']


def test_headlines_name_ours_first_and_leave_out_what_was_not_measured(report: Report) -> None:
    assert tables.headlines(report.rows()).splitlines() == [
        '|  | relay-parsl | htex |',
        '| --- | --- | --- |',
        '| no-op tasks/s | 7,000 | 1,400 |',
    ]


def test_only_what_is_marked_is_written_anew(report: Report) -> None:
    text = 'before\n<!-- figures: headlines -->\nold\n<!-- end of figures -->\nafter <!-- figures: sessions -->\n<!-- end of figures -->\n'
    filled = publish.filled(text, report.document())
    assert filled.startswith('before\n<!-- figures: headlines -->\n|  | relay-parsl')
    assert 'old' not in filled
    assert publish.NOTHING in filled.partition('after')[2]
    assert publish.filled(filled, report.document()) == filled
    with pytest.raises(KeyError):
        publish.filled('<!-- figures: no such -->\n<!-- end of figures -->', report.document())


@pytest.mark.parametrize('path', publish.DOCUMENTS, ids=lambda path: path.name)
def test_the_figures_of_the_documents_are_those_of_the_last_results(path: publish.Path) -> None:
    text = path.read_text()
    assert publish.MARKED.search(text)
    assert publish.filled(text, json.loads(DEFAULT.read_text())) == text, 'run `python -m benchmarks.publish`'
