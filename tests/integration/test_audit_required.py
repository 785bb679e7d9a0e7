"""Relay and endpoint while their audit logs cannot be written: nothing happens that is not on record, and both recover alone."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.home.audit import AuditLog, verify
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Report, Window
from tests.integration import relay_site
from tests.integration.commands import until
from tests.integration.hand_relay import Config, site_in
from tests.integration.relay_site import an_id, leases, submit

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60), pytest.mark.attack(42)]


class Disk:
    """Takes no line while `full`; journal and store are elsewhere and go on."""

    full = False


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk, append = Disk(), AuditLog._append

    def refuse(log: AuditLog, data: bytes, *, sync: bool) -> None:
        if disk.full:
            raise OSError(errno.ENOSPC, 'No space left on device')
        append(log, data, sync=sync)

    monkeypatch.setattr(AuditLog, '_append', refuse)
    return disk


@pytest.fixture
def relay(tmp_path: Path) -> relay_site.Site:
    return relay_site.site_in(tmp_path / 'home')


def events(path: Path) -> Iterator[str]:
    return (json.loads(line)['event'] for line in path.read_text().splitlines())


def test_a_relay_takes_nothing_new_and_no_order_and_still_takes_results(relay: relay_site.Site, disk: Disk) -> None:
    with relay.serving() as server, relay.client('ann', server.port) as ann, relay.endpoint(server.port) as endpoint:
        submit(ann, [relay.task(1)])
        [leased] = leases(endpoint, 1)
        disk.full = True
        ann.say(m.Admin(1, 'revoke', {'name': 'site'}))  # the first line that cannot be written: its turn is undone, and sessions are asked anew
        until(lambda: server._reactor.unrecorded)
    with relay.serving() as server, relay.client('ann', server.port) as ann, relay.endpoint(server.port, epoch=2) as endpoint:
        assert server._reactor.unrecorded, 'a relay that starts on a full disk knows it'
        ann.say(m.Admin(2, 'revoke', {'name': 'site'}))
        assert ann.one(m.Refused).code == 'full'
        ann.say(m.Submit((relay.task(2),)))
        [rejected] = ann.one(m.Rejected).tasks
        assert (rejected.task_id, rejected.code) == (an_id(2), 'full')
        assert 'audit log' in rejected.reason
        endpoint.say(m.Results((relay.result(leased),)))
        assert endpoint.one(m.Recorded).tasks[0].task_id == an_id(1)
        disk.full = False
        until(lambda: not server._reactor.unrecorded)
        submit(ann, [relay.task(2)])
    log = relay.home.root / 'relay' / 'audit.log'
    assert verify(log) == []
    assert 'revoke' not in set(events(log)), 'what was undone is not on record'
    assert 'audit-resumed' in set(events(log))


def test_an_endpoint_starts_nothing_asks_for_nothing_and_says_why(tmp_path: Path, disk: Disk) -> None:
    with site_in(tmp_path / 'home') as site:
        site.serve(Config(site.engine, audit='required'))
        site.give(abs, 7)
        site.engine.finish(site.engine.work(), 7)
        site.relay.result()
        disk.full = True
        site.give(abs, 8)
        assert site.relay.until(Window, lambda window: set(window.pools.values()) == {(0, 0)})
        assert 'no new tasks' in site.relay.until(Report, lambda report: 'audit' in report.status).status['audit']
        assert len(site.engine.works) == 1
        disk.full = False
        site.engine.finish(site.engine.work(1), 8)
        assert site.relay.until(Window, lambda window: window.pools[''][0] > 0)
        assert site.relay.until(Report, lambda report: 'audit' not in report.status)
        assert [each for each in events(site.place / 'audit.log') if each in ('start', 'audit-resumed')] == ['start', 'start', 'audit-resumed']
