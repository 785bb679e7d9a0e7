"""Every row of the lists of faults and attacks has a test, or says why not or what is missing; and the documents say the same."""

from __future__ import annotations

import pytest

from tests import rows


@pytest.mark.parametrize(('name', 'count'), [('faults', 54), ('attacks', 45)])
def test_every_row_is_there(name: str, count: int) -> None:
    assert list(rows.LISTS[name]) == list(range(1, count + 1))


@pytest.mark.parametrize('name', list(rows.LISTS))
def test_every_row_has_a_test_or_a_reason(name: str) -> None:
    files = rows.marked(rows.MARKERS[name])
    assert [number for number, row in rows.LISTS[name].items() if number not in files and not (row.why_not or row.open)] == []
    assert set(files) <= set(rows.LISTS[name])


@pytest.mark.parametrize('name', list(rows.LISTS))
def test_the_document_has_the_table_of_this_moment(name: str) -> None:
    assert rows.in_document(name) == rows.DOCUMENTS[name].read_text(), 'run `python -m tests.rows --write`'


def test_pytest_takes_what_counts_the_verdicts() -> None:
    verdicts = rows.Verdicts('fault')
    plugins = pytest.PytestPluginManager()
    plugins.register(verdicts)
    assert plugins.subset_hook_caller('pytest_runtest_logreport', [verdicts])
