"""Tasks that belong together are rows together: those with consecutive numbers are one row of the queue, and one of the calendar. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Lane = tuple[int, str, int, int]
"""Of a queue what has one priority: endpoint, pool, account, priority."""
Place = tuple[int, str, int, int, int]
"""A lane, and a task's number."""
Run = tuple[int, str, int, int, int, int]
"""A lane, the first number and the last: all between are there too."""
Date = tuple[float, int, int]
"""When the earliest of some consecutive numbers is due, the first number and the last."""

End = tuple[int, bytes, int, int]
"""Account, group, the `done` of a task, its number."""
Ends = tuple[int, bytes, int, int, int]
"""Account, group, the first `done`, the last, the first number: of consecutive tasks that ended one after the other."""

NEAR, LONGEST = 1.0, 500
"""Seconds between what one date stands for, and numbers: so many rows are looked at, two or three times, when it has come."""


def runs(places: Iterable[Place]) -> list[Run]:
    """Places in as few rows as can be."""
    found: list[list[int | str]] = []
    ordered = sorted(places)
    if ordered and ordered[0][:4] == ordered[-1][:4] and ordered[-1][4] - ordered[0][4] == len(ordered) - 1:
        return [(*ordered[0], ordered[-1][4])]  # as most often
    for place in ordered:
        if found and found[-1][5] == place[4] - 1 and found[-1][:4] == [*place[:4]]:
            found[-1][5] = place[4]
        else:
            found.append([*place, place[4]])
    return [tuple(each) for each in found]  # type: ignore[misc]


def without(row: tuple[int, int], first: int, last: int) -> list[tuple[int, int]]:
    """What is left of a row, which is its first number and its last, when these are taken out of it."""
    return [(start, end) for start, end in ((row[0], min(row[1], first - 1)), (max(row[0], last + 1), row[1])) if start <= end]


def dates(tasks: Iterable[tuple[int, float]]) -> list[Date]:
    """Numbers, ascending, and when they are due, in rows."""
    found: list[Date] = []
    for number, due in tasks:
        if found:
            earliest, first, last = found[-1]
            if last == number - 1 and abs(due - earliest) <= NEAR and last - first < LONGEST - 1:
                found[-1] = (min(due, earliest), first, number)
                continue
        found.append((due, number, number))
    return found


def ends(ended: Iterable[End]) -> list[Ends]:
    """Tasks that ended, in their order, in rows."""
    found: list[list[int | bytes]] = []
    latest: dict[tuple[int, bytes], list[Any]] = {}
    for account, group, done, number in ended:
        row = latest.get((account, group))
        if row and row[3] == done - 1 and number - done == row[4] - row[2]:
            row[3] = done
        else:
            row = latest[account, group] = [account, group, done, done, number]
            found.append(row)
    return [tuple(row) for row in found]  # type: ignore[misc]
