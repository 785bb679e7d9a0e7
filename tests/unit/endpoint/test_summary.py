"""Which accelerators an endpoint file gives to its workers, as `endpoint check` tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_parsl.endpoint.config import load_endpoint_config

SITE = """
engine:
  type: HtexEngine
  address: 127.0.0.1
  available_accelerators: {names}
  provider:
    type: {provider}
    walltime: 1:00:00
    cores_per_node: 64
    {wish}
"""
PBS, SLURM = 'PBSProProvider', 'SlurmProvider'


@pytest.mark.parametrize(
    ('names', 'provider', 'wish', 'expected'),
    [
        ('4', PBS, 'select_options: ngpus=4', '0 1 2 3'),
        ('8', PBS, 'select_options: ngpus=4', '0 0 1 1 2 2 3 3'),
        ('6', PBS, 'select_options: ngpus=4', '0 0 1 2 2 3'),
        ('6', PBS, 'select_options: mem=4gb', '0 1 2 3 4 5'),
        ('6', SLURM, 'gpus_per_node: 4', '0 0 1 2 2 3'),
        ('6', SLURM, "scheduler_options: '#SBATCH --gpus-per-node=a100:2'", '0 0 0 1 1 1'),
        ('["0", "0", "1", "1"]', PBS, 'select_options: ngpus=4', '0 0 1 1'),
        ('["0.0", "0.1", "1.0"]', PBS, 'worker_init: export ZE_FLAT_DEVICE_HIERARCHY=FLAT', '0 1 2'),
        ('["0.0", "0.1", "1.0"]', PBS, 'worker_init: export ZE_FLAT_DEVICE_HIERARCHY=COMPOSITE', '0.0 0.1 1.0'),
        ('["0.0", "0.1", "1.0"]', PBS, 'worker_init: module load frameworks', '0.0 0.1 1.0'),
    ],
)
def test_the_accelerators_that_workers_will_see(tmp_path: Path, names: str, provider: str, wish: str, expected: str) -> None:
    path = tmp_path / 'endpoint.yaml'
    path.write_text(SITE.format(names=names, provider=provider, wish=wish))
    config = load_endpoint_config(path)
    (pool,) = config.summary()
    assert [row.accelerator for row in pool.workers] == expected.split()
    assert not any('accelerator' in warning for warning in config.warnings)
