"""What is known of attempts inside HTEX."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from relay_parsl.engines.base import Finished, Work
from relay_parsl.engines.control import Refill, hear_refill, say_refill
from relay_parsl.engines.frames import Place
from relay_parsl.engines.inside import SHOW_AFTER, Inside, pack
from relay_parsl.engines.waiting import Waiting


def work(number: int, attempt: int = 1) -> Work:
    return Work(bytes([number]) * 16, attempt, b'a', b'function', b'')


def test_an_order_to_end_is_passed_on_once() -> None:
    inside = Inside()
    numbers = inside.admit([work(n) for n in range(3)], 0.0)
    inside.doom(work(1).task_id, 1)
    inside.doom(work(1).task_id, 1)
    inside.doom(work(2).task_id, 9)
    inside.doom(work(77).task_id, 1)
    assert inside.ordered
    assert inside.orders() == [numbers[1]]
    assert inside.orders() == []
    assert [inside.is_doomed(number) for number in numbers] == [False, True, False]
    inside.pop(numbers[1])
    assert not inside.is_doomed(numbers[1])


def test_what_a_worker_has_said_is_not_guessed() -> None:
    inside = Inside()
    numbers = inside.admit([work(n) for n in range(4)], 10.0)
    assert inside.heard(numbers[0]) == work(0)
    assert inside.heard(99) is None
    assert inside.guess(3, 10.0 + 0.5 * SHOW_AFTER) == []
    assert inside.guess(3, 10.0 + 1.6 * SHOW_AFTER) == [work(1), work(2)]
    assert inside.guess(3, 10.0 + 2.7 * SHOW_AFTER) == []


def test_clear_forgets_the_orders_too() -> None:
    inside = Inside()
    inside.admit([work(1)], 0.0)
    inside.doom(work(1).task_id, 1)
    assert inside.clear() == [work(1)]
    assert len(inside) == 0
    assert not inside.ordered
    assert inside.load._size == 0


def test_what_never_ran_is_no_load() -> None:
    inside = Inside()
    (number,) = inside.admit([work(1)], 0.0)
    assert inside.load._size == 1
    assert inside.drop(number) == work(1)
    assert inside.drop(number) is None
    assert inside.load._size == 0


def test_what_is_withdrawn_is_out_and_a_worker_that_comes_after_all_is_told() -> None:
    inside = Inside()
    numbers = inside.admit([work(n) for n in range(2)], 0.0)
    assert inside.withdraw(work(1).task_id, 1)
    assert not inside.withdraw(work(1).task_id, 1)
    assert not inside.withdraw(work(0).task_id, 7)
    assert inside.orders() == [numbers[1]]
    assert (len(inside), inside.load._size, inside.chunks) == (1, 1, 1)


def test_a_worker_takes_a_chunk_whose_functions_were_measured_at_no_time() -> None:
    inside = Inside()
    (first,) = inside.admit([work(1)], 0.0)
    inside.pop(first)
    inside.learn([(work(1), Finished(work(1).task_id, 1, False, b''))], 0.0)
    packed, _ = pack(inside, inside.admit([work(2)], 1.0), Place(), lambda _work: {})
    refill = Refill(1, 1, packed[3], packed[5])
    assert hear_refill(say_refill(refill)) == refill
    assert refill.seconds == 0.0


def cut(inside: Inside, *works: Work) -> list[Work]:
    """The next chunk for the one worker, where the function is known to be short."""
    for number in inside.admit([work(0)], 0.0):
        inside.pop(number)
    inside.learn([(work(0), Finished(work(0).task_id, 1, True, b'', seconds=0.001))], 0.0)
    waiting = Waiting()
    for each in works:
        waiting.push(each)
    return inside.cut(waiting, 1, fuses=True)


@pytest.mark.parametrize('more', [{'at_most_once': True}, {'options': {'timeout': 5.0}}, {'account': b'b'}])
def test_some_travel_alone(more: dict[str, Any]) -> None:
    works = [work(number) for number in range(1, 9)]
    assert cut(Inside(), *works) == works[:4]
    assert cut(Inside(), replace(works[0], **more), *works[1:]) == [replace(works[0], **more)]
    assert cut(Inside(), works[0], replace(works[1], **more), *works[2:]) == works[:1], 'nor with others before them'


def test_who_was_with_a_worker_that_died_travels_alone_from_then_on() -> None:
    inside = Inside()
    works = [work(number) for number in range(1, 9)]
    numbers = inside.admit(works[:2], 0.0)
    inside.part(numbers[1])
    for number in numbers:
        inside.pop(number)
    assert [inside.is_strict(each) for each in works[:3]] == [False, True, False]
    assert cut(inside, *works) == works[:1]
