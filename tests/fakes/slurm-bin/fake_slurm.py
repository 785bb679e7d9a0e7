#!/usr/bin/env -S python3 -ES
"""`sbatch`, `sacct`, `squeue`, `scontrol` and `scancel` by one file under five names: they print what Slurm 22.05 prints, and fail as they are told.

`$FAKE_SLURM` is their directory. A job is `jobs/ID.json`; its script runs for real, and leaves `jobs/ID.exit`. A test may put there

    jobs/ID.state     WORD CODE:SIGNAL REASON    what has become of the job, instead of what the script does
    PROGRAM.mode      refuse TEXT | hang | empty | late SECONDS | choke ID | mute | garbage    how a program behaves

Each cluster of a federation counts its own jobs: those are `jobs/ID;CLUSTER.json`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

HOME = Path(os.environ['FAKE_SLURM'])
JOBS = HOME / 'jobs'
TOO_MANY = 200
"""Ids in one question with which the sacct of a large site hangs (Parsl's issue 3814)."""
ENDED = ('COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT', 'NODE_FAIL', 'OUT_OF_MEMORY', 'PREEMPTED', 'BOOT_FAIL', 'DEADLINE')

GARBAGE = '<html><title>504 Gateway Time-out</title></html>\n'
SHORT = {'PENDING': 'PD', 'RUNNING': 'R', 'COMPLETING': 'CG'}


def say(text: str, code: int = 0, error: str = '') -> NoReturn:
    sys.stdout.write(text)
    sys.stderr.write(error)
    sys.exit(code)


def option(arguments: list[str], name: str) -> str:
    """Of `--name=value` and `--name value`."""
    given = [*arguments, '']
    return next((each.partition('=')[2] or given[number + 1] for number, each in enumerate(given) if each.partition('=')[0] == f'--{name}'), '')


def read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ''


def state(job: str) -> tuple[str, str, str]:
    """Its word, exit code and reason."""
    if forced := read(JOBS / f'{job}.state'):
        word, code, reason = (*forced.split(' ', 2), '0:0', 'None')[:3]
        return word, code, reason
    code = read(JOBS / f'{job}.exit')
    if not code:
        return 'RUNNING', '0:0', 'None'
    return ('COMPLETED', '0:0', 'None') if code == '0' else ('FAILED', f'{code}:0', 'NonZeroExitCode')


def record(job: str) -> dict[str, Any]:
    return json.loads(read(JOBS / f'{job}.json') or '{}')  # type: ignore[no-any-return]


def known(arguments: list[str], name: str) -> list[str]:
    """Those of the jobs asked for that these clusters have."""
    endings = [f';{cluster}' if cluster else '' for cluster in option(arguments, 'clusters').split(',')]
    return [f'{job}{ending}' for job in option(arguments, name).split(',') for ending in endings if (JOBS / f'{job}{ending}.json').exists()]


def number(job: str) -> str:
    return job.partition(';')[0]


def sbatch(arguments: list[str]) -> NoReturn:
    script = Path(arguments[-1])
    given = dict(re.findall(r'^#SBATCH --([\w-]+)(?:=(.*))?$', script.read_text(), re.MULTILINE))
    if 'account' in given and given['account'].startswith('nosuch'):
        say('', 1, 'sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n')
    if mode('sbatch').startswith('refuse '):
        say('', 1, mode('sbatch').removeprefix('refuse ') + '\n')
    JOBS.mkdir(parents=True, exist_ok=True)
    clusters = given.get('clusters', '').split(',')
    cluster = min(clusters, key=lambda name: len(list(JOBS.glob(f'*;{name}.json'))))
    ending = f';{cluster}' if cluster else ''
    job = str(max([int(number(path.stem)) for path in JOBS.glob(f'*{ending}.json')], default=0) + 1) + ending
    facts = {'name': given['job-name'], 'cluster': cluster, 'submitted': time.time(), 'given': given}
    (JOBS / f'{job}.json').write_text(json.dumps(facts))
    outputs = [open(given[name].strip('"').replace('%%', '%'), 'ab') for name in ('output', 'error')]  # noqa: SIM115  the job's
    environment = {
        **os.environ,
        'SLURM_JOB_ID': job,
        'SLURM_JOB_NAME': given['job-name'],
        'SLURM_JOB_NUM_NODES': given['nodes'],
        'SLURM_CPUS_ON_NODE': '2',
    }
    end = JOBS / f'{job}.exit'
    runner = ['bash', '-c', f"bash '{script}'; echo $? > '{end}.new'; mv '{end}.new' '{end}'"]
    process = subprocess.Popen(runner, stdin=subprocess.DEVNULL, stdout=outputs[0], stderr=outputs[1], env=environment, start_new_session=True)
    (JOBS / f'{job}.pid').write_text(str(process.pid))
    if mode('sbatch') == 'hang':  # it has got through, and does not come back
        time.sleep(600)
    if mode('sbatch') == 'mute':  # it has got through, and its answer is lost
        say('', 1, 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n')
    if mode('sbatch') == 'garbage':
        say(GARBAGE)
    say(f'Submitted batch job {number(job)}{f" on cluster {cluster}" if cluster else ""}\n')


def sacct(arguments: list[str]) -> NoReturn:
    if len(option(arguments, 'jobs').split(',')) > TOO_MANY:
        time.sleep(600)
    behave('sacct', arguments)
    late = float(mode('sacct').removeprefix('late ')) if mode('sacct').startswith('late ') else 0.0
    found = [job for job in known(arguments, 'jobs') or known(arguments, 'job') if time.time() - record(job)['submitted'] >= late]
    rows = [(number(job), *state(job)[:2]) for job in found]
    if '-P' in arguments:
        say(''.join(f'{job}|{"CANCELLED by 0" if word == "CANCELLED" else word}|{code}\n' for job, word, code in rows))
    say(''.join(f'{job:<12} {word:>20} \n' for job, word, _ in rows))


def squeue(arguments: list[str]) -> NoReturn:
    behave('squeue')
    if name := option(arguments, 'name'):
        here = option(arguments, 'clusters').split(',')
        rows = [path.stem for path in JOBS.glob('*.json') if record(path.stem)['name'] == name and record(path.stem)['cluster'] in here]
        say(''.join(f'{number(job)}\n' for job in rows))
    found = known(arguments, 'jobs') or known(arguments, 'job')
    if not found and ',' not in option(arguments, 'jobs'):
        say('', 1, 'slurm_load_jobs error: Invalid job id specified\n')
    everything = '--states=all' in arguments
    rows = [(number(job), *state(job)) for job in found]
    if option(arguments, 'format') == '%i %t':
        say(''.join(f'{job} {SHORT[word]}\n' for job, word, *_ in rows if word in SHORT))
    say(''.join(f'{job}|{word}|{reason}\n' for job, word, _, reason in rows if everything or word not in ENDED))


def scontrol(arguments: list[str]) -> NoReturn:
    behave('scontrol')
    found = known([*arguments, f'--job={arguments[-1]}'], 'job')
    if not found:
        say('', 1, 'slurm_load_jobs error: Invalid job id specified\n')
    word, code, reason = state(found[0])
    say(f'JobId={number(found[0])} JobName={record(found[0])["name"]} JobState={word} Reason={reason} Requeue=0 ExitCode={code} RunTime=00:00:02\n')


def scancel(arguments: list[str]) -> NoReturn:
    behave('scancel')
    said = ''
    for job in [each for each in arguments if not each.startswith('-')]:
        said += f'scancel: Terminating job {job}\n'
        found = known([*arguments, f'--job={job}'], 'job')
        if not found:
            said += f'scancel: error: Kill job error on job id {job}: Invalid job id specified\n'
        elif state(found[0])[0] in ENDED:
            said += f'scancel: error: Kill job error on job id {job}: Job/step already completing or completed\n'
        else:
            (JOBS / f'{found[0]}.state').write_text('CANCELLED 0:15 None')
            os.killpg(int(read(JOBS / f'{found[0]}.pid')), signal.SIGKILL)
    say('', 0, said if '--verbose' in arguments else '')


def mode(program: str) -> str:
    return read(HOME / f'{program}.mode')


def behave(program: str, arguments: Sequence[str] = ()) -> None:
    said = mode(program)
    if said.startswith('choke ') and re.search(rf'[=,]{said.removeprefix("choke ")}\b', ' '.join(arguments).replace(' ', '=')):
        say('', 1, f'{program}: error: slurmdbd: Broken pipe\n')
    if said == 'hang':
        time.sleep(600)
    if said == 'empty':
        say('')
    if said == 'garbage':
        say(GARBAGE)
    if said.startswith('refuse '):
        say('', 1, said.removeprefix('refuse ') + '\n')


if __name__ == '__main__':
    me = Path(sys.argv[0]).name
    with open(HOME / 'calls', 'a') as calls:
        calls.write(f'{me} {" ".join(sys.argv[1:])}\n')
    {'sbatch': sbatch, 'sacct': sacct, 'squeue': squeue, 'scontrol': scontrol, 'scancel': scancel}[me](sys.argv[1:])
