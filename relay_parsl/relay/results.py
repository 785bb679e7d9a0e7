"""Results on their way in: the first one of any attempt stands for ever. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from relay_parsl.errors import ProtocolError
from relay_parsl.relay.core import HEADER, Core
from relay_parsl.relay.effects import SpoolDelete
from relay_parsl.relay.leases import Leases
from relay_parsl.relay.pulls import Pulls
from relay_parsl.relay.records import Ended, Stage, TaskInfo
from relay_parsl.relay.sessions import EndpointSession
from relay_parsl.wire.codec import result_header
from relay_parsl.wire.messages import Attempt, Id, Recorded, Refused, Result, ResultHeader, Results, Status

ATTEMPTS = range(1, 10**9)

Report = tuple[Result, ResultHeader]


class Intray:
    """Takes results in, once a task."""

    def __init__(self, core: Core, leases: Leases, pulls: Pulls) -> None:
        self._core = core
        self._leases = leases
        self._pulls = pulls

    def results(self, session: EndpointSession, message: Results, now: float) -> None:
        """Store what is new, and answer all of it: what is not needed is recorded too. A large one is answered when its body is here."""
        reports = self._read(session, message.results)
        open_tasks = self._open(session, [header.task_id for _, header in reports])
        taken = []
        recorded = []
        for result, header in reports:
            task = open_tasks.get(header.task_id)
            if task and header.body and self._fits(result, header):
                self._pulls.start(session, (header.task_id, header.attempt, 'result'), header.body, result, now)
                continue
            recorded.append(Attempt(header.task_id, header.attempt))
            if task:
                del open_tasks[header.task_id]
                taken.append((task, result, header))
        self._take(session, taken)
        if recorded:
            self._core.send(session, Recorded(tuple(recorded)))

    def spooled(self, endpoint: Id, result: Result) -> None:
        """The body of a result is on the disk: so the result can be, if it is still needed."""
        header = result_header(result.header)
        session = self._core.endpoints.get(endpoint)
        found = [info for info in self._core.store.find([header.task_id]) if info.endpoint == endpoint and info.stage != Stage.DONE]
        if found:
            self._take(session, [(found[0], result, header)])
        else:
            self._core.do(SpoolDelete((header.task_id, header.attempt, 'result')))
        if session:
            self._core.send(session, Recorded((Attempt(header.task_id, header.attempt),)))

    def _read(self, session: EndpointSession, results: Sequence[Result]) -> list[Report]:
        """Of an endpoint's results those that name it."""
        reports = []
        for result in results:
            try:
                header = result_header(result.header)
            except ProtocolError as error:
                self._core.send(session, Refused('malformed', f'the header of a result: {error}'))
                continue
            if header.attempt not in ATTEMPTS or len(result.header) > HEADER:
                self._core.send(session, Refused('malformed', 'the header of a result is out of bounds'))
            elif header.endpoint == session.account:
                reports.append((result, header))
        return reports

    def _open(self, session: EndpointSession, ids: Sequence[Id]) -> dict[Id, TaskInfo]:
        """Those of these tasks that wait for a result of this endpoint: leased to it, or queued again."""
        tasks = {task_id: session.leases[task_id] for task_id in ids if task_id in session.leases}
        others = [task_id for task_id in ids if task_id not in tasks]
        if others:
            found = self._core.store.find(others)
            tasks.update({info.id: info for info in found if info.endpoint == session.account and info.stage != Stage.DONE})
        return tasks

    def _take(self, session: EndpointSession | None, taken: Sequence[tuple[TaskInfo, Result, ResultHeader]]) -> None:
        self._core.finish([self._ended(*each) for each in taken])
        newer = [Attempt(task.id, task.attempt) for task, _, header in taken if task.stage == Stage.LEASED and task.attempt != header.attempt]
        if session and newer:
            self._leases.cancel_attempts(session, newer)

    def _ended(self, task: TaskInfo, result: Result, header: ResultHeader) -> Ended:
        if not self._fits(result, header):
            return Ended(task, Status.FAILED, 0, reason=self._too_long(header.body or len(result.payload)))
        return Ended(task, header.status, 0, result.header, result.payload, header.body, header.attempt)

    def _too_long(self, size: int) -> str:
        most, remedy = self._core.settings.body_limit, 'return the name of a file instead, or have the operator raise --body-limit'
        return f'its result of {size} bytes is larger than the relay takes ({most} bytes): {remedy}'

    def _fits(self, result: Result, header: ResultHeader) -> bool:
        """Whether a result can be kept; if not its task fails by the relay's word, or its endpoint would offer it for ever."""
        settings = self._core.settings
        return len(result.payload) <= settings.payload_limit and 0 <= header.body <= settings.body_limit
