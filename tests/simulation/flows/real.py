"""The real journal and the real engine's loop, in this process, on a clock that stands still while there is work; killed at any write or call.

What dies is thrown away as it is: its threads find the lease gone, and what it had not written was never written.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from relay_parsl.flows.actions.base import Action, ActionUnableToRun, Call, Description, Surroundings
from relay_parsl.flows.definition import Definition, Json
from relay_parsl.flows.engine.errands import Errand
from relay_parsl.flows.engine.loop import Loop
from relay_parsl.flows.engine.meter import Meter
from relay_parsl.flows.engine.providers import Providers as EngineProviders
from relay_parsl.flows.journal import Journal
from relay_parsl.flows.journal.book import Book, Page
from relay_parsl.flows.journal.file import JournalFile
from relay_parsl.flows.journal.lease import Lease
from relay_parsl.flows.messages import INACTIVE, ActionStatus, RunAction
from relay_parsl.flows.settings import Settings
from relay_parsl.flows.terms import TERMS
from relay_parsl.home import Home
from relay_parsl.metrics import Publisher
from tests.simulation.flows.providers import Providers, Refused
from tests.simulation.flows.world import LIMITS, NOON, Killed

RUN = '00000000-0000-4000-8000-000000000001'
DEAD = object()


class Real:
    """One run, on disk. `kills`: the steps at which the engine dies."""

    def __init__(self, directory: Path, definition: Definition, body: Json, seed: int, *, kills: Iterable[int] = (), down: float = 0.0) -> None:
        self.cancel: float | None = None
        """When somebody ends the run."""
        self.home, self.kills, self.down = Home(directory / 'home'), set(kills), down
        self.providers = Providers(seed)
        self.now, self.steps, self.lives = NOON, 0, 0
        self.resumed = NOON
        self.mended: set[tuple[str, str]] = set()
        self.guard = threading.Lock()
        self.journal = Journal.open(self.home)
        who = {'user_id': 'urn:me', 'token_info': {'exp': 1_900_000_000}}  # not of the second in which it was submitted: definitions may read that
        self.journal.submit(definition, body, label='a label', run_id=RUN, limits=LIMITS, context=who)

    def play(self) -> tuple[str, Json, list[Any], frozenset[str]]:
        """To the end: status, payload, log and the requests that took effect."""
        while self.journal.status(RUN) in ('ACTIVE', 'INACTIVE'):
            self.lives += 1
            Life(self).serve()
            self.now += self.down
        run, log = self.journal.run(RUN), self.journal.log(RUN)
        self.journal.close()
        told = [(each['code'], timeless(each['details'])) for each in log]
        assert max(self.providers.asked.values(), default=0) <= self.lives, 'once in each life'
        return run['status'], timeless(run['payload']), told, self.providers.done()


def timeless(value: Json) -> Json:
    """Without times: an engine that was away asks a little later how an action stands."""
    if isinstance(value, dict):
        return {key: timeless(each) for key, each in value.items() if key not in ('start_time', 'completion_time', 'Timestamp')}
    return [timeless(each) for each in value] if isinstance(value, list) else value


class Life:
    """One life of the engine."""

    def __init__(self, world: Real) -> None:
        self.world, self.dead = world, False
        self.heard: SimpleQueue[Any] = SimpleQueue()
        self.reports: list[tuple[float, str, str]] = []
        file, beside = (JournalFile(world.journal.file.path) for _ in range(2))
        with file.turn():
            file.run('DELETE FROM lease')  # its holder is dead
        self.lease = Lease(file)
        assert self.lease.take()
        self.files = file, beside
        self.book = KilledBook(self, file, self.lease, beside)
        self.made = EngineProviders(self.find, lambda schema, body: '', self.book.records, Settings().section, self.report)

    def serve(self) -> None:
        """Until the run ends, or this life does."""
        loop = Stepping(self, self.book, Settings(), self.made, self.heard, TERMS, Meter(Publisher()))
        try:
            loop.run(Ended(self))
        except Killed:
            pass
        finally:
            self.dead = True
            for file in self.files:
                file.close()

    def step(self) -> None:
        """It may die here; who is dead does nothing any more."""
        world = self.world
        with world.guard:
            world.steps += 1
            assert world.steps < 4_000, 'it does not end'
            if self.dead or world.steps in world.kills:
                self.dead = True
                self.heard.put(DEAD)
                raise Killed

    def report(self, name: str, action_id: str) -> None:
        """A provider says that an action has something to say."""
        self.heard.put((name, action_id))

    def find(self, name: str) -> type[Action]:
        """A provider for any name."""
        return type('Fake', (Fake,), {'life': self, 'description': Description(name, name)})

    def wait(self, loop: Stepping) -> None:
        """Nothing is to be done: somebody acts, or time goes on to whatever is next."""
        world = self.world
        if world.cancel is not None and world.now >= world.cancel:
            world.cancel = None
            world.journal.ask(RUN, 'cancel', by='me')
            return
        if world.journal.status(RUN) == INACTIVE:
            details = world.journal.run(RUN)['details']
            world.mended.add((details['action_statuses'][0]['action_id'], details['required_scope']))
            world.resumed = world.now
            world.journal.ask(RUN, 'resume', by='me')
            return
        times = [*(each[0] for each in loop.due[:1]), *(each[0] for each in self.reports[:1]), *([world.cancel] if world.cancel is not None else [])]
        assert times, 'it waits for nothing'
        world.now = max(world.now, min(times))
        while self.reports and self.reports[0][0] <= world.now:
            self.report(*heapq.heappop(self.reports)[1:])


class KilledBook(Book):
    """Dies before a commit, or after it."""

    def __init__(self, life: Life, *given: Any) -> None:
        super().__init__(*given)
        self._life = life

    def write(self, page: Page) -> None:
        """One turn."""
        self._life.step()
        super().write(page)
        self._life.step()


class Stepping(Loop):
    """The engine's loop, which waits for nothing but calls that go on."""

    def __init__(self, life: Life, *given: Any) -> None:
        super().__init__(*given)
        self._life = life

    @property
    def due(self) -> list[tuple[float, int, str, Any]]:
        """What it is going to do when."""
        return self._due

    def _arrivals(self) -> Iterator[Any]:
        if self._waiting or self._book.version() != self._version:
            return
        try:
            found = [self._heard.get(timeout=20)] if any(each.busy for each in self._errands.values()) else []
        except Empty:
            raise AssertionError('a call does not return') from None
        while not self._heard.empty():
            found.append(self._heard.get())
        if DEAD in found:
            raise Killed
        if not found:
            self._life.wait(self)
        yield from found

    def _perform(self, errand: Errand, call: str) -> None:
        try:
            self._life.step()
            outcome = self._providers.perform(errand, call, lambda: True)
            self._life.step()
        except Killed:
            return
        self._heard.put(outcome)


class Ended(threading.Event):
    """Set when the run has ended."""

    def __init__(self, life: Life) -> None:
        super().__init__()
        self._life = life

    def is_set(self) -> bool:
        """Whether it has."""
        return self._life.world.journal.status(RUN) not in ('ACTIVE', 'INACTIVE')


class Fake(Action):
    """The simulation's providers, as the engine calls them."""

    life: Life

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._all, self._world = self.life.world.providers, self.life.world

    def _push(self, when: float, request_id: str, _status: ActionStatus) -> None:
        heapq.heappush(self.life.reports, (when, self.description.name, f'id-{request_id}'))

    def run(self, call: Call) -> ActionStatus:
        """Begin, or find."""
        command = RunAction(call.request_id, self.description.name, call.body, call.label, call.deadline)
        try:
            return self._all.run(command, call.time, self._world.now, self._push)
        except Refused as refusal:
            raise ActionUnableToRun(str(refusal)) from None

    def status(self, action_id: str) -> ActionStatus:
        """How it stands."""
        return self._all.doing[action_id.removeprefix('id-')].status(self._world.now)

    def resume(self, action_id: str) -> ActionStatus:
        """Try again."""
        request_id, standing = action_id.removeprefix('id-'), self.status(action_id)
        if standing.status != INACTIVE or (action_id, standing.details['required_scope']) not in self._world.mended:
            return standing
        return self._all.resume(request_id, self._world.resumed, self._world.now, self._push, standing.details['required_scope'])

    def cancel(self, action_id: str) -> ActionStatus:
        """It is no longer wanted."""
        self._all.cancel(action_id.removeprefix('id-'))
        return self.status(action_id)

    def release(self, action_id: str) -> ActionStatus:
        """It may be forgotten."""
        self._all.release(action_id.removeprefix('id-'))
        return self.status(action_id)


class Clock:
    """`time`, as the engine's loop sees it."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.world: Real | None = None
        self._here = threading.current_thread()

    def time(self) -> float:
        """Seconds since 1970; the true ones for an engine that some other test has left in a thread."""
        if self.world is None or threading.current_thread() is not self._here:
            return time.time()
        return self.world.now
