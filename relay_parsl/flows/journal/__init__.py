"""The journal of flows: every run, what happened to it, and what is to happen; one SQLite file in which scripts, the CLI and the engine meet.

```
 Flow.run, CLI ──► Journal.submit / ask / respond ──► runs, inbox ──► Book (the engine's side) ──► events, log, actions, snapshots
               ◄── Journal.runs / run / log ◄────────────────────────────┘   fenced by the lease, a turn for all runs that have something to do
```
`$RELAY_PARSL_HOME/flows/journal.db`, mode 0600. Events are only ever added: a run is its definition, its events and their times, and is had again by
replay from its last snapshot. What is to be done stands in `actions` before it is done.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping

from relay_parsl.errors import FlowError, InputInvalid
from relay_parsl.flows.actions import questions
from relay_parsl.flows.definition import Definition, Json
from relay_parsl.flows.journal import listing
from relay_parsl.flows.journal.coding import dump, write
from relay_parsl.flows.journal.file import JournalFile
from relay_parsl.flows.journal.keeping import delete_run, digest, flow_id, identity
from relay_parsl.flows.journal.records import JournalRecords
from relay_parsl.flows.messages import ACTIVE, INACTIVE, Limits, RunRecord, Started
from relay_parsl.flows.replay import Bookmark
from relay_parsl.home import Home

NAME = 'journal.db'
LABEL = 64
"""Characters of a label or a tag."""


class Journal:
    """What scripts and the CLI do with runs. Threads may share one; each process opens its own, never across a fork."""

    def __init__(self, file: JournalFile) -> None:
        """Over an open file; `open` is the usual way."""
        self.file = file

    @classmethod
    def open(cls, home: Home | None = None) -> Journal:
        """The journal of a home directory, made where it is missing.

        Args:
            home: None for the one at `$RELAY_PARSL_HOME`, else `~/.relay_parsl`.

        Raises:
            HomeError: its directory is open to others, or another user's.
            StoreError: it is damaged, newer than this program, or cannot be written; the text says what to do.
        """
        return cls(JournalFile((home or Home.find()).directory('flows') / NAME))

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def version(self) -> int:
        """Another number after each change, by whichever process: what a follower polls, a few microseconds each time."""
        return self.file.version()

    # -- Runs --------------------------------------------------------------------------------------------------------

    def submit(
        self,
        definition: Definition,
        body: Json,
        *,
        label: str = '',
        tags: Iterable[str] = (),
        run_id: str | None = None,
        context: Mapping[str, Json] | None = None,
        limits: Limits | None = None,
    ) -> str:
        """Write down a run; the engine begins it. It is on the disk when this returns.

        Args:
            definition: The flow, checked.
            body: The run's input, checked by the caller against the flow's input schema.
            label: For people, up to 64 characters; the flow's title, cut, where it is ''.
            tags: Each of up to 64 characters.
            run_id: A UUID; a new one where it is None. One that is there already is not begun again.
            context: What is to stand in `_context` beside, or instead of, what is known here.
            limits: What the run may use.

        Returns:
            The run's id.

        Raises:
            InputInvalid: the label, a tag or the body cannot be written down; the text says which.
            StoreError: the journal cannot be written.
        """
        label, tags = (label or definition.title[:LABEL] or 'flow'), list(tags)
        for word in (label, *tags):
            if not 1 <= len(word) <= LABEL:
                raise InputInvalid(f'{word!r:.80}: a label or tag has 1 to {LABEL} characters')
        run_id, now, hash_ = str(uuid.UUID(run_id)) if run_id else str(uuid.uuid4()), time.time(), digest(definition)
        limits = limits or Limits()
        known = {**identity(now, limits), 'flow_id': flow_id(hash_), 'run_id': run_id, **(context or {})}
        record = RunRecord(run_id, label, known, limits, start_time=now)
        self._insert(hash_, definition, record, _started(body), tags)
        return run_id

    def _insert(self, hash_: str, definition: Definition, record: RunRecord, started: str, tags: list[str]) -> None:
        file, bookmark = self.file, dump(Bookmark(record))
        with file.turn():
            if file.one('SELECT 1 FROM definitions WHERE hash = ?', hash_) is None:
                file.run('INSERT INTO definitions VALUES (?, ?, ?, ?)', hash_, record.context['flow_id'], definition.title, dump(definition))
            if file.one('SELECT 1 FROM runs WHERE id = ?', record.run_id):
                return
            row = (record.run_id, hash_, record.label, write(tags), ACTIVE, '', 'null', record.start_time)
            file.run('INSERT INTO runs VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, 0)', *row)
            number = file.one('SELECT n FROM runs WHERE id = ?', record.run_id)[0]
            file.run('INSERT INTO snapshots VALUES (?, 0, ?)', number, bookmark)
            file.run('INSERT INTO events VALUES (?, 1, ?, ?)', number, record.start_time, started)

    def runs(self, *, status: str | None = None, label: str | None = None, tag: str | None = None, limit: int | None = None) -> list[dict[str, Json]]:
        """Runs, the newest last.

        Args:
            status: Only those of this status: `ACTIVE`, …
            label: Only those with this in their label.
            tag: Only those with this tag.
            limit: The newest so many.

        Returns:
            For each: run_id, flow_id, flow_title, label, tags, status, state, start_time, completion_time (ISO 8601) and details.
        """
        return listing.runs(self.file, status, label, tag, limit)

    def run(self, run_id: str) -> dict[str, Json]:
        """One run.

        What `runs` says, `payload` and `input` without private fields, `definition`, and `action`: what it waits for, None or request_id,
        action, action_id, status, display_status, details, start_time.

        Args:
            run_id: The id or the beginning of it.

        Raises:
            NotFound: there is no such run, or several begin so.
        """
        return listing.run(self.file, self.find(run_id))

    def find(self, run_id: str) -> str:
        """The whole id of the run whose id begins so. Raises NotFound."""
        return listing.find(self.file, run_id)

    def status(self, run_id: str) -> str:
        """ACTIVE, INACTIVE, SUCCEEDED, FAILED or ENDED. Raises NotFound; takes a whole id."""
        return listing.status(self.file, run_id)

    def ended(self, run_ids: Iterable[str]) -> list[str]:
        """Those of these runs, by their whole ids, that have ended or are not there."""
        return listing.ended(self.file, list(run_ids))

    def end(self, run_id: str) -> tuple[Json, Json]:
        """The payload of an ended run, private fields and all, and the details of its end. Raises NotFound, FlowError where it has not ended."""
        return listing.end(self.file, run_id)

    def log(self, run_id: str, *, after: int = 0, limit: int | None = None, reverse: bool = False) -> list[dict[str, Json]]:
        """The event log.

        Args:
            run_id: The id or the beginning of it.
            after: Entries whose `seq` is greater.
            limit: At most so many.
            reverse: The newest first.

        Returns:
            For each entry: seq, time (ISO 8601), code, description, details.

        Raises:
            NotFound: there is no such run.
        """
        return listing.log(self.file, self.find(run_id), after, limit, reverse=reverse)

    # -- What is asked of the engine -----------------------------------------------------------------------------------

    def ask(self, run_id: str, kind: str, by: str = '') -> None:
        """Cancel a run, resume one that is INACTIVE, or release one that has ended, which deletes it.

        Args:
            run_id: The id or the beginning of it.
            kind: `cancel`, `resume` or `release`. The engine does the first two when it gets there; the last is done when this returns.
            by: Who asks.

        Raises:
            NotFound: there is no such run.
            FlowError: the run's status does not allow it.
        """
        if kind not in ('cancel', 'resume', 'release'):
            raise FlowError(f'{kind!r}: a run takes cancel, resume and release')
        whole = self.find(run_id)
        with self.file.turn():
            number, status = self.file.one('SELECT n, status FROM runs WHERE id = ?', whole)
            over = status not in (ACTIVE, INACTIVE)
            if kind == 'release' and not over:
                raise FlowError(f'run {whole} is {status}: cancel it, or wait for its end, before it is released')
            if kind != 'release' and over:
                raise FlowError(f'run {whole} has ended as {status}: there is nothing to {kind}')
            if kind == 'resume' and status != INACTIVE:
                raise FlowError(f'run {whole} is {status}: only a run that is INACTIVE can be resumed')
            if kind == 'release':
                delete_run(self.file, number)
            else:
                self._post(whole, kind, by)

    def _post(self, run_id: str, kind: str, by: str) -> None:
        self.file.run('INSERT INTO inbox (run, kind, asker, time) VALUES (?, ?, ?, ?)', run_id, kind, by, time.time())

    def web_inputs(self, run_id: str | None = None, *, open_only: bool = True) -> list[dict[str, Json]]:
        """The questions that flows ask, the oldest first.

        They are the records of the action `web_input`, each at least with web_input_id, run_id, status (`OPEN`, `CLOSED`, `EXPIRED`) and options.
        """
        found = [questions.shown(value, time.time()) for _, value in self.records(questions.SECTION).scan(questions.PREFIX)]
        whole = self.find(run_id) if run_id else None
        kept = [each for each in found if (not open_only or each['status'] == 'OPEN') and whole in (None, each.get('run_id'))]
        return sorted(kept, key=lambda each: each.get('time', 0.0))

    def respond(self, web_input_id: str, value: Json, by: str = '') -> None:
        """Answer one.

        Args:
            web_input_id: The id or the beginning of it.
            value: The `Value` of one of its options.
            by: Who answers: a name or a URN; '' is the account of this machine.

        Raises:
            NotFound: there is no such question.
            FlowError: it was answered or has expired, or has no such option; the text names those it has.
            AccessDenied: it asks somebody else.
        """
        with self.file.turn():
            self._post(listing.answer(self.file, web_input_id, value, by, time.time()), 'respond', by)

    # -- The engine ----------------------------------------------------------------------------------------------------

    def engine(self) -> dict[str, Json] | None:
        """Who runs the flows: host, pid, since (ISO 8601); None where nobody does, or who did is known to be dead."""
        return listing.engine(self.file)

    def records(self, provider: str) -> JournalRecords:
        """The rows of an action provider."""
        return JournalRecords(self.file, provider)


def _started(body: Json) -> str:
    try:
        text = dump(Started(body))
        json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputInvalid(f'the body is not JSON: {error}') from None
    return text
