"""What prepares and what is the work; loops and variables as a shell would follow them."""

from __future__ import annotations

import subprocess

import pytest

from relay_parsl.endpoint.jobloops import listed, resolve
from relay_parsl.endpoint.jobscript import read_script
from relay_parsl.endpoint.jobwork import Work, work_of


def work(text: str, nodes: int = 1) -> Work:
    return work_of(read_script(b'#PBS -q a\n' + text.encode(), 'job'), nodes)


def groups(text: str) -> list[list[str]]:
    return [[command.text for command in group] for group in work(text).groups]


def test_groups_end_where_the_script_waits() -> None:
    assert groups('a &\nb &\nwait\nc &\nd\ne\n') == [['a', 'b'], ['c', 'd'], ['e']]


def test_what_prepares_and_what_talks() -> None:
    found = work('module load x\necho hello\nexport A=$B\nB=1\nsource y/bin/activate\nhostname\n./app | tee log\nset -e\nenv A=1 ./other\n')
    assert [line.text for line in found.setup] == ['module load x', 'export A=$B', 'B=1', 'source y/bin/activate']
    assert [command.text for group in found.groups for command in group] == ['./app | tee log', './other']


def test_variables_that_nothing_needs_are_gone() -> None:
    assert [line.text for line in work('N=4\nP=/x\nexport PATH=$P:$PATH\nmpiexec -n $N ./app\n').setup] == ['P=/x', 'export PATH=$P:$PATH']


def test_masks_are_those_of_the_workers() -> None:
    found = work('export CUDA_VISIBLE_DEVICES=1 A=2\n./app\n')
    assert found.groups[0][0].mask == '1'
    assert [line.text for line in found.setup] == ['export A=2']


def test_where_it_runs() -> None:
    assert not work('cd $PBS_O_WORKDIR\n./app\n').cwd
    assert not work('cd "${SLURM_SUBMIT_DIR}" || exit 1\n./app\n').cwd
    assert work('cd /x && ./app\n').cwd == '/x'
    assert groups('cd /x && ./app\n') == [['./app']]


def test_nodes_that_the_script_counts() -> None:
    (command,) = work('NNODES=`wc -l < $PBS_NODEFILE`\nmpiexec -n $((NNODES * 4)) --ppn 4 ./app\n', nodes=3).groups[0]
    assert (command.ranks, command.per_node) == (12, 4)


LOOPS = [
    'for i in 0 1 2; do\n  ./app $i &\ndone\nwait\n',
    'for i in {0..2}; do ./app ${i} & done; wait\n',
    'for i in $(seq 0 2)\ndo\n  ./app $i &\ndone\n',
    'for ((i=0; i<3; i++)); do ./app $i & done\n',
    'N=3\nfor ((i=0; i<N; i++))\ndo\nX=$i\n./app $X &\ndone\nwait\n',
]


@pytest.mark.parametrize('loop', LOOPS)
def test_loops(loop: str) -> None:
    assert groups(loop) == [['./app 0', './app 1', './app 2']]


@pytest.mark.parametrize('loop', LOOPS)
def test_bash_agrees(loop: str) -> None:
    ran = subprocess.run(['bash', '-c', loop.replace('./app', 'echo ./app') + '\nwait'], capture_output=True, text=True, check=True, timeout=30)
    assert sorted(ran.stdout.splitlines()) == ['./app 0', './app 1', './app 2']


@pytest.mark.parametrize(
    'text',
    ['for f in *.dat; do ./app $f; done\n', 'while read x; do ./app $x; done < list\n', 'for i in 1; do for j in 2; do x; done; done\n'],
)
def test_what_only_a_shell_can_follow(text: str) -> None:
    found = work(text)
    assert (found.groups, len(found.verbatim)) == ([], 1)


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('$((2 + 3 * 4))', '14'),
        ('$((7 % 4))', '3'),
        ('$(( N / 2 - 1 ))', '3'),
        ('$((N / 0))', '$((N / 0))'),
        ('$((1 << 2))', '$((1 << 2))'),
        ('$M', '$M'),
    ],
)
def test_sums(text: str, value: str) -> None:
    assert resolve(text, {'N': '8'}) == value


def test_lists() -> None:
    assert listed('$(seq 3)', {}) == ['1', '2', '3']
    assert listed("'a b' c", {}) == ['a b', 'c']
    assert listed('{1..100000}', {}) is None


def test_a_later_change_of_directory_goes_with_the_commands_behind_it() -> None:
    found = work('cd /x\n./a\ncd sub\n./b\ncd /y\n./c\n')
    assert found.cwd == '/x'
    assert [command.text for command in found.commands] == ['./a', 'cd sub && ./b', 'cd /y && ./c']


def test_what_writes_a_file_is_work_and_what_talks_is_not() -> None:
    assert groups('echo a > in\necho "a > b"\ndate 2>&1\ncat x y > z\nhostname > /dev/null\n') == [['echo a > in'], ['cat x y > z']]


def test_single_quotes_keep_variables_from_the_shell() -> None:
    assert groups("i=1\nawk '{print $i}' x$i > y\n") == [["awk '{print $i}' x1 > y"]]


def test_values_that_only_the_shell_knows_go_to_the_workers() -> None:
    found = work('D=$(mktemp -d)\nE=$(date)\n./app $D\n')
    assert [line.text for line in found.setup] == ['export D=$(mktemp -d)']
    assert [(line.number, why) for line, why in found.left] == [(3, 'nothing below uses it')]


def test_directories_made_before_the_work_prepare_and_later_ones_are_steps() -> None:
    found = work('mkdir -p /a\nmkdir b\n./app\nmkdir /c\n')
    assert [line.text for line in found.setup] == ['mkdir -p /a']
    assert [command.text for command in found.commands] == ['mkdir b', './app', 'mkdir /c']


def test_nothing_behind_the_end_of_the_script_is_run() -> None:
    assert groups('./a\nexit 0\n./b\n') == [['./a']]


def test_a_mask_that_only_the_shell_knows_is_no_accelerator() -> None:
    (command,) = work('CUDA_VISIBLE_DEVICES=$X ./app\n').commands
    assert (command.mask, command.text) == (None, 'CUDA_VISIBLE_DEVICES=$X ./app')
