"""Dates as people type them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta

import click

_SPAN = re.compile(r'(\d{1,5})\s*([smhdw])')
_SECONDS = {'s': 1.0, 'm': 60.0, 'h': 3600.0, 'd': 86400.0, 'w': 7 * 86400.0}


def until(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """An option's date in the future, as seconds since 1970: `2027-01-31` (to the end of that day), `2027-01-31T12:00`, or from now on `30d`.

    Local time, where no zone is given. Raises BadParameter.
    """
    if value is None:
        return None
    found = moment_of(value)
    if found is None:
        raise click.BadParameter(f'{value!r} is no date: write 2027-01-31, 2027-01-31T12:00, or 30d for thirty days from now', ctx, param)
    if found <= time.time():
        raise click.BadParameter(f'{value!r} is over already', ctx, param)
    return found


def span(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """An option's length of time in seconds: `7d`, `12h`. Raises BadParameter."""
    found = span_of(value)
    if found is None:
        raise click.BadParameter(f'{value!r} is no length of time: write 7d, 12h or 30m', ctx, param)
    return found


def span_of(text: str) -> float | None:
    """Seconds of `7d`, `12h`, `30m`, `1w`; None: it is none."""
    found = _SPAN.fullmatch(text.strip())
    return int(found[1]) * _SECONDS[found[2]] if found else None


def moment_of(text: str) -> float | None:
    """Seconds since 1970 of a date, a date and time, or a length of time from now; None: it is none of them."""
    span = span_of(text)
    if span is not None:
        return time.time() + span
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    day = ':' not in text and len(text.strip()) <= len('2027-01-31')  # also as Python reads it else: 20270131
    try:
        return (found + timedelta(days=1, seconds=-1) if day else found).timestamp()
    except (OverflowError, ValueError, OSError):  # before the year 1, or after 9999
        return None
