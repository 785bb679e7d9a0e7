"""The fake PBS against what a real one printed (tests/data/pbs): words, exit statuses, attributes, states, and how jobs run."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.openpbs import server
from tests.fakes.pbs import FakePBS, fixture, until

DATA = Path(__file__).parents[1] / 'data' / 'pbs'
DIRECTIVES = '#!/bin/bash\n\n#PBS -A Catalyst\n#PBS -l walltime=00:05:00\n#PBS -l filesystems=home\n'
__all__ = ['fixture']


@pytest.fixture(autouse=True)
def _here(pbs: FakePBS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert pbs.directory.exists()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, check=False, errors='surrogateescape')


def qsub(text: str, *options: str) -> str:
    Path('job.sh').write_text(DIRECTIVES + text)
    ran = run('qsub', *options, 'job.sh')
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def shown(job: str) -> dict[str, Any]:
    answer = json.loads(run('qstat', '-x', '-f', '-F', 'json', job).stdout)
    return answer['Jobs'][job]  # type: ignore[no-any-return]


# --- words ---


def cases() -> list[Any]:
    """Each command of the transcript with what a real one printed: stdout, stderr, exit status."""
    found = []
    blocks = [block for name in ('errors', 'options') for block in re.split(r'\n\n(?=\$ )', (DATA / f'{name}.txt').read_text().strip())]
    for block in blocks:
        lines = [line for line in block.splitlines() if not line.startswith('# ')]
        command = lines[0].removeprefix('$ ')
        streams = {name: [line.partition(': ')[2] for line in lines if line.startswith(f'{name}: ')] for name in ('stdout', 'stderr')}
        tail = re.search(r'\}stderr: (.*)', block)  # JSON without a line's end before the error
        code = int(re.findall(r'^rc=(\d+)', block, re.MULTILINE)[-1])
        found.append(pytest.param(command, streams, [tail[1]] if tail else [], code, id=command[-60:]))
    return found


def history(pbs: FakePBS) -> None:
    """Jobs 2 and 3 have ended, job 24 runs: so it was when the transcript was made."""
    for number, text, options in ((2, 'exit 0', ['-q', 'debug']), (3, 'exit 3', ['-q', 'preemptable']), (24, 'sleep 60', [])):
        with server.locked(pbs.directory) as locked:
            locked.state['next'] = number
        pbs.wait(qsub(text, *options), 'R' if number == 24 else 'F')


@pytest.mark.parametrize(('command', 'streams', 'tail', 'code'), cases())
def test_commands_say_what_a_real_one_said(pbs: FakePBS, command: str, streams: dict[str, list[str]], tail: list[str], code: int) -> None:
    Path('s.sh').write_text('sleep 60\n')
    Path('crlf.sh').write_bytes(b'#!/bin/bash\r\n#PBS -A Catalyst\r\n#PBS -l walltime=00:05:00\r\nhostname\r\n')
    Path('bad.sh').write_text('#PBS -l bogus=1\nhostname\n')
    Path('bad2.sh').write_text('#PBS -Q nope\nhostname\n')
    Path('d1.sh').write_text('#PBS -l walltime=00:01:00 -q\n')
    Path('d2.sh').write_text('#PBS -l walltime=00:01:00 extra\n')
    Path('d3.sh').write_text('#PBS -N "has space"\n')
    Path('d4.sh').write_text('#PBS -r n\n#PBS -J 0-1\n')
    words = shlex.split(command.replace('runuser -u nobody -- /opt/pbs/bin/', ''))
    if {'2', '3', '24.polaris-pbs-01'} & {*words}:
        history(pbs)
    ran = run(*words)
    assert ran.returncode == code
    assert ran.stderr.splitlines() == [line for line in streams['stderr'] if line] + tail
    if words[0] == 'qsub':
        assert bool(re.fullmatch(r'\d+(\[\])?\.polaris-pbs-01\n', ran.stdout)) == (code == 0)
    if 'json' in words:
        answer = json.loads('\n'.join(streams['stdout']).removesuffix(f'stderr: {"".join(tail)}'))
        assert list(json.loads(ran.stdout).get('Jobs', {})) == list(answer.get('Jobs', {}))


def test_a_server_that_is_away(pbs: FakePBS) -> None:
    job = qsub('sleep 60')
    pbs.set(down=True)
    for command, code, said in (
        (['qstat', '-x', '-f', '-F', 'json', job], 255, 'Connection refused\nqstat: cannot connect to server polaris-pbs-01 (errno=15010)\n'),
        (['qsub', 'job.sh'], 162, 'Connection refused\nqsub: cannot connect to server polaris (errno=15010)\n'),
        (['qdel', job], 162, "Connection refused\nCouldn't connect to cluster: polaris-pbs-01\n"),
    ):
        ran = run(*command)
        assert (ran.returncode, ran.stderr) == (code, said)
        assert 'Jobs' not in ran.stdout


# --- attributes ---

FREE = {'session_id', 'PBS_O_LOGNAME', 'S', 'ngpus', 'PBS_O_LANG', 'PBS_O_SHELL'}
"""Attributes that a job has or has not, after how short it was and who submitted it."""


def keys(record: dict[str, Any]) -> list[Any]:
    return [(name, keys(value)) if isinstance(value, dict) else name for name, value in record.items() if name not in FREE]


def captured(name: str) -> dict[str, Any]:
    (record,) = json.loads((DATA / f'{name}.json').read_text())['Jobs'].values()
    return record  # type: ignore[no-any-return]


def alike(record: dict[str, Any], name: str) -> None:
    real = captured(name)
    assert keys(record) == keys(real)
    for attribute in ('job_state', 'substate', 'Exit_status', 'Hold_Types', 'accrue_type', 'Rerunable', 'Keep_Files', 'run_count'):
        assert record.get(attribute) == real.get(attribute), attribute

    def words(comment: str) -> str:
        return re.sub(r'at \w+ \w+ \d+ at [\d:]+ on [^ ]+|by \S+', '', comment)

    assert words(record.get('comment', '')) == words(real.get('comment', ''))


@pytest.mark.parametrize(('text', 'name'), [('exit 0', 'finished-exit0'), ('exit 3', 'finished-exit3')])
def test_a_job_that_ended(pbs: FakePBS, text: str, name: str) -> None:
    job = qsub(text)
    pbs.wait(job, 'F')
    alike(shown(job), name)


def test_a_job_that_runs_and_is_deleted(pbs: FakePBS) -> None:
    job = qsub('sleep 60')
    until(lambda: pbs.processes(job))
    pbs.wait(job, 'R')
    alike(shown(job), 'running')
    assert run('qdel', job).returncode == 0
    pbs.wait(job, 'F')
    alike(shown(job), 'finished-qdel-running')
    assert pbs.processes(job) == []


def test_a_job_that_is_killed_at_its_walltime(pbs: FakePBS) -> None:
    job = qsub('trap "echo got TERM; exit 9" TERM; sleep 60 & wait', '-l', 'walltime=00:00:06')  # a login shell on a busy machine takes a while
    pbs.wait(job, 'F')
    alike(shown(job), 'finished-walltime')
    said = Path(f'job.sh.e{job.split(".")[0]}').read_text()
    assert re.match(r'=>> PBS: job killed: walltime \d+ exceeded limit 6\n', said)
    assert 'got TERM' in Path(f'job.sh.o{job.split(".")[0]}').read_text()


def test_jobs_that_wait_and_one_that_never_runs(pbs: FakePBS) -> None:
    held = qsub('true', '-h')
    alike(shown(held), 'held')
    never = qsub('true', '-l', 'select=1:system=polariss')
    until(lambda: pbs.jobs[never]['comment'])
    alike(shown(never), 'queued-can-never-run')
    assert run('qdel', never).returncode == 0
    alike(shown(never), 'finished-qdel-queued')
    first = qsub('sleep 60', '-l', 'select=4:ncpus=64')
    pbs.wait(first, 'R')
    waits = qsub('true', '-l', 'select=2:ncpus=64')
    until(lambda: pbs.jobs[waits]['comment'])
    alike(shown(waits), 'queued-waiting')


# --- how jobs run ---


def test_chunks_pack_unless_they_scatter(pbs: FakePBS) -> None:
    for options, hosts in (
        (['-l', 'select=2:ncpus=1'], 'p1\np1\n'),
        (['-l', 'select=2:ncpus=1', '-l', 'place=scatter'], 'p1\np2\n'),
        (['-l', 'select=2:ncpus=64:ngpus=4'], 'p1\np2\n'),
        (['-l', 'select=1:ncpus=64:mpiprocs=3'], 'p1\np1\np1\n'),
    ):
        job = qsub('cat $PBS_NODEFILE', *options)
        pbs.wait(job, 'F')
        assert Path(f'job.sh.o{job.split(".")[0]}').read_text() == hosts


def test_a_job_has_its_own_environment_and_home(pbs: FakePBS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('SECRET', 'x')
    job = qsub('pwd; env; ps -o args= -p $PPID', '-q', 'debug')
    pbs.wait(job, 'F')
    output = Path('job.sh.o1')
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    lines = output.read_text().splitlines()
    assert lines[0] == str(pbs.directory / 'home')
    assert lines[-1] == '-bash'
    assert not [line for line in lines if line.startswith('SECRET')]
    for wanted in ('PBS_JOBID=1.polaris-pbs-01', f'PBS_O_WORKDIR={tmp_path}', 'PBS_QUEUE=debug', 'PBS_ENVIRONMENT=PBS_BATCH', 'NCPUS=1'):
        assert wanted in lines


@pytest.mark.parametrize(('keep', 'there'), [('n', False), ('doe', True)])
def test_output_comes_at_the_end_unless_it_is_kept(pbs: FakePBS, tmp_path: Path, keep: str, there: bool) -> None:
    job = qsub('echo begun; touch begun; sleep 60', '-k', keep, '-o', str(tmp_path / 'out'))
    until((pbs.directory / 'home' / 'begun').exists)
    assert (tmp_path / 'out').exists() is there
    assert run('qdel', job).returncode == 0
    pbs.wait(job, 'F')
    assert (tmp_path / 'out').read_text() == 'begun\n'


def test_what_a_job_leaves_running_ends_with_it(pbs: FakePBS) -> None:
    job = qsub('setsid sleep 600 & sleep 0.2')
    pbs.wait(job, 'F')
    assert pbs.processes(job) == []


def test_an_array_runs_each_of_its_parts(pbs: FakePBS, tmp_path: Path) -> None:
    job = qsub(f'echo $PBS_JOBID > {tmp_path}/part$PBS_ARRAY_INDEX; sleep 1', '-J', '0-1')
    assert job == '1[].polaris-pbs-01'
    pbs.wait(job, 'B')
    pbs.wait(job, 'F')
    assert [(tmp_path / f'part{n}').read_text() for n in range(2)] == ['1[0].polaris-pbs-01\n', '1[1].polaris-pbs-01\n']


def test_bytes_and_numbers_come_out_of_json_as_from_pbs(pbs: FakePBS) -> None:
    job = qsub('true', '-h', '-N', '1e5', '-v', 'S=8,X=a\udcffb')
    answer = subprocess.run(['qstat', '-f', '-F', 'json', job], capture_output=True, check=True).stdout
    assert b'"Job_Name":100000.0,' in answer
    assert b'"S":8,' in answer
    with pytest.raises(UnicodeDecodeError):
        answer.decode()


def test_without_a_history_nothing_is_said_with_x_and_an_ended_job_is_unknown(pbs: FakePBS) -> None:
    pbs.set(history=False)
    job = qsub('sleep 0.5')
    pbs.wait(job, 'R')
    ran = run('qstat', '-x', '-f', job)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, '', f'qstat: PBS is not configured to maintain job history {job}\n')
    assert f'Job Id: {job}\n' in run('qstat', '-f', job).stdout
    pbs.wait(job, 'F')
    for command in ('qstat', 'qdel'):
        ran = run(command, job)
        assert (ran.returncode, ran.stderr) == (153, f'{command}: Unknown Job Id {job}\n')


def test_settings_that_spoil_answers(pbs: FakePBS) -> None:
    first, second = qsub('true', '-h'), qsub('true', '-h')
    pbs.set(first_only=True, domain='.site.org')
    assert list(json.loads(run('qstat', '-f', '-F', 'json', first, second).stdout)['Jobs']) == [f'{first}.site.org']
    pbs.set(spoil='a"b')
    with pytest.raises(ValueError, match='delimiter'):
        json.loads(run('qstat', '-f', '-F', 'json', first).stdout)
    assert f'Job Id: {first}.site.org\n' in run('qstat', '-f', first, second).stdout


def test_its_programs_can_be_started() -> None:
    for name in ('qsub', 'qstat', 'qdel', 'qselect'):
        assert os.access(Path(__file__).parent / 'bin' / name, os.X_OK)
