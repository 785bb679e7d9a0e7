"""The files for Perlmutter at work on the real Slurm: a worker for each GPU of two nodes, and tasks of ranks on four."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.shell import MPIFunction
from relay_parsl.wire import payload
from tests.golden import CONFIGS
from tests.integration.engine_rig import Rig
from tests.slurm import cluster

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group('slurm')]


def perlmutter(place: Path, name: str, nodes: int) -> Path:
    """A file of Perlmutter's, with what must be otherwise here."""
    config = yaml.safe_load((CONFIGS / 'perlmutter' / f'{name}.yaml').read_text())
    engine, provider = config['engine'], config['engine']['provider']
    engine.pop('cpu_affinity', None)  # there are not so many
    engine |= {'address': '127.0.0.1', **({'cores_per_worker': 1.0e-6} if name == 'gpu' else {})}
    engine['job_status_kwargs'] |= {'strategy_period': 0.5}
    provider |= {'account': cluster.ACCOUNT, 'nodes_per_block': nodes, 'init_blocks': 1, 'walltime': '00:05:00'}
    provider['worker_init'] = f'export RELAY_PARSL_VENDOR=nvidia:4 PATH={Path(sys.executable).parent}:$PATH'
    file = place / 'perlmutter.yaml'
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str, int], Rig]]:
    """Start the engine of a file."""
    rigs: list[Rig] = []

    def started(name: str, nodes: int) -> Rig:
        rigs.append(Rig(tmp_path, load_endpoint_config(perlmutter(tmp_path, name, nodes)).build_engine()))  # type: ignore[arg-type]
        return rigs[-1]

    yield started
    for rig in rigs:
        rig.engine.stop()


def whereabouts() -> tuple[str, str | None]:
    import time

    time.sleep(0.3)
    return os.uname().nodename, os.environ.get('CUDA_VISIBLE_DEVICES')


def test_a_worker_for_each_gpu_of_two_nodes(start: Callable[[str, int], Rig]) -> None:
    rig = start('gpu', 2)
    found = Counter(payload.load_outcome(rig.outcome(task).data) for task in [rig.submit(whereabouts) for _ in range(64)])
    nodes = {node for node, _ in found}
    assert len(nodes) == 2
    assert set(found) == {(node, gpu) for node in nodes for gpu in '0123'}


SCRIPT = """
import sys
import parsl
import relay_parsl as rp

@parsl.python_app
def where():
    import os, time
    time.sleep(0.3)
    return os.uname().nodename, os.environ['CUDA_VISIBLE_DEVICES'], os.environ['SLURM_CPUS_PER_TASK']

with parsl.load(rp.load_config(sys.argv[1])):
    print(len({future.result() for future in [where() for _ in range(64)]}), where().result()[2])
"""


def test_a_plain_parsl_script_has_them_too(tmp_path: Path) -> None:
    """Parsl's own engine, with our provider and launcher."""
    file = perlmutter(tmp_path, 'gpu', 2)
    environment = {**os.environ, 'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}'}
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, str(file)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.stdout == '8 128\n', done.stderr


def ranks(command: str) -> Any:
    return MPIFunction(command)()


def test_tasks_of_ranks_have_nodes_of_their_own(start: Callable[[str, int], Rig]) -> None:
    rig = start('mpi', 4)
    needs = {'num_nodes': 2, 'ranks_per_node': 4, 'launcher_options': '-c 32 --gpus-per-task=1'}
    tasks = [rig.submit(ranks, "sh -c 'echo $(hostname):$SLURM_PROCID; sleep 2'", resource_specification=needs) for _ in range(2)]
    results = [payload.load_outcome(rig.outcome(task).data) for task in tasks]
    assert [result.returncode for result in results] == [0, 0], results
    each = [Counter(line.partition(':')[0] for line in result.stdout.split()) for result in results]
    assert [sorted(count.values()) for count in each] == [[4, 4], [4, 4]], results
    assert len(each[0].keys() | each[1].keys()) == 4
