"""A run in the hands of an engine, and what one turn makes of many: staged first, in force when it is on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from relay_parsl.flows.definition import Definition
from relay_parsl.flows.engine.errands import Errand
from relay_parsl.flows.journal.book import Deed, Opened, Page
from relay_parsl.flows.machine.parameters import Terms
from relay_parsl.flows.messages import CancelAction, Command, Event, Log, ReleaseAction, ResumeAction, RunAction, RunRecord, Started
from relay_parsl.flows.replay import Bookmark, broken, replay, step

SNAPSHOT = 50
"""Events after which a run is written down whole: what a replay has to do at most, for each is up to 50 states."""


@dataclass(frozen=True, slots=True)
class Live:
    """A run that has not ended.

    Attributes:
        mark: As it is now.
        events: How many it has taken.
        entries: How many its log has.
        snapshot: How many events are in its last snapshot.
    """

    number: int
    run_id: str
    definition: Definition
    mark: Bookmark
    events: int
    entries: int
    snapshot: int

    @property
    def record(self) -> RunRecord:
        """As the machine knows it."""
        return self.mark.record

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.mark.record.completion_time is not None


def revive(opened: Opened, definition: Definition, terms: Terms) -> Live:
    """A run as it was when the last engine wrote it down. `opened` is readable."""
    mark = opened.bookmark or Bookmark(RunRecord(opened.run_id, '', {}))
    if opened.events:
        mark = replay(definition, mark, opened.since, terms)
    return Live(opened.number, opened.run_id, definition, mark, opened.events, opened.entries, opened.snapshot)


@dataclass
class Happening:
    """Something that is to be written: an event of a run, an action that stands otherwise, or both, which then belong together."""

    run_id: str = ''
    event: Event | None = None
    errand: Errand | None = None


@dataclass
class Stage:
    """One turn.

    Attributes:
        runs: Those that moved, as they will be.
        deeds: Actions that changed, by their request ids.
        commands: What is to be done when it is on the disk.
    """

    now: float
    terms: Terms
    page: Page = field(default_factory=Page)
    runs: dict[str, Live] = field(default_factory=dict)
    deeds: dict[str, Deed] = field(default_factory=dict)
    commands: list[tuple[str, Command]] = field(default_factory=list)

    def take(self, live: Live, event: Event, errands: Mapping[str, Errand]) -> None:
        """Let a run take an event."""
        live = self.runs.get(live.run_id, live)
        if live.over:
            return
        mark, commands = step(live.definition, live.mark, event, self.now, self.terms)
        early = not live.events and not isinstance(event, Started)  # its input, the first event, stands in the journal already
        events = live.events + 1 + early
        self.page.event(live.number, events, self.now, event)
        self._note(live, mark, events, commands, errands)

    def fail(self, opened: Opened) -> None:
        """End a run that cannot be read."""
        record, commands = broken(RunRecord(opened.run_id, '', {}, start_time=self.now), opened.broken, self.now)
        nothing = Definition('', {}, {})
        live = Live(opened.number, opened.run_id, nothing, Bookmark(record), opened.events, opened.entries, opened.snapshot)
        self._note(live, live.mark, live.events, commands, {})

    def _note(self, live: Live, mark: Bookmark, events: int, commands: list[Command], errands: Mapping[str, Errand]) -> None:
        entries = live.entries
        for command in commands:
            if isinstance(command, Log):
                entries += 1
                self.page.entry(live.number, entries, self.now, command)
            else:
                self._intend(live, command, errands)
                self.commands.append((live.run_id, command))
        self.runs[live.run_id] = Live(live.number, live.run_id, live.definition, mark, events, entries, live.snapshot)

    def _intend(self, live: Live, command: Command, errands: Mapping[str, Errand]) -> None:
        if isinstance(command, RunAction):
            self.deeds[command.request_id] = Deed(live.number, command, self.now)
        elif isinstance(command, (CancelAction, ResumeAction, ReleaseAction)):
            errand = errands.get(command.request_id)
            deed = self.deeds.get(command.request_id) or (errand.deed if errand else None)
            if deed is not None and not deed.settled:
                self.deeds[command.request_id] = replace(deed, wish=WISHES[type(command)])

    def filled(self) -> Page:
        """The page, complete."""
        page = self.page
        for live in list(self.runs.values()):
            page.run(live.number, live.mark, live.events, live.entries)
            if live.over or live.events - live.snapshot >= SNAPSHOT:
                page.snapshot(live.number, live.events, live.mark)
                self.runs[live.run_id] = replace(live, snapshot=live.events)
        page.deeds.extend(self.deeds.values())
        return page


WISHES: dict[type[Command], str] = {CancelAction: 'cancel', ResumeAction: 'resume', ReleaseAction: 'release'}
