"""`make soak`: what it prints of a seed that breaks a promise, and where the next one goes on."""

from __future__ import annotations

import sys
from functools import partial
from itertools import islice

import pytest

from tests.simulation import soak
from tests.simulation.run import run_many

BREAK = 'window of an endpoint ignored'
"""Which each of the four seeds notices."""


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mutation: str) -> tuple[int, list[str]]:
    """One round of four seeds; the exit code and the lines."""
    monkeypatch.setattr(sys, 'argv', ['soak', '--hours', '0', '--first', '1', '--workers', '1'])
    monkeypatch.setattr(soak, 'turns', lambda first: iter([range(first, first + 4), range(first + 4, first + 8)]))
    monkeypatch.setattr(soak, 'run_many', partial(run_many, mutation=mutation))
    code = soak.main()
    return code, capsys.readouterr().out.splitlines()


def test_seeds_that_hold_are_counted_and_the_next_one_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = run(monkeypatch, capsys, 'none')
    assert code == 0
    assert len(lines) == 1
    assert ' 4 seeds, ' in lines[0]
    assert lines[0].endswith(', 0 failed; go on with --first 5'), 'its time is over after a round'


def test_a_seed_that_breaks_a_promise_is_printed_with_how_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = run(monkeypatch, capsys, BREAK)
    assert code == 1
    for seed in range(1, 5):
        assert any(line.startswith(f'FAILED seed {seed} at ') for line in lines)
        assert f'  again, with its trace: python -m tests.simulation {seed}' in lines
    assert lines[-1].endswith(', 4 failed; go on with --first 5')


def test_no_seed_comes_twice_and_one_goes_on_where_another_stopped() -> None:
    rounds = list(islice(soak.turns(soak.FIRST), 5))
    seeds = [seed for each in rounds for seed in each]
    assert len(set(seeds)) == len(seeds)
    assert next(soak.turns(rounds[2][-1] + 1)) == rounds[3]
