"""`SlurmProvider`: batch jobs of Slurm, with the options of Parsl's class of that name.

An answer of `sacct` that is empty, late or refused ends no job: the queue is asked about what accounting does not know, in each poll anew.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from parsl.jobs.states import JobState
from parsl.launchers import SingleNodeLauncher
from parsl.launchers.base import Launcher

from relay_parsl.errors import ConfigError
from relay_parsl.providers import options, sbatch, slurm_words
from relay_parsl.providers.batch import BatchProvider, Blocks, Job
from relay_parsl.providers.command import Ran, run
from relay_parsl.providers.jobs import JobView, gone
from relay_parsl.providers.slurm_words import Answer, Row

logger = logging.getLogger(__name__)

LATE = 300.0
"""Seconds beyond its walltime after which a job that runs by accounting alone is looked for in the queue: accounting was not told its end."""


class SlurmProvider(BatchProvider):
    """Gets blocks from Slurm with `sbatch`, watches them with `sacct` and `squeue`, ends them with `scancel`. Its construction runs no command.

    Args:
        partition: Where the nodes are.
        account: Who pays.
        qos: The quality of service, which many sites call the queue.
        constraint: Features that the nodes must have (`gpu&hbm40g`).
        clusters: Of a federation, those that may run the job, separated by commas.
        nodes_per_block: Nodes of a job.
        cores_per_node: CPUs of a node; by default what Slurm gives.
        mem_per_node: Memory of a node in GB; by default what Slurm gives.
        gpus_per_node: GPUs of a node.
        gres: Other generic resources.
        init_blocks: Jobs at the start.
        min_blocks: Jobs at least.
        max_blocks: Jobs at most.
        parallelism: 1 asks for all the nodes that waiting tasks could use, 0 for as few as possible.
        walltime: `HH:MM:SS`, `D-HH:MM:SS`, `D-HH:MM`, `D-HH`, `MM:SS`, minutes as text, or seconds as a number.
        scheduler_options: More `#SBATCH` lines. What one of the other options says is refused there.
        regex_job_id: Finds the job's id in the answer of `sbatch`, as the group `id`.
        worker_init: Shell lines before the workers start, on the first node.
        cmd_timeout: Seconds until a command of Slurm is given up, and killed.
        status_batch_size: Jobs in one question to `sacct` or `squeue`.
        exclusive: No other jobs on the nodes.
        launcher: Starts the workers on the nodes.
        requeue: Whether Slurm may start the job again when a node died. The endpoint gets a new block by itself, and sooner.
        no_kill: Whether a job of several nodes goes on when one of them died.
    """

    grace = 120.0

    def __init__(  # noqa: PLR0913, PLR0917  Parsl's class has them all, in this order
        self,
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        clusters: str | None = None,
        nodes_per_block: int = 1,
        cores_per_node: int | None = None,
        mem_per_node: int | None = None,
        gpus_per_node: int | None = None,
        gres: str | None = None,
        init_blocks: int = 1,
        min_blocks: int = 0,
        max_blocks: int = 1,
        parallelism: float = 1,
        walltime: str | int = '00:10:00',
        scheduler_options: str = '',
        regex_job_id: str = r'Submitted batch job (?P<id>\S*)',
        worker_init: str = '',
        cmd_timeout: float = 10,
        status_batch_size: int = 50,
        exclusive: bool = True,
        launcher: Launcher | None = None,
        requeue: bool = False,
        no_kill: bool = True,
    ) -> None:
        """See the class. Raises ConfigError, which names the option."""
        blocks = Blocks(nodes_per_block, init_blocks, min_blocks, max_blocks, parallelism)
        total = slurm_words.seconds(walltime) if isinstance(walltime, str) else walltime
        super().__init__('slurm', blocks, total, launcher or SingleNodeLauncher(), cmd_timeout)
        self.partition = options.word('partition', partition)
        self.account = options.word('account', account)
        self.qos = options.word('qos', qos)
        self.constraint = options.line('constraint', constraint)
        self.clusters = options.word('clusters', clusters)
        self.cores_per_node = options.maybe_whole('cores_per_node', cores_per_node)
        self.mem_per_node = options.maybe_whole('mem_per_node', mem_per_node)
        self.gpus_per_node = options.maybe_whole('gpus_per_node', gpus_per_node, 0)
        self.gres = options.word('gres', gres)
        self.scheduler_options = options.lines('scheduler_options', scheduler_options)
        self.regex_job_id = options.expression('regex_job_id', regex_job_id, 'id')
        self.worker_init = options.lines('worker_init', worker_init)
        self.status_batch_size = options.whole('status_batch_size', status_batch_size)
        self.exclusive = options.truth('exclusive', exclusive)
        self.requeue = options.truth('requeue', requeue)
        self.no_kill = options.truth('no_kill', no_kill)
        self._complaint = ''
        self._refuse_conflicts()

    def _refuse_conflicts(self) -> None:
        for why in filter(None, map(sbatch.fault, self.scheduler_options.splitlines())):
            raise ConfigError(f'scheduler_options: {why}')
        for name, why in sbatch.conflicts(self.scheduler_options, vars(self)):
            raise ConfigError(f'{name}: {why}')

    # --- the script and its submission ---

    def directives(self, job: Job) -> list[str]:
        """See `BatchProvider`: the `#SBATCH` lines."""
        cores = None if self.cores_per_node is None else max(1, self.cores_per_node // job.tasks_per_node)
        values = {
            'job-name': job.name,
            'output': _no_pattern(job.stdout),
            'error': _no_pattern(job.stderr),
            'account': self.account,
            'qos': self.qos,
            'partition': self.partition,
            'clusters': self.clusters,
            'constraint': _quoted(self.constraint),
            'time': slurm_words.clock(slurm_words.seconds(self.walltime)),
            'nodes': self.nodes_per_block,
            'ntasks-per-node': job.tasks_per_node,
            'cpus-per-task': cores,
            'mem': f'{self.mem_per_node}g' if self.mem_per_node else None,
            'gpus-per-node': self.gpus_per_node or None,
            'gres': self.gres,
        }
        switches = {'exclusive': self.exclusive, 'requeue': self.requeue, 'no-requeue': not self.requeue}
        switches['no-kill'] = self.no_kill and self.nodes_per_block > 1
        lines = [f'--{name}={value}' for name, value in values.items() if value is not None] + [f'--{name}' for name, on in switches.items() if on]
        return [f'#SBATCH {line}' for line in lines]

    def submission(self, script_path: str) -> list[str]:
        """See `BatchProvider`."""
        return ['sbatch', script_path]

    def job_of(self, ran: Ran) -> str | None:
        """See `BatchProvider`: `123`, or `123;cluster` where the answer says which cluster took it."""
        for line in ran.stdout.splitlines():
            match = re.match(self.regex_job_id, line)
            if match and match['id']:
                cluster = re.search(r' on cluster (\S+)', line)
                return f'{match["id"]};{cluster[1]}' if cluster and ';' not in match['id'] else str(match['id'])
        return None

    def named(self, job_name: str) -> str | None:
        """See `BatchProvider`: the name is unique."""
        for cluster in (self.clusters or '').split(','):
            ran = run(['squeue', *_of(cluster), '--noheader', '--me', f'--name={job_name}', '--format=%i'], self.cmd_timeout)
            if ran.ok and (found := next((line for line in ran.stdout.split() if line.isdigit()), None)):
                return f'{found};{cluster}' if cluster else found
        return None

    # --- how jobs are ---

    def ask(self, jobs: Sequence[str]) -> Mapping[str, JobView] | None:
        """See `BatchProvider`."""
        accounts = self._gather(jobs, self._sacct, slurm_words.sacct_rows)
        late = self._late()
        queue = self._gather([job for job in jobs if slurm_words.doubtful(job, accounts) or job in late], self._squeue, slurm_words.squeue_rows)
        for job, row in queue.rows.items():
            if not row.alive and (job not in accounts.rows or accounts.rows[job].alive):
                queue.rows[job] = self._control(job)[0] or row  # which knows the exit code
        if accounts.silent & queue.silent >= set(jobs):
            return None
        return slurm_words.weigh(jobs, accounts, queue)

    def ask_again(self, job: str, last: JobView) -> JobView | None:
        """See `BatchProvider`: the controller's own word, which it keeps for `MinJobAge` after the end."""
        row, ran = self._control(job)
        if row is not None:
            return row.view
        return gone(last, f'neither sacct nor squeue knows it, and scontrol says: {ran.said}') if 'Invalid job id' in ran.said else None

    def _late(self) -> set[str]:
        """Jobs that run for longer than they may."""
        limit = time.monotonic() - slurm_words.seconds(self.walltime) - LATE
        return {job for job, each in self._known().items() if each.view.state == JobState.RUNNING and each.since < limit}

    def _gather(self, jobs: Iterable[str], ask: Callable[[str, str], Ran], read: Callable[[str], Mapping[str, Row]]) -> Answer:
        """One program about jobs, in batches of one cluster each. When it fails once, it is not asked about the rest in this poll."""
        answer = Answer(asked=set(jobs))
        for cluster, batch in self._batches(sorted(answer.asked)):
            ran = Ran(None) if answer.silent else ask(cluster, ','.join(batch))
            if ran.ok or 'Invalid job id' in ran.stderr:  # of squeue, when it knows none of them
                names = {number: f'{number};{cluster}' for number in batch} if cluster else {}
                answer.rows |= {names.get(job, job): row for job, row in read(ran.stdout).items() if job in batch}
            else:
                answer.silent |= {f'{number};{cluster}' if cluster else number for number in batch}
        return answer

    def _batches(self, jobs: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
        """The cluster ('': the only one) and numbers of its jobs."""
        clusters: dict[str, list[str]] = {}
        for job in jobs:
            number, _, cluster = job.partition(';')
            clusters.setdefault(cluster, []).append(number)
        for cluster, numbers in clusters.items():
            for first in range(0, len(numbers), self.status_batch_size):
                yield cluster, numbers[first : first + self.status_batch_size]

    def _sacct(self, cluster: str, numbers: str) -> Ran:
        where = _of(cluster or self.clusters)
        ran = run(['sacct', *where, '-X', '-P', '--noheader', '--format=jobid,state,exitcode', f'--jobs={numbers}'], self.cmd_timeout)
        if (complaint := '' if ran.ok else ran.said) != self._complaint:
            logger.warning('sacct fails: %s; squeue is asked instead', complaint) if complaint else logger.info('sacct answers again')
            self._complaint = complaint
        return ran

    def _squeue(self, cluster: str, numbers: str) -> Ran:
        where = _of(cluster or self.clusters)
        ran = run(['squeue', *where, '--noheader', '--states=all', '--format=%i|%T|%r', f'--jobs={numbers}'], self.cmd_timeout)
        if not ran.ok and 'Invalid job id' not in ran.stderr:
            logger.warning('squeue fails: %s; jobs stay as they were', ran.said)
        return ran

    def _control(self, job: str) -> tuple[Row | None, Ran]:
        number, _, cluster = job.partition(';')
        ran = run(['scontrol', *_of(cluster), '--oneliner', 'show', 'job', number], self.cmd_timeout)
        return (slurm_words.scontrol_row(ran.stdout) if ran.ok else None), ran

    # --- their end ---

    def delete(self, job: str) -> tuple[bool, Ran]:
        """See `BatchProvider`. `scancel` ends with 0 also for a job that nobody knows: what it says decides."""
        number, _, cluster = job.partition(';')
        ran = run(['scancel', *_of(cluster or self.clusters), '--verbose', number], self.cmd_timeout)
        if 'already completing or completed' in ran.stderr:
            return True, Ran(1, stderr=ran.stderr)
        refused = slurm_words.refusals(ran.stderr)
        return (True, Ran(0)) if ran.ok and not refused else (False, Ran(1 if ran.ok else ran.code, stderr='; '.join(refused.values()) or ran.said))


def _of(clusters: str | None) -> list[str]:
    return [f'--clusters={clusters}'] if clusters else []


def _no_pattern(path: str) -> str:
    """A path as it is: Slurm would replace `%j` in it."""
    return str(_quoted(path.replace('%', '%%')))


def _quoted(value: str | None) -> str | None:
    return f'"{value}"' if value and re.search(r'[\s#]', value) else value
