"""Who is cut for a message that does not end."""

from __future__ import annotations

from relay_parsl.transport.floods import ALL, ONE, Floods
from relay_parsl.transport.sockets import MAX_FRAME

HUGE = 1 << 40


def test_the_longest_message_of_ours_is_not_cut() -> None:
    floods = Floods()
    assert floods.excess({1: 2 * MAX_FRAME + 10_000, 2: 0}) == []


def test_who_has_brought_much_without_a_whole_message_is_cut_and_no_other() -> None:
    floods = Floods()
    assert floods.excess({1: ONE, 2: ONE + 1, 3: 5}) == [2]


def test_what_was_read_counts_no_more() -> None:
    floods = Floods()
    for each in (1, 2):
        floods.heard([each])
    assert floods.excess({1: HUGE, 2: HUGE}) == []
    assert floods.excess({1: HUGE + ONE, 2: HUGE + ONE + 1}) == [2]
    floods.heard([2])
    assert floods.excess({1: HUGE + ONE, 2: 2 * HUGE}) == []


def test_many_that_bring_a_little_each_are_cut_too_the_worst_first() -> None:
    floods, each = Floods(), ONE // 2
    received = dict.fromkeys(range(ALL // each), each)
    assert floods.excess(received) == []
    assert floods.excess({**received, 100: each + 1}) == [100]


def test_a_descriptor_that_was_closed_begins_anew() -> None:
    floods = Floods()
    floods.heard([1])
    floods.excess({1: HUGE})
    floods.forget(1)
    assert floods.excess({1: ONE + 1}) == [1]
    floods.heard([1])
    floods.forget(1)
    assert floods.excess({1: ONE + 1}) == [1]


def test_what_waits_to_be_read_counts_for_each_connection_alone_and_from_its_last_message_on() -> None:
    floods = Floods()
    assert floods.unread({1: 100, 2: 101, 3: 0}, 100) == [2]
    floods.heard([1, 2])
    assert floods.unread({1: 150, 2: 900, 3: 100}, 100) == []
    assert floods.unread({1: 251, 2: 1000, 3: 101}, 100) == [1, 3]
