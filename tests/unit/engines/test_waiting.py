from __future__ import annotations

import threading

import pytest

from relay_parsl.engines.base import Work
from relay_parsl.engines.pool import refused_options
from relay_parsl.engines.waiting import Waiting


def work(number: int, priority: int = 0, specification: dict[str, int] | None = None) -> Work:
    return Work(bytes([number]) * 16, 1, b'', b'', b'', options={'resource_specification': specification}, priority=priority)


def test_urgent_ones_come_first_then_the_oldest() -> None:
    waiting = Waiting()
    for each in (work(1), work(2, 5), work(3), work(4, -1), work(5, 5, {'priority': -7}), work(6)):
        waiting.push(each)
    assert len(waiting) == 6
    assert waiting.remove(bytes([3]) * 16, 1)
    assert not waiting.remove(bytes([3]) * 16, 1)
    assert [waiting.pop().task_id[0] for _ in range(len(waiting))] == [5, 4, 1, 6, 2]
    with pytest.raises(IndexError):
        waiting.pop()


def test_what_comes_back_is_next_again_in_its_order() -> None:
    waiting = Waiting()
    for each in (work(1), work(2), work(3, -1)):
        waiting.push(each)
    for each in (work(5), work(4)):
        waiting.push(each, again=True)
    waiting.push(work(6))
    assert [waiting.pop().task_id[0] for _ in range(len(waiting))] == [3, 4, 5, 1, 2, 6]


@pytest.mark.parametrize('priority', ['high', 1.5, True, None, [1], float('nan')])
def test_a_priority_that_is_no_number_is_refused(priority: object) -> None:
    asked = {'resource_specification': {'priority': priority}}
    assert 'priority is a whole number' in refused_options(Work(b'', 1, b'', b'', b'', options=asked))


def test_what_arrives_from_another_thread_waits_behind_the_others() -> None:
    waiting = Waiting()
    waiting.push(work(1))
    thread = threading.Thread(target=waiting.arrive, args=(work(2),))
    thread.start()
    thread.join()
    waiting.arrive(work(3, -1))
    assert len(waiting) == 3
    assert waiting.remove(bytes([2]) * 16, 1)
    waiting.arrive(work(4))
    assert [waiting.pop().task_id[0] for _ in range(len(waiting))] == [3, 1, 4]
    assert waiting.peek() is None


def test_what_goes_together_is_of_one_urgency_and_ends_at_the_first_that_does_not_fit() -> None:
    waiting = Waiting()
    for each in (work(1), work(2, -1), work(3), work(4), work(5)):
        waiting.push(each)

    def taken(stop: int) -> list[int]:
        return [each.task_id[0] for each in waiting.take_while(lambda each: each.task_id[0] < stop)]

    assert [taken(9), taken(4), taken(4), len(waiting), taken(9), taken(9)] == [[2], [1, 3], [], 2, [4, 5], []]
