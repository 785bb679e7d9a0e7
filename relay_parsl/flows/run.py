"""A run in the hands of a script: it lives in the journal, and this is a handle on it, as good in any process that opens the same journal."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING

from relay_parsl.errors import FlowError, NotFound, RunFailed, StoreError
from relay_parsl.flows.definition import Definition, Json
from relay_parsl.flows.engine.background import ensure
from relay_parsl.flows.journal import Journal
from relay_parsl.flows.messages import ACTIVE, INACTIVE, SUCCEEDED
from relay_parsl.flows.settings import load_settings
from relay_parsl.home import Home

if TYPE_CHECKING:
    from collections.abc import Mapping

POLL = 0.02
"""Seconds between two looks at whether anything was written."""


class Run:
    """A run: of this process, or of another one.

    Iterating over it yields the entries of its event log, those that are there and those that come, until it has ended.
    """

    def __init__(self, run_id: str, journal: Journal) -> None:
        """`find` is the usual way to a run of another process. `run_id` is a whole one."""
        self.run_id = run_id
        self._journal = journal

    @classmethod
    def find(cls, run_id: str, home: Home | None = None) -> Run:
        """The run of this id, or whose id begins so. Raises NotFound."""
        journal = journal_of(home or Home.find())
        return cls(journal.find(run_id), journal)

    def __repr__(self) -> str:
        return f'<Run {self.run_id}>'

    # -- What it is --------------------------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """ACTIVE, INACTIVE, SUCCEEDED, FAILED or ENDED. Raises NotFound when it was released."""
        return self._journal.status(self.run_id)

    @property
    def label(self) -> str:
        """For people."""
        return str(self.describe()['label'])

    @property
    def tags(self) -> list[str]:
        """For finding it again."""
        return list(self.describe()['tags'])

    @property
    def details(self) -> Json:
        """Why it is INACTIVE, or ended as it did."""
        return self.describe()['details']

    def describe(self) -> dict[str, Json]:
        """All that `Journal.run` says of it."""
        return self._journal.run(self.run_id)

    def log(self, *, after: int = 0, limit: int | None = None, reverse: bool = False) -> list[dict[str, Json]]:
        """The event log so far: `seq`, `time` (ISO 8601), `code`, `description` and `details` of each entry with a `seq` over `after`."""
        return self._journal.log(self.run_id, after=after, limit=limit, reverse=reverse)

    def __iter__(self) -> Iterator[dict[str, Json]]:
        after = 0
        for over in self._changes():
            while entries := self.log(after=after, limit=500):
                yield from entries
                after = entries[-1]['seq']
            if over:
                return

    # -- Waiting -----------------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> str:
        """Wait until it has ended, or waits for a person itself (INACTIVE).

        Args:
            timeout: Seconds; None waits for as long as it takes.

        Returns:
            Its status.

        Raises:
            TimeoutError: it is ACTIVE still.
        """
        for _ in self._changes(timeout):
            if (status := self.status) != ACTIVE:
                return status
        raise TimeoutError(f'run {self.run_id} is {self.status} after {timeout:g} s')

    def result(self, timeout: float | None = None) -> Json:
        """The final payload.

        Raises:
            RunFailed: it ended otherwise than as SUCCEEDED, or is INACTIVE; the text says at which state and why.
            TimeoutError: it is ACTIVE still.
        """
        status = self.wait(timeout)
        if status == INACTIVE:
            raise RunFailed(f'run {self.run_id} is INACTIVE: {_why(self.details)}; mend that, then `relay-parsl flow resume {self.run_id}`')
        return _outcome(self._journal, self.run_id, status)

    @property
    def future(self) -> Future[Json]:
        """A future of the final payload, which a `@join_app` may return; RunFailed where it ends otherwise. Cancelling it does not end the run."""
        future: Future[Json] = Future()
        future.set_running_or_notify_cancel()
        _Watch.over(self._journal).add(self.run_id, future)
        return future

    def _changes(self, timeout: float | None = None) -> Iterator[bool]:
        """At once, and after each change of the journal: whether the run had ended before that."""
        end, seen = None if timeout is None else time.monotonic() + timeout, -1
        while True:
            version = self._journal.version()
            if version != seen:
                seen = version
                over = self.status not in (ACTIVE, INACTIVE)
                yield over
            if end is not None and time.monotonic() >= end:
                return
            time.sleep(POLL if end is None else max(0.0, min(POLL, end - time.monotonic())))

    # -- What is asked -----------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """End it; what has ended already stays as it is."""
        self._ask('cancel')

    def resume(self) -> None:
        """Try again what made it INACTIVE. Raises FlowError when it is not."""
        self._journal.ask(self.run_id, 'resume')

    def release(self) -> None:
        """Delete it from the journal. Raises FlowError when it has not ended."""
        self._journal.ask(self.run_id, 'release')

    def _ask(self, kind: str) -> None:
        try:
            self._journal.ask(self.run_id, kind)
        except FlowError:
            if self.status in (ACTIVE, INACTIVE):
                raise


def start(
    definition: Definition,
    body: Json,
    *,
    label: str = '',
    tags: Iterable[str] = (),
    run_id: str | None = None,
    flow_id: str = '',
    home: Home | None = None,
    serve: bool = True,
) -> Run:
    """Write down a run, and have an engine in this process that runs it if no other one does.

    Args:
        definition: The flow, checked.
        body: Checked against the flow's input schema.
        label: For people, up to 64 characters.
        tags: Each of up to 64 characters.
        run_id: A UUID; one that is there already is that run, and nothing is begun.
        flow_id: What `_context.flow_id` says.
        home: Whose journal; that of `$RELAY_PARSL_HOME` where it is None.
        serve: Whether this process is to run flows, too.

    Raises:
        InputInvalid: the label, a tag or the body cannot be written down.
        ConfigError: `flows.yaml` is wrong.
        StoreError: the journal cannot be written.
    """
    home = home or Home.find()
    limits, journal = load_settings(home).limits, journal_of(home)
    context: Mapping[str, Json] = {'flow_id': flow_id} if flow_id else {}
    made = journal.submit(definition, body, label=label, tags=tags, run_id=run_id, context=context, limits=limits)
    if serve:
        ensure(home)
    return Run(made, journal)


def runs(*, status: str | None = None, label: str | None = None, tag: str | None = None, home: Home | None = None) -> list[Run]:
    """The runs of a journal, the newest last; those of a status, with something in their label, with a tag."""
    journal = journal_of(home or Home.find())
    return [Run(str(each['run_id']), journal) for each in journal.runs(status=status, label=label, tag=tag)]


_journals: dict[object, Journal] = {}
_lock = threading.Lock()


def journal_of(home: Home) -> Journal:
    """The one that this process has open. A forked child opens its own."""
    with _lock:
        key = (os.getpid(), home.root)
        if key not in _journals:
            _journals[key] = Journal.open(home)
        return _journals[key]


def _outcome(journal: Journal, run_id: str, status: str) -> Json:
    payload, details = journal.end(run_id)
    if status != SUCCEEDED:
        raise RunFailed(f'run {run_id} ended as {status}: {_why(details)}')
    return payload


def _why(details: Json) -> str:
    if not isinstance(details, dict):
        return 'nothing is known'
    words = [str(details.get('code', '')), str(details.get('description', '')), str(details.get('cause', ''))]
    return ': '.join(word for word in dict.fromkeys(words) if word)


class _Watch:
    """One thread that settles the futures of runs when they end."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._futures: dict[str, list[Future[Json]]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @classmethod
    def over(cls, journal: Journal) -> _Watch:
        """The one of this journal."""
        with _lock:
            if journal not in _watches:
                _watches[journal] = cls(journal)
            return _watches[journal]

    def add(self, run_id: str, future: Future[Json]) -> None:
        """Settle it when the run ends."""
        with self._lock:
            self._futures.setdefault(run_id, []).append(future)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name='relay-parsl runs', daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        seen, known = -1, list[str]()
        while True:
            with self._lock:
                wanted = list(self._futures)
                if not wanted:
                    self._thread = None
                    return
            try:
                version = self._journal.version()
                if version != seen or wanted != known:
                    seen, known = version, wanted
                    for run_id in self._journal.ended(wanted):
                        self._settle(run_id)
            except StoreError as error:
                self._fail(error)
            time.sleep(POLL)

    def _settle(self, run_id: str) -> None:
        payload, error = None, None
        try:
            payload = _outcome(self._journal, run_id, self._journal.status(run_id))
        except (RunFailed, NotFound) as failure:
            error = failure
        self._tell([run_id], payload, error)

    def _fail(self, error: StoreError) -> None:
        self._tell(list(self._futures), None, error)

    def _tell(self, run_ids: list[str], payload: Json, error: Exception | None) -> None:
        with self._lock:
            futures = [future for run_id in run_ids for future in self._futures.pop(run_id, [])]
        for future in futures:
            if error is None:
                future.set_result(payload)
            else:
                future.set_exception(error)


_watches: weakref.WeakKeyDictionary[Journal, _Watch] = weakref.WeakKeyDictionary()
