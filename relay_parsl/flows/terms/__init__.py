"""The deterministic functions that the machine and its neighbours are given: JSONPath, expressions and timestamps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Final

from relay_parsl.flows.definition import Json, StateError
from relay_parsl.flows.machine.parameters import Terms
from relay_parsl.flows.terms import expressions, paths
from relay_parsl.flows.terms.fuel import TOGETHER, Fuel, Refused

_RFC_3339 = re.compile(r'([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]{1,18})?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))')


def instant(text: object) -> float | None:
    """Seconds since 1970 of an RFC 3339 timestamp; None for anything else, a date without a zone too."""
    found = _RFC_3339.fullmatch(text) if isinstance(text, str) else None
    if not found:
        return None
    year, month, day, hour, minute, second = (int(found[index]) for index in range(1, 7))
    away_hours, away_minutes = int(found[9] or 0), int(found[10] or 0)
    if second > 60 or away_hours > 23 or away_minutes > 59:
        return None
    away = timedelta(hours=away_hours, minutes=away_minutes) * (-1 if found[8] == '-' else 1)
    try:
        whole = datetime(year, month, day, hour, minute, 0, tzinfo=timezone.utc)
    except ValueError:
        return None
    return (whole - _EPOCH - away).total_seconds() + second + float(found[7] or 0)


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class _Measured:
    """The functions for one state, with one budget for all that it asks."""

    write = staticmethod(paths.write)
    steps = staticmethod(paths.steps)
    instant = staticmethod(instant)

    def __init__(self) -> None:
        self._fuel = Fuel(TOGETHER)

    def measured(self) -> Terms:
        return self

    def read(self, path: str, payload: Json, context: Mapping[str, Json] | None = None) -> Json:
        self._pay(1)
        return paths.read(path, payload, context, self._pay)

    def present(self, path: str, payload: Json, context: Mapping[str, Json] | None = None) -> bool:
        self._pay(1)
        return paths.present(path, payload, context, self._pay)

    def evaluate(self, expression: str, payload: Json, context: Mapping[str, Json] | None = None) -> Json:
        return expressions.evaluate(expression, payload, context, self._fuel)

    def _pay(self, units: int) -> None:
        try:
            self._fuel.take(units)
        except Refused:
            cause = f'the paths and expressions of this state look at more than {TOGETHER} places together'
            raise StateError('States.ParameterPathFailure', cause) from None


class _Terms:
    """One object, so that the machine is handed one thing."""

    measured = staticmethod(_Measured)

    read = staticmethod(paths.read)
    present = staticmethod(paths.present)
    write = staticmethod(paths.write)
    steps = staticmethod(paths.steps)
    evaluate = staticmethod(expressions.evaluate)
    instant = staticmethod(instant)


TERMS: Final[Terms] = _Terms()
"""What `machine`, `parameters` and `choices` are given."""
