"""Compute actions over a real relay and endpoint: once across `kill -9`, and whatever else befalls them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl import testing
from relay_parsl.client.defaults import Target
from relay_parsl.client.executor import Executor
from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.endpoint.endpoint import Endpoint
from relay_parsl.endpoint.founding import found, founders
from relay_parsl.endpoint.place import Place
from relay_parsl.flows.actions.base import ActionUnableToRun, Call, Surroundings
from relay_parsl.flows.actions.compute import Compute
from relay_parsl.flows.messages import ActionStatus
from relay_parsl.home import Credentials, Home, RelayEntry
from relay_parsl.relay.server import RelayServer

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
FUNCTIONS = 'tests.contract.computed'
TASKS = 3
MOMENTS = [
    ('before', 1, 0.0),  # nothing is written down: nothing was sent
    ('after', 1, 0.0),  # the intent is, and nothing was sent
    ('after', 1, 0.003),  # the submit may be under way, wherever
    ('after', 1, 0.02),
    ('after', 1, 0.1),
    ('before', 2, 0.0),  # the relay has the tasks, and we have not written that down
    ('after', 2, 0.0),
    ('before', 3, 0.0),  # the results are here, and we have not written them down
    ('after', 3, 0.0),
]


@pytest.fixture(name='relay', scope='module')
def _relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[testing.InProcessRelay]:
    with testing.relay(tmp_path_factory.mktemp('relay'), {'here': {'type': 'ThreadPoolEngine', 'max_workers': 4}}) as relay:
        yield relay


def child(home: Path, body: Any, *when: object) -> subprocess.CompletedProcess[str]:
    """With the journal of this test, and the relay of all: its home is a copy of the relay's."""
    environment = {**os.environ, 'RELAY_PARSL_HOME': str(home)}
    command = [sys.executable, '-m', 'tests.integration.flow_compute_child', json.dumps(body), *map(str, when)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture(name='home')
def _home(relay: testing.InProcessRelay, tmp_path: Path) -> Path:
    shutil.copytree(relay.home.root, tmp_path / 'home', symlinks=True, ignore=shutil.ignore_patterns('*.sock', 'relay', 'endpoints'))
    return tmp_path / 'home'


@pytest.mark.parametrize(('when', 'put', 'seconds'), MOMENTS)
def test_a_kill_at_any_moment_runs_no_task_twice_and_loses_none(home: Path, tmp_path: Path, when: str, put: int, seconds: float) -> None:
    notes = [tmp_path / f'note{number}' for number in range(TASKS)]
    calls = [{'function_id': f'{FUNCTIONS}:note', 'kwargs': {'path': str(path), 'value': at, 'seconds': 0.5}} for at, path in enumerate(notes)]
    body = {'endpoint_id': 'here', 'tasks': calls}
    killed = child(home, body, when, put, seconds)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    through = child(home, body)
    assert through.returncode == 0, through.stderr
    status, details = json.loads(through.stdout)
    assert (status, details['result']) == ('SUCCEEDED', list(range(TASKS)))
    assert [path.read_text().splitlines() for path in notes] == [['done']] * TASKS


class Rig:
    """One provider, and what it reports."""

    def __init__(self, **settings: Any) -> None:
        self.records = testing.MemoryRecords()
        self.reported = threading.Condition()
        self.count = 0
        self.action = Compute(Surroundings(self.records, settings, self._report, time.time))

    def _report(self, _action_id: str) -> None:
        with self.reported:
            self.count += 1
            self.reported.notify_all()

    def run(self, request_id: str, body: Any) -> ActionStatus:
        return self.action.run(Call(request_id, body, time=time.time()))

    def until(self, action_id: str, happened: Callable[[ActionStatus], bool]) -> ActionStatus:
        """Looks when it is told to, and never else."""
        end = time.monotonic() + 60
        while True:
            with self.reported:
                seen = self.count
            status = self.action.status(action_id)
            if happened(status):
                return status
            with self.reported:
                assert self.reported.wait_for(lambda seen=seen: self.count > seen, end - time.monotonic()), status  # type: ignore[misc]

    def end(self, status: ActionStatus) -> ActionStatus:
        return self.until(status.action_id, lambda each: each.completion_time is not None)


@pytest.fixture(name='rig')
def _rig(relay: testing.InProcessRelay) -> Iterator[Rig]:
    rig = Rig(relay=relay)
    yield rig
    rig.action.close()


def test_many_tasks_and_registered_functions(relay: testing.InProcessRelay, rig: Rig) -> None:
    with Executor('here', relay=relay) as executor:
        double = executor.register_function(lambda x, y=0: 2 * x + y)
    status = rig.end(rig.run('r:Many:1', {'tasks': [{'endpoint': 'here', 'function': double, 'args': [n], 'kwargs': {'y': 1}} for n in range(200)]}))
    assert status.details['result'] == [2 * n + 1 for n in range(200)]
    assert status.action_id == f'tg_{status.details["task_group_id"]}'
    assert len({each['task_id'] for each in status.details['results']}) == 200


def test_a_failure_has_the_remote_traceback_and_keeps_the_others_results(rig: Rig, tmp_path: Path) -> None:
    good = {'endpoint': 'here', 'function': f'{FUNCTIONS}:note', 'args': [str(tmp_path / 'a'), 7]}
    bad = {'endpoint': 'here', 'function': f'{FUNCTIONS}:fail', 'args': [str(tmp_path / 'b'), 'no such film']}
    status = rig.end(rig.run('r:Mixed:1', {'tasks': [bad, good]}))
    assert (status.status, status.details['code'], status.details['error']) == ('FAILED', 'TaskFailed', 'ValueError')
    assert status.details['description'].startswith('ValueError: no such film (task ')
    assert 'computed.py' in status.details['results'][0]['exception']
    assert status.details['result'] == [None, 7]


@pytest.mark.parametrize(('source', 'said'), [('numpy.float32(1.5)', 'float32'), ('{1, 2}', 'set'), ('float("nan")', 'float'), ('b"x"', 'bytes')])
def test_a_result_that_is_no_json_is_named(relay: testing.InProcessRelay, rig: Rig, source: str, said: str) -> None:
    if 'numpy' in source:
        pytest.importorskip('numpy')
    with Executor('here', relay=relay) as executor:
        function = executor.register_source_code(f'def f():\n    {"import numpy" if "numpy" in source else "pass"}\n    return [{source}]\n', 'f')
    status = rig.end(rig.run('r:Odd:1', {'endpoint': 'here', 'function': function}))
    assert status.status == 'FAILED'
    assert said in status.details['description'] or 'Out of range float' in status.details['description']
    assert 'return plain JSON' in status.details['description']


def test_progress_says_where_tasks_stand_and_cancel_ends_them(rig: Rig, tmp_path: Path) -> None:
    body = {'endpoint': 'here', 'function': f'{FUNCTIONS}:wait_for', 'args': [str(tmp_path / 'gate')]}
    first = rig.run('r:Long:1', body)
    running = rig.until(first.action_id, lambda each: each.details.get('tasks') == {'running': 1})
    assert running.display_status == 'running'
    ended = rig.action.cancel(first.action_id)
    assert (ended.status, ended.details['code']) == ('FAILED', 'ActionCanceled')
    (tmp_path / 'gate').touch()


class Site:
    """A relay and its endpoint, each there or not."""

    def __init__(self, directory: Path) -> None:
        self.home = Home(directory / 'home')
        engine = {'type': 'ThreadPoolEngine', 'max_workers': 1}
        self._keys, self.user = found(self.home, {'here': json.dumps({'display_name': 'here', 'engine': engine}).encode()})
        with socket.create_server(('127.0.0.1', 0)) as free:
            self._url = f'tcp://127.0.0.1:{free.getsockname()[1]}'
        self.entry = RelayEntry('site', self._url, self._keys.keys.curve_public, f'accounts/{self.user.name}.key')
        self.home.add_relay(self.entry)
        self.target = Target(self.entry, self.user, self.home)

    @contextlib.contextmanager
    def relay(self) -> Iterator[None]:
        server = RelayServer(self.home, self._url, bootstrap=founders(self.home))
        server.start()
        with self._thread(server.run, server.stop):
            yield

    @contextlib.contextmanager
    def endpoint(self) -> Iterator[None]:
        place = Place(self.home, 'here')
        endpoint = Endpoint(place.root, load_endpoint_config(place.config), self.entry, Credentials.load(place.key), grace=1.0)
        with self._thread(endpoint.run, endpoint.stop):
            yield

    @contextlib.contextmanager
    def _thread(self, run: Callable[[], object], stop: Callable[[], object]) -> Iterator[None]:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop()
            thread.join(30)
            assert not thread.is_alive()


FACTORIAL = {'endpoint': 'here', 'function': 'math:factorial', 'args': [5]}


def test_a_relay_that_is_away_is_waited_for(tmp_path: Path) -> None:
    site = Site(tmp_path)
    rig = Rig(relay=site.target)
    first = rig.run('r:Away:1', FACTORIAL)
    waiting = rig.until(first.action_id, lambda each: 'why' in each.details)
    assert (waiting.status, waiting.details['tasks']) == ('ACTIVE', {'unsent': 1})
    assert waiting.details['why'] == "relay 'site' has not taken it yet"
    with site.relay(), site.endpoint():
        assert rig.end(first).details['result'] == [120]
    rig.action.close()


def test_an_endpoint_that_is_offline_is_waited_for_and_a_relay_may_go_meanwhile(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.relay(), site.endpoint():
        pass
    rig = Rig(relay=site.target)
    with site.relay():
        first = rig.run('r:Off:1', FACTORIAL)
        waiting = rig.until(first.action_id, lambda each: 'waiting-for-ep' in each.details['tasks'] and 'why' in each.details)
        assert waiting.status == 'ACTIVE'
        assert 'the endpoint has not been connected' in waiting.details['why']
    with site.relay(), site.endpoint():
        assert rig.end(first).details['result'] == [120]
    rig.action.close()


def test_a_task_that_the_relay_took_and_then_forgot_fails_and_is_not_run_again(tmp_path: Path) -> None:
    site, note = Site(tmp_path), tmp_path / 'note'
    rig = Rig(relay=site.target)
    call = Call('r:Lost:1', {'endpoint': 'here', 'function': f'{FUNCTIONS}:note', 'args': [str(note)]}, time=time.time())
    with site.relay():
        first = rig.action.run(call)
        rig.until(first.action_id, lambda _: bool(rig.records.get(f'compute/action/{first.action_id}').get('sent')))
    rig.action.close()
    for pattern in ('*.db*', 'audit.*'):  # a relay whose log says that it has run does not begin without its store
        for path in (site.home.root / 'relay').glob(pattern):
            path.unlink()
    after = Rig(relay=site.target)
    after.records.put(f'compute/action/{first.action_id}', rig.records.get(f'compute/action/{first.action_id}'))
    with site.relay(), site.endpoint():
        ended = after.end(after.action.run(call))
        assert (ended.status, ended.details['error']) in (('FAILED', 'NotFound'), ('FAILED', 'TaskLost'))
    assert not note.exists()
    after.action.close()


def test_a_request_of_long_ago_is_not_run(rig: Rig, tmp_path: Path) -> None:
    note = tmp_path / 'note'
    body = {'endpoint': 'here', 'function': f'{FUNCTIONS}:note', 'args': [str(note)]}
    ended = rig.end(rig.action.run(Call('r:Old:1', body, time=time.time() - 15 * 86_400)))
    assert (ended.status, ended.details['error']) == ('FAILED', 'TaskExpired')
    assert not note.exists()


def test_a_cancel_that_was_not_carried_out_before_a_crash_is_carried_out_after_it(relay: testing.InProcessRelay, rig: Rig, tmp_path: Path) -> None:
    call = Call('r:Cancel:1', {'endpoint': 'here', 'function': f'{FUNCTIONS}:wait_for', 'args': [str(tmp_path / 'gate')]}, time=time.time())
    first = rig.action.run(call)
    rig.until(first.action_id, lambda each: each.details.get('tasks') == {'running': 1})
    row = rig.records.get(f'compute/action/{first.action_id}')
    rig.action.close()
    after = Rig(relay=relay)
    after.records.put(f'compute/action/{first.action_id}', {**row, 'cancelled': True})
    assert after.end(after.action.run(call)).details['code'] == 'ActionCanceled'
    after.action.close()
    (tmp_path / 'gate').touch()


@pytest.mark.parametrize(
    ('more', 'said'),
    [({'resource_specification': {'pool': 'nonesuch'}}, 'nonesuch'), ({'user_endpoint_config': {'queue': 'debug'}}, 'user_endpoint_config')],
)
def test_what_tasks_share_reaches_the_endpoint(rig: Rig, more: dict[str, Any], said: str) -> None:
    ended = rig.end(rig.run('r:Shared:1', {**FACTORIAL, **more}))
    assert (ended.status, said in ended.details['description']) == ('FAILED', True), ended.details


@pytest.mark.parametrize('once', [False, True])
def test_the_settings_say_whether_a_task_may_be_run_again_when_its_worker_is_lost(relay: testing.InProcessRelay, once: bool) -> None:
    rig, sent = Rig(relay=relay, at_most_once=once), []
    executor = rig.action._tasks._executor
    send = executor.send
    executor.send = lambda request: (sent.append(request.options.at_most_once), send(request))[1]  # type: ignore[method-assign]
    assert rig.end(rig.run('r:Once:1', FACTORIAL)).details['result'] == [120]
    assert sent == [once]
    rig.action.close()


def test_a_group_of_the_requests_own_may_be_followed_by_others(relay: testing.InProcessRelay, rig: Rig) -> None:
    group = 'cccccccc-0000-4000-8000-000000000001'
    ended = [rig.end(rig.run(f'r:Group:{visit}', {**FACTORIAL, 'task_group_id': group})) for visit in (1, 2)]
    assert {each.details['task_group_id'] for each in ended} == {group}
    assert len({each.action_id for each in ended}) == 2
    with Executor('here', relay=relay) as executor:
        assert [each.result(timeout=30) for each in executor.reload_tasks(group)] == [120, 120]


def test_what_is_not_shared_or_not_there_is_refused(rig: Rig) -> None:
    for endpoint in ('nowhere', 'aaaaaaaa-0000-4000-8000-000000000001'):
        with pytest.raises(ActionUnableToRun, match=endpoint):
            rig.run('r:None:1', {'endpoint': endpoint, 'function': 'math:factorial', 'args': [5]})


def test_a_flow_without_a_compute_step_loads_no_client() -> None:
    code = 'import sys; import relay_parsl.flows.actions.compute; print([n for n in ("zmq", "relay_parsl.client") if n in sys.modules])'
    assert subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True, cwd=ROOT).stdout.strip() == '[]'
