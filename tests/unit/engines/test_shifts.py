"""Where chunks go, alone and in a small world around them."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from relay_parsl.engines.frames import decode_chunk, encode_chunk, without
from relay_parsl.engines.shifts import AHEAD, WIDEST, Chunk, Shifts
from tests.unit.engines.shift_world import World, shifts


def chunk(*numbers: int, **known: Any) -> Chunk:
    return Chunk(list(numbers), encode_chunk([str(number).encode() for number in numbers]), **known)


def dealt(book: Shifts, room: int) -> list[tuple[int, int, list[int]]]:
    return [(each.shift, each.serial, each.numbers) for each in book.deal(room)]


def test_htex_gets_a_chunk_a_worker_and_shifts_that_ask_get_the_rest_oldest_first() -> None:
    book = shifts()
    for number in range(5):
        book.put(chunk(number))
    assert dealt(book, 2) == [(1001, 0, [0]), (1002, 0, [1])]
    assert dealt(book, 2) == []
    assert book.ask(1002, b'w', 1)
    assert dealt(book, 2) == [(1002, 1, [2])]
    assert dealt(book, 2) == []
    assert not book.ask(1002, b'w', 1)
    assert book.ask(1001, b'v', 1)
    assert dealt(book, 2) == [(1002, 2, [3]), (1001, 1, [4])]
    assert book.over(1001, [(0, b'end'), (1, b'end')]) == ([(0, b'end'), (4, b'end')], [])
    assert (book.where(3), book.given(1002), book.given(1001)) == (b'w', 3, None)
    assert len(book) == 3


def test_the_more_urgent_goes_first() -> None:
    book = shifts()
    for number, priority in enumerate((5, 0, 5, -1)):
        book.put(chunk(number, specification={'priority': priority}))
    assert [numbers for _, _, numbers in dealt(book, 9)] == [[3], [1], [0], [2]]


def test_an_engine_that_does_not_fuse_gives_htex_everything() -> None:
    book = shifts(fuses=False)
    for number in range(5):
        book.put(chunk(number))
    assert [serial for _, serial, _ in dealt(book, 1)] == [0] * 5


def test_what_is_on_the_shelf_can_be_taken_back() -> None:
    book = shifts()
    for numbers in ((1, 2, 3), (4,), (5, 6)):
        book.put(chunk(*numbers))
    assert [book.take_back(number, without) for number in (2, 4, 2, 99)] == [True, True, False, False]
    given = list(book.deal(9))
    assert [each.numbers for each in given] == [[1, 3], [5, 6]]
    assert decode_chunk(given[0].data) == [b'1', b'3']
    assert not book.take_back(1, without)


def test_a_strict_one_is_alone_with_its_worker() -> None:
    book = shifts()
    for number, strict in enumerate((False, True, False)):
        book.put(chunk(number, strict=strict))
    assert dealt(book, 1) == [(1001, 0, [0])]
    book.ask(1001, b'w', 1)
    assert dealt(book, 1) == []
    book.heard(1001, [(0, b'end')])
    assert dealt(book, 1) == [(1001, 1, [1])]
    book.ask(1001, b'w', 1)
    assert dealt(book, 1) == []
    book.heard(1001, [(1, b'end')])
    assert dealt(book, 1) == [(1001, 2, [2])]


def test_what_the_channel_did_not_take_goes_to_the_next_and_comes_first() -> None:
    book = shifts()
    for number in range(4):
        book.put(chunk(number))
    assert dealt(book, 2) == [(1001, 0, [0]), (1002, 0, [1])]
    book.ask(1001, b'gone', 1)
    (given,) = book.deal(2)
    book.unsent(given)
    assert not book.ask(1001, b'gone', 1)
    book.ask(1002, b'w', 1)
    assert dealt(book, 2) == [(1002, 1, [2])]
    assert book.over(1001, [(0, b'end')]) == ([(0, b'end')], [])
    assert dealt(book, 2) == [(1003, 0, [3])]


def test_a_doubled_word_gives_nothing_back_that_was_given_since() -> None:
    book = shifts()
    book.put(chunk(1, 2))
    dealt(book, 1)
    book.ask(1001, b'w', 1)
    book.put(chunk(3))
    dealt(book, 1)
    assert book.not_started(1001, 0, [3]) == []
    assert book.not_started(1002, 9, [3]) == []
    assert book.not_started(1001, 1, [2, 3]) == [2, 3]
    assert book.not_started(1001, 1, [2, 3]) == []
    assert book.over(1001, [(0, b'end')]) == ([(1, b'end')], [])


def test_a_closed_shift_gives_back_what_it_did_not_take() -> None:
    book = shifts()
    book.put(chunk(1))
    dealt(book, 1)
    book.ask(1001, b'w', 1)
    book.put(chunk(2))
    dealt(book, 1)
    assert book.closed(1001, 0) == [2]
    assert book.closed(1001, 0) == book.closed(7, 0) == []
    book.put(chunk(3))
    assert not book.ask(1001, b'w', 1)
    assert dealt(book, 1) == []
    assert book.died(1001) == [1]


def test_what_is_too_large_for_the_channel_goes_with_htex_at_once() -> None:
    book = shifts()
    book.put(chunk(1))
    dealt(book, 1)
    book.ask(1001, b'w', 1)
    book.put(Chunk([2], bytes(WIDEST + 1)))
    assert dealt(book, 1) == [(1002, 0, [2])]


def test_workers_that_nobody_can_reach_find_something_with_htex() -> None:
    book = shifts()
    for number in range(20):
        book.put(chunk(number))
    first = dealt(book, 2)
    for shift, _, _ in first:
        book.over(shift, [(0, b'end')], reached=False)
    assert len(dealt(book, 2)) == 2 + 2 * AHEAD
    assert len(dealt(book, 2)) == 0


def test_a_shift_without_anything_to_do_rests() -> None:
    book = shifts()
    book.put(chunk(1, 2))
    dealt(book, 1)
    assert book.resting == 0
    book.heard(1001, [(0, b''), (1, b''), (1, b'again')])
    assert book.resting == 1


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 120))
def test_every_attempt_ends_once_whatever_happens(seed: int, tasks: int) -> None:
    world = World(Random(seed), tasks)
    world.live(600)
    world.settle()
    for task in range(tasks):
        assert world.ends[task] + world.lost[task] == 1
        assert world.starts[task] <= 1 + world.risen[task], 'only the death of its worker starts an attempt again'
        assert world.starts[task] <= 1 or task not in world.strict
        assert task in world.killers or not world.lost[task] or world.starts[task] <= 1 + world.risen[task]
