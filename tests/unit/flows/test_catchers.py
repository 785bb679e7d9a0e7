"""What `Catch` may have."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.flows.definition import Catcher
from tests.unit.flows.definitions import action, definition, fault, flow, read


def test_errors_are_caught_by_name_in_order() -> None:
    catch = [
        {'ErrorEquals': ['ActionUnableToRun', 'ActionFailedException'], 'Next': 'A', 'ResultPath': '$.e'},
        {'ErrorEquals': ['States.ALL'], 'Next': 'A'},
    ]
    found: Any = definition(A=action(Catch=catch)).states['A']
    assert found.catch == (Catcher(('ActionUnableToRun', 'ActionFailedException'), 'A', '$.e'), Catcher(('States.ALL',), 'A', '$'))


def test_another_spelling_of_all_is_taken_with_a_warning() -> None:
    found = read(flow(A=action(Catch=[{'ErrorEquals': ['States.All'], 'Next': 'A'}])))
    assert found.definition().states['A'].catch[0].error_equals == ('States.ALL',)  # type: ignore[union-attr]
    assert str(found.faults.warnings[0]).startswith('$.States.A.Catch[0].ErrorEquals[0]: is spelled `States.ALL`')


@pytest.mark.parametrize(
    ('item', 'words'),
    [
        (7, ': must be an object with ErrorEquals and Next'),
        ({'ErrorEquals': ['A']}, ': needs Next'),
        ({'Next': 'A'}, ': needs ErrorEquals'),
        ({'ErrorEquals': [], 'Next': 'A'}, '.ErrorEquals: must be a list with at least one name'),
        ({'ErrorEquals': 'A', 'Next': 'A'}, '.ErrorEquals: must be a list with at least one name'),
        ({'ErrorEquals': [7], 'Next': 'A'}, '.ErrorEquals: must be a list with at least one name'),
        ({'ErrorEquals': ['A', 'A'], 'Next': 'A'}, '.ErrorEquals: names an error twice'),
        ({'ErrorEquals': ['A', 'States.ALL'], 'Next': 'A'}, '.ErrorEquals: `States.ALL` stands alone'),
        ({'ErrorEquals': ['A'], 'Next': 'A', 'ResultPath': '$.x[*]'}, '.ResultPath: '),
        ({'ErrorEquals': ['A'], 'Next': 'A', 'OutputPath': '$'}, '.OutputPath: an item of Catch has no such field'),
        ({'ErrorEquals': ['A'], 'Next': 3}, '.Next: must be a name, not 3'),
    ],
)
def test_what_an_item_of_catch_may_not_be(item: Any, words: str) -> None:
    assert fault(A=action(Catch=[item])).startswith(f'$.States.A.Catch[0]{words}')


def test_all_comes_last() -> None:
    catch = [{'ErrorEquals': ['States.ALL'], 'Next': 'A'}, {'ErrorEquals': ['ActionTimeout'], 'Next': 'A'}]
    assert fault(A=action(Catch=catch)).startswith('$.States.A.Catch[0].ErrorEquals: `States.ALL` catches every error, so it stands in the last')
