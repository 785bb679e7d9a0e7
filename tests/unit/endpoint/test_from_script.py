"""Batch scripts as users have them, and the endpoint files that they become: each passes `endpoint check`."""

from __future__ import annotations

import random
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
    'mps-then-mpi.pbs': {
        'account': 'MyProject', 'cpus_per_node': 64, 'worker_init': (
            'export CUDA_MPS_PIPE_DIRECTORY=/tmp/scratch/pipe\nmkdir -p /tmp/scratch/pipe\nnvidia-cuda-mps-control -d\n'
            "trap 'echo quit | nvidia-cuda-mps-control' EXIT\n"
        ),
    },
    'mps-nodes.sbatch': {'nodes_per_block': 2, 'worker_init': 'module load cuda\n'},
    'steps-after-mpi.sbatch': {'nodes_per_block': 2, 'account': 'm1234', 'walltime': '00:10:00', 'worker_init': None},
    'while-gpus.sbatch': {'gpus_per_node': 4, 'worker_init': None},
    'functions.pbs': {'nodes_per_block': 2, 'worker_init': 'export DIR=$(mktemp -d)\n'},
    'old-torque.pbs': {'nodes_per_block': 2, 'cpus_per_node': 16, 'queue': 'batch', 'account': 'old', 'walltime': '00:12:00'},
}  # fmt: skip
WORKERS = {
    'polaris-affinity.pbs': '4 | 24-31,56-63:16-23,48-55:8-15,40-47:0-7,32-39',
    'polaris-one-gpu.pbs': '4 |',
    'loop.pbs': "['0', '1', '2', '3', '0', '1', '2', '3'] |",
    'array.pbs': 'None |',
    'crlf.pbs': 'None |',
    'minimal.sbatch': 'None |',
    'mps-then-mpi.pbs': f'{["0", "1", "2", "3"] * 4} |',
    'mps-nodes.sbatch': "['0', '0'] |",
    'while-gpus.sbatch': 'None |',
    'functions.pbs': 'None |',
    'perlmutter.sbatch': '4 |',
    'perlmutter-steps.sbatch': '4 |',
    'frontier.sbatch': '8 | 1-7:9-15:17-23:25-31:33-39:41-47:49-55:57-63',
}
MPI = {
    'polaris-mpi.pbs': 'mpiexec',
    'aurora.pbs': 'mpiexec',
    'heterogeneous.sbatch': 'srun',
    'steps-after-mpi.sbatch': 'srun',
    'old-torque.pbs': 'mpiexec',
}


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
        ('while-gpus.sbatch', r'lines 7-11: only a shell can follow it; neither in this file nor in the program below'),
        ('mps-then-mpi.pbs', r'line 23: ends before lines 24, 26; here it ends with the block'),
        ('mps-then-mpi.pbs', r'line 26: is launched from a worker, as it is written; for more, a pool of `type: MPIEngine`'),
        ('mps-then-mpi.pbs', r'lines 10-12: its value stands where it is used'),
        ('functions.pbs', r'line 18: goes on in the background beside line 21, which here waits for it'),
        ('functions.pbs', r'line 27 (`./never`): comes after `exit`'),
        ('perlmutter-steps.sbatch', r'line 10: the launcher and its options are left out: it started one process, and so does a task'),
        ('steps-after-mpi.sbatch', r'line 5 (`set -e`): of the shell of the script'),
        ('old-torque.pbs', r'is an old form; it is asked for by `select` now'),
        ('perlmutter.sbatch', r'each of the 4 ranks of line 21 becomes a task; if ranks talk to one another, write `type: MPIEngine`'),
    ],
)
def test_what_is_not_taken_over_is_named(name: str, words: str) -> None:
    assert words in converted(name)


# --- no line is lost ---


def told(text: str) -> set[int]:
    """Lines of the script that a file speaks of."""
    found: set[int] = set()
    for listed in re.findall(r'\blines? (\d+(?:-\d+)?(?:, \d+(?:-\d+)?)*)', text):
        for first, last in re.findall(r'(\d+)(?:-(\d+))?', listed):
            found.update(range(int(first), int(last or first) + 1))
    return found


def counted(script: str) -> set[int]:
    """Lines of a script that mean something."""
    lines = script.replace('\r\n', '\n').split('\n')
    return {
        number for number, line in enumerate(lines, 1) if line.strip() and (not line.lstrip().startswith('#') or re.match('#(PBS|SBATCH) ', line))
    }


@pytest.mark.parametrize('name', SCRIPTS)
def test_no_line_of_any_script_is_unaccounted_for(name: str) -> None:
    assert counted((DATA / name).read_text()) - told(converted(name)) == set()


LINES = [
    './app', './app &', 'wait', 'rm -rf out', 'srun -n 4 ./mpi', 'srun -n 4 ./mpi &', 'mpiexec -n 1 ./one', 'CUDA_VISIBLE_DEVICES=1 ./gpu &', 'X=1',
    'X=$(date)', './app $X > log', 'export A=$X', 'cd /x', 'cd y', 'echo hi', 'echo hi > file', 'for i in 1 2; do\n  ./app $i &\ndone\nwait',
    'while true; do\n  ./app\ndone', 'if x; then\n  ./app\nfi', 'f() {\n  ./app\n}', "python -c '\nprint(1)\n'", 'cat <<E > in\n./no & x\nE',
    'set -x',
    'trap x EXIT', 'module load a', 'mkdir -p /x/y', 'mkdir z', 'nvidia-cuda-mps-control -d', 'echo quit | nvidia-cuda-mps-control',
    './a \\\n  b {c} "{d}"',
    'wait $!', 'export CUDA_VISIBLE_DEVICES=$X', '(cd x; ./a) &', '{ ./a; ./b; }', 'cd $PBS_O_WORKDIR',
    'exit 1', 'A=1 srun -n 2 ./b', "'", '))', 'done',
]  # fmt: skip


@pytest.mark.parametrize('seed', range(60))
def test_no_line_of_scripts_by_chance_is_lost_and_each_program_compiles(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    body = '\n'.join(chance.choice(LINES) for _ in range(chance.randint(1, 12)))
    directives = chance.choice(['#PBS -l select=1:ngpus=4:ncpus=8\n', '#PBS -l select=2\n#PBS -J 1-3\n', '#SBATCH -N 2\n#SBATCH -n 8\n'])
    script = directives + body + '\n'
    text = from_script(script.encode(), 'job')
    assert counted(script) - told(text) == set(), script
    compile(program_of(text), 'job', 'exec')
    path = tmp_path / 'endpoint.yaml'
    path.write_text(text)
    load_endpoint_config(path)


# --- the program at the end ---


def program(name: str) -> str:
    return program_of(converted(name))


def program_of(text: str) -> str:
    text = text.rpartition('# The work as tasks')[2]
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


def names_of(name: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(program(name).partition('with rp.')[0], names)  # noqa: S102  it is the text under test
    return names


def test_steps_keep_the_order_of_the_script() -> None:
    apps, clean, mpi = names_of('mps-then-mpi.pbs')['steps']
    assert apps == [f'./app input.{index}' for index in range(16)]
    assert clean == ['rm -rf /tmp/scratch']
    assert [text.partition('; ')[2] for text in mpi] == ['mpiexec -n 4 --ppn 4 ./set_affinity_gpu_polaris.sh ./hello']


def test_steps_beside_an_mpi_application_are_not_lost() -> None:
    one = {'num_nodes': 1, 'ranks_per_node': 1}
    assert names_of('steps-after-mpi.sbatch')['steps'] == [
        [('$PARSL_MPI_PREFIX ./prepare', {'num_nodes': 2, 'ranks_per_node': 4})],
        [('./clean.sh', one)],
        [('python a.py', one)],
        [('rm -rf out', one)],
    ]


def test_nothing_is_made_up() -> None:
    assert './app' not in converted('while-gpus.sbatch').partition('engine:')[2]
    assert program('while-gpus.sbatch').strip().startswith('# Nothing of the work was understood')


def test_a_service_of_each_node_belongs_to_its_launcher(tmp_path: Path) -> None:
    provider = pool_of('mps-nodes.sbatch', tmp_path).provider
    assert provider is not None
    text = converted('mps-nodes.sbatch')
    assert '      type: SrunLauncher' in text
    assert '      node_init: nvidia-cuda-mps-control -d' in text
    assert '      node_exit: "echo quit | nvidia-cuda-mps-control"' in text


class Recorder:
    """An executor that runs each task when its result is asked for, and notes the order."""

    resource_specification: dict[str, Any]

    def __init__(self) -> None:
        self.ran: list[str] = []

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, function: Any, command: str = '') -> Recorder:
        self.ran.append(f'submit {command or function}')
        return self

    def result(self) -> str:
        self.ran.append('result')
        return ''


@pytest.mark.parametrize(('name', 'tasks'), [('mps-then-mpi.pbs', [16, 1, 1]), ('steps-after-mpi.sbatch', [1, 1, 1, 1])])
def test_a_step_is_submitted_when_all_of_the_one_before_has_ended(name: str, tasks: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr('relay_parsl.Executor', lambda _endpoint: recorder)
    exec(program(name), {})  # noqa: S102  it is the text under test
    assert [each.partition(' ')[0] for each in recorder.ran] == [word for count in tasks for word in ['submit'] * count + ['result'] * count]


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


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    'body',
    [
        b'$((' * 9, b'A=1 ' * 10_000 + b'./a\n', b'V=$(x)\n' * 10_000, b'for i in' + b' ' * 3900 + b'x\n', b'./app one two\n' * 5000,
        b'if x; then\n' + b'y\n' * 30_000, b'mpiexec -n 4 ./a\n' * 5000, b'cd a\n./x\n' * 5000, b'cat <<E > x\n' + b'a\n' * 30_000,
        b'for i in {0..1000}; do ./app $i & done\nwait\n' * 1000,
    ],
)  # fmt: skip
def test_time_grows_with_the_length_only(body: bytes) -> None:
    assert from_script(b'#PBS -q a\n' + body, 'job')


def test_loops_within_loops_have_a_bound() -> None:
    nested = b'#PBS -q a\n' + b'for i in 1 2; do\n' * 5000 + b'x\n' + b'done\n' * 5000
    with pytest.raises(ConfigError, match=r'^job: line 102: more than 100 loops, conditions and brackets within one another: take the work'):
        from_script(nested, 'job')


def test_no_comment_ends_early() -> None:
    assert all(re.match(r'#|\S+:|  |$', line) for line in converted('heterogeneous.sbatch').splitlines())


def test_mpi_applications_beside_one_another_stay_mpi_applications(tmp_path: Path) -> None:
    script = '#SBATCH -N 2\n#SBATCH -t 10\nA=1 srun -N 1 -n 4 ./a &\nsrun -N 1 -n 4 ./b &\nwait\ncp x y\n'
    text = from_script(script.encode(), 'job')
    path = tmp_path / 'endpoint.yaml'
    path.write_text(text)
    (pool,) = load_endpoint_config(path).pools.values()
    assert (pool.kind, pool.spec.options['max_workers_per_block']) == ('MPIEngine', 2)
    names: dict[str, Any] = {}
    exec(program_of(text).partition('with rp.')[0], names)  # noqa: S102  it is the text under test
    four = {'num_nodes': 1, 'ranks_per_node': 4}
    together = [('A=1 $PARSL_MPI_PREFIX ./a', four), ('$PARSL_MPI_PREFIX ./b', four)]
    assert names['steps'] == [together, [('cp x y', {'num_nodes': 1, 'ranks_per_node': 1})]]
