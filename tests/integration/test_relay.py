"""A real relay on a real store, driven through real sockets with real keys."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from pathlib import Path

import pytest

from relay_parsl.home import Credentials
from relay_parsl.home.audit import verify
from relay_parsl.relay.server import RelayServer
from relay_parsl.spool import Spool
from relay_parsl.transport import Dealer
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import INLINE, SEGMENT, Body, Object
from relay_parsl.wire.seal import Keys, curve_public, issue_card, new_curve
from tests.integration.commands import until
from tests.integration.relay_site import FUNCTION, GRANT, LOOPBACK, PATIENCE, YEAR, M, Party, Site, an_id, leases, site_in, submit

pytestmark = pytest.mark.integration


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_in(tmp_path / 'home')


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
        spool = Spool(site.home.directory('relay', 'spool'))
        until(lambda: len(spool.keys()) == (direction == 'result'))


def test_a_large_payload_in_a_message_is_refused(site: Site) -> None:
    with site.serving() as server, site.client('ann', server.port) as client:
        client.say(m.Objects((GRANT, FUNCTION)), m.Submit((site.task(1, bytes(INLINE + 8192)),)))
        assert [each.code for each in client.one(m.Rejected).tasks] == ['too-large']


def test_an_object_with_another_hash_is_not_taken(site: Site) -> None:
    with site.serving() as server, site.client('ann', server.port) as client:
        client.say(m.Objects((Object(GRANT.hash, 'grant', Body(b'other')), FUNCTION)), m.Submit((site.task(1),)))
        assert client.one(m.Need).hashes == (GRANT.hash,)


@pytest.mark.fault(47)
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
    assert verify(log) == []
    events = [json.loads(line)['event'] for line in log.read_text().splitlines()]
    assert [each for each in events if each != 'session'] == ['start', 'invite', 'enrol-denied', 'enrolled', 'revoke', 'stop']
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


def test_a_large_body_goes_on_where_its_connection_broke(site: Site) -> None:
    body = os.urandom(5 * SEGMENT + 12345)
    task = site.task(1, body=len(body))

    def answer(party: Party, fetches: list[m.Fetch]) -> None:
        for fetch in fetches:
            piece = body[fetch.offset : fetch.offset + fetch.length]
            party.say(m.Segment(fetch.task_id, fetch.attempt, fetch.direction, fetch.offset, len(body), Body(piece)))

    def ping(party: Party) -> None:
        """What was said before has been heard."""
        party.say(m.Ping())
        party.one(m.Pong)

    with site.serving() as server, site.endpoint(server.port) as endpoint:
        with site.client('ann', server.port) as client:
            client.say(m.Objects((GRANT, FUNCTION)), m.Submit((task,)))
            first = client.wait(m.Fetch, lambda found: len(found) == 6)
            answer(client, first[:2])
            ping(client)
        with site.client('ann', server.port) as again:
            again.say(m.Submit((task,)))
            rest = again.wait(m.Fetch, lambda found: len(found) >= 4)
            assert sorted(each.offset for each in rest) == sorted(each.offset for each in first[2:])
            answer(again, rest)
            again.one(m.Accepted)
        [leased] = leases(endpoint, 1)
        pieces = []
        for offset in range(0, len(body), SEGMENT):
            endpoint.say(m.Fetch(an_id(1), leased.attempt, 'task', offset, SEGMENT))
            pieces.append(endpoint.one(m.Segment).data)
        assert b''.join(pieces) == body
