"""PBS Pro and OpenPBS: `qsub`, `qstat`, `qdel`."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Mapping, Sequence

from parsl.jobs.states import JobState
from parsl.launchers import SingleNodeLauncher
from parsl.launchers.base import Launcher

from relay_parsl.errors import ConfigError
from relay_parsl.providers import options, qstat
from relay_parsl.providers.batch import BatchProvider, Blocks, Job
from relay_parsl.providers.command import Ran, run
from relay_parsl.providers.directives import conflicts, given
from relay_parsl.providers.jobs import JobView, gone

logger = logging.getLogger(__name__)

UNKNOWN, FINISHED = 153, 35
"""Exit statuses of PBS's commands: no such job (or one among several); it has ended already. They are PBS's errors modulo 256."""

ANSWERS = (0, UNKNOWN, FINISHED)
"""Exit statuses with which `qstat` prints what it found, although it may say more on its stderr."""

NO_HISTORY = 'not configured to maintain job history'
"""What `qstat -x` says of each job where `job_history_enable` is off."""

JOB_ID = re.compile(r'\d+(?:\[\d*\])?(?:\.\S+)?')
LONG_TMPDIR = 40
"""Characters of a temporary directory that leave room for a socket's path below it: 107 is the system's limit."""


class PBSProProvider(BatchProvider):
    """Blocks are jobs of PBS Pro or OpenPBS.

    All options of Parsl's PBSProProvider, in its order, and more. Each job's state is read for itself: one that PBS has forgotten, or an answer that
    is no JSON, spoils nothing for the others. How a job ended comes from its exit status, and PBS's comment is the status' message.

    Args:
        account: Whom the job is charged to.
        queue: Where it waits.
        scheduler_options: More directives, whole lines that begin with `#PBS`.
        select_options: More of each chunk of the selection, like `ngpus=4`.
        worker_init: Shell lines before the workers, run on the first node in the home directory, where PBS starts jobs.
        nodes_per_block: Nodes, a chunk each.
        cpus_per_node: `ncpus` of each chunk.
        init_blocks: Blocks at the start.
        min_blocks: Blocks at least.
        max_blocks: Blocks at most.
        parallelism: 1 asks for as many blocks as waiting tasks could use, 0 for as few as possible.
        launcher: Starts the managers on the nodes.
        walltime: `HH:MM:SS`, `D-HH:MM:SS`, or seconds.
        cmd_timeout: Seconds until a command of PBS is given up.
        filesystems: What the job needs, `home:eagle` or a list.
        place: How chunks are placed; `scatter` (a node for each) where there are several, unless `scheduler_options` say otherwise.
        keep: Which of the job's outputs go where (`-k`): `doe` writes both to their places while it runs.
        rerunnable: Whether PBS may start the job again when its node dies. HTEX asks for another block by itself.
        system: `system=` of each chunk.
        cores_per_node: Cores for workers on a node; also `ncpus` where `cpus_per_node` is not given.
        mem_per_node: Memory of a node for workers, in GB, which is also asked for.

    Raises:
        ConfigError: A value is none, or a directive is given twice.
    """

    grace = 15.0  # PBS knows a job as soon as qsub returns; only a failover or a move makes it forget one for a moment

    def __init__(  # noqa: PLR0913, PLR0917  Parsl's, in its order
        self,
        account: str | None = None,
        queue: str | None = None,
        scheduler_options: str = '',
        select_options: str = '',
        worker_init: str = '',
        nodes_per_block: int = 1,
        cpus_per_node: int | None = None,
        init_blocks: int = 1,
        min_blocks: int = 0,
        max_blocks: int = 1,
        parallelism: float = 1,
        launcher: Launcher = SingleNodeLauncher(),  # noqa: B008  as in Parsl: it holds no state
        walltime: str | int = '00:20:00',
        cmd_timeout: float = 120,
        filesystems: str | list[str] | None = None,
        place: str | None = None,
        keep: str | None = 'doe',
        rerunnable: bool = False,
        system: str | None = None,
        cores_per_node: int | None = None,
        mem_per_node: int | None = None,
    ) -> None:
        super().__init__('pbspro', Blocks(nodes_per_block, init_blocks, min_blocks, max_blocks, parallelism), walltime, launcher, cmd_timeout)
        self.account = options.word('account', account)
        self.queue = options.word('queue', queue)
        self.scheduler_options = options.lines('scheduler_options', scheduler_options)
        self.select_options = (options.word('select_options', select_options or None) or '').strip(':')
        self.worker_init = options.lines('worker_init', worker_init)
        self.cpus_per_node = options.maybe_whole('cpus_per_node', cpus_per_node)
        named = ':'.join(map(str, filesystems)) if isinstance(filesystems, list) else filesystems
        self.filesystems = options.like('filesystems', named, options.FILESYSTEMS, "'home:eagle' or ['home', 'eagle']")
        self.place = options.like('place', place, options.PLACE, "'scatter', 'scatter:excl' or 'pack:shared'")
        self.keep = options.like('keep', keep, options.KEEP, "'doe', 'oe' or 'n'")
        self.rerunnable = options.truth('rerunnable', rerunnable)
        self.system = options.word('system', system)
        self.cores_per_node = options.maybe_whole('cores_per_node', cores_per_node)
        self.mem_per_node = options.maybe_whole('mem_per_node', mem_per_node)
        mine = {'account': self.account, 'queue': self.queue, 'filesystems': self.filesystems, 'place': self.place}
        for name, why in conflicts(self.scheduler_options, mine):
            raise ConfigError(f'{name}: {why}')

    # --- the script ---

    def directives(self, job: Job) -> list[str]:
        """Everything that PBS must know, in the script itself: whoever reads it sees all, and may submit it by hand."""
        theirs = given(self.scheduler_options)
        place = self.place or ('scatter' if self.nodes_per_block > 1 else None)
        wanted = {
            '-N': job.name,
            '-A': self.account,
            '-q': self.queue,
            'select': self.select(),
            'place': place,
            'walltime': self.walltime,
            'filesystems': self.filesystems,
            '-k': self.keep,
            '-r': 'y' if self.rerunnable or '-J' in theirs else 'n',  # PBS takes no array that may not run again
            '-m': 'n',
            '-o': job.stdout,
            '-e': job.stderr,
            '-S': '/bin/bash',
        }
        mine = {key: value for key, value in wanted.items() if value is not None and key not in theirs}
        return [f'#PBS {key} {value}' if key.startswith('-') else f'#PBS -l {key}={value}' for key, value in mine.items()]

    def select(self) -> str:
        """The selection: a chunk for each node."""
        cpus = self.cpus_per_node or self.cores_per_node or 1
        parts = {'ncpus': cpus, 'system': self.system, 'mem': None if self.mem_per_node is None else f'{self.mem_per_node}gb'}
        theirs = {part.partition('=')[0] for part in re.split(r'[:+]', self.select_options)}
        mine = [f'{key}={value}' for key, value in parts.items() if value is not None and key not in theirs]
        return ':'.join([str(self.nodes_per_block), *mine, *filter(None, [self.select_options])])

    def before(self) -> list[str]:
        """PBS's own temporary directory has the job's whole id in its name; sockets below it would have paths too long for the system."""
        return [f'[ ${{#TMPDIR}} -le {LONG_TMPDIR} ] || export TMPDIR=/tmp']

    def after(self) -> list[str]:
        """PBS starts jobs in the home directory; unless `worker_init` went elsewhere, what is written goes beside the script."""
        return [f'[ ! . -ef "$HOME" ] || cd {shlex.quote(str(self.script_dir))} || exit 1'] if self.script_dir else []

    # --- PBS's commands ---

    def submission(self, script_path: str) -> list[str]:
        """`qsub`, and nothing else on the command line."""
        return ['qsub', script_path]

    def job_of(self, ran: Ran) -> str | None:
        """The last line that is an id: hooks of a site may print before it."""
        return next((line.strip() for line in reversed(ran.stdout.splitlines()) if JOB_ID.fullmatch(line.strip())), None)

    def named(self, job_name: str) -> str | None:
        """`qselect` finds a job by its name, which is unique."""
        ran = self._run('qselect', '-N', job_name)
        return self.job_of(ran) if ran.ok else None

    def ask(self, jobs: Sequence[str]) -> Mapping[str, JobView] | None:
        """Ask about all at once, and singly about each that the answer leaves out (openpbs#2672)."""
        seen = self._ask(jobs)
        if seen is None or len(jobs) == 1:
            return seen
        for job in [job for job in jobs if job not in seen]:
            one = self._ask([job])
            if one is None:  # not even a failure of this job: it stays as it is
                one = {job: JobView(JobState.UNKNOWN)}
            seen |= one
        return seen

    def _ask(self, jobs: Sequence[str]) -> dict[str, JobView] | None:
        ran = self._qstat('-f', '-F', 'json', *jobs)
        try:
            found = qstat.views(ran.stdout)
        except ValueError:
            found = {}
            if ran.code in ANSWERS:
                ran = self._qstat('-f', *jobs)
                found = qstat.text_views(ran.stdout)
        if found or ran.code in ANSWERS:
            return qstat.mine(jobs, found)
        logger.warning('qstat failed: return code %s, %s', ran.code, ran.said)
        return None

    def ask_again(self, job: str, last: JobView) -> JobView | None:
        """Ask in plain text about one job; when PBS says that there is none, it has been purged from the history, or there is no history."""
        ran = self._qstat('-f', job)
        found = qstat.mine([job], qstat.text_views(ran.stdout))
        if found or ran.code not in ANSWERS:
            return found.get(job)
        return gone(last, f'PBS does not know the job any more ({ran.said or "no answer"})')

    def delete(self, job: str) -> tuple[bool, Ran]:
        """`qdel`; a job that has finished is gone, too, and so is one of ours that PBS does not know any more."""
        ran = self._run('qdel', job)
        return ran.code in (0, FINISHED) or (ran.code == UNKNOWN and 'known' in self.resources.get(job, {})), ran

    def _qstat(self, *arguments: str) -> Ran:
        """With the history of ended jobs. A server that keeps none says nothing with it of jobs that run, either, and returns 0."""
        ran = self._run('qstat', '-x', *arguments)
        return self._run('qstat', *arguments) if NO_HISTORY in ran.stderr else ran

    def _run(self, *arguments: str) -> Ran:
        return run(arguments, self.cmd_timeout)
