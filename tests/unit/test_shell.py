"""Shell functions: what upstream does, without its defects."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.shell import SNIPPET, MPIFunction, ShellFunction, ShellResult
from relay_parsl.wire import payload


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ('GC_TASK_UUID', 'GC_TASK_SANDBOX_DIR', 'PARSL_MPI_PREFIX'):
        monkeypatch.delenv(name, raising=False)


def run(cmd: str, **kwargs: Any) -> ShellResult:
    result = ShellFunction(cmd)(**kwargs)
    assert isinstance(result, ShellResult)
    return result


def until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def alive(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_bytes().rpartition(b')')[2].split()[0] != b'Z'
    except FileNotFoundError:
        return False


# -- The text ----------------------------------------------------------------------------------------------------------

TEXTS = [
    ('echo {x}', {'x': 'a b'}, '_rp1=\'a b\'; echo "${_rp1}"'),
    ('echo {x} {y:03} {y:>4} {x!r}', {'x': 'a', 'y': 7}, "_rp1='   7'; _rp2=''\"'\"'a'\"'\"''; echo a 007 \"${_rp1}\" \"${_rp2}\""),
    ('ls {x!s} {x!s:>9} {y}', {'x': '-l -a', 'y': ['-l', 'a b', 3]}, '_rp1=\'a b\'; ls -l -a     -l -a -l "${_rp1}" 3'),
    ('echo {o.real} {d[key]}', {'o': 3, 'd': {'key': 'v'}}, 'echo 3 v'),
    ('echo ${{HOME}} {{print $1}} {x}', {'x': 1}, 'echo ${HOME} {print $1} 1'),
    ("awk '{print $1}' {x}", {'x': 'f'}, "awk '{print $1}' f"),
    ('echo ${HOME} ${HOME:-x} ${#x[@]} {1..3} {a,b}', {}, 'echo ${HOME} ${HOME:-x} ${#x[@]} {1..3} {a,b}'),
    ('f() { echo ${x:-${y}}; }; f {}', {}, 'f() { echo ${x:-${y}}; }; f {}'),
    ('echo ${x}', {'x': 'HOME'}, 'echo $HOME'),
    ('echo nothing', {'unused': 1}, 'echo nothing'),
    ('{x}{x}', {'x': '{y}'}, '_rp1=\'{y}\'; "${_rp1}""${_rp1}"'),
    ('echo \'{x}\' "{x}" {x}', {'x': 'plain'}, 'echo \'plain\' "plain" plain'),
    ('echo \'{x}\' "{x}" {x!q}', {'x': '$a'}, '_rp1=\'$a\'; echo \'\'"${_rp1}"\'\' "${_rp1}" "${_rp1}"'),
    ('python app.py --n {n} --to={f} >{n}', {'n': 3, 'f': 'out/a-1.txt'}, '_rp1=3; python app.py --n 3 --to=out/a-1.txt >"${_rp1}"'),
    ('seq {1..{n}} $(({n} + 1)) $HOME{n}', {'n': 3}, '_rp1=3; seq {1..3} $((3 + 1)) $HOME"${_rp1}"'),
    ('echo $_rp {x}', {'x': 'a b'}, '_rp_1=\'a b\'; echo $_rp "${_rp_1}"'),
]


@pytest.mark.parametrize(('text', 'values', 'filled'), TEXTS, ids=range(len(TEXTS)))
def test_values_stand_in_the_text_and_the_shell_keeps_its_braces(text: str, values: dict[str, Any], filled: str) -> None:
    assert ShellFunction(text).command(values) == filled


def test_a_value_that_is_not_given_is_named() -> None:
    with pytest.raises(TypeError, match=r'names {naem}, and no naem= is given; for braces of its own write {{naem}}'):
        ShellFunction('echo {naem}')(name='x')


def test_quoted_values_reach_the_command_as_they_are() -> None:
    value = 'a b\'c"d$HOME`id`\n{x}; exit 3'
    result = run("printf '%s|' {value!q} | awk '{print $0}'", value=value)
    assert result.stdout == f'{value}|\n'
    assert result.returncode == 0


# -- Running -----------------------------------------------------------------------------------------------------------


def test_a_command_gives_its_output_and_return_code() -> None:
    assert run('echo out; echo err >&2') == ShellResult('echo out; echo err >&2', 'out\n', 'err\n', 0, None)
    assert run('exit 7') == ShellResult('exit 7', '', '', 7, 'subprocess.CalledProcessError')
    assert run('kill -9 $$').returncode == -9
    assert run('[[ a == a ]] && read x || echo nothing to read').stdout == 'nothing to read\n'


def test_a_dict_that_json_can_carry() -> None:
    result = ShellFunction('echo {x}', return_dict=True)(x=1)
    assert json.loads(json.dumps(result)) == {'cmd': 'echo 1', 'stdout': '1\n', 'stderr': '', 'returncode': 0, 'exception_name': None}


def test_output_is_appended_and_only_ones_own_comes_back(tmp_path: Path) -> None:
    shell = ShellFunction('echo {x}', stdout='deep/out', stderr=str(tmp_path / 'err'))
    assert [result.stdout for result in (shell(x=1), shell(x=2)) if isinstance(result, ShellResult)] == ['1\n', '2\n']
    assert (tmp_path / 'deep' / 'out').read_text() == '1\n2\n'
    assert (tmp_path / 'err').read_text() == ''


def test_default_files_carry_the_tasks_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('GC_TASK_UUID', 'some-task')
    run('echo x')
    assert sorted(name.split('.')[0] + name[-7:] for name in os.listdir(tmp_path)) == ['some-task.stderr', 'some-task.stdout']


def test_a_sandbox_is_the_commands_directory_and_not_the_processs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('GC_TASK_SANDBOX_DIR', str(tmp_path / 'box'))
    assert run('pwd').stdout == f'{tmp_path / "box"}\n'
    assert Path.cwd() == tmp_path


def test_a_directory_and_variables_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('KEPT', 'there')
    shell = ShellFunction('pwd; echo $KEPT $MINE', cwd='deep/down', env={'MINE': "it's"}, stdout='out')
    assert shell() == ShellResult('pwd; echo $KEPT $MINE', f"{tmp_path}/deep/down\nthere it's\n", '', 0)
    assert (tmp_path / 'deep' / 'down' / 'out').exists()
    assert 'MINE' not in os.environ
    assert Path.cwd() == tmp_path
    monkeypatch.setenv('GC_TASK_SANDBOX_DIR', str(tmp_path / 'box'))
    assert getattr(ShellFunction('pwd', cwd='in')(), 'stdout', '') == f'{tmp_path}/box/in\n'
    assert getattr(ShellFunction('pwd', cwd=tmp_path)(), 'stdout', '') == f'{tmp_path}\n'
    with pytest.raises(TypeError, match='env'):
        ShellFunction('true', env={'N': 1})  # type: ignore[dict-item]


def test_snippets_are_bounded_in_lines_and_bytes_and_take_any_bytes() -> None:
    assert ShellFunction('seq 100', snippet_lines=3)() == ShellResult('seq 100', '98\n99\n100\n', '', 0)
    assert ShellFunction('seq 100', snippet_lines=0)() == ShellResult('seq 100', '', '', 0)
    assert len(run("head -c 3000000 /dev/zero | tr '\\0' x").stdout) == SNIPPET
    assert run(r"printf '\xff\xfeok'").stdout == r'\xff\xfeok'


@pytest.mark.parametrize(
    'arguments', [{'walltime': 0}, {'walltime': -1}, {'walltime': float('nan')}, {'name': 'a b'}, {'name': 'class'}, {'name': '1x'}], ids=repr
)
def test_arguments_that_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'walltime|identifier'):
        ShellFunction('true', **arguments)


# -- Ending ------------------------------------------------------------------------------------------------------------

TREE = """
trap "" TERM
(trap "" TERM; sleep 300 & echo $! >> pids; wait) & echo $! >> pids
setsid sleep 300 & echo $! >> pids
(setsid bash -c 'echo $$ >> pids; exec sleep 300' &) ; (sleep 300 & echo $! >> pids)
echo $$ >> pids
echo ready
wait
"""


def pids(tmp_path: Path) -> list[int]:
    path = tmp_path / 'pids'
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_a_walltime_kills_all_that_was_started(tmp_path: Path) -> None:
    result = ShellFunction(TREE, walltime=2.0)()
    assert isinstance(result, ShellResult)
    assert (result.returncode, result.exception_name, result.stdout) == (124, 'subprocess.TimeoutExpired', 'ready\n')
    assert len(pids(tmp_path)) == 6
    assert until(lambda: not any(alive(pid) for pid in pids(tmp_path)))


def test_an_exception_in_the_wait_kills_all_that_was_started(tmp_path: Path) -> None:
    """As when a task is cancelled: an exception is raised in the thread that waits."""

    class Cancelled(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Cancelled

    def when_ready() -> None:
        until(lambda: len(pids(tmp_path)) == 6)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        thread = threading.Thread(target=when_ready)
        thread.start()
        with pytest.raises(Cancelled):
            run(TREE)
        thread.join(30)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert until(lambda: not any(alive(pid) for pid in pids(tmp_path)))


def test_a_command_stays_in_our_process_group() -> None:
    """So that the engine that kills a runner's group reaches it."""
    assert int(run('ps -o pgid= -p $$').stdout) == os.getpgrp()


# -- MPI ---------------------------------------------------------------------------------------------------------------


def test_mpi_puts_the_launcher_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match='MPIEngine'):
        MPIFunction('hostname')()
    monkeypatch.setenv('PARSL_MPI_PREFIX', 'echo mpiexec -n 4')
    assert MPIFunction('app {x}')(x='a b').stdout == 'mpiexec -n 4 app a b\n'  # type: ignore[union-attr]
    assert MPIFunction('app {x}; echo once')(x=1) == ShellResult('$PARSL_MPI_PREFIX app 1; echo once', 'mpiexec -n 4 app 1\nonce\n', '', 0)


# -- Showing and sending -----------------------------------------------------------------------------------------------


def test_results_show_what_matters() -> None:
    assert str(ShellResult('c', 'out\n', 'err\n', 0)) == 'exit code: 0\n   stdout:\nout'
    failed = str(ShellResult('c', ''.join(f'{n}\n' for n in range(50)), 'err\n', 1, 'X'))
    assert failed.endswith('\n\n   stderr:\nerr\n\nexception: X')
    assert '[... truncated; see .stdout for full output ...]\n40\n' in failed
    assert repr(ShellResult('c', 'o', 'e', 0)) == "ShellResult(cmd='c', stdout='o', stderr='e', returncode=0)"
    assert repr(ShellFunction('true', walltime=3.0)) == "ShellFunction(walltime=3.0, snippet_lines=1000, cmd='true')"


def test_shell_functions_travel() -> None:
    blob = payload.dump_function(ShellFunction('echo {x}', name='say'))
    assert payload.describe(blob).name == 'say'
    assert payload.load_outcome(payload.dump_value(payload.load_function(blob)(x='there'))).stdout == 'there\n'
