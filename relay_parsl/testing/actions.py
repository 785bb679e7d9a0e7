"""What every action provider of flows must do."""

from __future__ import annotations

import json
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relay_parsl.flows.actions.base import Action, ActionConflict, ActionUnableToRun, Call, Surroundings
from relay_parsl.flows.definition import Json
from relay_parsl.flows.messages import ACTIVE, FAILED, INACTIVE, SUCCEEDED, ActionStatus
from relay_parsl.testing.expecting import PATIENCE, expect

ENDS = (SUCCEEDED, FAILED)


class MemoryRecords:
    """A provider's rows, in memory: they outlive an instance of it, as the journal's outlive a process."""

    def __init__(self) -> None:
        self._rows: dict[str, str] = {}

    def get(self, key: str) -> Json:
        """The value, None where there is none."""
        return json.loads(self._rows.get(key, 'null'))

    def put(self, key: str, value: Json) -> None:
        """Write or replace it."""
        self._rows[key] = json.dumps(value, allow_nan=False)

    def delete(self, key: str) -> None:
        """Forget it; nothing happens where there is none."""
        self._rows.pop(key, None)

    def scan(self, prefix: str = '') -> Iterator[tuple[str, Json]]:
        """All pairs whose key begins so, in the order of the keys."""
        return iter([(key, json.loads(text)) for key, text in sorted(self._rows.items()) if key.startswith(prefix)])


class ActionContract(ABC):
    """Subclass it in a test file under a name that begins with `Test`, and give what is abstract here: pytest collects the rest.

    What is not abstract may be given: a provider whose actions end at once has no `long_body`, and the tests of one pass over it.
    """

    @abstractmethod
    def make(self, surroundings: Surroundings) -> Action:
        """A new instance of the provider."""

    @abstractmethod
    def body(self) -> Json:
        """What `run` takes and does with success: the same at each call of this method within a test."""

    @abstractmethod
    def other_body(self) -> Json:
        """Another one that `run` takes."""

    @abstractmethod
    def bad_bodies(self) -> Mapping[str, Json]:
        """By what the refusal names (a field): bodies that `run` refuses."""

    def settings(self) -> Mapping[str, Any]:
        """Its section of the settings."""
        return {}

    def long_body(self) -> Json:
        """What stays ACTIVE until it is cancelled; None: there is no such thing."""
        return None

    def failing_body(self) -> Json:
        """What begins, and ends FAILED; None: there is no such thing."""
        return None

    def inactive_body(self) -> Json:
        """What becomes INACTIVE; None: there is no such thing."""
        return None

    def mend(self) -> None:  # noqa: B027  most have nothing to mend
        """Do what lets an INACTIVE action go on at `resume`."""

    def proceed(self, action: Action, action_id: str) -> None:  # noqa: B027  most end by themselves
        """Let an ACTIVE action end, where it would not by itself: answer what it asks."""

    def done(self) -> int | None:
        """How often the thing was done in this test, by whatever instance; None: it has no effect that one could count."""
        return None

    # -- The tests ----------------------------------------------------------------------------------------------------

    def test_it_describes_itself(self, tmp_path: Path) -> None:
        """Name, title, spellings and schema are complete."""
        with self._started(tmp_path) as rig:
            said = rig.action.description
            expect(bool(said.name) and said.name == said.name.lower() and bool(said.title), 'it has a name in small letters, and a title')
            expect(bool(said.urls), 'it says which spellings mean it')
            expect(not [each for each in said.urls if each.endswith('/')], 'urls are without a trailing slash')
            expect(len(set(said.urls)) == len(said.urls), 'each url once')
            expect(isinstance(said.input_schema, dict) and said.input_schema.get('type') == 'object', 'the schema of its body is of an object')
            json.dumps(said.input_schema)

    def test_it_runs_to_its_end(self, tmp_path: Path) -> None:
        """One action, watched by nothing but its reports, succeeds."""
        with self._started(tmp_path) as rig:
            first = rig.run('run:State:1', self.body())
            expect(not rig.action.description.synchronous or first.status in ENDS, 'a synchronous one returns its end')
            last = rig.end(first)
            expect(last.status == SUCCEEDED, f'it succeeds: {last}')
            expect(last.details is not None, 'it says what came of it')
            expect(rig.action.status(last.action_id) == last, 'an end stays as it is')

    def test_the_same_request_is_done_once(self, tmp_path: Path) -> None:
        """However often it is asked for, before and after its end."""
        with self._started(tmp_path) as rig:
            asked = [rig.run('run:State:1', self.body()) for _ in range(3)]
            last = rig.end(asked[0])
            again = rig.run('run:State:1', self.body())
            expect({each.action_id for each in asked} == {last.action_id}, 'one request is one action')
            expect(again == last, 'and has one end')
            expect(self.done() in (None, 1), f'it is done once, not {self.done()} times')

    def test_two_requests_are_two_actions(self, tmp_path: Path) -> None:
        """Two visits of a state are two actions, equal bodies or not."""
        with self._started(tmp_path) as rig:
            ends = [rig.end(rig.run(f'run:State:{visit}', self.body())) for visit in (1, 2)]
            expect(ends[0].action_id != ends[1].action_id, 'they have ids of their own')
            expect(self.done() in (None, 2), f'it is done twice, not {self.done()} times')

    def test_a_new_instance_goes_on(self, tmp_path: Path) -> None:
        """As after a crash: over the same records, the same request is the same action."""
        with self._started(tmp_path) as rig:
            first = rig.run('run:State:1', self.body())
            rig.restart()
            again = rig.run('run:State:1', self.body())
            expect(again.action_id == first.action_id and again.start_time == first.start_time, 'it is the same action')
            last = rig.end(again)
            expect(last.status == SUCCEEDED, f'it succeeds: {last}')
            rig.restart()
            expect(rig.action.status(last.action_id) == last, 'an end is known to the next instance')
            expect(rig.run('run:State:1', self.body()) == last, 'and is not begun again')
            expect(self.done() in (None, 1), f'it is done once, not {self.done()} times')

    def test_another_body_under_the_same_request_is_refused(self, tmp_path: Path) -> None:
        """A request id is of one body."""
        with self._started(tmp_path) as rig:
            first = rig.run('run:State:1', self.body())
            rig.refused('run:State:1', self.other_body(), 'request_id')
            rig.restart()
            rig.refused('run:State:1', self.other_body(), 'request_id')
            rig.run('run:State:1', self.body())
            expect(rig.end(first).status == SUCCEEDED, 'the first one is as it was')

    def test_bad_bodies_begin_nothing(self, tmp_path: Path) -> None:
        """The refusal names the field; and the same request with a good body is taken."""
        with self._started(tmp_path) as rig:
            before = list(rig.records.scan())
            for field, body in self.bad_bodies().items():
                rig.refused('run:State:1', body, field)
            rig.refused('run:State:1', 'no object', 'object')
            expect(list(rig.records.scan()) == before, 'what was refused leaves no record')
            expect(self.done() in (None, 0), 'nothing was done')
            expect(rig.end(rig.run('run:State:1', self.body())).status == SUCCEEDED, 'the mended body is taken')

    def test_an_unknown_action_is_a_key_error(self, tmp_path: Path) -> None:
        """Of each method that takes an id."""
        with self._started(tmp_path) as rig:
            for method in ('status', 'cancel', 'resume', 'release'):
                rig.unknown(method, 'nonesuch')

    def test_release_forgets(self, tmp_path: Path) -> None:
        """It returns the end, once."""
        with self._started(tmp_path) as rig:
            last = rig.end(rig.run('run:State:1', self.body()))
            expect(rig.action.release(last.action_id) == last, 'it returns how the action ended')
            rig.unknown('status', last.action_id)
            rig.unknown('release', last.action_id)

    def test_an_active_one_is_not_released(self, tmp_path: Path) -> None:
        """A provider does not forget what it is doing."""
        with self._started(tmp_path) as rig, rig.active(self.long_body()) as action_id:
            if action_id is None:
                return
            try:
                rig.action.release(action_id)
            except ActionConflict:
                expect(rig.action.status(action_id).status == ACTIVE, 'and goes on')
            else:
                raise AssertionError('release of an ACTIVE action raises ActionConflict')

    def test_cancel_is_advisory_and_may_be_repeated(self, tmp_path: Path) -> None:
        """It ends what goes on, and changes no end."""
        with self._started(tmp_path) as rig, rig.active(self.long_body()) as action_id:
            if action_id is not None:
                rig.action.cancel(action_id)
                last = rig.end(rig.action.cancel(action_id))
                expect(rig.action.cancel(action_id) == last, 'a cancelled one is not cancelled again')
                rig.restart()
                expect(rig.run('run:Long:1', self.long_body()) == last, 'nor is it begun again')
            end = rig.end(rig.run('run:State:2', self.body()))
            expect(rig.action.cancel(end.action_id) == end, 'what has ended stays as it ended')

    def test_resume_goes_on(self, tmp_path: Path) -> None:
        """An INACTIVE one says what it waits for, and goes on; of another one it changes nothing."""
        with self._started(tmp_path) as rig:
            last = rig.end(rig.run('run:State:1', self.body()))
            expect(rig.action.resume(last.action_id) == last, 'what has ended stays as it ended')
            if (body := self.inactive_body()) is None:
                return
            first = rig.settled(rig.run('run:State:2', body))
            expect(first.status == INACTIVE and bool(first.details.get('code')), f'it is INACTIVE, with a code: {first}')
            self.mend()
            expect(rig.end(rig.action.resume(first.action_id)).status == SUCCEEDED, 'it goes on')

    def test_a_failure_is_an_end(self, tmp_path: Path) -> None:
        """FAILED, with the reason, and not tried again."""
        with self._started(tmp_path) as rig:
            if (body := self.failing_body()) is None:
                return
            last = rig.end(rig.run('run:State:1', body))
            expect(last.status == FAILED and bool(last.details), f'it is FAILED and says why: {last}')
            expect(rig.run('run:State:1', body) == last, 'asked again, it is the same failure')

    def test_threads_share_it(self, tmp_path: Path) -> None:
        """Many actions at once, from several threads."""
        with self._started(tmp_path) as rig, ThreadPoolExecutor(4) as pool:
            firsts = list(pool.map(lambda number: rig.run(f'run:State{number}:1', self.body()), range(12)))
            expect(len({each.action_id for each in firsts}) == 12, 'each request is an action')
            expect({rig.end(each).status for each in firsts} == {SUCCEEDED}, 'all succeed')
            expect(self.done() in (None, 12), f'each is done once: {self.done()}')

    @contextmanager
    def _started(self, directory: Path) -> Iterator[ActionRig]:
        rig = ActionRig(self, directory)
        try:
            yield rig
        finally:
            rig.action.close()


class ActionRig:
    """A provider, its records, and everything it reported: what the engine is to it."""

    def __init__(self, contract: ActionContract, directory: Path) -> None:
        self.directory = directory
        self.records = MemoryRecords()
        self._contract = contract
        self._run = str(uuid.uuid4())  # as runs have: what remembers requests elsewhere must not know those of another test
        self._reports: list[str] = []
        self._changed = threading.Condition()
        self._times: dict[str, float] = {}
        self.action = self._make()

    def _make(self) -> Action:
        return self._contract.make(Surroundings(self.records, self._contract.settings(), self._report, time.time))

    def _report(self, action_id: str) -> None:
        with self._changed:
            self._reports.append(action_id)
            self._changed.notify_all()

    def restart(self) -> None:
        """Another process goes on with the same records."""
        self.action.close()
        self.action = self._make()

    def run(self, request_id: str, body: Json) -> ActionStatus:
        """Ask for it, as the engine does: the time of a request is that of its first asking. `run` stands for the run's id."""
        asked = self._times.setdefault(request_id, time.time())
        called = request_id.replace('run:', f'{self._run}:', 1)
        return self.checked(self.action.run(Call(called, json.loads(json.dumps(body)), time=asked, deadline=asked + PATIENCE)))

    def refused(self, request_id: str, body: Json, field: str) -> None:
        """It must be."""
        try:
            begun = self.run(request_id, body)
        except ActionUnableToRun as refusal:
            expect(field in str(refusal), f'the refusal names {field}: {refusal}')
        else:
            raise AssertionError(f'{body} was taken: {begun}')

    def unknown(self, method: str, action_id: str) -> None:
        """It must be."""
        try:
            getattr(self.action, method)(action_id)
        except KeyError:
            return
        raise AssertionError(f'{method} of an unknown action raises KeyError')

    def settled(self, status: ActionStatus) -> ActionStatus:
        """Wait until it is ACTIVE no more; looks only when it was reported."""
        action_id, end, seen = status.action_id, time.monotonic() + PATIENCE, 0
        while status.status == ACTIVE:
            self._contract.proceed(self.action, action_id)
            told, seen = self._told(action_id, seen, end)
            status = self.checked(self.action.status(action_id))
            expect(told, f'a change is reported within {PATIENCE:g} s; it stands at {status}')
        return status

    def _told(self, action_id: str, seen: int, end: float) -> tuple[bool, int]:
        """Whether there was a report beyond the first `seen` of all, at the latest at `end`; how many there are now."""
        with self._changed:
            told = self._changed.wait_for(lambda: action_id in self._reports[seen:], end - time.monotonic())
            return told, len(self._reports)

    def end(self, status: ActionStatus) -> ActionStatus:
        """Wait for its end."""
        last = self.settled(status)
        expect(last.status in ENDS, f'it ends: {last}')
        return last

    @contextmanager
    def active(self, body: Json) -> Iterator[str | None]:
        """An action that goes on; its id, None where the provider has none that does. Cancelled afterwards."""
        if body is None:
            yield None
            return
        status = self.run('run:Long:1', body)
        expect(status.status == ACTIVE, f'it goes on: {status}')
        yield status.action_id
        self.action.cancel(status.action_id)

    @staticmethod
    def checked(status: ActionStatus) -> ActionStatus:
        """A status as it must be: plain JSON, complete, with times that make sense."""
        expect(json.loads(json.dumps(status.details, allow_nan=False)) == status.details, 'details are JSON, and survive it')
        expect(bool(status.action_id) and status.status in (ACTIVE, INACTIVE, *ENDS), f'it is named and stands somewhere: {status}')
        expect(bool(status.display_status), 'display_status says it for people')
        expect((status.completion_time is not None) == (status.status in ENDS), 'completion_time is that of an end, and no end is without one')
        now = time.time() + 1.0
        expect(0 < status.start_time <= (status.completion_time or now) <= now, f'times are past and in order: {status}')
        return status
