"""A request's body, read field by field: each provider says what it takes, and all that is wrong is told at once, with its place."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relay_parsl.flows.actions.base import ActionUnableToRun
from relay_parsl.flows.definition import Json

MISSING: Any = object()
"""No default: the field must be there."""


SECRETS = frozenset({'password', 'aws_secret_access_key'})
"""Fields whose values no message has."""


class Fields:
    """An object of the body. Readers return the default, or something of the right kind, for what is wrong: `done` tells it.

    Args:
        value: What should be an object.
        where: Its place, for people: '' is the body itself.
        faults: Where an outer object collects.
    """

    def __init__(self, value: Json, where: str = '', faults: list[str] | None = None) -> None:
        self.where = where
        self.faults: list[str] = [] if faults is None else faults
        self._known: list[str] = []
        self._value: Mapping[str, Json] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            self.faults.append(f'{where or "the body"} is an object, not {kind(value)}')

    def __contains__(self, name: str) -> bool:
        return self._value.get(name) is not None

    def any(self, name: str, default: Json = None) -> Json:
        """A field of whatever kind."""
        self._known.append(name)
        return self._value.get(name, default)

    def text(self, name: str, default: Any = MISSING) -> str:
        """A string; one that must be there is not empty."""
        return str(self._read(name, default, '', lambda value: isinstance(value, str) and (default is not MISSING or bool(value)), 'text'))

    def number(self, name: str, default: Any = MISSING, *, least: float = -math.inf) -> float:
        """A number from `least` up; whole or not."""
        what = 'a number' if least == -math.inf else f'a number from {least:g}'
        return float(self._read(name, default, 0.0, lambda value: type(value) in (int, float) and math.isfinite(value) and value >= least, what))

    def flag(self, name: str, default: Any = MISSING) -> bool:
        """True or false."""
        return bool(self._read(name, default, False, lambda value: isinstance(value, bool), 'true or false'))

    def mapping(self, name: str, default: Any = MISSING) -> dict[str, Json]:
        """An object whose fields are the user's."""
        return dict(self._read(name, default, {}, lambda value: isinstance(value, dict), 'an object'))

    def items(self, name: str, default: Any = MISSING, *, least: int = 0) -> list[Json]:
        """A list of at least so many."""
        what = f'a list of at least {least}' if least else 'a list'
        return list(self._read(name, default, [], lambda value: isinstance(value, list) and len(value) >= least, what))

    def objects(self, name: str, default: Any = MISSING, *, least: int = 0) -> list[Fields]:
        """A list of objects, to be read in their turn."""
        return [Fields(each, f'{self._place(name)}[{at}]', self.faults) for at, each in enumerate(self.items(name, default, least=least))]

    def texts(self, name: str, default: Any = MISSING, *, least: int = 0) -> list[str]:
        """A list of strings."""
        found = self.items(name, default, least=least)
        for at, each in enumerate(found):
            if not isinstance(each, str) or not each:
                self.fault(f'{name}[{at}]', f'is text, not {kind(each)}')
        return [str(each) for each in found]

    def choice(self, name: str, options: Sequence[str], default: Any = MISSING) -> str:
        """One of these."""
        return str(self._read(name, default, options[0], lambda value: isinstance(value, str) and value in options, f'one of {", ".join(options)}'))

    def object(self, name: str) -> Fields:
        """An object, to be read in its turn."""
        return Fields(self.mapping(name), self._place(name), self.faults)

    def fault(self, name: str, what: str) -> None:
        """Something about a field is wrong: `what` follows its name."""
        self.faults.append(f'{self._place(name)} {what}')

    def only(self) -> None:
        """What was not read is unknown: typing errors among it."""
        for name in self._value:
            if name not in self._known:
                near = difflib.get_close_matches(name, self._known, 1)
                self.fault(name, f'is unknown; did you mean {near[0]!r}?' if near else f'is unknown (known: {", ".join(self._known)})')

    def done(self) -> None:
        """Raises ActionUnableToRun with all faults."""
        if self.faults:
            raise ActionUnableToRun('; '.join(self.faults))

    def _read(self, name: str, default: Any, empty: Json, fits: Callable[[Json], bool], what: str) -> Any:
        self._known.append(name)
        value = self._value.get(name)
        if value is None:
            if default is MISSING:
                self.fault(name, f'is missing: {what}')
            return empty if default is MISSING else default
        if not fits(value):
            self.fault(name, f'is {what}, not {type(value).__name__ if name in SECRETS else kind(value)}')
            return empty if default is MISSING else default
        return value

    def _place(self, name: str) -> str:
        return f'{self.where}.{name}' if self.where else name


def kind(value: Json) -> str:
    """What a value is, in JSON's words, and the value where it is short."""
    if isinstance(value, dict):
        return 'an object'
    if isinstance(value, list):
        return f'a list of {len(value)}'
    text = {None: 'null', True: 'true', False: 'false'}.get(value) if value is None or isinstance(value, bool) else repr(value)
    return text if text is not None and len(text) <= 60 else f'{text[:57] if text else ""}…'
