"""Metrics of a relay, an endpoint and an engine of flows that work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from relay_parsl.flows.engine import Engine
from relay_parsl.flows.journal import Journal
from relay_parsl.home import Home
from relay_parsl.metrics import Publisher
from relay_parsl.metrics import publisher as publishing
from relay_parsl.relay.server import RelayServer
from relay_parsl.wire import messages as m
from tests.integration import hand_relay, relay_site
from tests.integration.commands import until
from tests.integration.relay_site import LOOPBACK, an_id, leases, submit
from tests.unit.metrics.strict import Samples, read, values

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(publishing, 'INTERVAL', 0.05)
    return tmp_path / 'parsl.prom'


def seen(file: Path, holds: Callable[[Samples], bool]) -> Samples:
    """The metrics, once they are as expected."""
    until(lambda: file.exists() and holds(read(file.read_text())))
    return read(file.read_text())


def test_a_relay_counts_tasks_sessions_refusals_and_its_commits(file: Path, tmp_path: Path) -> None:
    site = relay_site.site_in(tmp_path / 'home')
    server = RelayServer(site.home, LOOPBACK, bootstrap=site.founders, publisher=Publisher(file))
    server.start()
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with site.client('ann', server.port) as ann, site.endpoint(server.port, window=2) as endpoint:
            submit(ann, [site.task(number) for number in range(1, 6)])
            leased = leases(endpoint, 2)
            ann.say(m.Submit((site.task(9, payload=b'x' * (1 << 20)),)), m.Admin(1, 'stop'))
            ann.one(m.Rejected)
            found = seen(
                file,
                lambda all_: all_['relay_parsl_relay_tasks', (('state', 'queued'),)] == 3 and any(values(all_, 'relay_parsl_relay_refusals_total')),
            )
            assert found['relay_parsl_relay_tasks', (('state', 'leased'),)] == 2
            assert found['relay_parsl_relay_tasks_stored_total', ()] == 5
            assert found['relay_parsl_relay_sessions', (('role', 'endpoint'),)] == 1
            assert found['relay_parsl_relay_refusals_total', (('code', 'too-large'),)] == 1
            assert found['relay_parsl_relay_commit_seconds_count', ()] > 0
            assert found['relay_parsl_relay_bytes', (('of', 'store'),)] > 0
            endpoint.say(m.Results((site.result(leased[0]),)))
            ann.wait(m.Deliver, any)
            ann.say(m.Received((an_id(1),)))
            found = seen(file, lambda all_: all_['relay_parsl_relay_tasks_total', (('event', 'received'),)] == 1)
            assert found['relay_parsl_relay_tasks_ended_total', ()] == 1
    finally:
        server.stop()
        thread.join(20)
    assert '"ann"' not in file.read_text(), 'metrics name nobody'


def test_an_endpoint_counts_attempts_workers_and_its_connection(file: Path, tmp_path: Path) -> None:
    with hand_relay.site_in(tmp_path / 'home') as site:
        site.serve(publisher=Publisher(file))
        site.give(abs, 7)
        work = site.engine.work()
        found = seen(file, lambda all_: all_['relay_parsl_endpoint_tasks', (('state', 'started'),)] == 1)
        assert found['relay_parsl_endpoint_connected', ()] == 1
        assert found['relay_parsl_endpoint_workers', (('pool', 'default'),)] == 4
        assert found['relay_parsl_endpoint_engine_state', (('pool', 'default'), ('state', 'ready'))] == 1
        site.engine.finish(work, 7)
        site.relay.result()
        found = seen(file, lambda all_: all_['relay_parsl_endpoint_tasks', (('state', 'result'),)] == 1)
        assert found['relay_parsl_endpoint_tasks_ended_total', (('status', 'success'),)] == 1
        assert found['relay_parsl_endpoint_tasks_started_total', ()] == 1
        assert found['relay_parsl_endpoint_bytes', (('of', 'journal'),)] > 0


def test_an_engine_of_flows_tells_that_it_leads(file: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    with Journal.open(Home(tmp_path / 'home')) as journal:
        thread = threading.Thread(target=Engine(journal, publisher=Publisher(file)).serve, args=(stop,))
        thread.start()
        try:
            found = seen(file, lambda all_: all_['relay_parsl_flows_leading', ()] == 1)
            assert found['relay_parsl_flows_runs', ()] == 0
        finally:
            stop.set()
            thread.join(20)


def test_a_relay_that_is_started_detached_logs_and_counts_as_it_was_told(tmp_path: Path) -> None:
    environment = {**os.environ, 'RELAY_PARSL_HOME': str(tmp_path / 'home')}

    def ours(*arguments: str) -> str:
        return subprocess.run([sys.executable, '-m', 'relay_parsl', *arguments], env=environment, check=True, capture_output=True, text=True).stdout

    file = tmp_path / 'relay.prom'
    ours('relay', 'start', '--bind', '127.0.0.1:0', '--detach', '--log-format', 'json', '--metrics', str(file), '--metrics-bind', '127.0.0.1:0')
    try:
        until(file.exists)
        assert read(file.read_text())['relay_parsl_relay_tasks_stored_total', ()] == 0
        ours('relay', 'status', '--json')
    finally:
        ours('relay', 'stop')
    lines = [line for line in (tmp_path / 'home' / 'relay' / 'relay.log').read_text().splitlines() if line.startswith('{')]
    assert all(json.loads(line)['logger'] for line in lines)
