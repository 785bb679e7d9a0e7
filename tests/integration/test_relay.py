"""A real relay on a real store, driven through real sockets with real keys."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from relay_parsl.errors import ConfigError, StoreError
from relay_parsl.home import Credentials, Home
from relay_parsl.home.audit import verify
from relay_parsl.relay.server import Founder, RelayServer
from relay_parsl.relay.sqlite import SqliteStore
from relay_parsl.transport import Dealer
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import INLINE, SEGMENT, Body, Hash, Id, Message, Object, Status, Task
from relay_parsl.wire.seal import Keys, curve_public, issue_card, new_curve

pytestmark = pytest.mark.integration
M = TypeVar('M')
YEAR = 365 * 86400.0
PATIENCE = 20.0
LOOPBACK = 'tcp://127.0.0.1:0'


def objects() -> tuple[Object, Object]:
    return tuple([Object(Hash(hashlib.sha256(data).digest()), kind, Body(data)) for kind, data in (('grant', b'grant'), ('function', b'f'))])  # type: ignore[return-value]


GRANT, FUNCTION = objects()


@dataclass
class Party:
    """A socket with an identity."""

    credentials: Credentials
    dealer: Dealer
    inbox: list[Message] = field(default_factory=list)

    @property
    def id(self) -> Id:
        return self.credentials.id

    def say(self, *messages: Message) -> None:
        for message in messages:
            assert self.dealer.send(message)

    def wait(self, kind: type[M], enough: Callable[[list[M]], bool] = bool) -> list[M]:
        """The messages of a type, as soon as there are enough; others stay. Pings are answered."""
        end = time.monotonic() + PATIENCE
        while True:
            found = [each for each in self.inbox if isinstance(each, kind)]
            if enough(found):
                self.inbox = [each for each in self.inbox if not isinstance(each, kind)]
                return found
            assert time.monotonic() < end, f'no {kind.__name__} came: {self.dealer.failure} {self.inbox}'
            self.dealer.wait(0.1)
            for message in self.dealer.receive():
                self.inbox.append(message)
                if isinstance(message, m.Ping):
                    self.say(m.Pong())

    def one(self, kind: type[M]) -> M:
        [found] = self.wait(kind)
        return found


@dataclass
class Site:
    """A home with keys for everybody."""

    home: Home
    people: dict[str, Credentials]

    @property
    def founders(self) -> list[Founder]:
        owner = self.people['ann'].id
        return [(name, each.role, each.card, owner if each.role == 'endpoint' else None) for name, each in self.people.items()]

    @property
    def relay_key(self) -> bytes:
        return Credentials.load(self.home.directory('relay') / 'relay.key').keys.curve_public

    @contextlib.contextmanager
    def serving(self, bind: str = LOOPBACK) -> Iterator[RelayServer]:
        server = RelayServer(self.home, bind, bootstrap=self.founders)
        server.start()
        thread = threading.Thread(target=server.run, name='relay')
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(PATIENCE)
            assert not thread.is_alive()

    @contextlib.contextmanager
    def party(self, name: str, port: int) -> Iterator[Party]:
        dealer = Dealer(f'tcp://127.0.0.1:{port}', self.relay_key, self.people[name].keys.curve)
        try:
            yield Party(self.people[name], dealer)
        finally:
            dealer.close()

    @contextlib.contextmanager
    def client(self, name: str, port: int) -> Iterator[Party]:
        with self.party(name, port) as party:
            party.say(m.Hello('client', Id(os.urandom(16))))
            party.one(m.Welcome)
            yield party

    @contextlib.contextmanager
    def endpoint(self, port: int, epoch: int = 1, window: int = 500) -> Iterator[Party]:
        with self.party('site', port) as party:
            party.say(m.Hello('endpoint', Id(bytes([epoch]) * 16), epoch))
            session = party.one(m.Welcome).session
            party.say(m.Window({'': (window, 1 << 30)}), m.Held(session, 0, True, ()))
            yield party

    def task(self, number: int, payload: bytes = b'call', body: int = 0) -> Task:
        header = m.TaskHeader(GRANT.hash, number, an_id(number), an_id(0), self.people['site'].id, FUNCTION.hash, time.time() + 3600, body=body)
        return Task(codec.encode_header(header), Body(payload))

    def result(self, leased: m.Leased, payload: bytes = b'outcome', body: int = 0) -> m.Result:
        header = codec.task_header(leased.header)
        made = m.ResultHeader(GRANT.hash, 1, header.task_id, header.endpoint, 1, leased.attempt, Status.SUCCESS, body=body)
        return m.Result(codec.encode_header(made), Body(payload))


def an_id(number: int) -> Id:
    return Id(number.to_bytes(16, 'big'))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    people = {
        name: Credentials.create(name, role, now=time.time(), lifetime=YEAR)
        for name, role in (('ann', 'user'), ('site', 'endpoint'), ('root', 'operator'))
    }
    return Site(Home(tmp_path / 'home'), people)


def submit(client: Party, tasks: list[Task]) -> None:
    client.say(m.Objects((GRANT, FUNCTION)), m.Submit(tuple(tasks)))
    client.wait(m.Accepted, lambda found: sum(len(each.ids) for each in found) >= len(tasks))


def leases(endpoint: Party, count: int) -> list[m.Leased]:
    found = endpoint.wait(m.Dispatch, lambda found: sum(len(each.tasks) for each in found) >= count)
    return [task for each in found for task in each.tasks]


def test_tasks_go_there_and_results_come_back(site: Site) -> None:
    with site.serving() as server, site.client('ann', server.port) as client, site.endpoint(server.port) as endpoint:
        submit(client, [site.task(number) for number in range(1, 301)])
        dispatched = leases(endpoint, 300)
        assert [codec.task_header(each.header).sequence for each in dispatched] == list(range(1, 301))
        endpoint.say(m.Need((GRANT.hash,)))
        assert endpoint.one(m.Objects).objects == (GRANT,)
        endpoint.say(m.Results(tuple([site.result(each, b'outcome %d' % number) for number, each in enumerate(dispatched)])))
        endpoint.wait(m.Recorded, lambda found: sum(len(each.tasks) for each in found) >= 300)
        results = client.wait(m.Deliver, lambda found: sum(len(each.results) for each in found) >= 300)
        assert {each.payload for message in results for each in message.results} == {b'outcome %d' % number for number in range(300)}


def test_a_relay_that_was_stopped_goes_on_where_it_was(site: Site) -> None:
    with site.serving() as server, site.client('ann', server.port) as client:
        submit(client, [site.task(number) for number in range(1, 4)])
    with site.serving() as server, site.endpoint(server.port) as endpoint:
        first = leases(endpoint, 3)
        endpoint.say(m.Results((site.result(first[0]),)))
        endpoint.one(m.Recorded)
    with site.serving() as server, site.client('ann', server.port) as client:
        client.say(m.Follow(ids=(an_id(1), an_id(2), an_id(9))))
        assert [each.task_id for each in client.one(m.Deliver).results] == [an_id(1)]
        assert [each.task_id for each in client.one(m.Rejected).tasks] == [an_id(9)]


@pytest.mark.parametrize('direction', ['task', 'result'])
def test_large_bodies_go_through_the_spool(site: Site, direction: str) -> None:
    body = os.urandom(5 * SEGMENT + 12345)

    def serve(party: Party, until: type[M]) -> None:
        """Answer every Fetch until the message comes that says that all of it is on the disk."""

        def answered(found: list[M]) -> bool:
            for fetch in [each for each in party.inbox if isinstance(each, m.Fetch)]:
                party.inbox.remove(fetch)
                piece = body[fetch.offset : fetch.offset + fetch.length]
                party.say(m.Segment(fetch.task_id, fetch.attempt, fetch.direction, fetch.offset, len(body), Body(piece)))
            return bool(found)

        party.wait(until, answered)

    def pull(party: Party, attempt: int) -> bytes:
        pieces = {}
        for offset in range(0, len(body), SEGMENT):
            party.say(m.Fetch(an_id(1), attempt, direction, offset, SEGMENT))
            segment = party.one(m.Segment)
            assert segment.total == len(body)
            pieces[segment.offset] = segment.data
        return b''.join(pieces[offset] for offset in sorted(pieces))

    with site.serving() as server, site.client('ann', server.port) as client, site.endpoint(server.port) as endpoint:
        client.say(m.Objects((GRANT, FUNCTION)), m.Submit((site.task(1, body=len(body) if direction == 'task' else 0),)))
        if direction == 'task':
            serve(client, m.Accepted)
        [leased] = leases(endpoint, 1)
        if direction == 'task':
            assert pull(endpoint, leased.attempt) == body
        endpoint.say(m.Results((site.result(leased, body=len(body) if direction == 'result' else 0),)))
        if direction == 'result':
            serve(endpoint, m.Recorded)
        client.wait(m.Deliver)
        if direction == 'result':
            assert pull(client, leased.attempt) == body
        endpoint.say(m.Fetch(an_id(1), 1, 'task', 0, 10))
        assert endpoint.one(m.Segment).total == -1
        spool = site.home.directory('relay', 'spool')
        assert len(list(spool.iterdir())) == (direction == 'result')


def test_a_large_payload_in_a_message_is_refused(site: Site) -> None:
    with site.serving() as server, site.client('ann', server.port) as client:
        client.say(m.Objects((GRANT, FUNCTION)), m.Submit((site.task(1, bytes(INLINE + 8192)),)))
        assert [each.code for each in client.one(m.Rejected).tasks] == ['too-large']


def test_an_object_with_another_hash_is_not_taken(site: Site) -> None:
    with site.serving() as server, site.client('ann', server.port) as client:
        client.say(m.Objects((Object(GRANT.hash, 'grant', Body(b'other')), FUNCTION)), m.Submit((site.task(1),)))
        assert client.one(m.Need).hashes == (GRANT.hash,)


def test_junk_and_strangers_do_not_disturb(site: Site) -> None:
    with site.serving() as server, site.client('ann', server.port) as client:
        client.dealer._socket.send_multipart([b'junk', b''])
        assert client.one(m.Refused).code == 'malformed'
        stranger = Dealer(f'tcp://127.0.0.1:{server.port}', site.relay_key, new_curve())
        try:
            stranger.send(m.Hello('client', an_id(1)))
            end = time.monotonic() + PATIENCE
            while stranger.failure != 'unknown-key':
                assert time.monotonic() < end
                stranger.wait(0.05)
        finally:
            stranger.close()
        client.say(m.Ping())
        client.one(m.Pong)


def test_invite_join_revoke(site: Site) -> None:
    once, token = new_curve(), os.urandom(32)
    keys = Keys.generate()
    card = issue_card(keys, 'endpoint', serial=1, not_after=time.time() + YEAR)
    invitation = {
        'name': 'new',
        'role': 'endpoint',
        'curve': curve_public(once),
        'token': hashlib.sha256(token).digest(),
        'expires': time.time() + 600,
    }
    with site.serving() as server, site.client('ann', server.port) as ann:
        ann.say(m.Admin(1, 'invite', invitation))
        assert ann.one(m.Done).request == 1
        joiner = Dealer(f'tcp://127.0.0.1:{server.port}', site.relay_key, once)
        party = Party(site.people['ann'], joiner)
        try:
            party.say(m.Hello('client', an_id(1)))
            party.wait(m.Goodbye)
            party.say(m.Enrol(b'guess' * 6, card.data, b'mac'))
            assert party.one(m.Refused).code == 'denied'
            party.say(m.Enrol(token, b'no card', b'mac'))
            assert party.one(m.Refused).code == 'malformed'
            party.say(m.Enrol(token, card.data, b'mac'), m.Enrol(token, card.data, b'mac'))
            answers = party.wait(m.Enrolled, lambda found: len(found) == 2)
            assert answers == [m.Enrolled(card.id, 'new', 'endpoint')] * 2
        finally:
            joiner.close()
        site.people['new'] = Credentials('new', 'endpoint', keys, card)
        with site.party('new', server.port) as new:
            new.say(m.Hello('endpoint', an_id(5), 1))
            new.one(m.Welcome)
            ann.say(m.List(2, 'cards', {'name': 'new'}), m.List(3, 'endpoints'), m.List(4, 'nonsense'))
            [cards, endpoints] = ann.wait(m.Listing, lambda found: len(found) == 2)
            assert [(row['card'], row['mac'], row['owner']) for row in cards.rows] == [(card.data, b'mac', ann.id)]
            assert [(row['name'], row['online']) for row in endpoints.rows] == [('new', True), ('site', False)]
            assert ann.one(m.Refused).request == 4
            ann.say(m.Admin(5, 'revoke', {'name': 'new'}))
            ann.one(m.Done)
            assert new.one(m.Goodbye).reason == 'revoked'
    log = site.home.root / 'relay' / 'audit.log'
    assert verify(log) == 0
    events = [json.loads(line)['event'] for line in log.read_text().splitlines()]
    assert [each for each in events if each != 'session'] == ['start', 'invite', 'enrol-denied', 'enrolled', 'revoke']
    assert token.hex() not in log.read_text()


def test_an_operator_stops_it_and_others_may_not(site: Site) -> None:
    server = RelayServer(site.home, LOOPBACK, bootstrap=site.founders)
    server.start()
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with site.client('ann', server.port) as ann, site.client('root', server.port) as root:
            ann.say(m.Admin(1, 'stop'))
            assert ann.one(m.Refused).code == 'denied'
            root.say(m.Admin(1, 'status'), m.Admin(2, 'stop'))
            assert root.wait(m.Done, lambda found: len(found) == 2)[0].result['clients'] == 2
            thread.join(PATIENCE)
            assert not thread.is_alive()
    finally:
        server.stop()
        thread.join(PATIENCE)


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


def test_a_disk_that_fails_ends_the_relay_and_nothing_is_acknowledged(site: Site) -> None:
    server = RelayServer(site.home, LOOPBACK, bootstrap=site.founders)
    server.start()
    ends: list[StoreError] = []

    def run() -> None:
        try:
            server.run()
        except StoreError as error:
            ends.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with site.client('ann', server.port) as client:

            def commit() -> None:
                raise server._store._error(sqlite3.OperationalError('disk I/O error'))

            server._store.commit = commit  # type: ignore[method-assign]
            client.say(m.Objects((GRANT, FUNCTION)), m.Submit((site.task(1),)))
            thread.join(PATIENCE)
            assert not thread.is_alive()
            client.dealer.wait(0.2)
            assert client.dealer.receive() == []
    finally:
        server.stop()
        thread.join(PATIENCE)
    assert [str(each).endswith('disk I/O error') for each in ends] == [True]
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
def process(site: Site) -> Iterator[tuple[subprocess.Popen[str], int]]:
    people = [f'{name}={each.card.data.hex()}' for name, each in site.people.items()]
    relay = subprocess.Popen([sys.executable, '-c', _PROCESS, str(site.home.root), *people], stdout=subprocess.PIPE, text=True)
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
