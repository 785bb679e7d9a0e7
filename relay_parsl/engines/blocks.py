"""HTEX with a gate before the scheduler: what `engines.breaker` decides, done."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from parsl.executors import HighThroughputExecutor, MPIExecutor
from parsl.executors.status_handling import BlockProviderExecutor
from parsl.jobs.states import JobState, JobStatus

from relay_parsl.engines import launch
from relay_parsl.engines.breaker import Breaker, pause

logger = logging.getLogger(__name__)


class Htex(HighThroughputExecutor):
    """HTEX whose strategy sees how many workers all work is worth, here, at the endpoint and at the relay, and not how many tasks HTEX was given.

    It submits no more blocks than the breaker allows, and asks the scheduler more often while no manager is connected.
    """

    demand = workers = managers = 0
    missing = 0
    """Workers that the strategy counts and that take no more tasks (`engines.slots`)."""
    resting: Callable[[], int] = staticmethod(lambda: 0)
    """How many of its tasks have nothing to do: shifts whose workers wait a moment for more (`engines.shifts`)."""
    owed = 0
    """First blocks that could not be submitted yet."""
    breaker = Breaker()
    _begun = False
    _seen: dict[str, JobState] = {}  # noqa: RUF012  replaced, never changed
    _moved = 0.0

    def outstanding(self) -> int:
        """Workers that are wanted, by the endpoint's word (`engines.demand`); never fewer than run something now, and never none with a task here.

        To which come, when any are wanted, as many as the strategy counts in vain.
        """
        busy = max(0, int(super().outstanding()) - self.resting())
        wanted = max(self.demand, min(busy, max(1, self.workers)))
        return wanted + self.missing if wanted else 0

    @property
    def wants(self) -> str:
        """What a worker needs of a node, as the endpoint file says it."""
        memory = f' and `mem_per_worker: {self.mem_per_worker:g}`' if self.mem_per_worker else ''
        return f'`cores_per_worker: {self.cores_per_worker:g}`{memory}'

    def status(self) -> dict[str, JobStatus]:
        """The scheduler's own states: HTEX would call a block MISSING that ended before a worker came, and forget how it ended."""
        status: dict[str, JobStatus] = BlockProviderExecutor.status(self)
        states = {block: each.state for block, each in status.items()}
        if states != self._seen:
            self._seen, self._moved = states, time.monotonic()
        return status

    def poll_facade(self, *, now: bool = False) -> None:
        """Ask the scheduler, if it is time or has to be `now`."""
        if now:
            self._last_poll_time = 0.0
        super().poll_facade()

    @property
    def status_polling_interval(self) -> float:
        """Seconds between two questions to the scheduler."""
        own = float(super().status_polling_interval)
        return pause(own, time.monotonic() - self._moved, managers=bool(self.managers), local=launch.is_local(self.provider))

    def scale_out_facade(self, n: int) -> list[str]:
        """Submit up to `n` blocks. What the breaker holds back now is asked for again by the strategy, and of the first ones by `settle`."""
        now = time.monotonic()
        room = min(n, self.breaker.room(len(self.unknown()), now, 0 if self._begun else n))
        self.owed = max(0, self.owed - room) if self._begun else n - room
        self._begun = True
        if room < n:
            logger.info('%d of %d blocks are submitted now', room, n)
        blocks: list[str] = super().scale_out_facade(room) if room else []
        self.breaker.submitted(room, now)
        self._moved = time.monotonic()
        return blocks

    def scale_in_facade(self, n: int, max_idletime: float | None = None) -> list[str]:
        """End up to `n` blocks. When there are too many, first ones that still wait are not wanted any more."""
        self.owed = 0
        blocks: list[str] = super().scale_in_facade(n, max_idletime)
        return blocks

    def settle(self) -> None:
        """Submit first blocks that had to wait, as far as the breaker lets them."""
        if self.owed and not self.breaker.open:
            self.scale_out_facade(self.owed)

    def unknown(self) -> list[str]:
        """Blocks of which nobody knows yet whether a worker comes."""
        return [block for block, status in list(self.status_facade.items()) if status.state != JobState.SCALED_IN and not self.breaker.judged(block)]

    def judge(self) -> None:
        """See which blocks have ended, and whether a worker ever came from them. Once nothing more is submitted the ends are those that we made."""
        if self.breaker.open:
            return
        ended = [block for block in self.unknown() if self.status_facade[block].terminal]
        if not ended:
            return
        came = set(map(str, self.connected_blocks()))
        for block in sorted(ended, key=int):
            if block in came:
                self.breaker.connected(block)
            else:
                self.condemn(block, words(self.blocks_to_job_id.get(block), self.status_facade[block]))

    def condemn(self, block: str, evidence: str) -> None:
        """This block is barren. The third in a row takes those with it that wait in the queue: they would end as it did."""
        was_open = self.breaker.open
        self.breaker.failed(block, evidence)
        logger.error('block %s is barren (%d in a row): %s', block, self.breaker.barren, evidence)
        if self.breaker.open and not was_open:
            logger.error('%s', self.breaker.reason)
            self.dismiss(self.unknown())

    def dismiss(self, blocks: Iterable[str]) -> None:
        """Cancel the jobs of these blocks. Whatever the provider raises is logged: the next look shows what became of them."""
        assert self.provider is not None, 'HTEX always has one'  # noqa: S101  for the type checker
        jobs = [self.blocks_to_job_id[block] for block in blocks if block in self.blocks_to_job_id and not self.status_facade[block].terminal]
        for job in jobs:
            try:
                self.provider.cancel([job])
            except Exception:  # noqa: PERF203  a provider may be anybody's, and one job's failure must not save the others
                logger.exception('the provider failed to cancel job %s', job)

    def hold(self, managers: Sequence[Mapping[str, Any]], timeout: float) -> None:
        """Give these managers no more tasks."""
        for row in managers:
            if row['active']:
                self.command_client.run(['HOLD_MANAGER', row['manager']], timeout_s=timeout)


class Mpi(Htex, MPIExecutor):
    """The same over Parsl's MPIExecutor, whose scaling takes a block to run as many tasks on each of its nodes as it runs in all."""

    @property
    def workers_per_node(self) -> float:
        """A block's tasks, shared out to its nodes."""
        nodes = self.provider.nodes_per_block if self.provider is not None else 1
        return float(self.max_workers_per_block) / max(1, int(nodes))


def cause(status: JobStatus | None, *, drained: bool) -> str:
    """Why a manager was lost: `walltime` or `manager`.

    Args:
        status: of its block, as the scheduler has it now.
        drained: its manager had stopped to take tasks, as it does before the walltime: not every scheduler says what it killed a job for.
    """
    if status is None or not status.terminal or status.state == JobState.SCALED_IN:
        return 'manager'
    return 'walltime' if status.state == JobState.TIMEOUT or drained else 'manager'


def words(job: Any, status: JobStatus) -> str:
    """What is known of a block that ended: the job, how it ended, the scheduler's words, and the end of what it printed."""
    facts = [f'job {job}: {status.state.name}' if job is not None else 'it could not be submitted']
    facts += [str(status.message).strip()] if status.message else []
    facts += [f'exit code {status.exit_code}'] if status.exit_code is not None else []
    for name in ('stdout', 'stderr'):
        path = getattr(status, f'{name}_path')
        said = launch.tail(path) if path else ''
        facts += [f'{name}: {said}'] if said else []
    return ', '.join(facts)
