"""Who is measured next, and who is left out."""

from __future__ import annotations

from benchmarks.plan import Plan


def follow(plan: Plan, cost: dict[str, float]) -> tuple[list[str], float]:
    """Play the plan on a clock: who was visited, and when it was over."""
    visited, clock = [], 0.0
    while (name := plan.next(clock)) is not None:
        visited.append(name)
        clock += cost[name]
        plan.visited(name, cost[name])
    return visited, clock


def test_with_time_enough_everybody_takes_turns() -> None:
    plan = Plan(['a', 'b', 'c'], ['a'], 2, 1000.0)
    assert follow(plan, dict.fromkeys('abc', 1.0))[0] == ['a', 'b', 'c', 'a', 'b', 'c']
    assert plan.cut() == {}


def test_the_principals_rounds_come_before_the_others_when_time_is_short() -> None:
    plan = Plan(['a', 'b', 'c', 'd'], ['a', 'b'], 3, 60.0)
    visited, clock = follow(plan, dict.fromkeys('abcd', 6.0))
    assert visited.count('a') == visited.count('b') == 3
    assert clock <= 60.0
    assert plan.cut() == {'c': 1, 'd': 1}


def test_everybody_is_measured_once_before_the_principals_third_round() -> None:
    plan = Plan(['a', 'b', 'c', 'd'], ['a', 'b'], 3, 36.0, lasted=dict.fromkeys('abcd', 6.0))
    assert follow(plan, dict.fromkeys('abcd', 6.0))[0] == ['a', 'b', 'c', 'd', 'a', 'b']
    strict = Plan(['a', 'b', 'c', 'd'], ['a', 'b'], 3, 36.0, reserve=3)
    assert follow(strict, dict.fromkeys('abcd', 6.0))[0] == ['a', 'b'] * 3


def test_a_principal_is_measured_at_least_once_whatever_it_takes() -> None:
    plan = Plan(['a', 'b', 'c'], ['a', 'b'], 3, 10.0)
    assert follow(plan, {'a': 30.0, 'b': 30.0, 'c': 1.0})[0] == ['a', 'b']
    assert plan.cut() == {'a': 2, 'b': 2, 'c': 3}


def test_who_failed_twice_is_not_visited_again_and_was_not_cut() -> None:
    plan = Plan(['a', 'b'], ['a', 'b'], 3, 100.0)
    plan.fail('b')
    assert plan.cut() == {'a': 3, 'b': 3}
    plan.fail('b')
    assert follow(plan, dict.fromkeys('ab', 1.0))[0] == ['a', 'a', 'a']
    assert plan.cut() == {}
