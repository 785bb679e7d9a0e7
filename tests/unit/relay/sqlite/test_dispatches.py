"""Open leases by dispatch."""

from __future__ import annotations

from relay_parsl.relay.sqlite.dispatches import Dispatches


def test_a_dispatch_is_one_row_until_nothing_of_it_is_open() -> None:
    dispatches = Dispatches()
    assert dispatches.add((9, 1), 7, 3, [5, 6]) == (9, 1, 7, 3, '5,6')
    assert dispatches.lease(6) == (9, 1, 3)
    assert dispatches.lease(7) is None
    touched = dispatches.end([5])
    assert touched == {(9, 1)}
    assert dispatches.empty(touched) == []
    assert dispatches.rows(touched) == [('6', 9, 1)]
    assert dispatches.empty(dispatches.end([6])) == [(9, 1)]
    assert dispatches.rows(touched) == dispatches.keys() == []


def test_an_endpoints_leases_are_those_of_all_its_dispatches() -> None:
    dispatches = Dispatches()
    dispatches.add((9, 1), 7, 3, [5, 6])
    dispatches.add((9, 2), 7, 3, [8])
    dispatches.add((4, 1), 1, 1, [2])
    dispatches.end([6])
    assert sorted(dispatches.of(7)) == [5, 8]
    assert sorted(dispatches.of(1)) == [2]
    assert sorted(dispatches.of(3)) == []
