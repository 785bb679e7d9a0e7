"""Attempts at a real relay: a task that is sent again, a lease that is lost with its endpoint, a result that comes late."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Attempt, Body, Status, Task
from tests.integration.relay_site import FUNCTION, GRANT, Party, Site, an_id, leases, site_in, submit

pytestmark = pytest.mark.integration


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_in(tmp_path / 'home')


@pytest.mark.fault(2)
def test_tasks_that_two_processes_send_again_under_their_ids_run_once(site: Site) -> None:
    tasks = [site.task(number) for number in range(1, 51)]
    with site.serving() as server, site.endpoint(server.port) as endpoint:
        with site.client('ann', server.port) as killed:
            killed.say(m.Objects((GRANT, FUNCTION)), m.Submit(tuple(tasks[:30])))  # and hears no answer
        with site.client('ann', server.port) as client:
            submit(client, tasks)
            dispatched = leases(endpoint, 50)
            endpoint.say(m.Results(tuple(site.result(each) for each in dispatched)))
            endpoint.one(m.Recorded)
            assert {each.task_id for each in delivered(client, 50)} == {an_id(number) for number in range(1, 51)}
        with site.client('ann', server.port) as again:
            submitted(again, tasks)
            assert len({each.task_id for each in delivered(again, 50)}) == 50, 'what has ended is answered with its result'
            assert dispatches(endpoint) == []


@pytest.mark.fault(7, 8)
def test_what_was_lost_with_its_process_is_the_next_attempt_or_ends(site: Site) -> None:
    with site.serving() as server, site.client('ann', server.port) as client:
        submit(client, [site.task(1), once(site, 2)])
        with site.endpoint(server.port) as killed:
            assert [each.attempt for each in leases(killed, 2)] == [1, 1]
        with site.endpoint(server.port, epoch=2) as endpoint:
            [lost] = delivered(client, 1)
            assert (lost.task_id, lost.status) == (an_id(2), Status.FAILED)
            assert lost.reason == 'lost: it may have started in a process of the endpoint that is gone, and may not start twice'
            [lease] = leases(endpoint, 1)
            assert (codec.task_header(lease.header).task_id, lease.attempt) == (an_id(1), 2)


@contextlib.contextmanager
def second_attempt(site: Site) -> Iterator[tuple[int, Party, m.Leased, m.Leased]]:
    """The relay's port, an endpoint, and both leases of a task: the endpoint holds the second, and still has the result of the first to send."""
    with site.serving() as server, site.client('ann', server.port) as client:
        submit(client, [site.task(1)])
        with site.endpoint(server.port) as killed:
            [first] = leases(killed, 1)
        with site.endpoint(server.port, epoch=2) as endpoint:
            [second] = leases(endpoint, 1)
            yield server.port, endpoint, first, second


@pytest.mark.fault(8)
def test_a_late_result_of_an_older_attempt_is_set_aside(site: Site) -> None:
    with second_attempt(site) as (port, endpoint, first, second):
        endpoint.say(m.Results((site.result(second, b'of the second'),)))
        assert endpoint.one(m.Recorded).tasks == (Attempt(an_id(1), 2),)
        endpoint.say(m.Results((site.result(first, b'of the first'),)))
        assert endpoint.one(m.Recorded).tasks == (Attempt(an_id(1), 1),), 'so that it is not sent again'
        assert result(site, port) == b'of the second'


@pytest.mark.fault(8)
def test_an_older_attempt_that_is_done_first_ends_the_newer_one(site: Site) -> None:
    with second_attempt(site) as (port, endpoint, first, second):
        endpoint.say(m.Results((site.result(first, b'of the first'),)))
        endpoint.one(m.Recorded)
        assert endpoint.one(m.Cancel).tasks == (Attempt(an_id(1), 2),)
        endpoint.say(m.Results((site.result(second, b'of the second'),)))
        endpoint.one(m.Recorded)
        assert result(site, port) == b'of the first'


@pytest.mark.fault(8)
def test_a_process_that_was_taken_for_dead_is_not_heard_any_more(site: Site) -> None:
    with site.serving() as server, site.client('ann', server.port) as client:
        submit(client, [site.task(1)])
        with site.party('site', server.port) as old:
            old.say(m.Hello('endpoint', an_id(7), 1))
            session = old.one(m.Welcome).session
            old.say(m.Window({'': (500, 1 << 30)}), m.Held(session, 0, True, ()))
            [first] = leases(old, 1)
            with site.party('site', server.port) as new:
                new.say(m.Hello('endpoint', an_id(8), 2, takeover=True))
                session = new.one(m.Welcome).session
                new.say(m.Window({'': (500, 1 << 30)}), m.Held(session, 0, True, ()))
                [second] = leases(new, 1)
                old.say(m.Results((site.result(first, b'of the first'),)))
                assert old.wait(m.Goodbye)
                new.say(m.Results((site.result(second, b'of the second'),)))
                new.one(m.Recorded)
                assert [each.payload for each in delivered(client, 1)] == [b'of the second']


def once(site: Site, number: int) -> Task:
    """Of those that may not start twice."""
    made = site.task(number)
    return Task(codec.encode_header(codec.task_header(made.header)._replace(at_most_once=True)), Body(made.payload))


def submitted(client: Party, tasks: list[Task]) -> None:
    """Without a word of what comes of it."""
    client.say(m.Objects((GRANT, FUNCTION)), m.Submit(tuple(tasks)))


def delivered(client: Party, count: int) -> list[m.Delivered]:
    """So many results."""
    found = client.wait(m.Deliver, lambda found: sum(len(each.results) for each in found) >= count)
    return [each for message in found for each in message.results]


def result(site: Site, port: int) -> bytes:
    """As whoever follows the task gets it now."""
    with site.client('ann', port) as client:
        client.say(m.Follow(ids=(an_id(1),)))
        [found] = delivered(client, 1)
        return bytes(found.payload)


def dispatches(endpoint: Party) -> list[m.Leased]:
    """What came until the relay has answered."""
    endpoint.say(m.Ping())
    endpoint.wait(m.Pong)
    return [each for message in endpoint.inbox if isinstance(message, m.Dispatch) for each in message.tasks]
