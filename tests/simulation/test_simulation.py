"""The promises of the protocol, over a thousand seeds and a million tasks; the faults that were thrown at them, counted; mutations, each caught."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from itertools import count, islice
from pathlib import Path

import pytest

from relay_parsl.wire.messages import Message
from tests.simulation.client_process import ClientProcess
from tests.simulation.counters import Tally
from tests.simulation.endpoint_process import EndpointProcess
from tests.simulation.mutations import MUTATIONS
from tests.simulation.relay_process import RelayProcess
from tests.simulation.run import run_many, run_on, same_order
from tests.simulation.scale import DENSE

SEEDS = [*range(DENSE, DENSE + 160), *range(1, 1001)]
"""A thousand small worlds full of faults; and dense ones, which are first, for they take longest."""
ROOT = Path(__file__).parents[2]
TASKS = 1_000_000
"""Tasks that the relay has accepted, and that were seen to their end."""
FAULTS, CRASHES = 100, 20
"""How often each type of message must have been dropped, doubled and reordered, and each party crashed at each of its steps."""
KINDS = (
    'cut', 'mute', 'pause', 'full', 'endpoint full', 'engine', 'takeover', 'duplicate', 'exit 0', 'exit 3', 'older', 'newer', 'revoked', 'rot',
    'rot told', 'relay body flipped', 'relay body cut', 'relay body gone', 'endpoint body flipped', 'endpoint body cut', 'endpoint body gone',
    'rotated', 'old key within its overlap', 'old key after its overlap',
    'client body cut', 'client body gone', 'call that is gone told',
    'row changed', 'journal ruined', 'ruin found', 'endpoint revoked', 'endpoint deleted', 'endpoint told of its revocation',
    'submitted to a revoked endpoint', 'body-gone told', 'call that does not open told', 'shared again', 'shared until a date', 'unshared',
    'a statement about guests refused', 'guest not let in', 'guest refused', 'guest lapsed',
    *[f'{kind} clock {way}' for kind in ('relay', 'endpoint', 'client') for way in ('on', 'back')],
)  # fmt: skip
"""What else goes wrong; each has a counter, so that none of it can cease unnoticed."""
SELDOM = (
    'replayed told', 'lost told', 'result that does not open told', 'result that is gone told', 'guest withdrawn', 'guest cancelled', 'guest runs on',
)  # fmt: skip
"""How damage is told of that is seldom noticed, for most of it is gone before anybody reads it; and what takes a moment to be met."""
TOGETHER = (
    'refilled',
    'left',
    'returned',
    'parted',
    'worker killed',
    'runner killed',
    'timeout',
    'cancel',
    'ended by timeout',
    'ended early',
    'retried',
)
"""What becomes of tasks that travel together."""
FUSED = 1000
"""Tasks that were sent to a worker with others in one message."""
ENDS = (
    'success',
    'failed',
    'cancelled',
    'expired',
    'deadly',
    'lost',
    'rejected not-found',
    'rejected expired',
    'retried with success',
    'retried in vain',
)
"""How tasks end."""
ENOUGH = 100
"""Seeds within which a mutation must be caught."""
TYPES = [kind.__name__ for kind in Message.__args__]  # type: ignore[attr-defined]


@pytest.fixture(scope='module')
def cores() -> Iterator[Executor]:
    """Processes for many mutations: to start some for each would take longer than most need to be caught."""
    with same_order() as pool:
        yield pool


def replay(seed: int) -> tuple[int, str]:
    """One seed in a process of its own, with its trace."""
    run = subprocess.run([sys.executable, '-m', 'tests.simulation', str(seed)], capture_output=True, text=True, check=False, timeout=100, cwd=ROOT)
    return run.returncode, run.stdout + run.stderr


@pytest.mark.timeout(600)
def test_no_seed_breaks_a_promise(seed: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    if seed is not None:
        code, trace = replay(seed)
        with capsys.disabled():
            print(trace)  # noqa: T201  what the caller asked for
        assert code == 0, trace.splitlines()[-1]
        return
    total, failures = Tally(), []
    for report in run_many(SEEDS):
        total.add(report.tally)
        failures += [report.failure] if report.failure else []
    assert not failures, f'{len(failures)} seeds; replay with `python -m tests.simulation SEED`:\n' + '\n'.join(failures[:3])
    assert total.seeds >= 1000
    assert total.through >= TASKS
    assert_enough(total)


def assert_enough(total: Tally) -> None:
    """Every fault happened often enough to mean something."""
    for what in ('dropped', 'doubled', 'reordered'):
        counts = getattr(total, what)
        assert {name: counts[name] for name in TYPES if counts[name] < FAULTS} == {}, what
    points = [(party.kind, step) for party in (ClientProcess, RelayProcess, EndpointProcess) for step in (*party.points,)]
    assert {point: total.crashed[point] for point in points if total.crashed[point] < CRASHES} == {}
    assert len(total.statements) > 30
    assert [name for name, count in total.statements.items() if count > 500 and not total.faults[name]] == [], 'statements that never failed'
    assert {name: total.faults[name] for name in KINDS if total.faults[name] < CRASHES} == {}
    assert {name: total.faults[name] for name in SELDOM if total.faults[name] < CRASHES / 4} == {}
    assert {name: total.hostile[name] for name in TYPES if total.hostile[name] < FAULTS} == {}, 'said by hostile parties'
    assert {name: total.engine[name] for name in TOGETHER if total.engine[name] < CRASHES / 4} == {}
    assert total.engine['fused'] >= FUSED, 'tasks hardly travel together'
    assert {name: total.ends[name] for name in ENDS if total.ends[name] < CRASHES} == {}


@pytest.mark.parametrize('mutation', [name for name in MUTATIONS if name != 'none'])
@pytest.mark.timeout(300)
def test_each_mutation_is_caught(mutation: str, seed: int | None, cores: Executor) -> None:
    if seed is not None:
        return
    crash = ''
    for report in run_on(cores, islice(filter(MUTATIONS[mutation].where, count(1)), ENOUGH), mutation):
        if ': Violation: ' in report.failure:  # a promise seen broken: a mutation that merely crashes proves nothing
            return
        crash = crash or report.failure
    pytest.fail(f'{ENOUGH} seeds did not see the mutation: {mutation}' + (f'; it merely crashes: {crash}' if crash else ''))


def test_a_seed_replays_exactly(seed: int | None) -> None:
    """Twice in one process, where nothing lies at the same address again."""
    if seed is None:
        seeds = range(7, 17)
        first, again = list(run_many(seeds, workers=1)), list(run_many(reversed(seeds), workers=1))[::-1]
        assert [report.digest for report in first] == [report.digest for report in again]
        assert len({report.digest for report in first}) == len(seeds)
        assert f'digest {first[0].digest}' in replay(7)[1]
