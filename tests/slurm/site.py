"""A relay, an endpoint whose blocks are jobs of the real Slurm, and a client: what the tests here work with."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay_parsl import Executor, testing
from tests.slurm import cluster

PERIOD = 0.5


@dataclass
class Site:
    """One that serves.

    Attributes:
        name: Of the endpoint; its jobs have it in their names.
        executor: A client of it.
        home: Where all of its files are.
    """

    name: str
    executor: Executor
    home: Path

    def jobs(self) -> dict[str, str]:
        """Id -> state of its jobs in the queue."""
        return cluster.jobs(self.name)

    def running(self, count: int = 1, seconds: float = 60.0) -> list[str]:
        """Its jobs, once so many run."""
        return list(
            cluster.until(lambda: len(found := [job for job, state in self.jobs().items() if state == 'RUNNING']) >= count and found, seconds)
        )

    def submitted(self) -> list[str]:
        """Every job that it ever submitted: their scripts."""
        return sorted(path.name for path in self.home.rglob(f'submit_scripts/parsl.*{self.name}*') if path.name.rpartition('.')[2].isdigit())


def engine(name: str, *, provider: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """The `engine` of an endpoint file for a GPU site, as Perlmutter is; None takes a key out."""
    blocks = {
        'type': 'SlurmProvider',
        'account': cluster.ACCOUNT,
        'qos': cluster.QOS,
        'constraint': 'gpu',
        'gpus_per_node': 4,
        'walltime': '00:10:00',
        'cmd_timeout': 30,
        'launcher': {'type': 'SrunLauncher'},
    }
    keys = {
        'type': 'HtexEngine',
        'address': '127.0.0.1',
        'label': name,
        'max_workers_per_node': 4,
        'available_accelerators': 4,
        'cores_per_worker': 0.001,
        'job_status_kwargs': {'strategy_period': PERIOD},
        **options,
        'provider': {**blocks, **(provider or {})},
    }
    return {key: value for key, value in keys.items() if value is not None}


@contextmanager
def serving(directory: Path, name: str, **options: Any) -> Iterator[Site]:
    """An endpoint of this name, with `options` of its engine, and `provider` of its provider. Its jobs end with it."""
    directory.mkdir()
    try:
        with testing.relay(directory, {name: engine(name, **options)}) as relay, Executor(name, relay=relay) as executor:
            yield Site(name, executor, directory)
        assert not [job for job, state in cluster.jobs(name).items() if state not in ('COMPLETING', 'CANCELLED')], 'the engine cancels its jobs'
    finally:
        for job in cluster.jobs(name):
            cluster.run('scancel', job)
        cluster.until(lambda: not cluster.jobs(name), 60, f'the end of the jobs of {name}')


def where(path: str = '', seconds: float = 0.0) -> tuple[str, str, int]:
    """On the node: its name, the GPUs that are seen, the worker. Says in a file that it has begun, and takes its time."""
    if path:
        with open(path, 'a') as note:
            note.write(f'{socket.gethostname()} {os.environ["SLURM_JOB_ID"]}\n')
    time.sleep(seconds)
    return socket.gethostname(), os.environ['CUDA_VISIBLE_DEVICES'], int(os.environ['PARSL_WORKER_RANK'])
