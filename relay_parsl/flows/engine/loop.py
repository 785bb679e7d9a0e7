"""The engine at work: drain what happened, let all runs take it, write one turn, then do what they ask; for as long as it holds the lease.

```
 providers' threads ──outcomes, reports──┐                    ┌─► events, log, actions, snapshots: one commit for all runs
 inbox, new runs (another process) ──────┼─► Stage: machine ──┤
 timers ─────────────────────────────────┘                    └─► then: calls of providers, timers, the next turn
```
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from relay_parsl.flows.engine.errands import PROGRESS, Errand, Outcome, judge, next_call
from relay_parsl.flows.engine.live import Happening, Live, Stage, revive
from relay_parsl.flows.engine.meter import Meter
from relay_parsl.flows.engine.providers import Providers
from relay_parsl.flows.journal.book import Book, Opened
from relay_parsl.flows.journal.file import StoreWaits
from relay_parsl.flows.machine.parameters import Terms
from relay_parsl.flows.messages import CancelRequested, Continue, Continued, ResumeRequested, RunAction, RunRecord, SetTimer, TimerFired
from relay_parsl.flows.pool import Pool
from relay_parsl.flows.settings import Settings
from relay_parsl.supervisor import alive

log = logging.getLogger(__name__)

THREADS = 16
"""Calls of one action at once. Most of them wait: for a disk, a network, another process; those of one that hangs hold up no other action."""
POLL = 0.03
"""Seconds between two looks at the journal, which cost a few microseconds each."""
TURN = 0.25
"""Seconds of the machine's work in one turn; what is left has the next one."""
SWEEP = 3600.0
"""Seconds between two looks for runs that were kept long enough."""
EARLY = 100_000
"""Reports of unknown actions that are kept: most are of one whose `run` has not returned, others of one that nobody waits for any more."""
REVIVAL = 30.0
"""Seconds that an action of an earlier engine has to say how it stands, before a `WaitTime` that ended meanwhile counts."""
GRACE = 2.0
"""Seconds that calls of providers have to return when the engine ends."""


class Loop:
    """One engine while it holds the lease."""

    def __init__(self, book: Book, settings: Settings, providers: Providers, heard: SimpleQueue[Any], terms: Terms, meter: Meter) -> None:
        """Nothing is read yet; `heard` is where the providers' reports arrive, as pairs of an action's name and an action id."""
        self._meter = meter
        self._book, self._settings, self._providers, self._heard, self._terms = book, settings, providers, heard, terms
        self._runs: dict[str, Live] = {}
        self._errands: dict[str, Errand] = {}
        self._ids: dict[tuple[str, str], Errand] = {}
        self._early: set[tuple[str, str]] = set()
        self._waiting: deque[Happening] = deque()
        self._due: list[tuple[float, int, str, Any]] = []
        self._count = self._last = 0
        self._version = -1
        self._room = True
        self._swept = 0.0
        self._began = time.time()
        self._pools: dict[str, Pool] = {}

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`. Raises LeaseLost, StoreError."""
        self._book.post.open(lambda: self._heard.put(None))
        try:
            self._recover()
            while not stop.is_set():
                self._listen()
                self._look()
                self._fire()
                self._turn(stop)
                self._tell()
                alive()
        finally:
            self._book.post.close()
            end = time.monotonic() + GRACE
            for pool in self._pools.values():
                pool.close(max(0.0, end - time.monotonic()))

    # -- At the start ------------------------------------------------------------------------------------------------

    def _recover(self) -> None:
        self._open(self._book.begun())
        by_number = {live.number: live for live in self._runs.values()}
        for deed in self._book.deeds():
            live = by_number.get(deed.number)
            errand = Errand(deed, live.record if live else RunRecord(deed.command.request_id.split(':')[0], '', {}), asked=True, again=True)
            self._add(errand)
            self._pump(errand)

    def _open(self, found: list[Opened]) -> None:
        for opened in found:
            try:
                self._revive(opened)
            except Exception as error:  # one run that cannot go on keeps no other from it
                log.exception('run %s', opened.run_id)
                opened.broken = opened.broken or f'{type(error).__name__}: {error}'
            if opened.broken:
                stage = Stage(time.time(), self._terms)
                stage.fail(opened)
                self._book.write(stage.filled())

    def _revive(self, opened: Opened) -> None:
        if opened.broken or opened.run_id in self._runs:
            return
        live = revive(opened, self._book.definition(opened.definition), self._terms)
        self._runs[live.run_id] = live
        if not live.events:
            self._last = max(self._last, live.number)
            self._waiting.append(Happening(live.run_id, opened.since[0][1]))
        elif live.mark.more:
            self._waiting.append(Happening(live.run_id, Continued()))
        if live.mark.timer is not None:
            self._at(live.mark.timer.at, 'timer', (live.run_id, live.mark.timer.timer))

    # -- What comes in -----------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        for item in self._arrivals():
            if isinstance(item, Outcome):
                self._returned(item)
            elif item is not None:
                self._reported(item)

    def _arrivals(self) -> Iterator[Any]:
        """What is there, or comes within `POLL`; nothing more while a turn's work is left over."""
        try:
            if not self._waiting:
                yield self._heard.get(timeout=self._patience())
                while True:
                    yield self._heard.get_nowait()
        except Empty:
            return

    def _patience(self) -> float:
        return max(0.0, min(POLL, self._due[0][0] - time.time())) if self._due else POLL

    def _returned(self, outcome: Outcome) -> None:
        errand = outcome.errand
        live, before = self._runs.get(errand.record.run_id), errand.deed
        verdict = judge(outcome, live.record if live else None)
        self._know(errand)
        if verdict.again is not None:
            errand.busy = False
            errand.not_before = time.time() + verdict.again
            self._pump(errand)
            return
        for event in verdict.events:
            self._waiting.append(Happening(errand.record.run_id, event, errand))
        if not verdict.events and errand.deed != before:
            self._waiting.append(Happening('', None, errand))
        elif not verdict.events:
            errand.busy = False
            self._pump(errand)

    def _know(self, errand: Errand) -> None:
        """By which id its provider reports of it."""
        if errand.deed.status is not None:
            key = (errand.deed.command.action, errand.deed.status.action_id)
            self._ids[key] = errand
            if key in self._early:
                self._early.discard(key)
                errand.poked = True

    def _reported(self, key: tuple[str, str]) -> None:
        errand = self._ids.get(key)
        if errand is None:
            if len(self._early) < EARLY:
                self._early.add(key)  # of a `run` that has not returned
            return
        errand.poked = True
        self._pump(errand)

    def _look(self) -> None:
        """At what other processes wrote."""
        version = self._book.version()
        if version == self._version and not self._room:
            return
        free = self._settings.runs_at_once - len(self._runs)
        queued = self._book.queued(self._last, min(free, 500)) if free > 0 else []
        self._open(queued)
        self._room = len(queued) == 500
        if version != self._version:
            self._read()
        self._version = version

    def _read(self) -> None:
        for run_id, kind, asker in self._book.inbox():
            if kind == 'respond':
                self._answered(run_id)
            elif kind == 'cancel' or run_id in self._runs:
                if run_id not in self._runs:
                    self._call_forward(run_id)
                self._waiting.append(Happening(run_id, CancelRequested(asker) if kind == 'cancel' else ResumeRequested(asker)))

    def _call_forward(self, run_id: str) -> None:
        """A run that waits for its turn to begin, which it will not have."""
        for opened in self._book.one(run_id):
            if not opened.broken:
                live = revive(opened, self._book.definition(opened.definition), self._terms)
                self._runs[run_id] = live

    def _answered(self, web_input_id: str) -> None:
        for errand in list(self._errands.values()):
            if errand.deed.command.action.startswith('web_input') and not errand.over:
                body = errand.deed.command.body
                if not isinstance(body, dict) or body.get('web_input_id', web_input_id) == web_input_id:
                    errand.poked = True
                    errand.not_before = 0.0
                    self._pump(errand)

    def _at(self, when: float, kind: str, what: Any) -> None:
        self._count += 1
        heapq.heappush(self._due, (when, self._count, kind, what))

    def _fire(self) -> None:
        now = time.time()
        while self._due and self._due[0][0] <= now:
            _, _, kind, what = heapq.heappop(self._due)
            if kind == 'call':
                what.queued = False
                self._pump(what)
            else:
                self._rung(*what)
        if now - self._swept > SWEEP and not self._book.sweep(now - self._settings.keep_days * 86_400):
            self._swept = now

    def _rung(self, run_id: str, name: str) -> None:
        live = self._runs.get(run_id)
        if live is None or live.mark.timer is None or live.mark.timer.timer != name:
            return
        if live.mark.timer.at > time.time():
            return  # it was set anew, and is in the queue a second time
        errand = self._errands.get(live.record.waiting.request_id)
        if errand is not None and errand.unheard and time.time() < self._began + REVIVAL:
            self._at(time.time() + PROGRESS, 'timer', (run_id, name))  # it may have ended in time, while no engine ran
            return
        self._waiting.append(Happening(run_id, TimerFired(name, errand.deed.status if errand else None)))

    # -- A turn ------------------------------------------------------------------------------------------------------

    def _turn(self, stop: threading.Event) -> None:
        if not (self._waiting or self._book.taken or self._book.post):
            return
        stage, batch, start = Stage(time.time(), self._terms), [], time.monotonic()
        end = start + TURN
        while self._waiting and time.monotonic() < end:
            batch.append(self._waiting.popleft())
            self._play(stage, batch[-1])
        try:
            self._book.write(stage.filled())
        except StoreWaits as error:
            log.warning('%s', error)
            self._waiting.extendleft(reversed(batch))
            self._meter.wait()
            stop.wait(1.0)
            return
        self._meter.turn(time.monotonic() - start, len(batch))
        self._carry_out(stage, batch)

    def _tell(self) -> None:
        if self._meter.due:
            under_way = [each.deed.command.action for each in self._errands.values()]
            self._meter.tell(holds=True, runs=len(self._runs), waiting=len(self._waiting), due=len(self._due), actions=under_way)

    def _play(self, stage: Stage, happening: Happening) -> None:
        errand, live = happening.errand, self._runs.get(happening.run_id)
        if errand is not None:
            stage.deeds[errand.deed.command.request_id] = errand.deed
        if happening.event is not None and live is not None:
            stage.take(live, happening.event, self._errands)

    def _carry_out(self, stage: Stage, batch: list[Happening]) -> None:
        """It is on the disk: now it is so."""
        self._runs.update(stage.runs)
        touched = {request_id: self._errands[request_id] for request_id in stage.deeds if request_id in self._errands}
        for request_id, errand in touched.items():
            errand.deed = stage.deeds[request_id]
        for errand in filter(None, (happening.errand for happening in batch)):
            errand.busy = False
        for run_id, command in stage.commands:
            if isinstance(command, RunAction):
                touched[command.request_id] = self._add(Errand(stage.deeds[command.request_id], self._runs[run_id].record))
            elif isinstance(command, SetTimer):
                self._at(command.at, 'timer', (run_id, command.timer))
            elif isinstance(command, Continue):
                self._waiting.append(Happening(run_id, Continued()))
        for errand in touched.values():
            self._settle(errand)
        over = [live.run_id for live in stage.runs.values() if live.over]
        self._room = self._room or bool(over)
        for run_id in over:
            self._runs.pop(run_id, None)

    # -- Calls -------------------------------------------------------------------------------------------------------

    def _add(self, errand: Errand) -> Errand:
        self._errands[errand.deed.command.request_id] = errand
        self._know(errand)
        return errand

    def _settle(self, errand: Errand) -> None:
        """Its row is written: make the next call, or forget it."""
        if not errand.deed.settled:
            self._pump(errand)
            return
        self._errands.pop(errand.deed.command.request_id, None)
        if errand.deed.status is not None:
            self._ids.pop((errand.deed.command.action, errand.deed.status.action_id), None)

    def _pump(self, errand: Errand) -> None:
        """Make the call that is due, if one is."""
        call, now = next_call(errand), time.time()
        if not call:
            return
        if now < errand.not_before:
            if not errand.queued:
                errand.queued = True
                self._at(errand.not_before, 'call', errand)
            return
        errand.busy, errand.poked = True, False
        errand.not_before = now + PROGRESS if call == 'status' else 0.0
        action = errand.deed.command.action
        if action not in self._pools:
            self._pools[action] = Pool(THREADS, f'relay-parsl action {action}')
        self._pools[action].submit(partial(self._perform, errand, call))

    def _perform(self, errand: Errand, call: str) -> None:
        self._heard.put(self._providers.perform(errand, call, lambda: self._book.lease.sure))
