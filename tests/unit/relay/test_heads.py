"""What is in memory of a queue is always its beginning, and never more than there is room for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay_parsl.relay import heads
from relay_parsl.relay.heads import Heads
from relay_parsl.relay.records import TaskRow
from tests.contract.stores import ANN, BOB, FAR, SITE, task

QUEUES = [(SITE, '', ANN), (SITE, 'gpu', ANN), (FAR, '', BOB)]
Priorities = st.lists(st.integers(-1, 1), min_size=1, max_size=6)
Leaving = st.tuples(st.sampled_from(['take', 'lose', 'read']), st.integers(1, 5))
Steps = st.lists(st.tuples(st.sampled_from(QUEUES), st.one_of(st.tuples(st.just('come'), Priorities), Leaving)), max_size=40)


def order(row: TaskRow) -> tuple[int, int]:
    return row.priority, row.number


@given(Steps)
def test_what_is_known_of_a_queue_is_its_beginning(steps: list[tuple[heads.Key, tuple[str, object]]]) -> None:
    """Against queues that are lists: tasks come in any order of priority, leave from the front, leave from the middle, are read from the store."""
    known, queues, number = Heads(12, 400), {key: list[TaskRow]() for key in QUEUES}, 0
    for key, (what, how) in steps:
        queue = queues[key]
        if what == 'come':
            new = [task(number := number + 1, priority=priority) for priority in how]  # type: ignore[attr-defined]
            known.add(key, new, len(queue))
            queue += new
            queue.sort(key=order)
        elif what == 'take':
            count = len(known.first(key, int(how)))  # type: ignore[call-overload]
            known.take(key, count)
            del queue[:count]
        elif what == 'lose' and queue:
            del queue[int(how) % len(queue)]  # type: ignore[call-overload]
            known.forget(key)
        elif what == 'read':
            known.fill(key, queue[: int(how)])  # type: ignore[call-overload]
        for each, rows in queues.items():
            assert known.first(each, 99) == rows[: len(known.first(each, 99))]


def test_a_queue_that_is_not_known_whole_takes_no_later_tasks() -> None:
    known = Heads()
    known.add(QUEUES[0], [task(5)], 3)
    assert known.first(QUEUES[0], 9) == []
    known.fill(QUEUES[0], [task(1), task(2)])
    known.add(QUEUES[0], [task(6), task(7, priority=-1)], 4)
    assert [row.number for row in known.first(QUEUES[0], 9)] == [7, 1, 2]


def test_there_is_room_for_so_many_over_all_queues_and_none_for_who_is_away() -> None:
    known = Heads(rows=3)
    known.add(QUEUES[0], [task(1), task(2)], 0)
    known.add(QUEUES[2], [task(3), task(4)], 0)
    assert [len(known.first(key, 9)) for key in QUEUES] == [2, 0, 1]
    assert known.page == 1
    known.leave(SITE)
    assert known.page == heads.PAGE
    known.fill(QUEUES[2], [task(3), task(4)])
    assert len(known.first(QUEUES[2], 9)) == 2


def test_bytes_count_too_but_not_those_in_the_spool() -> None:
    known = Heads(size=100)
    known.add(QUEUES[0], [task(1, body=1 << 30), task(2, payload=bytes(200)), task(3)], 0)
    assert [row.number for row in known.first(QUEUES[0], 9)] == [1]
