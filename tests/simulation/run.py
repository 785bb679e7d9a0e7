"""Seeds one by one, and many at once on all cores, always with the same order of sets: a failing seed fails again."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context

from tests.simulation.counters import Tally
from tests.simulation.mutations import MUTATIONS
from tests.simulation.patches import patched
from tests.simulation.world import World


@dataclass
class Report:
    """What came of one seed: its counts, the digest of its trace, and the first promise that was broken."""

    seed: int
    tally: Tally
    digest: int
    failure: str = ''


def run_seed(seed: int, mutation: str = 'none', show: Callable[[str], None] | None = None) -> Report:
    """One seed from beginning to end."""
    change = MUTATIONS[mutation]
    world = World(seed, show=show)
    try:
        with patched(change.patches):
            world.run()
    except Exception as error:  # noqa: BLE001  whatever a party raises is a finding, and belongs to this seed
        text = f'seed {seed} at {world.clock.now - 1_000_000.0:.3f}: {type(error).__name__}: {error}'
        return Report(seed, world.clock.tally, world.clock.digest, text + '\n' + ''.join(traceback.format_exception(error)[-8:]))
    return Report(seed, world.clock.tally, world.clock.digest)


def run_many(seeds: Iterable[int], mutation: str = 'none', workers: int | None = None) -> Iterator[Report]:
    """Many seeds, on all cores. Reports come in the order of the seeds."""
    with same_order(workers) as pool:
        yield from run_on(pool, seeds, mutation)


def run_on(pool: Executor, seeds: Iterable[int], mutation: str = 'none') -> Iterator[Report]:
    """The same on processes that are there; whoever has seen enough closes it, and the rest is not run."""
    yield from pool.map(run_seed, seeds, repeat(mutation))


@contextmanager
def same_order(workers: int | None = None) -> Iterator[Executor]:
    """Processes in which sets have the same order every time."""
    before = os.environ.get('PYTHONHASHSEED')
    os.environ['PYTHONHASHSEED'] = '0'
    try:
        with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=get_context('spawn')) as pool:
            yield pool
    finally:
        if before is None:
            del os.environ['PYTHONHASHSEED']
        else:
            os.environ['PYTHONHASHSEED'] = before
