"""What runs a job on its first host: waits for its place, starts its shell, ends it at its walltime or when it is deleted, brings its output home."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import placing
from .options import seconds
from .server import Server, locked

PAUSE = 0.05
DELETED, RAN, FAILED = 91, 92, 93


def main(directory: str, key: str) -> None:
    """Serve one job to its end."""
    place = Path(directory)
    while (job := _start(place, key)) == {}:
        time.sleep(PAUSE)
    if job:
        Run(place, key, job).to_the_end()


def _start(place: Path, key: str) -> dict[str, Any] | None:
    """The job as it starts; {}: not yet; None: never."""
    with locked(place) as server:
        job = server.jobs.get(key)
        if job is None or job['state'] == 'F' or server.state.get('closing'):
            return None
        if job['state'] != 'Q' or time.time() < job['qtime'] + server.settings['start_delay']:
            return {}
        found = placing.arrange(server, key)
        if isinstance(found, str):
            job['comment'] = found
            return {}
        if placing.others_first(server, key):
            job['comment'] = placing.NOT_NOW + placing.FEW
            return {}
        return _placed(server, key, found)


def _placed(server: Server, key: str, hosts: list[str]) -> dict[str, Any]:
    job, now = server.jobs[key], time.time()
    day = time.strftime('%a %b %d at %H:%M', time.localtime(now))
    vnodes = placing.exec_vnode(job['wanted']['chunks'], hosts)
    home = server.place / 'home'
    home.mkdir(exist_ok=True)
    job |= {
        'state': 'B' if 'J' in job['given'] else 'R',
        'substate': 42,
        'hosts': sorted(set(hosts)),
        'placed': hosts,
        'stime': now,
        'mtime': now,
        'exec_host': placing.exec_host(job['wanted']['chunks'], hosts),
        'exec_vnode': vnodes,
        'jobdir': str(home),
        'cookie': secrets.token_hex(16).upper(),
        'comment': f'Job Array Began at {day}' if 'J' in job['given'] else f'Job run at {day} on {vnodes}',
    }
    return {**job, 'settings': dict(server.settings)}


class Run:
    """One job while it has its hosts."""

    def __init__(self, place: Path, key: str, job: dict[str, Any]) -> None:
        self.place, self.key, self.job = place, key, job
        self.spool = place / 'spool'
        self.spool.mkdir(exist_ok=True)
        self.tmp = Path(job['settings']['tmp'] or place / 'tmp') / f'pbs.{key}'
        self.tmp.mkdir(parents=True, exist_ok=True)
        wanted = job['wanted']['list'].get('walltime')
        self.limit = seconds(wanted) if wanted else float('inf')
        self.killed: str = ''

    def to_the_end(self) -> None:
        processes = [self._shell(index) for index in self._indices()]
        with locked(self.place) as server:
            server.jobs[self.key]['session'] = processes[0].pid
        while any(process.poll() is None for process in processes):
            self._watch()
            time.sleep(PAUSE)
        end = time.time()
        kill_marked(self.job['cookie'], signal.SIGKILL)
        self._note(state='E', substate=51, obittime=end, mtime=end)
        time.sleep(self.job['settings']['exit_delay'])
        for index in self._indices():
            self._bring_home(index)
        shutil.rmtree(self.tmp, ignore_errors=True)
        code = max(process.returncode if process.returncode >= 0 else 256 - process.returncode for process in processes)
        self._finish(min(code, 1) if 'J' in self.job['given'] else code)

    def _indices(self) -> list[int | None]:
        match = re.fullmatch(r'(\d+)-(\d+)(?::(\d+))?', self.job['given'].get('J', ''))
        return list(range(int(match[1]), int(match[2]) + 1, int(match[3] or 1))) if match else [None]

    # --- its shell ---

    def _shell(self, index: int | None) -> subprocess.Popen[bytes]:
        """The user's login shell, which is told the script's name on its stdin."""
        out, err = self._streams(index)
        script = self.place / 'jobs' / f'{self.key}.SC'
        shell = self.job['given'].get('S', '/bin/bash')
        with open(out, 'ab') as stdout, open(err, 'ab') as stderr:
            process = subprocess.Popen(
                [f'-{os.path.basename(shell)}'],
                executable=shell,
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stdout if 'j' in self.job['given'] else stderr,
                cwd=self.job['jobdir'],
                env=self._environment(index),
                start_new_session=True,
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(f'{script}\n'.encode())
            process.stdin.close()
        return process

    def _streams(self, index: int | None) -> tuple[Path, Path]:
        """Where output goes while it runs: into the spool, or with `-k d` to its place."""
        direct = 'd' in self.job['given'].get('k', '')
        found = []
        for letter, name in (('o', 'stdout'), ('e', 'stderr')):
            home = self._home_of(name, index)
            keeps = direct and letter in self.job['given']['k'] and home.parent.is_dir()
            found.append(home if keeps else self.spool / f'{self.key}{"" if index is None else index}.{letter.upper()}U')
        return found[0], found[1]

    def _home_of(self, name: str, index: int | None) -> Path:
        path = Path(self.job[name].partition(':')[2])
        kept = self.job['given'].get('k', 'n')
        if name[3] in kept and 'd' not in kept:
            path = Path(self.job['jobdir']) / path.name
        return path if index is None else path.with_name(f'{path.name}.{index}')

    def _environment(self, index: int | None) -> dict[str, str]:
        job, home = self.job, self.job['jobdir']
        number = self.key if index is None else self.key.replace('[]', f'[{index}]')
        cpus = str(job['wanted']['chunks'][0].get('ncpus', 1))
        user = job['owner'].partition('@')[0]
        nodefile = self.place / 'aux' / self.key
        nodefile.parent.mkdir(exist_ok=True)
        nodefile.write_text(''.join(f'{host}\n' * int(chunk.get('mpiprocs', 1)) for chunk, host in zip(job['wanted']['chunks'], job['placed'])))
        own = {'HOME': home, 'USER': user, 'LOGNAME': user, 'SHELL': '/bin/bash', 'PATH': '/bin:/usr/bin'}
        array = {} if index is None else {'PBS_ARRAY_INDEX': str(index), 'PBS_ARRAY_ID': self.key}
        account = {'PBS_ACCOUNT': job['account']} if job['account'] else {}
        return {
            **own,
            **{name: str(value) for name, value in job['variables'].items()},
            **array,
            **account,
            'NCPUS': cpus,
            'OMP_NUM_THREADS': cpus,
            'PBS_ENVIRONMENT': 'PBS_BATCH',
            'PBS_JOBCOOKIE': job['cookie'],
            'PBS_JOBDIR': home,
            'PBS_JOBID': number,
            'PBS_JOBNAME': job['name'],
            'PBS_MOMPORT': '15003',
            'PBS_NODEFILE': str(nodefile),
            'PBS_NODENUM': '0',
            'PBS_QUEUE': job['queue'],
            'PBS_TASKNUM': '1',
            'TMPDIR': str(self.tmp),
        }

    # --- its end ---

    def _watch(self) -> None:
        with locked(self.place) as server:
            deleted = server.jobs[self.key].get('deleted') or server.state.get('closing')
        if self.killed:  # what had not taken its own environment yet when the rest was killed
            kill_marked(self.job['cookie'], signal.SIGKILL)
        used = time.time() - self.job['stime']
        if not self.killed and used > self.limit + self.job['settings']['late']:
            with open(self._streams(None)[1], 'a', encoding='utf-8') as stderr:
                stderr.write(f'=>> PBS: job killed: walltime {int(used)} exceeded limit {int(self.limit)}\n')
            self._kill('walltime')
        elif not self.killed and deleted:
            self._kill(str(deleted))

    def _kill(self, why: str) -> None:
        """SIGTERM, then SIGKILL, to all of it."""
        self.killed = why
        deadline, told = time.time() + self.job['settings']['kill_delay'], set[int]()
        while (left := marked(self.job['cookie'])) and time.time() < deadline:
            for pid in {*left} - told:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            told |= {*left}
            time.sleep(PAUSE)
        kill_marked(self.job['cookie'], signal.SIGKILL)

    def _bring_home(self, index: int | None) -> None:
        for letter, spooled in zip(('stdout', 'stderr'), self._streams(index)):
            home = self._home_of(letter, index)
            if letter == 'stderr' and 'j' in self.job['given']:
                continue
            with suppress(OSError):  # a directory that is not there: PBS writes a mail
                if spooled != home:
                    shutil.move(spooled, home)
                home.chmod(0o600)

    def _finish(self, code: int) -> None:
        ends = {'': 'finished' if code == 0 else 'failed', 'walltime': 'exceeded resource walltime'}
        words = ends.get(self.killed, f'terminated by {self.killed}')
        substate = {'': RAN if code == 0 else FAILED, 'walltime': FAILED}.get(self.killed, DELETED)
        status = {'': code, 'walltime': -29}.get(self.killed, 0)
        comment = f'{self.job["comment"]} and {words}'
        self._note(state='F', substate=substate, exit=status, mtime=time.time(), comment=comment)
        with locked(self.place) as server:
            if server.jobs[self.key].get('forget'):
                del server.jobs[self.key]

    def _note(self, **facts: Any) -> None:
        with locked(self.place) as server:
            server.jobs[self.key].update(facts)


def marked(cookie: str) -> list[int]:
    """The processes of a job that live: they carry its cookie, whatever session they went to."""
    found = []
    for entry in os.listdir('/proc'):
        with suppress(OSError):
            if entry.isdigit() and f'PBS_JOBCOOKIE={cookie}'.encode() in Path('/proc', entry, 'environ').read_bytes():
                found.append(int(entry))
    return found


def kill_marked(cookie: str, number: signal.Signals) -> None:
    for pid in marked(cookie):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
