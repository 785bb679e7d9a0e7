"""Batch scripts as users have them, and the endpoint files that they become: each passes `endpoint check`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.endpoint.config import EndpointConfig, load_endpoint_config
from relay_parsl.endpoint.from_script import from_script, scalar
from relay_parsl.endpoint.script import batch_script
from relay_parsl.endpoint.spec import EngineSpec
from relay_parsl.errors import ConfigError

DATA = Path(__file__).parents[2] / 'data' / 'scripts'
SCRIPTS = sorted(path.name for path in DATA.iterdir() if path.suffix in ('.pbs', '.sbatch'))
PROVIDER: dict[str, dict[str, Any]] = {
    'polaris-affinity.pbs': {
        'account': 'Catalyst', 'queue': 'debug', 'system': 'polaris', 'place': 'scatter', 'walltime': '00:30:00', 'filesystems': 'home:grand:eagle',
        'worker_init': 'module use /soft/modulefiles\nmodule load conda\nconda activate base\nexport OMP_NUM_THREADS=8\n',
    },
    'polaris-one-gpu.pbs': {'account': 'Catalyst', 'nodes_per_block': 1, 'max_blocks': 1},
    'loop.pbs': {
        'cpus_per_node': 64, 'select_options': 'ngpus=4', 'walltime': '01:00:00', 'filesystems': 'home:eagle', 'queue': 'preemptable',
        'rerunnable': True, 'scheduler_options': '#PBS -V\n',
    },
    'array.pbs': {'cpus_per_node': 8, 'select_options': 'mem=16gb', 'walltime': '00:10:00'},
    'crlf.pbs': {'cpus_per_node': 32, 'queue': 'short', 'worker_init': 'module load gcc\n'},
    'minimal.sbatch': {'walltime': '00:05:00', 'exclusive': False},
    'perlmutter.sbatch': {
        'account': 'm1234_g', 'constraint': 'gpu', 'qos': 'regular', 'walltime': '26:30:00', 'gpus_per_node': 4, 'exclusive': True,
        'scheduler_options': '#SBATCH --mail-type=END,FAIL\n',
    },
    'perlmutter-steps.sbatch': {
        'account': 'm1234', 'gpus_per_node': 4, 'walltime': '00:20:00',
        'scheduler_options': '#SBATCH --gres-flags=enforce-binding\n',
    },
    'frontier.sbatch': {'account': 'ABC123', 'partition': 'batch', 'worker_init': 'module load rocm\nexport OMP_NUM_THREADS=7\n'},
    'polaris-mpi.pbs': {
        'nodes_per_block': 4, 'account': 'MyProject', 'queue': 'debug-scaling', 'keep': 'doe', 'rerunnable': False,
        'scheduler_options': '#PBS -m abe\n#PBS -M me@example.org\n',
    },
    'aurora.pbs': {'nodes_per_block': 2, 'filesystems': 'flare', 'walltime': '01:00:00'},
    'heterogeneous.sbatch': {
        'nodes_per_block': 4, 'partition': 'batch', 'walltime': '02:00:00', 'mem_per_node': 32, 'gres': 'gpu:a100:2', 'cores_per_node': 8,
        'scheduler_options': '#SBATCH --reservation=night\n',
    },
    'old-torque.pbs': {'nodes_per_block': 2, 'cpus_per_node': 16, 'queue': 'batch', 'account': 'old', 'walltime': '00:12:00'},
}  # fmt: skip
WORKERS = {
    'polaris-affinity.pbs': '4 | 24-31,56-63:16-23,48-55:8-15,40-47:0-7,32-39',
    'polaris-one-gpu.pbs': '4 |',
    'loop.pbs': "['0', '1', '2', '3', '0', '1', '2', '3'] |",
    'array.pbs': 'None |',
    'crlf.pbs': 'None |',
    'minimal.sbatch': 'None |',
    'perlmutter.sbatch': '4 |',
    'perlmutter-steps.sbatch': '4 |',
    'frontier.sbatch': '8 | 1-7:9-15:17-23:25-31:33-39:41-47:49-55:57-63',
}
MPI = {'polaris-mpi.pbs': 'mpiexec', 'aurora.pbs': 'mpiexec', 'heterogeneous.sbatch': 'srun', 'old-torque.pbs': 'mpiexec'}


def converted(name: str) -> str:
    return from_script((DATA / name).read_bytes(), name)


def loaded(name: str, tmp_path: Path) -> EndpointConfig:
    path = tmp_path / 'endpoint.yaml'
    path.write_text(converted(name))
    return load_endpoint_config(path)


def pool_of(name: str, tmp_path: Path) -> EngineSpec:
    (pool,) = loaded(name, tmp_path).pools.values()
    return pool


def test_every_script_is_expected_here() -> None:
    assert set(PROVIDER) == set(SCRIPTS) == {*WORKERS, *MPI}


@pytest.mark.parametrize('name', SCRIPTS)
def test_it_passes_check_and_renders(name: str, tmp_path: Path) -> None:
    pool = pool_of(name, tmp_path)
    assert pool.provider is not None
    assert {key: pool.provider.options.get(key) for key in PROVIDER[name]} == PROVIDER[name]
    assert batch_script(pool).startswith('#!/bin/bash\n')


@pytest.mark.parametrize('name', WORKERS)
def test_who_gets_what(name: str, tmp_path: Path) -> None:
    options = pool_of(name, tmp_path).spec.options
    affinity = str(options.get('cpu_affinity', '')).removeprefix('list:')
    assert f'{options.get("available_accelerators")} | {affinity}'.strip() == WORKERS[name]


@pytest.mark.parametrize('name', MPI)
def test_several_nodes_become_an_mpi_engine(name: str, tmp_path: Path) -> None:
    text = converted(name)
    assert pool_of(name, tmp_path).kind == 'MPIEngine'
    assert '  type: MPIEngine\n' in text
    assert f'  mpi_launcher: {MPI[name]}\n' in text
    assert "'num_nodes': " in text


def test_what_a_person_reads() -> None:
    assert converted('polaris-affinity.pbs') == (DATA / 'polaris-affinity.yaml').read_text()


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('array.pbs', r'line 3: `#PBS -J 1-20:2`: an endpoint has no job arrays: each index becomes a task'),
        ('array.pbs', r'line 7: `#PBS -W depend=afterok:123`: blocks wait for no other jobs'),
        ('crlf.pbs', r'it has line ends of Windows'),
        ('heterogeneous.sbatch', r'line 3: `#SBATCH --nodes=2-4`: blocks have a fixed number of nodes: 4'),
        ('heterogeneous.sbatch', r'what stands in line 16 only a shell can follow'),
        ('old-torque.pbs', r'is an old form; it is asked for by `select` now'),
        ('perlmutter.sbatch', r'each of the 4 ranks of line 21 becomes a task; if ranks talk to one another, write `type: MPIEngine`'),
    ],
)
def test_what_is_not_taken_over_is_named(name: str, words: str) -> None:
    assert words in converted(name)


# --- the program at the end ---


def program(name: str) -> str:
    text = converted(name).rpartition('# The work as tasks')[2]
    return '\n'.join(line.removeprefix('#').removeprefix('     ') for line in text.splitlines()[1:])


@pytest.mark.parametrize('name', SCRIPTS)
def test_the_work_is_a_program(name: str) -> None:
    compile(program(name), name, 'exec')


def test_the_function_runs_the_command_as_the_script_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    application = tmp_path / 'hello_affinity'
    application.write_text('#!/bin/sh\necho "$CUDA_VISIBLE_DEVICES"\n')
    application.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '2')
    names: dict[str, Any] = {}
    exec(program('polaris-affinity.pbs').partition('with rp.')[0], names)  # noqa: S102  it is the text under test
    assert [names['run'](command) for command in names['commands']] == [(0, '', '')] * 4
    assert [(tmp_path / f'out.{index}').read_text() for index in range(4)] == ['2\n'] * 4


def test_an_array_becomes_a_task_for_each_index(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    exec(program('array.pbs').partition('with rp.')[0], names)  # noqa: S102  it is the text under test
    assert len(names['commands']) == 10
    code, out, _ = names['run'](names['commands'][1].replace('python sweep.py', 'echo'))
    assert (code, out) == (0, '--index 3\n')


# --- what is refused ---


@pytest.mark.parametrize(
    ('data', 'words'),
    [
        (b'#!/bin/bash\n./app\n', r'has no directives \(lines that begin with `#PBS` or `#SBATCH`\); is it a batch script\?'),
        (b'## PBS -l select=1\n./app\n', r'`## PBS -l select=1` is a comment to PBS and Slurm'),
        (b'#PBS -l select=1\n#SBATCH -N 1\n', 'has directives of both PBS and Slurm'),
        (b'\x7fELF\0\0', 'no batch script: binary data'),
        (b'', 'has no directives'),
    ],
)
def test_what_is_no_batch_script_is_said_to_be_none(data: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=f'^job: .*{words}'):
        from_script(data, 'job')


@pytest.mark.parametrize(
    'hostile', [b'#PBS -N "a\x1b[31m: {b}"\n', '#PBS -A "é\u2028x"\n'.encode(), b'#PBS -A "x\n', b'#PBS -N no\n#PBS -q 12\n', b'#PBS -l\n']
)
def test_strange_values_are_still_yaml(hostile: bytes, tmp_path: Path) -> None:
    path = tmp_path / 'endpoint.yaml'
    path.write_text(from_script(b'#PBS -l select=1\n' + hostile + b'./app\n', 'job'))
    try:
        load_endpoint_config(path)
    except ConfigError as error:
        assert 'not YAML' not in str(error)  # noqa: PT017  a value may be refused, the file may not be broken


@pytest.mark.parametrize(
    ('value', 'text'), [('a b', 'a b'), ('no', '"no"'), ('a: b', '"a: b"'), ('#x', '"#x"'), (3, '3'), (True, 'true'), ('12', '"12"')]
)
def test_scalars(value: str | int | bool, text: str) -> None:
    assert scalar(value) == text


@pytest.mark.timeout(20)
def test_no_value_and_no_loop_takes_for_ever() -> None:
    assert scalar('a' * 200 + '%') == '"' + 'a' * 200 + '%"'
    for body in (b'for i in ' + b'1 ' * 20_000 + b'; do x; done\n', b'for i in 1;' + b' ' * 20_000 + b'do x\n', b'"' * 20_001, b'a & ' * 5000):
        assert from_script(b'#PBS -N ' + b'a' * 200 + b'%\n' + body, 'job')


def test_no_comment_ends_early() -> None:
    assert all(re.match(r'#|\S+:|  |$', line) for line in converted('heterogeneous.sbatch').splitlines())
