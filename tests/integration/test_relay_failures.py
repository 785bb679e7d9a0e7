"""A real relay and what may befall it: files, ports, disks, `kill -9`."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from relay_parsl.errors import ConfigError, StoreError, StoreFailed
from relay_parsl.home import Home
from relay_parsl.relay.server import RelayServer
from relay_parsl.relay.sqlite import SqliteStore
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Id
from tests.integration.relay_site import FUNCTION, GRANT, LOOPBACK, PATIENCE, Site, an_id, leases, site_in, submit

pytestmark = pytest.mark.integration


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_in(tmp_path / 'home')


@pytest.mark.attack(28)
def test_files_are_the_operators_alone(site: Site) -> None:
    before = os.umask(0)
    try:
        with site.serving():
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (site.home.root / 'relay').iterdir()}
    finally:
        os.umask(before)
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}


def test_a_second_relay_on_the_same_store_says_so_in_one_line(site: Site) -> None:
    with site.serving(), pytest.raises(StoreError, match='another relay runs on this store'):
        RelayServer(site.home, LOOPBACK).start()


def test_a_port_in_use_says_so_and_leaves_the_store_free(site: Site, tmp_path: Path) -> None:
    other = Site(Home(tmp_path / 'other'), site.people)
    with site.serving() as server:
        with pytest.raises(ConfigError, match='in use'):
            RelayServer(other.home, f'tcp://127.0.0.1:{server.port}').start()
        with other.serving():
            pass


@pytest.mark.fault(35)
def test_a_disk_that_is_full_refuses_and_recovers(site: Site) -> None:
    with site.serving() as server, site.client('ann', server.port) as client, site.endpoint(server.port) as endpoint:
        submit(client, [site.task(1)])
        leases(endpoint, 1)
        pages = server._store._one('PRAGMA page_count')[0]
        server._store._run(f'PRAGMA max_page_count = {pages}')
        client.say(m.Submit(tuple([site.task(number, bytes(4000)) for number in range(2, 300)])))
        client.wait(m.Goodbye, lambda found: bool(found) or client.say(m.Ping()) is not None)
        assert [each for each in client.inbox if not isinstance(each, m.Goodbye)] == []
        server._store._run('PRAGMA max_page_count = 1000000')
        server._look_at_disk()
        client.say(m.Hello('client', an_id(77)))
        client.one(m.Welcome)
        submit(client, [site.task(number, bytes(4000)) for number in range(1, 300)])


@pytest.mark.fault(37)
@pytest.mark.parametrize('words', ['disk I/O error', 'database disk image is malformed'])
def test_a_disk_that_fails_ends_the_relay_and_nothing_is_acknowledged(site: Site, words: str) -> None:
    server = RelayServer(site.home, LOOPBACK, bootstrap=site.founders)
    server.start()
    ends: list[StoreFailed] = []

    def run() -> None:
        try:
            server.run()
        except StoreFailed as error:
            ends.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with site.client('ann', server.port) as client:
            write = server._store.commit

            def commit() -> None:
                if not server._store.find([an_id(1)]):
                    write()  # not yet the turn that would accept it
                    return
                raise server._store._error(sqlite3.OperationalError(words))

            said: list[m.Message] = []
            send = server._router.send
            server._router.send = lambda routing, message: (said.append(message), send(routing, message))[1]  # type: ignore[method-assign]
            server._store.commit = commit  # type: ignore[method-assign]
            client.say(m.Objects((GRANT, FUNCTION)), m.Submit((site.task(1),)))
            thread.join(PATIENCE)
            assert not thread.is_alive()
            assert [each for each in said if isinstance(each, m.Accepted)] == []
            client.dealer.wait(0.2)
            assert client.dealer.receive() == []
    finally:
        server.stop()
        thread.join(PATIENCE)
    assert [str(each).endswith(words) for each in ends] == [True]
    with site.serving() as again, site.client('ann', again.port) as client:
        client.say(m.Follow(ids=(an_id(1),)))
        assert [each.code for each in client.one(m.Rejected).tasks] == ['unknown']


_PROCESS = """
import sys
from pathlib import Path
from relay_parsl.home import Home
from relay_parsl.relay.server import RelayServer
from relay_parsl.wire.seal import read_card
root, *people = sys.argv[1:]
cards = [(name, read_card(bytes.fromhex(data))) for name, data in (each.split('=') for each in people)]
owner = next(card.id for name, card in cards if name == 'ann')
founders = [(name, card.kind, card, owner if card.kind == 'endpoint' else None) for name, card in cards]
server = RelayServer(Home(root), 'tcp://127.0.0.1:0', bootstrap=founders)
server.start()
print(server.port, flush=True)
server.run()
"""


@contextlib.contextmanager
def process(site: Site, before: Sequence[str] = ()) -> Iterator[tuple[subprocess.Popen[str], int]]:
    people = [f'{name}={each.card.data.hex()}' for name, each in site.people.items()]
    relay = subprocess.Popen([*before, sys.executable, '-c', _PROCESS, str(site.home.root), *people], stdout=subprocess.PIPE, text=True)
    try:
        assert relay.stdout is not None
        yield relay, int(relay.stdout.readline())
    finally:
        relay.kill()
        relay.communicate(timeout=PATIENCE)


def test_kill_9_loses_nothing_that_was_accepted(site: Site) -> None:
    accepted: set[Id] = set()
    for life in range(3):
        with process(site) as (relay, port), site.client('ann', port) as client:
            client.say(m.Objects((GRANT, FUNCTION)))
            for start in range(1, 2000, 100):
                client.say(m.Submit(tuple([site.task(10_000 * life + start + number) for number in range(100)])))
            some = client.wait(m.Accepted)
            relay.send_signal(signal.SIGKILL)
            relay.wait(PATIENCE)
            accepted |= {each for message in some for each in message.ids}
    with process(site) as (relay, port), site.endpoint(port, window=100_000) as endpoint:

        def complete(found: list[m.Dispatch]) -> bool:
            return accepted <= {codec.task_header(task.header).task_id for each in found for task in each.tasks}

        endpoint.wait(m.Dispatch, complete)
        relay.terminate()
        assert relay.wait(PATIENCE) == 0
    store = SqliteStore(site.home.root / 'relay' / 'relay.db')
    store.close()
