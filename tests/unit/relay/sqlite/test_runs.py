"""Tasks that are rows together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay_parsl.relay.sqlite.runs import LONGEST, NEAR, dates, ends, runs, without

Numbers = st.sets(st.integers(1, 40))
Places = st.sets(st.tuples(st.integers(1, 2), st.sampled_from(['', 'gpu']), st.just(1), st.integers(0, 1), st.integers(1, 30)))


@given(Places)
def test_runs_hold_every_place_once_and_none_could_be_joined(places: set[tuple[int, str, int, int, int]]) -> None:
    found = runs(places)
    told = [(*lane, number) for *lane, first, last in found for number in range(first, last + 1)]
    assert len(told) == len(places)
    assert set(told) == places
    assert not {(*lane, first) for *lane, first, _ in found} & {(*lane, last + 1) for *lane, _, last in found}


@given(st.integers(1, 20), st.integers(0, 20), st.integers(1, 30), st.integers(0, 20))
def test_what_is_taken_out_of_a_row_is_out_of_it(start: int, length: int, first: int, taken: int) -> None:
    left = [number for begin, end in without((start, start + length), first, first + taken) for number in range(begin, end + 1)]
    assert left == [number for number in range(start, start + length + 1) if not first <= number <= first + taken]


@given(st.dictionaries(st.integers(1, 60), st.floats(0, 5)))
def test_dates_hold_every_task_and_come_no_later_than_it_is_due(tasks: dict[int, float]) -> None:
    found = dates(sorted(tasks.items()))
    assert [number for _, first, last in found for number in range(first, last + 1)] == sorted(tasks)
    for date, first, last in found:
        due = [tasks[number] for number in range(first, last + 1)]
        assert date == min(due)
        assert max(due) - date <= 2 * NEAR


def test_a_date_stands_for_so_many_tasks_at_most() -> None:
    assert dates([(number, 1.0) for number in range(1, 2 * LONGEST + 2)]) == [
        (1.0, 1, LONGEST), (1.0, LONGEST + 1, 2 * LONGEST), (1.0, 2 * LONGEST + 1, 2 * LONGEST + 1),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(1, 2), st.sampled_from([b'a', b'b'])), max_size=40), st.data())
def test_ends_hold_every_end_in_its_order(whose: list[tuple[int, bytes]], data: st.DataObject) -> None:
    numbers = data.draw(st.permutations(range(1, len(whose) + 1)))
    ended = [(*each, done, number) for done, (each, number) in enumerate(zip(whose, numbers), 1)]
    told = [(account, group, done, number + done - first)
            for account, group, first, last, number in ends(ended) for done in range(first, last + 1)]  # fmt: skip
    assert sorted(told) == sorted(ended)


def test_what_ends_in_the_order_of_its_coming_is_one_row_a_group() -> None:
    assert ends([(1, b'a', 5, 11), (1, b'a', 6, 12), (1, b'b', 7, 13), (1, b'a', 8, 14), (1, b'a', 9, 15)]) == [
        (1, b'a', 5, 6, 11), (1, b'b', 7, 7, 13), (1, b'a', 8, 9, 14),
    ]  # fmt: skip
