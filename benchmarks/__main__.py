"""`python -m benchmarks`: no-op tasks and cold starts through the whole path, beside HighThroughputExecutor alone, interleaved."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import relay_parsl as rp

Submit = Callable[..., 'Future[Any]']


def nothing() -> None:
    """The no-op task."""


@contextmanager
def htex(workers: int) -> Iterator[Submit]:
    """HighThroughputExecutor without a DataFlowKernel, as the endpoint drives it."""
    from parsl.executors import HighThroughputExecutor
    from parsl.jobs.job_status_poller import JobStatusPoller
    from parsl.providers import LocalProvider

    with tempfile.TemporaryDirectory() as run_dir:
        executor = HighThroughputExecutor(
            address='127.0.0.1', max_workers_per_node=workers, cores_per_worker=0.1, provider=LocalProvider(init_blocks=1, max_blocks=1)
        )
        executor.run_dir = run_dir
        executor.interchange_launch_cmd = [sys.executable, '-m', 'parsl.executors.high_throughput.interchange']
        pool = f'{sys.executable} -m parsl.executors.high_throughput.process_worker_pool'
        executor.launch_cmd = executor.launch_cmd.replace('process_worker_pool.py', pool, 1)
        executor.provider.script_dir = str(Path(run_dir, 'scripts'))
        Path(executor.provider.script_dir).mkdir()
        executor.start()
        poller = JobStatusPoller(strategy='simple', max_idletime=120.0, strategy_period=0.1)  # with Parsl's 5 s its first block would start late
        poller.add_executors([executor])
        try:
            yield lambda fn, *args: executor.submit(fn, {}, *args)
        finally:
            poller.close()
            executor.shutdown()


@contextmanager
def relay(workers: int) -> Iterator[Submit]:
    """The whole path: executor, relay with its store on disk (every commit waits for it), endpoint, HtexEngine."""
    with rp.local(workers=workers), rp.Executor('local') as executor:
        yield executor.submit


def measure(system: Callable[[int], Any], tasks: int, workers: int) -> dict[str, float]:
    """Seconds from cold to the first result, tasks a second, median round trip in milliseconds, submits a second."""
    begin = time.monotonic()
    with system(workers) as submit:
        submit(nothing).result(timeout=120)
        cold = time.monotonic() - begin
        trips = []
        for _ in range(200):
            start = time.perf_counter()
            submit(nothing).result(timeout=120)
            trips.append(time.perf_counter() - start)
        start = time.perf_counter()
        futures = [submit(nothing) for _ in range(tasks)]
        submitted = time.perf_counter() - start
        for future in futures:
            future.result(timeout=600)
        took = time.perf_counter() - start
    return {
        'cold_start_s': cold,
        'round_trip_p50_ms': 1000 * statistics.median(trips),
        'tasks_per_s': tasks / took,
        'submits_per_s': tasks / submitted,
    }


def main() -> None:
    """Run the rounds and print one JSON object: medians of each system, and their ratios."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description=__doc__)
    parser.add_argument('--tasks', type=int, default=5000, help='no-op tasks a round')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--workers', type=int, default=2)
    options = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {'htex': [], 'relay-parsl': []}
    for _ in range(options.rounds):
        for name, system in (('htex', htex), ('relay-parsl', relay)):
            rounds[name].append(measure(system, options.tasks, options.workers))
            print(name, {key: round(value, 2) for key, value in rounds[name][-1].items()}, flush=True)
    medians = {name: {key: statistics.median(each[key] for each in many) for key in many[0]} for name, many in rounds.items()}
    ratios = {key: medians['relay-parsl'][key] / medians['htex'][key] for key in medians['htex']}
    print(json.dumps({'tasks': options.tasks, 'medians': medians, 'relay-parsl / htex': ratios}, indent=1))


if __name__ == '__main__':
    main()
