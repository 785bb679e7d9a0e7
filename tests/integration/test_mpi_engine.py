"""`MPIEngine` in a made-up allocation: a node file, and an `mpiexec` that starts real ranks, all on this host."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parsl.launchers import SimpleLauncher
from parsl.providers import LocalProvider

from relay_parsl.engines.base import Finished
from relay_parsl.engines.mpi import MPIEngine
from relay_parsl.errors import TaskRejected
from relay_parsl.shell import MPIFunction
from relay_parsl.wire import payload
from tests.integration.engine_rig import Rig

pytestmark = pytest.mark.integration

MPIEXEC = """#!/bin/bash
# mpiexec -n RANKS -ppn PER_NODE -hosts A,B COMMAND...: as Hydra, each rank told its number and its host
[ "$1 $3 $5" = "-n -ppn -hosts" ] || { echo "mpiexec: what is $*?" >&2; exit 2; }
ranks=$2 each=$4; IFS=, read -ra hosts <<<"$6"; shift 6
if [ "$1" = -genv ]; then export "$2=$3"; shift 3; fi
for ((rank = 0; rank < ranks; rank++)); do
  PMI_RANK=$rank PMI_HOST=${hosts[rank / each]} "$@" & pids+=($!)
done
code=0
for pid in "${pids[@]}"; do wait "$pid" || code=$?; done
exit $code
"""
RANK = """#!/bin/bash
# says where it runs, once the other task has begun too
echo "$PMI_HOST:$PMI_RANK"
touch "$MEETING/$1"
for ((n = 0; n < 600; n++)); do [ -e "$MEETING/$2" ] && exit 0; sleep 0.05; done
echo "$2 did not come" >&2
exit 1
"""


@pytest.fixture(name='rig')
def _rig(rigs: Callable[..., Rig], tmp_path: Path) -> Rig:
    programs = tmp_path / 'bin'
    programs.mkdir()
    for name, text in (('mpiexec', MPIEXEC), ('rank', RANK)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / 'nodes').write_text('n1\nn2\nn3\nn4\n')
    (tmp_path / 'meeting').mkdir()
    init = f'export PBS_NODEFILE={tmp_path}/nodes MEETING={tmp_path}/meeting PATH={programs}:$PATH; unset SLURM_NODELIST'
    provider = LocalProvider(worker_init=init, launcher=SimpleLauncher(), nodes_per_block=4, init_blocks=1, max_blocks=1)
    return rigs(MPIEngine, provider=provider, max_workers_per_block=2, working_dir=str(tmp_path / 'work'))


def said(rig: Rig, task: bytes) -> list[str]:
    result = payload.load_outcome(rig.outcome(task).data)
    assert result.returncode == 0, result
    return sorted(result.stdout.split())


def run(command: str) -> Any:
    return MPIFunction(command)()


def variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith('PARSL_') and 'WORKER' not in name}


def test_two_tasks_at_once_have_nodes_of_their_own(rig: Rig) -> None:
    first = rig.submit(run, 'rank a b', resource_specification={'num_nodes': 2, 'ranks_per_node': 2})
    second = rig.submit(run, 'rank b a', resource_specification={'num_nodes': 2, 'num_ranks': 3, 'priority': 1})
    one, two = said(rig, first), said(rig, second)
    hosts = [{rank.split(':')[0] for rank in ranks} for ranks in (one, two)]
    assert hosts[0] | hosts[1] == {'n1', 'n2', 'n3', 'n4'}
    assert hosts[0] & hosts[1] == set()
    assert [len(one), len(two)] == [4, 3]
    assert sorted(rank.split(':')[1] for rank in one) == ['0', '1', '2', '3']


def test_nothing_of_one_task_reaches_the_next(rig: Rig) -> None:
    options = {'num_nodes': 1, 'num_ranks': 4, 'launcher_options': '-genv COLOUR blue'}
    before = rig.call(variables, resource_specification=options)
    assert before['PARSL_LAUNCHER_OPTIONS'] == '-genv COLOUR blue'
    assert before['PARSL_MPI_PREFIX'].startswith('mpiexec -n 4 -ppn 4 -hosts n')
    for _ in range(4):
        after = rig.call(variables, resource_specification={'num_nodes': 2})
        assert 'PARSL_LAUNCHER_OPTIONS' not in after
        assert (after['PARSL_NUM_RANKS'], after['PARSL_RANKS_PER_NODE'], len(after['PARSL_MPI_NODELIST'].split(','))) == ('2', '1', 2)
    task = rig.submit(run, "bash -c 'echo $COLOUR'", resource_specification=options)
    assert said(rig, task) == ['blue'] * 4


def test_what_cannot_be_met_fails_its_task_and_not_the_engine(rig: Rig) -> None:
    """Parsl would hang on each of these, or give the launcher half a rank (41)."""
    for specification, words in (
        ({}, 'how many nodes'),
        ({'num_nodes': 5}, '5 nodes are more than a block has'),
        ({'num_nodes': 2, 'num_ranks': 9, 'ranks_per_node': 2}, '9 ranks do not fill 2 nodes'),
        ({'num_nodes': 1, 'priority': 'high'}, 'priority is a whole number'),
        ({'num_nodes': 1, 'gpus': 4}, 'no gpus'),
    ):
        end = rig.end(rig.submit(variables, resource_specification=specification))
        assert isinstance(end, Finished)
        with pytest.raises(TaskRejected, match=words):
            payload.load_outcome(payload.decode_outcome(end.outcome).data)
    assert rig.call(variables, resource_specification={'num_nodes': 4})['PARSL_NUM_NODES'] == '4'
    assert rig.engine.capacity == 2
