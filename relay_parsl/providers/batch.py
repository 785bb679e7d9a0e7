"""What providers for batch systems have in common: the table of jobs, and submit, status and cancel upon it.

A provider says how its scheduler is asked; what an answer means for the table is decided in `jobs`. The model is Parsl's `ClusterProvider`, and HTEX
cannot tell the difference: `resources`, `script_dir`, `label` and the rest are where Parsl's are.
"""

from __future__ import annotations

import logging
import os
import re
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parsl.jobs.states import JobState, JobStatus
from parsl.launchers.base import Launcher
from parsl.providers.cluster_provider import ClusterProvider
from parsl.providers.errors import ScriptPathError, SubmitException
from parsl.utils import RepresentationMixin

from relay_parsl.providers import options
from relay_parsl.providers.command import NOT_FOUND, Ran, run
from relay_parsl.providers.jobs import JobView, Known, live, merge, overdue, restless

logger = logging.getLogger(__name__)

NAME = 200
"""Characters of a job's name that every scheduler takes; it is also a file's name, with an ending."""


@dataclass(frozen=True)
class Blocks:
    """How many blocks of how many nodes, as every provider of Parsl takes them: at the start, at least, at most, and how eagerly."""

    nodes_per_block: int
    init_blocks: int
    min_blocks: int
    max_blocks: int
    parallelism: float


@dataclass(frozen=True)
class Job:
    """A batch job before it is submitted.

    Attributes:
        name: Unique; also the name of its script.
        tasks_per_node: Commands to be started on each node.
        stdout: Where its output shall be, absolute once there is a script directory.
        stderr: Where its errors shall be.
    """

    name: str
    tasks_per_node: int
    stdout: str
    stderr: str


class BatchProvider(ClusterProvider, RepresentationMixin):
    """The base of our providers: what each of them must say is abstract.

    Attributes:
        grace: Seconds for which a job may be missing from the scheduler's answers before it is asked about in another way.
        resources: `{job: {'job_id', 'status', 'job_stdout_path', 'job_stderr_path', 'known'}}`, as with Parsl's own; `known` is our view.
    """

    grace = 60.0

    def __init__(self, label: str, blocks: Blocks, walltime: str | int, launcher: Launcher, cmd_timeout: float) -> None:
        """Check what all providers take.

        Args:
            label: The scheduler's name.
            blocks: How many, of how many nodes.
            walltime: `HH:MM:SS`, `D-HH:MM:SS` or seconds.
            launcher: Starts the command on the nodes.
            cmd_timeout: Seconds until a command of the scheduler is given up.

        Raises:
            ConfigError: A value is none.
            BadLauncher: The launcher is none.
        """
        super().__init__(
            label,
            options.whole('nodes_per_block', blocks.nodes_per_block),
            options.whole('init_blocks', blocks.init_blocks, 0),
            options.whole('min_blocks', blocks.min_blocks, 0),
            options.whole('max_blocks', blocks.max_blocks, 0),
            options.number('parallelism', blocks.parallelism),
            options.walltime('walltime', walltime),
            launcher,
            options.number('cmd_timeout', cmd_timeout, 0.1),
        )
        self.cores_per_node: int | None = None
        self.mem_per_node: float | None = None
        self.worker_init = ''
        self.scheduler_options = ''

    # --- what each scheduler says for itself ---

    @abstractmethod
    def directives(self, job: Job) -> list[str]:
        """The directives of a job's script, whole lines."""

    @abstractmethod
    def submission(self, script_path: str) -> list[str]:
        """The command that submits a script."""

    @abstractmethod
    def job_of(self, ran: Ran) -> str | None:
        """The job's id in the answer to a submission; None where there is none."""

    @abstractmethod
    def ask(self, jobs: Sequence[str]) -> Mapping[str, JobView] | None:
        """Ask about these jobs: what is said of those that the answer mentions; None where the commands failed."""

    @abstractmethod
    def ask_again(self, job: str, last: JobView) -> JobView | None:
        """Ask in another way about a job that has been missing for the grace. None: no answer this time, it stays as it is."""

    @abstractmethod
    def delete(self, job: str) -> tuple[bool, Ran]:
        """Delete a job: whether it is gone or going now, and what the command said."""

    def named(self, job_name: str) -> str | None:
        """The id of a job that has this name, after a submission without an answer or with an error: it may have been taken all the same."""
        return None

    def before(self) -> list[str]:
        """Shell lines of a job's script before `worker_init`."""
        return []

    # --- the script ---

    def script(self, command: str, tasks_per_node: int, job_name: str) -> str:
        """The text of the batch script for a command; nothing is submitted and no command of the scheduler runs.

        Args:
            command: What the launcher starts on the nodes.
            tasks_per_node: How often on each.
            job_name: The job's name; characters that a scheduler does not take are replaced.
        """
        job = self._job(job_name, tasks_per_node)
        launched = self.launcher(command, tasks_per_node, self.nodes_per_block, self.script_dir or '')
        given = [text.strip('\n') for text in (self.scheduler_options, self.worker_init)]
        parts = [
            '\n'.join(['#!/bin/bash', *self.directives(job), *given[0].splitlines()]),
            '\n'.join(self.before()),
            given[1],
            '\n'.join([*self._exports(tasks_per_node), f'export JOBNAME="{job.name}"', *self.after()]),
            launched.strip('\n'),
        ]
        return '\n\n'.join(part for part in parts if part) + '\n'

    def after(self) -> list[str]:
        """Shell lines of a job's script after `worker_init`, before the launcher's."""
        return []

    def _exports(self, tasks_per_node: int) -> list[str]:
        """What HTEX's managers read to know their share of a node."""
        cores = None if self.cores_per_node is None else max(1, self.cores_per_node // tasks_per_node)
        values = {'PARSL_MEMORY_GB': self.mem_per_node, 'PARSL_CORES': cores}
        return [f'export {name}={value}' for name, value in values.items() if value is not None]

    def _job(self, job_name: str, tasks_per_node: int) -> Job:
        name = re.sub(r'[^\w.+-]', '_', job_name, flags=re.ASCII)[-NAME:]
        path = os.path.join(os.path.abspath(self.script_dir), name) if self.script_dir else name
        return Job(name, tasks_per_node, f'{path}.stdout', f'{path}.stderr')

    # --- Parsl's interface ---

    @property
    def status_polling_interval(self) -> int:
        """Seconds between questions: few while a job is new or has just started, when most goes wrong; then Parsl's minute."""
        return 10 if restless(self._known().values(), time.monotonic()) else 60

    def submit(self, command: str, tasks_per_node: int, job_name: str = 'parsl') -> str:
        """Submit a block.

        Args:
            command: What the launcher starts on the nodes.
            tasks_per_node: How often on each.
            job_name: The beginning of the job's name.

        Returns:
            The job's id.

        Raises:
            SubmitException: The scheduler refused it, or its answer has no id; carries return code, stdout and stderr.
            ScriptPathError: The script cannot be written.
        """
        job = self._job(f'{job_name}.{time.time()}', tasks_per_node)
        path = self._write(job, self.script(command, tasks_per_node, job.name))
        asked = self.submission(path)
        ran = run(asked, self.cmd_timeout, self.script_dir)
        found = self.job_of(ran) if ran.ok else None
        if found is None and ran.code != NOT_FOUND:  # it may have been taken, and its answer lost: it would run beside the next one
            found = self.named(job.name)
        if found is None:
            said = f'{" ".join(asked)}: {"no job id in its answer" if ran.ok else ran.said or "failed"}'
            logger.error('submit failed: return code %s, %s', ran.code, said)
            raise SubmitException(job.name, said, stdout=ran.stdout, stderr=ran.stderr, retcode=ran.code)
        self._enter(found, job)
        return found

    def _write(self, job: Job, text: str) -> str:
        if not self.script_dir:
            raise ScriptPathError(job.name, 'script_dir is not set: the executor sets it before its start')
        path = job.stdout.removesuffix('.stdout')
        try:
            with open(path, 'w', encoding='utf-8') as script:
                script.write(text)
        except OSError as error:
            raise ScriptPathError(path, error) from error
        return path

    def _enter(self, job_id: str, job: Job) -> None:
        self.resources[job_id] = {
            'job_id': job_id,
            'status': JobStatus(JobState.PENDING, stdout_path=job.stdout, stderr_path=job.stderr),
            'job_stdout_path': job.stdout,
            'job_stderr_path': job.stderr,
            'known': Known(since=time.monotonic()),
        }

    def status(self, job_ids: Sequence[Any]) -> list[JobStatus]:
        """How these jobs are; the scheduler is asked about all that have not ended. A job that was never submitted here is UNKNOWN."""
        if job_ids:
            self._status()
        return [self._shown(str(job)) for job in job_ids]

    def _status(self) -> None:
        known = self._known()
        jobs = live(known)
        if not jobs:
            return
        seen = self.ask(jobs)
        self._note(merge({job: known[job] for job in jobs}, seen, time.monotonic()))
        known = self._known()
        for job in overdue(known, time.monotonic(), self.grace) if seen is not None else ():
            if (view := self.ask_again(job, known[job].view)) is not None:
                self._note(merge({job: known[job]}, {job: view}, time.monotonic()))

    def cancel(self, job_ids: Sequence[Any]) -> list[bool]:
        """End these jobs, one by one. True for each that is ending or has ended; False for one that is not known or that the scheduler kept."""
        answers: list[bool] = []
        silent = False
        for job in map(str, job_ids):
            ended = job in (known := self._known()) and known[job].view.ended
            if not ended and not silent:  # a scheduler that does not answer is not asked again for each job
                ended, ran = self.delete(job)
                silent = ran.code is None
                self._deleted(job, ended, ran)
            answers.append(ended)
        return answers

    def _deleted(self, job: str, ended: bool, ran: Ran) -> None:
        known = self._known()
        if ran.ok and job in known:
            self._note(merge({job: known[job]}, {job: JobView(JobState.CANCELLED, ran.said or 'cancelled by the endpoint')}, time.monotonic()))
        elif not ended:
            logger.warning('job %s is not cancelled: %s', job, ran.said)

    # --- the table ---

    def _known(self) -> dict[str, Known]:
        """The table as it stands; other threads may add to it meanwhile."""
        return {str(job): entry.get('known', Known(JobView(JobState.UNKNOWN))) for job, entry in list(self.resources.items())}

    def _note(self, changed: Mapping[str, Known]) -> None:
        for job, each in changed.items():
            entry = self.resources.get(job)
            if entry is None or ('known' in entry and entry['known'].view.ended):
                continue
            entry['known'] = each
            entry['status'] = self._shown(job)

    def _shown(self, job: str) -> JobStatus:
        """A copy for the caller, who may write into it: HTEX does."""
        entry = self.resources.get(job)
        if entry is None:
            return JobStatus(JobState.UNKNOWN, f'job {job} was not submitted by this provider')
        view = entry.get('known', Known(JobView(JobState.UNKNOWN))).view
        # Parsl's strategy counts blocks that run or wait. A held one it would replace, by one that is held, too, and so on.
        state = JobState.PENDING if view.state == JobState.HELD else view.state
        return JobStatus(state, view.reason or None, view.exit_code, entry.get('job_stdout_path'), entry.get('job_stderr_path'))
