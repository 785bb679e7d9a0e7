"""How many blocks may be submitted: the breaker, the cap on submissions a minute, and how often the scheduler is asked."""

from __future__ import annotations

import random

import pytest

from relay_parsl.engines.breaker import LIMIT, MINUTE, PER_MINUTE, Breaker, pause


def broken() -> Breaker:
    breaker = Breaker()
    for block in range(LIMIT):
        breaker.failed(str(block), f'words of {block}')
    return breaker


@pytest.mark.parametrize(('first', 'room'), [(1, 1), (2, 2), (3, 3), (500, 3)])
def test_the_first_blocks_go_out_at_once_but_no_more_of_them_than_may_be_bad(first: int, room: int) -> None:
    assert min(first, Breaker().room(0, 0.0, first)) == room


def test_first_blocks_go_out_at_once_with_a_small_cap_and_count() -> None:
    breaker = Breaker(per_minute=1)
    assert breaker.room(0, 0.0, first=2) == 2
    breaker.submitted(2, 0.0)
    breaker.connected('0')
    assert breaker.room(0, MINUTE - 1, first=2) == 0
    assert breaker.room(0, MINUTE) == 1


def test_the_first_blocks_of_a_next_engine_keep_to_the_cap() -> None:
    breaker = Breaker(per_minute=4, facts={'proven': True})
    assert breaker.room(0, 0.0, first=500) == 4


@pytest.mark.parametrize(
    ('verdicts', 'unknown', 'room'),
    [
        ('', 0, 3),  # nobody knows whether blocks of this endpoint are any good: a few try
        ('', 2, 1),
        ('', 3, 0),
        ('-', 0, 2),
        ('-', 2, 0),
        ('--', 0, 1),
        ('---', 0, 0),
        ('+', 5, 6),  # one was: as many as the cap allows
        ('--+', 5, 6),
        ('+-', 0, 2),
        ('+--', 0, 1),
        ('+--', 1, 0),
        ('+---', 0, 0),
    ],
)
def test_room_goes_by_what_became_of_the_last_blocks(verdicts: str, unknown: int, room: int) -> None:
    breaker = Breaker()
    for block, verdict in enumerate(verdicts):
        if verdict == '+':
            breaker.connected(str(block))
        else:
            breaker.failed(str(block), 'words')
    assert breaker.room(unknown, 0.0) == room
    assert breaker.open == (room == 0 and unknown == 0)


def test_it_says_what_the_last_blocks_said_and_what_to_do() -> None:
    breaker = broken()
    assert breaker.evidence == ['words of 0', 'words of 1', 'words of 2']
    assert 'words of 2' in breaker.reason
    assert 'restart the endpoint' in breaker.reason
    assert Breaker().reason == ''


def test_it_stays_open_whoever_comes_later_across_engines() -> None:
    again = Breaker(facts=broken().facts())
    assert again.open
    assert again.reason == broken().reason
    assert again.room(0, 1e6, first=1) == 0


def test_the_count_goes_on_in_the_next_engine_and_so_does_the_cap() -> None:
    first = Breaker()
    first.submitted(5, 0.0)
    first.connected('0')
    for block in ('1', '2'):
        first.failed(block, f'words of {block}')
    then = Breaker(facts=first.facts())
    assert (then.barren, then.evidence) == (2, ['words of 1', 'words of 2'])
    assert then.room(0, 1.0, first=4) == 1
    then.failed('0', 'words of 0')
    assert then.evidence == ['words of 1', 'words of 2', 'words of 0']
    assert then.open


def test_a_worker_that_came_closes_the_count_of_the_last_engine() -> None:
    breaker = Breaker(facts={'barren': 2, 'evidence': ['a', 'b']})
    breaker.connected('0')
    assert (breaker.barren, breaker.evidence, breaker.open) == (0, [], False)


def test_a_block_whose_workers_all_die_was_no_good_after_all() -> None:
    breaker = Breaker()
    for block in range(LIMIT):
        breaker.connected(str(block))
        breaker.failed(str(block), 'Affinity does not work')
        breaker.failed(str(block), 'said twice')
        assert breaker.barren_block(str(block))
    assert breaker.open
    assert breaker.evidence == ['Affinity does not work'] * LIMIT


@pytest.mark.fault(16)
@pytest.mark.parametrize('seed', range(30))
def test_nothing_runs_away(seed: int) -> None:
    """Greedy scaling for an hour, blocks that end as chance has it: never too many a minute, never too many after bad ones."""
    chance = random.Random(seed)
    first, share = chance.choice([0, 1, 3, 5, 500]), chance.choice([0.0, 0.5, 0.9])
    breaker, out, submissions, number = Breaker(), list[str](), list[float](), 0
    for second in range(3600):
        if second % 97 == 96:
            breaker, out = Breaker(facts=breaker.facts()), []  # the engine died, and cancelled its blocks
        unknown = [block for block in out if not breaker.judged(block)]
        room = breaker.room(len(unknown), second, first if not number else 0)
        for _ in range(room if number else min(room, first or room)):
            breaker.submitted(1, second)
            number += 1
            out.append(str(number))
            submissions.append(second)
        for block in unknown:
            if chance.random() < 0.1:
                breaker.connected(block) if chance.random() < share else breaker.failed(block, 'no')
    assert all(sum(now - MINUTE < then <= now for then in submissions) <= PER_MINUTE for now in submissions)
    if share == 0.0:
        assert breaker.open
        assert number <= LIMIT * (3600 // 97 + 1)
        assert not [time for time in submissions if time > 1200]


def test_bad_blocks_alone_are_three_at_the_most() -> None:
    breaker, sent = Breaker(), 0
    for second in range(600):
        room = breaker.room(0, float(second), first=1 if not sent else 0)
        for _ in range(room):
            breaker.submitted(1, float(second))
            breaker.failed(str(sent), 'no such account')
            sent += 1
    assert sent == LIMIT


@pytest.mark.parametrize(
    ('own', 'waited', 'managers', 'local', 'seconds'),
    [
        (60.0, 0.0, False, False, 5.0),
        (60.0, 100.0, False, False, 10.0),
        (60.0, 1e5, False, False, 20.0),
        (60.0, 0.0, True, False, 60.0),
        (5.0, 1e5, False, True, 1.0),
        (5.0, 0.0, True, True, 5.0),
        (3.0, 1e5, False, False, 3.0),
        (0.0, 0.0, False, False, 0.0),
    ],
)
def test_the_scheduler_is_asked_more_often_while_nobody_is_there(own: float, waited: float, managers: bool, local: bool, seconds: float) -> None:
    assert pause(own, waited, managers=managers, local=local) == seconds
