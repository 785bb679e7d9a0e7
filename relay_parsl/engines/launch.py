"""How HTEX is built and launched without a DataFlowKernel, and what it leaves on disk so that a next start can clean up after it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from parsl.executors import HighThroughputExecutor
from parsl.executors.status_handling import BlockProviderExecutor
from parsl.jobs.states import JobState, JobStatus
from parsl.launchers import SimpleLauncher, SingleNodeLauncher
from parsl.providers import LocalProvider
from parsl.providers.base import ExecutionProvider

from relay_parsl import interpreter
from relay_parsl.engines import accelerators, leash
from relay_parsl.engines.early import Early
from relay_parsl.engines.words import APPTAINERS, DOCKERS
from relay_parsl.errors import ConfigError

logger = logging.getLogger(__name__)

H = TypeVar('H', bound=HighThroughputExecutor)

POOL = 'parsl.executors.high_throughput.process_worker_pool'
FORKSERVER = 'relay_parsl.engines.forkserver'
OWN_SCRIPT = re.compile(r'^process_worker_pool\.py\b')
CANCEL_TRIES, CANCEL_PAUSE = 3, 10.0
LINES, LINE = 12, 300


def build(plan: Mapping[str, Any], kind: Callable[..., H], early: Early) -> H:
    """An HTEX that is ready to `start`: Parsl's own set-up (reference: DataFlowKernel.add_executors) and ours.

    Args:
        plan: `label`, `directory` (absolute), `htex` (keywords), `container` (`type`, `uri`, `options` or empty).
        kind: the class.
        early: the interchange to use, unless the options name another.
    """
    htex = prepare(plan, kind)
    if 'interchange_launch_cmd' not in plan['htex']:
        htex.interchange_launch_cmd = early.command
    if isinstance(plan['htex'].get('block_error_handler', True), bool):
        htex.block_error_handler = leave_blocks
    return htex


def prepare(plan: Mapping[str, Any], kind: Callable[..., H]) -> H:
    """An HTEX with its directories and the command of its managers, as `build`; it has no interchange of ours, and is not to be started."""
    keywords = dict(plan['htex'])
    interchange = keywords.pop('interchange_launch_cmd', None)  # a list, which MPIExecutor's annotation does not let through
    htex = kind(label=plan['label'], **keywords)
    htex.interchange_launch_cmd = interchange or htex.interchange_launch_cmd
    htex.run_dir = plan['directory']
    htex.run_id = plan['token']
    provider = plan['htex']['provider']
    provider.script_dir = os.path.join(plan['directory'], 'submit_scripts')
    os.makedirs(provider.script_dir, exist_ok=True)
    names = accelerators.told(htex.available_accelerators)
    htex.launch_cmd = launch_command(htex.launch_cmd, plan['container'], plan['directory'], local=is_local(provider), before=names)
    return htex


def uses(htex: HighThroughputExecutor, early: Early) -> bool:
    """Whether HTEX was told to use this interchange."""
    return early.pid != 0 and list(htex.interchange_launch_cmd) == early.command


def leave_blocks(_htex: BlockProviderExecutor, _status: dict[str, JobStatus]) -> None:
    """What HTEX does about blocks that fail: nothing, `engines.breaker` does. Parsl's own handler ends the executor, and a next one would go on."""


def is_local(provider: ExecutionProvider | None) -> bool:
    """Whether blocks are started on this host; their managers may still be sent elsewhere, by a launcher inside of an allocation."""
    return provider is None or isinstance(provider, LocalProvider)


def stays_here(provider: ExecutionProvider | None) -> bool:
    """Whether managers run on this host, too."""
    return is_local(provider) and isinstance(getattr(provider, 'launcher', None), (SimpleLauncher, SingleNodeLauncher, type(None)))


def launch_command(command: str, container: Mapping[str, str], directory: str, *, local: bool, before: str = '') -> str:
    """The command that starts a manager: found by the interpreter, not by PATH; leashed to this process on its own host; in its container.

    `before` is put in front of it, inside of the container. A command of the user's own stays as it is.
    """
    if container:
        return contained(OWN_SCRIPT.sub(lambda _: f'{before}python3 -m {POOL}', command), container, directory)
    module = f'{leash.__name__} --watch {leash.identity(os.getpid())} {FORKSERVER} {POOL}' if local else POOL
    return OWN_SCRIPT.sub(lambda _: f'{before}{shlex.join(interpreter.PYTHON)} {module}', command)


def contained(command: str, container: Mapping[str, str], directory: str) -> str:
    """A manager's command inside of a container, as Globus Compute writes it (globus_compute_endpoint.engines.globus_compute, 4.19).

    Args:
        command: the manager's command.
        container: `type` is one of `words.CONTAINERS`; `uri` names the image; `options` are given to the container's program, or are the whole
            command of a `custom` one, with `{EXECUTOR_RUNDIR}` and `{EXECUTOR_LAUNCH_CMD}` in it.
        directory: the run directory, which must be visible inside.
    """
    kind, uri, options = container['type'], container.get('uri') or '', container.get('options') or ''
    if kind in DOCKERS:
        return f'{kind} run {options} -v {directory}:{directory} -t {uri} {command}'
    if kind in APPTAINERS:
        return f'{kind} run {options} {uri} {command}'
    return options.replace('{EXECUTOR_RUNDIR}', directory).replace('{EXECUTOR_LAUNCH_CMD}', command)


class Journal:
    """Which processes and batch jobs belong to an engine, on disk: a file for each engine that was not cleaned up yet."""

    def __init__(self, path: Path) -> None:
        """The journal at `path`, which need not exist."""
        self._path = path
        self._facts: dict[str, Any] = {'jobs': []}
        with contextlib.suppress(FileNotFoundError, ValueError):
            self._facts |= json.loads(path.read_text())

    @property
    def token(self) -> str:
        """The mark that the engine's processes carry."""
        return str(self._facts.get('token', ''))

    @property
    def host(self) -> str:
        """The host that the engine's process, interchange and local blocks ran on."""
        return str(self._facts.get('host', ''))

    @property
    def jobs(self) -> list[str]:
        """Batch jobs that were submitted and not known to be cancelled."""
        return list(map(str, self._facts['jobs']))

    def open(self, token: str, host: str, jobs: Sequence[str]) -> None:
        """Written before anything starts; `jobs` are those that earlier engines left."""
        self._facts = {'token': token, 'host': host, 'jobs': list(jobs)}
        self._write()

    def add(self, job: str) -> None:
        """A batch job was submitted."""
        self._facts['jobs'] = [*self._facts['jobs'], job]
        self._write()

    def clear(self) -> None:
        """Everything is gone."""
        self._path.unlink(missing_ok=True)

    def follow(self, provider: ExecutionProvider) -> None:
        """Note every job that the provider submits from now on."""
        submit = provider.submit

        def noting(*args: Any, **kwargs: Any) -> Any:
            job = submit(*args, **kwargs)
            if job:
                self.add(str(job))
            return job

        provider.submit = noting  # type: ignore[method-assign]  # of this one object

    def _write(self) -> None:
        partial = self._path.with_suffix('.partial')
        partial.write_text(json.dumps(self._facts))
        os.replace(partial, self._path)


def cancel_old(provider: ExecutionProvider, jobs: Sequence[str]) -> None:
    """Cancel batch jobs of engines that died. One by one: schedulers refuse a whole list for one job that has ended already."""
    for job in () if is_local(provider) else jobs:
        provider.resources.setdefault(job, {'job_id': job, 'status': JobStatus(JobState.UNKNOWN)})
        if any(_cancelled(provider, job, pause) for pause in (0.0, *[CANCEL_PAUSE] * (CANCEL_TRIES - 1))):
            logger.info('cancelled job %s of an earlier engine', job)
        else:
            logger.warning('job %s of an earlier engine could not be cancelled; it has probably ended', job)
        provider.resources.pop(job, None)


def _cancelled(provider: ExecutionProvider, job: str, pause: float) -> bool:
    time.sleep(pause)
    try:
        return all(provider.cancel([job]))
    except Exception:
        logger.exception('the provider failed to cancel job %s', job)
        return False


def tail(path: Path, size: int = 8000) -> str:
    """The last lines of a log within `size` bytes, shortened to what people read; '' when there is none."""
    try:
        with open(path, 'rb') as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - size))
            lines = log.read().decode(errors='replace').strip().splitlines()
            return '\n'.join(line if len(line) <= LINE else f'{line[:LINE]}…' for line in lines[-LINES:])
    except OSError:
        return ''


def check_directory(path: Path) -> None:
    """Parsl writes the run directory into shell commands without quotes. Raises ConfigError for one that does not survive this."""
    if strange := re.search(r'[^\w@%+=:,./-]', str(path)):
        raise ConfigError(
            f'the run directory {str(path)!r} has {strange[0]!r} in its path, which Parsl cannot put into its launch commands: choose another'
        )
