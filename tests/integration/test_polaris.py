"""The file for Polaris at work: blocks are jobs of a strict PBS, two nodes by Cray's mpiexec, both fakes, with real managers and workers."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.shell import MPIFunction
from relay_parsl.wire import payload
from tests.fakes.pbs import FakePBS, fixture
from tests.golden import CONFIGS
from tests.integration.engine_rig import Rig, eventually

pytestmark = pytest.mark.integration
_ = fixture  # of this module, too

PALS = Path(__file__).parents[1] / 'fakes' / 'pals'


def polaris(place: Path) -> Path:
    """`gpu.yaml` on two nodes, with the node_init of `mps.yaml`, and with what must be otherwise on this machine."""
    gpu, mps = (yaml.safe_load((CONFIGS / 'polaris' / f'{name}.yaml').read_text()) for name in ('gpu', 'mps'))
    engine, provider = gpu['engine'], gpu['engine']['provider']
    del engine['cpu_affinity']  # there are not so many
    engine |= {'address': '127.0.0.1', 'cores_per_worker': 1.0e-6, 'heartbeat_period': 2, 'heartbeat_threshold': 60}
    engine['job_status_kwargs'] |= {'strategy_period': 0.5}
    control = place / 'bin' / 'nvidia-cuda-mps-control'
    control.parent.mkdir()
    control.write_text(f'#!/bin/sh\n[ "$1" = -d ] && word=up || read -r word\necho "$word $FAKE_NODE" >> {place}/mps.log\n')
    control.chmod(0o755)
    job_of(provider, place, 2)
    provider['launcher'] = {key: value.replace('/tmp/mps-', f'{place}/mps-') if isinstance(value, str) else value
                            for key, value in mps['engine']['provider']['launcher'].items()}  # fmt: skip
    file = place / 'polaris.yaml'
    file.write_text(yaml.safe_dump(gpu))
    return file


def job_of(provider: dict[str, Any], place: Path, nodes: int) -> None:
    """Change what must be otherwise on this machine."""
    provider |= {'account': 'Catalyst', 'nodes_per_block': nodes, 'init_blocks': 1, 'walltime': '00:10:00'}
    path = f'{PALS}:{place / "bin"}:{Path(sys.executable).parent}'
    provider['worker_init'] = f'export PATH={path}:$PATH RELAY_PARSL_VENDOR=nvidia:4'


def tasks_of_ranks(place: Path) -> Path:
    """`mpi.yaml` on four nodes."""
    mpi = yaml.safe_load((CONFIGS / 'polaris' / 'mpi.yaml').read_text())
    mpi['engine'] |= {'address': '127.0.0.1', 'max_workers_per_block': 2}
    mpi['engine']['job_status_kwargs'] |= {'strategy_period': 0.5}
    job_of(mpi['engine']['provider'], place, 4)
    file = place / 'mpi.yaml'
    file.write_text(yaml.safe_dump(mpi))
    return file


def ranks(command: str) -> Any:
    return MPIFunction(command)()


def test_tasks_start_ranks_on_nodes_of_their_own(tmp_path: Path, pbs: FakePBS) -> None:
    assert not pbs.jobs
    rig = Rig(tmp_path, load_endpoint_config(tasks_of_ranks(tmp_path)).build_engine())  # type: ignore[arg-type]
    needs = {'num_nodes': 2, 'ranks_per_node': 4, 'launcher_options': '--cpu-bind depth --depth 8'}
    try:
        tasks = [rig.submit(ranks, "sh -c 'echo $FAKE_NODE:$PALS_RANKID; sleep 2'", resource_specification=needs) for _ in range(2)]
        results = [payload.load_outcome(rig.outcome(task).data) for task in tasks]
    finally:
        rig.engine.stop()
    lines = [sorted(result.stdout.split()) for result in results]
    nodes = [sorted({line.partition(':')[0] for line in each}) for each in lines]
    assert sorted(nodes[0] + nodes[1]) == ['p1', 'p2', 'p3', 'p4'], results
    for each, (one, other) in zip(lines, nodes):
        assert each == sorted(f'{one if rank < 4 else other}:{rank}' for rank in range(8))


def whereabouts(seconds: float) -> tuple[Any, ...]:
    """The node, what it sees, and where its GPUs are shared."""
    import time

    time.sleep(seconds)
    return tuple(os.environ.get(name) for name in ('FAKE_NODE', 'CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES', 'CUDA_MPS_PIPE_DIRECTORY'))


def test_eight_workers_on_two_nodes_have_a_gpu_each(tmp_path: Path, pbs: FakePBS) -> None:
    log = tmp_path / 'mps.log'
    rig = Rig(tmp_path, load_endpoint_config(polaris(tmp_path)).build_engine())  # type: ignore[arg-type]
    try:
        first = rig.call(whereabouts, 0.0)
        tasks = [rig.submit(whereabouts, 0.3) for _ in range(64)]
        found = Counter(payload.load_outcome(rig.outcome(task).data) for task in tasks)
        pipe = f'{tmp_path}/mps-pipe'
        assert first in found
        assert set(found) == {(node, gpu, None, pipe) for node in ('p1', 'p2') for gpu in '0123'}
        assert sorted(log.read_text().splitlines()) == ['up p1', 'up p2']
        (job,) = pbs.jobs.values()
        assert job['state'] == 'R'
    finally:
        rig.engine.stop()
    eventually(lambda: sorted(log.read_text().splitlines()) == ['quit p1', 'quit p2', 'up p1', 'up p2'])
