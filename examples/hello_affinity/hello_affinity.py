"""A compiled program on four pinned workers: how a batch script moves over.

Before, one batch job for each run on one GPU:

    #PBS -l select=1:system=polaris
    #PBS -q debug
    #PBS -A Catalyst
    cd ${PBS_O_WORKDIR}
    CUDA_VISIBLE_DEVICES=0 ./hello_affinity

Now the `#PBS` lines stand in the endpoint's file, once (on Polaris: configs/polaris/), and the call is a Python function, sent from anywhere.
The endpoint pins each worker to a GPU of its own and to CPUs near it, so that the call names neither. Here this machine plays the node; with fewer
than four CPUs the workers share them (HighThroughputExecutor pins no more workers than there are CPUs).

    python hello_affinity.py            # on a private relay and endpoint of this machine, gone at the end
    python hello_affinity.py polaris    # on an endpoint of your own
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import Any

import relay_parsl as rp

HERE = Path(__file__).parent
WORKERS = 4
PLAYED = f'export RELAY_PARSL_VENDOR=nvidia:{WORKERS}'  # this machine plays the GPUs; a worker finds those of a real node by itself


def node() -> dict[str, Any]:
    """An endpoint file as Python: four workers, each with its accelerator, and its share of the CPUs where there are four or more."""
    cpus = sorted(os.sched_getaffinity(0))
    shares = [cpus[worker::WORKERS] for worker in range(WORKERS)]
    pins = 'list:' + ':'.join(','.join(map(str, share)) for share in shares) if len(cpus) >= WORKERS else 'none'
    return {
        'engine': {
            'type': 'HtexEngine',
            'available_accelerators': WORKERS,
            'max_workers_per_node': WORKERS,
            'cores_per_worker': 0.1,
            'cpu_affinity': pins,
            'prefetch_capacity': 0,
            'provider': {'type': 'LocalProvider', 'worker_init': PLAYED, 'init_blocks': 1, 'min_blocks': 1, 'max_blocks': 1},
        }
    }


def hello_affinity(source: str) -> str:
    """Compile the program in a directory that is gone afterwards, run it, and give back what it printed."""
    import subprocess
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as scratch:
        code = Path(scratch, 'hello_affinity.c')
        code.write_text(source)
        subprocess.run(['cc', '-o', 'hello_affinity', code], cwd=scratch, check=True, capture_output=True, text=True)
        return subprocess.run(['./hello_affinity'], cwd=scratch, check=True, capture_output=True, text=True).stdout.strip()


def survey(executor: rp.Executor, rounds: int = 20) -> dict[str, str]:
    """What each worker saw, `worker` to `cpus / accelerators`: rounds of calls until every worker had one. Raises when a worker's pins move."""
    source = (HERE / 'hello_affinity.c').read_text()
    seen: dict[str, str] = {}
    for _ in range(rounds):
        for line in executor.map(hello_affinity, [source] * WORKERS):
            print(line)
            cpus, accelerators, worker = re.fullmatch(r'host \S+ cpus (\S+) accelerators (\S+) worker (\S+)', line).groups()
            if seen.setdefault(worker, f'{cpus} / {accelerators}') != f'{cpus} / {accelerators}':
                raise RuntimeError(f'worker {worker} was pinned to {seen[worker]} and now to {cpus} / {accelerators}')
        if len(seen) == WORKERS:
            break
    return seen


def main(endpoint: str | None = None) -> int:
    """0 when four workers answered and each has an accelerator of its own."""
    with contextlib.ExitStack() as stack:
        if endpoint is None:
            stack.enter_context(rp.local(endpoints={'polaris': node()}))
        seen = survey(stack.enter_context(rp.Executor(endpoint or 'polaris')))
    accelerators = {pins.split(' / ')[1] for pins in seen.values()}
    print(f'{len(seen)} workers, {len(accelerators)} accelerators')
    return 0 if len(seen) == len(accelerators) == WORKERS else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
