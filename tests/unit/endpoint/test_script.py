"""The batch script of a pool: as the provider writes it, the same on every host, and without a word to a scheduler."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.endpoint.script import batch_script

TORQUE = """\
engine:
  type: HtexEngine
  max_workers_per_node: 3
  address: {type: address_by_interface, ifname: not-on-any-host}
  provider:
    type: TorqueProvider
    account: acc
    queue: short
    nodes_per_block: 2
    launcher: {type: SimpleLauncher}
    worker_init: module load mine
"""


def script_of(path: Path | str) -> str:
    (spec,) = load_endpoint_config(path).pools.values()
    return batch_script(spec)


@pytest.fixture
def tell_tale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every scheduler's commands, which note that they were run."""
    told = tmp_path / 'told'
    for name in ('qsub', 'qstat', 'sbatch', 'sacct', 'squeue', 'scontrol', 'bsub'):
        command = tmp_path / 'bin' / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f'#!/bin/sh\necho {name} >> {told}\n')
        command.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path / "bin"}:{os.environ["PATH"]}')
    return told


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / 'mine.yaml'
    path.write_text(text)
    return path


@pytest.mark.parametrize('name', ['polaris/gpu', 'polaris/cpu', 'perlmutter/gpu', 'perlmutter/cpu'])
def test_a_site_s_script_is_the_same_everywhere_and_runs_nothing(name: str, tell_tale: Path) -> None:
    text = script_of(name)
    assert text == script_of(name)
    assert text.startswith('#!/bin/bash\n')
    assert 'PYTHON -m parsl.executors.high_throughput.process_worker_pool --max_workers_per_node=' in text
    for value in ('-a ADDRESS ', '--port=PORT ', '--cert_dir RUN_DIR/', '--block_id=0 '):
        assert value in text
    assert not tell_tale.exists()
    for path in (sys.executable, str(Path.cwd()), tempfile.gettempdir() + '/tmp'):
        assert path not in text


def test_a_provider_of_parsl_is_caught_before_it_submits(tmp_path: Path, tell_tale: Path) -> None:
    text = script_of(file(tmp_path, TORQUE))
    assert '#PBS -N parsl.parsl.mine.block-0\n' in text
    assert '#PBS -l nodes=2:ppn=1' in text
    assert 'module load mine' in text
    assert text.endswith('# submitted by: qsub -q short -A acc RUN_DIR/submit_scripts/parsl.parsl.mine.block-0.submit\n')
    assert not tell_tale.exists()


def test_a_constructor_that_asks_its_scheduler_gets_no_answer(tmp_path: Path, tell_tale: Path) -> None:
    from parsl.providers import SlurmProvider

    from relay_parsl.engines.script import silent, submitted

    provider = silent(SlurmProvider)(account='acc', walltime='00:10:00')
    provider.script_dir = str(tmp_path)
    text = submitted(provider, 'manager', 'parsl.x.block-0')
    assert '#SBATCH --account=acc' in text
    assert '\nmanager\n' in text
    assert '# submitted by: sbatch ' in text
    assert not tell_tale.exists()


def test_a_block_of_this_host_is_its_launcher_s_text() -> None:
    text = script_of('local')
    leashed = 'PYTHON -m relay_parsl.engines.leash --watch ENGINE relay_parsl.engines.forkserver'
    assert f'{leashed} parsl.executors.high_throughput.process_worker_pool --max_workers_per_node=2' in text
    assert 'wait $PID' in text


def test_containers_and_worker_init_are_in_it(tmp_path: Path) -> None:
    given = TORQUE.replace('max_workers_per_node: 3', 'container_type: apptainer\n  container_uri: mine.sif')
    text = script_of(file(tmp_path, given))
    assert 'apptainer run mine.sif python3 -m parsl.executors.high_throughput.process_worker_pool' in text


def test_an_engine_without_blocks_has_none(tmp_path: Path) -> None:
    assert not script_of(file(tmp_path, 'engine: {type: ThreadPoolEngine}\n'))
