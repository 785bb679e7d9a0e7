"""What must agree between an endpoint file's values, where nodes are elsewhere and the file knows their cores."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.errors import ConfigError

FILE = """
engine:
  type: HtexEngine
  address: 127.0.0.1
  {engine}
  provider: {{type: {provider}, account: a, launcher: {{type: SrunLauncher}}, {keys}}}
"""


def written(tmp_path: Path, keys: str, engine: str, provider: str = 'SlurmProvider') -> Path:
    path = tmp_path / 'site.yaml'
    path.write_text(FILE.format(engine=engine, keys=keys, provider=provider))
    return path


@pytest.mark.parametrize(
    ('engine', 'said'),
    [
        (['cores_per_worker: 16'], 'engine.cores_per_worker: 16 is more than `cores_per_node`, which is 8: no worker would start'),
        (['max_workers_per_node: 9', 'cores_per_worker: 0.5', 'cpu_affinity: block'], 'engine.cpu_affinity: 9 workers would start on a node'),
        (['max_workers_per_node: 2', 'cores_per_worker: 8', 'cpu_affinity: "list:0-3:4-7"'], 'names CPUs for 2 workers, but 1 would start'),
        (['cores_per_worker: 0.5', 'cpu_affinity: alternating'], 'write `max_workers_per_node: 8`'),
    ],
)
def test_workers_that_would_die_on_nodes_elsewhere_are_said_before_the_start(tmp_path: Path, engine: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_endpoint_config(written(tmp_path, 'cores_per_node: 8', '\n  '.join(engine)))
    assert said in str(caught.value)
    assert str(caught.value).count('\n') == 0


@pytest.mark.parametrize('engine', ['cpu_affinity: block', 'max_workers_per_node: 2\n  cpu_affinity: "list:0-3:4-7"', 'cores_per_worker: 8'])
def test_what_fits_is_taken(tmp_path: Path, engine: str) -> None:
    load_endpoint_config(written(tmp_path, 'cores_per_node: 8', engine))


def test_ncpus_is_the_jobs_share_and_its_node_may_have_more(tmp_path: Path) -> None:
    config = load_endpoint_config(written(tmp_path, 'cpus_per_node: 8', 'cores_per_worker: 16', 'PBSProProvider'))
    assert any('16 is more than `cpus_per_node`, which is 8' in warning for warning in config.warnings)
    bound = 'max_workers_per_node: 9\n  cores_per_worker: 0.5\n  cpu_affinity: block'
    with pytest.raises(ConfigError, match='9 workers would start on a node, but it has 8 CPUs'):
        load_endpoint_config(written(tmp_path, 'cpus_per_node: 8', bound, 'PBSProProvider'))
