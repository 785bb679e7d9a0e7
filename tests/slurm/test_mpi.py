"""`MPIEngine` on the real Slurm: ranks that `srun` starts on the nodes of a block."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay_parsl import MPIFunction, errors
from tests.slurm.site import Site

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group('slurm'), pytest.mark.timeout(180)]
PATIENCE = 120.0
HTEX_ONLY = dict.fromkeys(('max_workers_per_node', 'available_accelerators', 'cores_per_worker'))


@pytest.fixture(name='mpi')
def _mpi(site: Callable[..., Site], tmp_path: Path) -> Site:
    """Blocks of two nodes with two tasks at once."""
    provider = {'nodes_per_block': 2, 'launcher': {'type': 'SimpleLauncher'}}
    options: dict[str, Any] = {'mpi_launcher': 'srun', 'max_workers_per_block': 2, 'working_dir': str(tmp_path / 'work')}
    return site(type='MPIEngine', provider=provider, **options, **HTEX_ONLY)


def submit(site: Site, command: str, **specification: int | str) -> Any:
    site.executor.resource_specification = specification
    return site.executor.submit(MPIFunction(command))


def said(task: Any) -> list[str]:
    result = task.result(PATIENCE)
    assert result.returncode == 0, result
    return sorted(result.stdout.split())


def test_ranks_run_on_both_nodes_of_a_block(mpi: Site) -> None:
    ranks = said(submit(mpi, "bash -c 'echo $SLURM_PROCID:$SLURMD_NODENAME'", num_nodes=2, ranks_per_node=2))
    assert [rank.split(':')[0] for rank in ranks] == ['0', '1', '2', '3']
    assert len({rank.split(':')[1] for rank in ranks}) == 2
    assert len(mpi.running()) == 1


def test_two_tasks_at_once_have_a_node_each_and_too_many_nodes_fail_one_task(mpi: Site, tmp_path: Path) -> None:
    meet = "bash -c 'touch {0}/{1}; for n in $(seq 600); do [ -e {0}/{2} ] && echo $SLURMD_NODENAME && exit 0; sleep 0.1; done; exit 1'"
    first = submit(mpi, meet.format(tmp_path, 'a', 'b'), num_nodes=1)
    second = submit(mpi, meet.format(tmp_path, 'b', 'a'), num_nodes=1, launcher_options='--overlap')
    with pytest.raises(errors.TaskRejected, match='3 nodes are more than a block has'):
        submit(mpi, 'hostname', num_nodes=3).result(PATIENCE)
    assert len({*said(first), *said(second)}) == 2
