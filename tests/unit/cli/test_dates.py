"""Dates as people type them."""

from __future__ import annotations

from datetime import datetime

import pytest

from relay_parsl.cli.dates import moment_of


@pytest.mark.parametrize(
    ('text', 'end'),
    [
        ('2027-01-31', datetime(2027, 1, 31, 23, 59, 59).astimezone()),
        (' 2027-01-31 ', datetime(2027, 1, 31, 23, 59, 59).astimezone()),
        ('2027-01-31T12:00', datetime(2027, 1, 31, 12).astimezone()),
        ('2027-01-31T12:00+02:00', datetime.fromisoformat('2027-01-31T10:00+00:00')),
    ],
)
def test_a_day_goes_to_its_end(text: str, end: datetime) -> None:
    assert moment_of(text) == end.timestamp()


def test_a_day_without_dashes_is_a_day_where_python_reads_it() -> None:
    assert moment_of('20270131') in (None, moment_of('2027-01-31'))


@pytest.mark.parametrize('text', ['0001-01-01', '2027-02-30', '-5d', '', 'tomorrow', '1e9', '0000-00-00', '99999999-01-01'])
def test_what_is_no_date_is_none(text: str) -> None:
    assert moment_of(text) is None or moment_of(text) < 0  # type: ignore[operator]  # a calendar may know the year 1
