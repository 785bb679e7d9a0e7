"""What Slurm says, read and weighed: rows of `sacct`, `squeue`, `scontrol` and `scancel`, its states, its reasons, its times. No command is run here.

`sacct` is asked first, as facilities wish. It is late after each change, may refuse, and may never hear of an end; so the queue is asked about each
job on which accounting is silent or in doubt, and `weigh` says which of the two is believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from parsl.jobs.states import TERMINAL_STATES, JobState

from relay_parsl.errors import ConfigError
from relay_parsl.providers.jobs import JobView

STATES: Mapping[str, JobState] = {
    **dict.fromkeys(('PENDING', 'CONFIGURING', 'REQUEUED', 'REQUEUE_FED', 'RESV_DEL_HOLD', 'POWER_UP_NODE', 'EXPEDITING'), JobState.PENDING),
    **dict.fromkeys(('RUNNING', 'COMPLETING', 'RESIZING', 'SIGNALING', 'STAGE_OUT', 'UPDATE_DB'), JobState.RUNNING),
    **dict.fromkeys(('SUSPENDED', 'STOPPED', 'REQUEUE_HOLD', 'SPECIAL_EXIT'), JobState.HELD),
    **dict.fromkeys(('FAILED', 'NODE_FAIL', 'BOOT_FAIL', 'OUT_OF_MEMORY', 'REVOKED', 'LAUNCH_FAILED', 'RECONFIG_FAIL'), JobState.FAILED),
    **dict.fromkeys(('TIMEOUT', 'DEADLINE', 'PREEMPTED'), JobState.TIMEOUT),
    'CANCELLED': JobState.CANCELLED,
    'COMPLETED': JobState.COMPLETED,
}
"""Slurm's words (squeue(1), JOB STATE CODES, 22.05 to 25.05) and Parsl's. As in Parsl, a preempted job is no failure: the next one may live."""

MAY_COME_BACK = frozenset({'NODE_FAIL', 'BOOT_FAIL', 'PREEMPTED', 'REQUEUED', 'REQUEUE_HOLD', 'SPECIAL_EXIT'})
"""Ends after which Slurm may put the job into the queue again, under the same id: the queue has the last word on those."""

ENDS: Mapping[str, str] = {
    'NODE_FAIL': 'a node of the job died',
    'BOOT_FAIL': 'a node of the job did not start',
    'OUT_OF_MEMORY': 'more memory than the job had',
    'TIMEOUT': 'its walltime was over',
    'DEADLINE': 'its deadline was over',
    'PREEMPTED': 'another job was preferred',
    'CANCELLED': 'by scancel, or by an administrator',
    'FAILED': 'the batch script ended with an error',
}
NEVER: Mapping[str, str] = {
    'PartitionTimeLimit': 'the walltime is over the limit of its partition',
    'PartitionNodeLimit': 'more nodes, or fewer, than its partition allows',
    'PartitionConfig': 'its partition does not allow what it asks for',
    'BadConstraints': 'no node has what it asks for',
    'AccountNotAllowed': 'its account may not use this partition',
    'QOSNotAllowed': 'its QOS may not be used here',
    'InvalidAccount': 'its account is not known',
    'InvalidQOS': 'its QOS is not known',
    'DependencyNeverSatisfied': 'what it depends on has failed',
    'DeadLine': 'it cannot be done before its deadline',
}
"""Reasons of a waiting job that waiting does not change; so are all limits on one job: `AssocMaxNodePerJobLimit` and the like."""
WAITS: Mapping[str, str] = {
    'AccountingPolicy': 'a limit of accounting that Slurm does not name',
    'Priority': 'jobs of a higher priority come first',
    'Resources': 'the nodes are in use',
    'BeginTime': 'its time to begin has not come',
    'Dependency': 'it depends on a job that has not ended',
    'JobHeldUser': 'its owner holds it: scontrol release',
    'JobHeldAdmin': 'an administrator holds it',
    'JobLaunchFailure': 'it could not be launched',
    'Licenses': 'the licenses are in use',
    'NodeDown': 'a node that it needs is down',
    'PartitionDown': 'its partition takes no jobs to run now',
    'PartitionInactive': 'its partition takes no jobs now',
    'ReqNodeNotAvail': 'nodes that it needs are down, drained or reserved',
    'Reservation': 'its reservation has not begun',
    'None': '',
}
_SCONTROL = re.compile(r'\b(JobId|JobState|Reason|ExitCode)=(\S*)')
_CANCEL = re.compile(r'Kill job error on job id (\S+?): (.*)')
_WALLTIMES = (
    re.compile(r'(?P<days>\d+)-(?P<hours>\d+)(?::(?P<minutes>\d+)(?::(?P<seconds>\d+))?)?'),
    re.compile(r'(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)'),
    re.compile(r'(?P<minutes>\d+)(?::(?P<seconds>\d+))?'),
)


@dataclass(frozen=True)
class Row:
    """What one line of Slurm says of a job.

    Attributes:
        word: Slurm's own state, without what follows it.
        message: For people: why it waits, how it ended; '' when there is nothing to say.
        exit_code: What the batch script ended with, 128 + N after signal N; None when it is not told.
    """

    word: str
    message: str = ''
    exit_code: int | None = None

    @property
    def state(self) -> JobState:
        """Parsl's state; UNKNOWN for a word that this version does not know."""
        return STATES.get(self.word, JobState.UNKNOWN)

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.state not in TERMINAL_STATES

    @property
    def view(self) -> JobView:
        """The same for the table of jobs."""
        return JobView(self.state, self.message if self.state else f'Slurm says {self.word}', self.exit_code)


@dataclass
class Answer:
    """What one program said in this poll.

    Attributes:
        rows: Job -> what was said of it.
        asked: Jobs that it was asked about.
        silent: Those of them about which it failed to say anything: it was refused, it hung, it was not there.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)

    def knows(self, job: str) -> bool | None:
        """Whether it mentions the job; None where it was not asked, or did not answer."""
        return job in self.rows if job in self.asked - self.silent else None


def doubtful(job: str, accounts: Answer) -> bool:
    """Whether the queue must be asked about the job, too: for why it waits, or because accounting does not know, or not for good."""
    row = accounts.rows.get(job)
    return row is None or row.word in MAY_COME_BACK or row.state in (JobState.PENDING, JobState.UNKNOWN)


def weigh(jobs: Iterable[str], accounts: Answer, queue: Answer) -> dict[str, JobView]:
    """What the answers say together. A job on which neither speaks is not in it; one on which the queue could not be heard is UNKNOWN: it stays.

    Args:
        jobs: Those that were asked about.
        accounts: What `sacct` said.
        queue: What `squeue` said, of the jobs it was asked about.
    """
    return {job: view for job in jobs if (view := _weighed(job, accounts.rows.get(job), queue))}


def _weighed(job: str, told: Row | None, queue: Answer) -> JobView | None:
    queued = queue.rows.get(job)
    if queued is not None and (told is None or told.alive or queued.alive):
        return queued.view
    if told is None or told.word in MAY_COME_BACK:
        return JobView(JobState.UNKNOWN) if job in queue.silent else told.view if told and not told.alive else None
    return None if told.alive and queue.knows(job) is False else told.view


def sacct_rows(text: str) -> dict[str, Row]:
    """Of `sacct -X -P -n -o jobid,state,exitcode`: id -> row. Of a job that ran several times sacct shows the last one."""
    return _merged((fields[0], _ended(fields[1], fields[2])) for fields in _fields(text, 3))


def squeue_rows(text: str) -> dict[str, Row]:
    """Of `squeue -h -t all -o '%i|%T|%r'`: id -> row."""
    return _merged((job, _queued(state, reason)) for job, state, reason in _fields(text, 3))


def scontrol_row(text: str) -> Row | None:
    """Of `scontrol -o show job ID`, the last to forget an exit code when there is no accounting."""
    facts = dict(_SCONTROL.findall(text))
    if 'JobState' not in facts:
        return None
    queued = _queued(facts['JobState'], facts.get('Reason', ''))
    return queued if queued.alive else replace(queued, exit_code=exit_code(facts.get('ExitCode', '')))


def refusals(text: str) -> dict[str, str]:
    """Of `scancel -v`, which ends with 0 all the same: id -> why it could not be cancelled. A job that has ended already is no refusal."""
    return {job: why for job, why in _CANCEL.findall(text) if 'already completing or completed' not in why}


def exit_code(text: str) -> int | None:
    """Of `3:0` (exit code and signal)."""
    match = re.fullmatch(r'(\d+):(\d+)', text)
    if match is None:
        return None
    code, signal = int(match[1]), int(match[2])
    return code or (128 + signal if signal else 0)


def reason(word: str) -> str:
    """Why a job waits, in plain words behind Slurm's own; '' when Slurm gives no reason. One that can never run is said to be so."""
    name = re.split(r'[,(\s]', word)[0]
    if name in NEVER or _never(name):
        return f'can never run: {word} ({NEVER.get(name, "it asks for more than one job may have")})'
    plain = WAITS.get(name, _limit(name))
    return '' if name in ('', 'None') else f'waits: {word} ({plain})' if plain else f'waits: {word}'


def _never(name: str) -> bool:
    """A limit that holds for one job, whatever else runs."""
    return bool(re.fullmatch(r'(Assoc|QOS)\w*PerJob\w*|(Assoc|QOS)(Max|Min)\w*PerNode\w*', name))


def _limit(name: str) -> str:
    if not re.fullmatch(r'(Assoc|QOS)\w+', name):
        return ''
    whose = 'account' if name.startswith('Assoc') else 'QOS'
    if 'Minutes' in name:
        return f'the allocation of its {whose} is spent, or promised to other jobs'
    return f'as much as one user may have of its {whose} is in use' if 'PerUser' in name else f'a limit of its {whose} is reached for now'


def seconds(walltime: str) -> int:
    """Seconds of a walltime as sbatch takes it: `D-HH:MM:SS`, `D-HH:MM`, `D-HH`, `HH:MM:SS`, `MM:SS`, minutes. Raises ConfigError."""
    for form in _WALLTIMES:
        if match := form.fullmatch(walltime.strip()):
            parts = {name: int(value or 0) for name, value in match.groupdict().items()}
            total = sum(parts.get(name, 0) * size for name, size in (('days', 86400), ('hours', 3600), ('minutes', 60), ('seconds', 1)))
            if total:
                return total
    raise ConfigError(f'walltime: {walltime!r} is no time that Slurm takes: D-HH:MM:SS, HH:MM:SS or minutes, and more than nothing')


def clock(total: int) -> str:
    """`HH:MM:SS`, or `D-HH:MM:SS` from a day on."""
    days, rest = divmod(total, 86400)
    return (f'{days}-' if days else '') + f'{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}'


def _fields(text: str, count: int) -> Iterator[list[str]]:
    """Rows of `count` fields between bars; others (`CLUSTER: x`, warnings) are none."""
    for line in text.splitlines():
        fields = [field.strip() for field in line.split('|')]
        if len(fields) == count and re.match(r'\d', fields[0]):
            yield fields


def _merged(rows: Iterable[tuple[str, Row]]) -> dict[str, Row]:
    """Elements of an array (`12_3`) and parts of a heterogeneous job (`12+1`) stand for the job: it lives as long as one of them does."""
    found: dict[str, Row] = {}
    for name, row in rows:
        job = re.match(r'\d+', name)[0]  # type: ignore[index]  # `_fields` has looked
        if job not in found or (row.alive and not found[job].alive):
            found[job] = row
    return found


def _ended(state: str, code: str) -> Row:
    word, _, rest = state.partition(' ')
    row = Row(word)
    return row if row.alive else Row(word, _epitaph(word, rest), exit_code(code))


def _queued(word: str, why: str) -> Row:
    row = Row(word)
    if row.state == JobState.PENDING:
        return Row(word, reason(why))
    return row if row.alive else Row(word, _epitaph(word, '' if why == 'None' else why))


def _epitaph(word: str, rest: str) -> str:
    """How it ended; '' after success."""
    if word == 'COMPLETED':
        return ''
    said = f'{word} {rest}'.strip()
    return f'{said}: {ENDS[word]}' if word in ENDS and not (word == 'CANCELLED' and rest) else said
