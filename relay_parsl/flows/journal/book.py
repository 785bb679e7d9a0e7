"""The engine's side of the journal: what it reads when it starts, and the one turn in which it writes all that has happened.

Every turn is fenced by the lease: it is written by the engine that holds it, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from relay_parsl.flows.definition import Definition
from relay_parsl.flows.journal.coding import dump, load, load_any, write
from relay_parsl.flows.journal.file import JournalFile
from relay_parsl.flows.journal.keeping import delete_run
from relay_parsl.flows.journal.lease import Lease
from relay_parsl.flows.journal.records import JournalRecords, Post, apply
from relay_parsl.flows.messages import ActionStatus, Event, Log, RunAction
from relay_parsl.flows.replay import Bookmark

OPEN = """SELECT r.n, r.id, r.definition, r.events, r.entries, s.events, s.bookmark FROM runs r JOIN snapshots s ON s.run = r.n
    WHERE r.completion_time IS NULL AND """
BEGUN, QUEUED, ONE = 'r.events > 0 ORDER BY r.n', 'r.events = 0 AND r.n > ? ORDER BY r.n LIMIT ?', 'r.id = ?'
UPDATE = 'UPDATE runs SET status = ?, state = ?, details = ?, start_time = ?, completion_time = ?, events = ?, entries = ? WHERE n = ?'


@dataclass
class Opened:
    """A run that has not ended, as it is found.

    Attributes:
        events: How many were handled.
        entries: How many its log has.
        snapshot: How many events are in the bookmark.
        since: The events after it, with their times; of a run that has not begun, its `Started`.
        broken: Why it cannot be read, where it cannot.
    """

    number: int
    run_id: str
    definition: str
    events: int
    entries: int
    snapshot: int
    bookmark: Bookmark | None = None
    since: list[tuple[float, Event]] = field(default_factory=list)
    broken: str = ''


@dataclass(frozen=True)
class Deed:
    """An action as the journal keeps it.

    Attributes:
        number: Of its run.
        intent: When it was first to be called.
        status: None until the provider answered.
        wish: What the provider is still to be told: `cancel`, `resume`, `release` or ''.
        settled: Nothing is left to do.
    """

    number: int
    command: RunAction
    intent: float
    status: ActionStatus | None = None
    wish: str = ''
    settled: bool = False


KEPT = 50
"""Events before a snapshot that stay, beside the first: nothing reads them any more, and a loop of actions would fill the disk with them."""


@dataclass
class Page:
    """What one turn writes: rows, in the order of the tables' columns."""

    events: list[Sequence[Any]] = field(default_factory=list)
    log: list[Sequence[Any]] = field(default_factory=list)
    runs: list[Sequence[Any]] = field(default_factory=list)
    snapshots: list[Sequence[Any]] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)

    def event(self, number: int, n: int, time: float, event: Event) -> None:
        """One that was handled."""
        self.events.append((number, n, time, dump(event)))

    def entry(self, number: int, seq: int, time: float, entry: Log) -> None:
        """One of the event log."""
        self.log.append((number, seq, time, entry.code, entry.description, write(entry.details)))

    def run(self, number: int, mark: Bookmark, events: int, entries: int) -> None:
        """How a run stands after the turn."""
        record = mark.record
        about = (record.status, record.state, write(record.details), record.start_time, record.completion_time)
        self.runs.append((*about, events, entries, number))

    def snapshot(self, number: int, events: int, mark: Bookmark) -> None:
        """The whole run after so many events."""
        self.snapshots.append((number, events, dump(mark)))


class Book:
    """Over the journal's file, by the holder of its lease."""

    def __init__(self, file: JournalFile, lease: Lease, beside: JournalFile) -> None:
        """`beside`: another connection, for what the providers' threads write while the engine's is busy."""
        self.file, self.lease = file, lease
        self._beside = beside
        self._definitions: dict[str, Definition] = {}
        self._commands: dict[str, str] = {}
        self.taken: list[int] = []
        self.post = Post(beside, self._fenced_beside)

    def version(self) -> int:
        """Another number when somebody else has written."""
        return self.file.others()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """All or nothing, and nothing unless the lease is ours. Raises LeaseLost, StoreError."""
        with self.file.turn():
            self.lease.check(self.file)
            yield

    @contextmanager
    def _fenced_beside(self) -> Iterator[None]:
        with self._beside.turn():
            self.lease.check(self._beside)
            yield

    def records(self, provider: str) -> JournalRecords:
        """The rows of an action provider, fenced too."""
        return JournalRecords(self._beside, provider, self.post)

    def beat(self) -> None:
        """Say that this engine lives, if it has not for a while."""
        if self.lease.due:
            with self.turn():
                pass

    # -- Reading -----------------------------------------------------------------------------------------------------

    def begun(self) -> list[Opened]:
        """Runs that have begun and not ended."""
        return self._open(BEGUN)

    def queued(self, after: int, limit: int) -> list[Opened]:
        """Runs that have not begun, in the order in which they were submitted: up to `limit`, with numbers greater than `after`."""
        return self._open(QUEUED, after, limit)

    def one(self, run_id: str) -> list[Opened]:
        """This run, if it has not ended."""
        return self._open(ONE, run_id)

    def _open(self, which: str, *values: object) -> list[Opened]:
        with self.file.glance():
            found = []
            for number, run_id, definition, events, entries, snapshot, bookmark in self.file.all(OPEN + which, *values):
                opened = Opened(number, run_id, definition, events, entries, snapshot)
                try:
                    self._fill(opened, bookmark)
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    opened.broken = f'what the journal has of it cannot be read: {type(error).__name__}: {error}'
                found.append(opened)
        return found

    def _fill(self, opened: Opened, bookmark: str) -> None:
        opened.bookmark = load(Bookmark, bookmark)
        rows = self.file.all('SELECT time, event FROM events WHERE run = ? AND n > ? ORDER BY n', opened.number, opened.snapshot)
        opened.since = [(time, load_any(event)) for time, event in rows]
        self.definition(opened.definition)

    def definition(self, digest: str) -> Definition:
        """By its hash; kept once for all of its runs. Raises ValueError, TypeError, KeyError where it cannot be read."""
        if digest not in self._definitions:
            row = self.file.one('SELECT definition FROM definitions WHERE hash = ?', digest)
            if row is None:
                raise KeyError(f'definition {digest}')
            self._definitions[digest] = load(Definition, row[0])
        return self._definitions[digest]

    def deeds(self) -> list[Deed]:
        """Actions with which something is left to do."""
        rows = self.file.all('SELECT run, command, intent, status, wish FROM actions WHERE settled = 0 ORDER BY intent')
        return [
            Deed(number, load(RunAction, command), intent, load(ActionStatus, status) if status else None, wish)
            for number, command, intent, status, wish in rows
        ]

    def inbox(self) -> list[tuple[str, str, str]]:
        """What was asked and not seen yet, oldest first: of which run, what, by whom. The next turn takes it out of the file."""
        rows = self.file.all('SELECT n, run, kind, asker FROM inbox WHERE n > ? ORDER BY n', self.taken[-1] if self.taken else 0)
        self.taken += [row[0] for row in rows]
        return [row[1:] for row in rows]

    # -- Writing -----------------------------------------------------------------------------------------------------

    def write(self, page: Page) -> None:
        """One turn. On the disk when this returns. Raises LeaseLost, StoreWaits (nothing was written: try again), StoreError."""
        jobs = self.post.take()
        try:
            with self.turn():
                self._rows(page)
                apply(self.file, [job.change for job in jobs])
        except BaseException as error:
            self.post.tell(jobs, error)
            raise
        self.post.tell(jobs)
        self.taken.clear()

    def _rows(self, page: Page) -> None:
        worn = [(number, events - KEPT) for number, events, _ in page.snapshots if events > KEPT]
        for statement, rows in (
            ('INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?)', page.events),
            ('INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)', page.log),
            (UPDATE, page.runs),
            ('INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)', page.snapshots),
            ('INSERT OR REPLACE INTO actions VALUES (?, ?, ?, ?, ?, ?, ?)', [self._row(deed) for deed in page.deeds]),
            ('DELETE FROM events WHERE run = ? AND n > 1 AND n <= ?', worn),
            ('DELETE FROM inbox WHERE n = ?', [(n,) for n in self.taken]),
        ):
            if rows:
                self.file.many(statement, rows)

    def _row(self, deed: Deed) -> Sequence[Any]:
        """A row of `actions`; the text of its command is made once. Of one that is settled nobody reads more than that it was."""
        request_id = deed.command.request_id
        command = self._commands.get(request_id)
        if command is None:
            command = self._commands[request_id] = dump(deed.command)
        if deed.settled:
            del self._commands[request_id]
            return (request_id, deed.number, '', deed.intent, '', deed.wish, deed.settled)
        status = dump(deed.status) if deed.status else ''
        return (request_id, deed.number, command, deed.intent, status, deed.wish, deed.settled)

    def sweep(self, before: float, limit: int = 200) -> int:
        """Delete runs that ended before this time, a few at once; how many."""
        rows = self.file.all('SELECT n FROM runs WHERE completion_time < ? LIMIT ?', before, limit)
        if rows:
            with self.turn():
                for (number,) in rows:
                    delete_run(self.file, number)
                self.file.run('DELETE FROM actions WHERE settled = 1 AND run NOT IN (SELECT n FROM runs)')
        return len(rows)
