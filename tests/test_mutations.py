"""The list of breaks: each promise has one, each still applies, its tests are there, and the documents say the same. `make mutations` tries them."""

from __future__ import annotations

from functools import cache

import pytest

from tests.mutations import tables
from tests.mutations.__main__ import one_each
from tests.mutations.bench import Verdict, read
from tests.mutations.entry import ROOT
from tests.mutations.lists import MUTATIONS
from tests.mutations.promises import GUARANTEES, SECURITY


@cache
def text(path: str) -> str:
    return (ROOT / path).read_text()


def test_every_break_still_applies() -> None:
    counts = {(each.file, old): text(each.file).count(old) for each in MUTATIONS for old, _ in each.changes}
    assert {key: count for key, count in counts.items() if count != 1} == {}, 'put the old text of these mutations right, and run `make mutations`'
    assert [each.what for each in MUTATIONS for old, new in each.changes if old == new] == []


def test_the_tests_that_must_notice_are_there() -> None:
    for each in MUTATIONS:
        assert each.caught, each.what
        for test in each.caught:
            path, *names = test.split('::')
            assert path.startswith('tests/'), test
            assert '[' not in test, test
            assert all(f'def {name}(' in text(path) or f'class {name}' in text(path) for name in names), test


def test_every_promise_has_a_break() -> None:
    assert not GUARANTEES.keys() & SECURITY.keys()
    assert {each.breaks for each in MUTATIONS} == {*GUARANTEES, *SECURITY}


def test_one_break_of_each_promise() -> None:
    some = one_each(MUTATIONS)
    assert [each.breaks for each in some] == list(dict.fromkeys(each.breaks for each in MUTATIONS))
    assert some[0] is MUTATIONS[0]


def test_no_two_say_the_same() -> None:
    assert len({each.what for each in MUTATIONS}) == len({(each.file, each.changes) for each in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize('name', list(tables.TABLES))
def test_the_document_has_the_table_of_this_moment(name: str) -> None:
    assert tables.in_document(name) == tables.TABLES[name][0].read_text(), 'run `python -m tests.mutations --write`'


@pytest.mark.parametrize(
    ('code', 'said', 'caught'),
    [
        (1, 'FAILED tests/a.py::b[1] - assert 1 == 2\n1 failed\n', True),
        (1, 'FAILED tests/a.py::bb - assert 1 == 2\n1 failed\n', False),
        (1, "FAILED tests/a.py::b - NameError: name 'x' is not defined\n1 failed\n", False),
        (1, 'ERROR tests/a.py::b - OSError\n1 error\n', False),
        (0, '1 passed\n', False),
        (2, 'ERROR tests/a.py - SyntaxError\n', False),
        (4, 'ERROR: not found: tests/a.py::b\n', False),
        (-1, '', False),
    ],
)
def test_what_counts_as_caught(code: int, said: str, caught: bool) -> None:
    verdict = read(code, said, ['tests/a.py::b'])
    assert isinstance(verdict, Verdict)
    assert verdict.caught is caught
