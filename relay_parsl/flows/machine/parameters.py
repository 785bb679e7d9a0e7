"""`Parameters`: a template and a payload make an action's body, or what a Pass writes. And what of it logs must not show. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from relay_parsl.flows.definition import PRIVATE, ExpressionEval, Json, Pass, State, StateError

DEEPEST = 100
"""Levels that a template may have."""


class Terms(Protocol):
    """Deterministic functions of the payload. `context` is the run's `_context`, which paths and expressions see beside the payload's own keys."""

    def measured(self) -> Terms:
        """The same functions, with one budget for all that they are asked: one state's worth."""

    def read(self, path: str, payload: Json, context: Mapping[str, Json] | None = None) -> Json:
        """What a path leads to: a value, or a list where it may lead to several.

        Raises:
            StateError: `States.ParameterPathFailure`.
        """

    def present(self, path: str, payload: Json, context: Mapping[str, Json] | None = None) -> bool:
        """Whether it leads anywhere."""

    def write(self, path: str, payload: Json, value: Json) -> Json:
        """A new document with `value` at a reference path.

        Raises:
            StateError: `States.ResultPathMatchFailure`.
        """

    def steps(self, path: str) -> tuple[str | int, ...]:
        """The names and indexes that a path begins with; all of a path to one place.

        Raises:
            StateError: `States.ParameterPathFailure`.
        """

    def evaluate(self, expression: str, payload: Json, context: Mapping[str, Json] | None = None) -> Json:
        """The value of an expression.

        Raises:
            StateError: `States.IntrinsicFailure`.
        """

    def instant(self, text: object) -> float | None:
        """Seconds since 1970 of an RFC 3339 timestamp; None for anything else."""


def build(template: Json, payload: Json, context: Mapping[str, Json], terms: Terms) -> Json:
    """What a template says of a payload: `.$` are paths, `.=` expressions, everything else is as it stands.

    Raises:
        StateError: `States.ParameterPathFailure` or `States.IntrinsicFailure`, with the place in the template.
    """
    return _Builder(payload, context, terms.measured()).built(template, '')


def natural(key: str) -> str:
    """A key without the suffix that says how its value is made."""
    return key[:-2] if key.endswith(('.$', '.=')) else key


class _Builder:
    def __init__(self, payload: Json, context: Mapping[str, Json], terms: Terms) -> None:
        self._payload, self._context, self._terms = payload, context, terms

    def built(self, template: Json, place: str, depth: int = 0, *, secret: bool = False) -> Json:
        if depth > DEEPEST:
            raise StateError('States.ParameterPathFailure', f'Parameters{place[:80]}…: more than {DEEPEST} levels')
        if isinstance(template, Mapping):
            return self._object(template, place, depth, secret=secret)
        if isinstance(template, (list, tuple)):
            return [self.built(item, f'{place}[{index}]', depth + 1, secret=secret) for index, item in enumerate(template)]
        return template

    def _object(self, template: Mapping[str, Json], place: str, depth: int, *, secret: bool) -> dict[str, Json]:
        made: dict[str, Json] = {}
        names = _names(template)
        for key, value in template.items():
            if key == PRIVATE:
                continue
            name = natural(key)
            if name in made:
                raise StateError('States.ParameterPathFailure', f'Parameters{place}: {name!r} is given twice; keep one of its spellings')
            if name == key:
                parts = isinstance(value, (dict, list, tuple, Mapping))
                made[key] = self.built(value, f'{place}.{key}', depth + 1, secret=secret or name in names) if parts else value
            else:
                made[name] = self._computed(key, value, place, secret=secret or name in names)
        return made

    def _computed(self, key: str, value: Json, place: str, *, secret: bool) -> Json:
        path = key.endswith('.$')
        if not isinstance(value, str):
            error, wanted = ('States.ParameterPathFailure', 'a path') if path else ('States.IntrinsicFailure', 'an expression')
            raise StateError(error, f'Parameters{place}.{key}: its value is a string, {wanted}')
        try:
            return (self._terms.read if path else self._terms.evaluate)(value, self._payload, self._context)
        except StateError as error:
            cause = 'it is private, so how it is made is not shown; it cannot be made of this payload' if secret else error.cause
            raise StateError(error.error, f'Parameters{place}.{key}: {cause}') from None


@dataclass(frozen=True)
class Private:
    """What logs must not show of a value.

    Attributes:
        names: Keys of this object.
        inside: The same for what lies under a key or an index.
    """

    names: frozenset[str] = frozenset()
    inside: Mapping[str | int, Private] = field(default_factory=dict)


NOTHING = Private()
EVERYTHING = Private(frozenset({'*'}))
"""Of a value that is private itself: nothing of it is shown."""


_PROBE = 8
"""Characters by which a private value is known in a text."""


def private(template: Json) -> Private:
    """What the `__Private_Parameters` of a template, at any level, keep from logs. Names may have their suffix or not."""
    if isinstance(template, Mapping):
        names = _names(template)
        pairs = [(natural(key), private(value)) for key, value in template.items() if key != PRIVATE]
        return _or_nothing(names, pairs)
    if isinstance(template, (list, tuple)):
        return _or_nothing(frozenset(), list(enumerate(map(private, template))))
    return NOTHING


def kept(states: Iterable[State], terms: Terms) -> Private:
    """What a payload may hold of the private parameters of states that write them there, whose results are their parameters."""
    found = NOTHING
    for state in states:
        if isinstance(state, (Pass, ExpressionEval)) and (hidden := private(state.parameters)) is not NOTHING:
            for step in reversed(terms.steps(state.result_path)):
                hidden = Private(inside={step: hidden})
            found = _both(found, hidden)
    return found


def within(hidden: Private, steps: Iterable[str | int]) -> Private:
    """What of it concerns the value at these steps: EVERYTHING, where they lead to or through a private key."""
    for step in steps:
        if step in hidden.names or (isinstance(step, str) and (step.startswith('_private') or step == '_tokens')):
            return EVERYTHING
        hidden = hidden.inside.get(step, NOTHING)
    return hidden


def _both(one: Private, other: Private) -> Private:
    inside = {**one.inside, **{key: _both(one.inside.get(key, NOTHING), found) for key, found in other.inside.items()}}
    return Private(one.names | other.names, inside)


def _names(template: Mapping[str, Json]) -> frozenset[str]:
    """What this level of a template keeps private."""
    listed = template.get(PRIVATE)
    return frozenset(natural(name) for name in listed if isinstance(name, str)) if isinstance(listed, (list, tuple)) else frozenset()


def _or_nothing(names: frozenset[str], pairs: list[tuple[str, Private]] | list[tuple[int, Private]]) -> Private:
    inside: dict[str | int, Private] = {key: found for key, found in pairs if found is not NOTHING}
    return Private(names, inside) if names or inside else NOTHING


def hide(value: Json, hidden: Private = NOTHING) -> Json:
    """The value without what `hidden` names, and without any key, at any depth, that begins with `_private`.

    Works on what was built of a template, and on the template itself, whose keys still have their suffixes.
    """
    if hidden is EVERYTHING:
        return None
    if isinstance(value, Mapping):
        kept = {}
        for key, item in value.items():
            name = natural(key)
            if not key.startswith('_private') and name not in hidden.names:
                kept[key] = hide(item, hidden.inside.get(name, NOTHING))
        return kept
    if isinstance(value, (list, tuple)):
        return [hide(item, hidden.inside.get(index, NOTHING)) for index, item in enumerate(value)]
    return value


def tells(text: str, value: Json, hidden: Private = NOTHING, *, secret: bool = False) -> bool:
    """Whether a text has in it how a private value begins: texts may be cut where they are quoted."""
    secret = secret or hidden is EVERYTHING
    if isinstance(value, Mapping):
        return any(
            tells(text, item, hidden.inside.get(natural(key), NOTHING), secret=secret or key.startswith('_private') or natural(key) in hidden.names)
            for key, item in value.items()
        )
    if isinstance(value, (list, tuple)):
        return any(tells(text, item, hidden.inside.get(index, NOTHING), secret=secret) for index, item in enumerate(value))
    if not secret or value is None or value == '' or isinstance(value, bool):
        return False
    return any(form[:_PROBE] in text for form in ((value, repr(value)[1:-1]) if isinstance(value, str) else (str(value),)))


def disclosed(document: Mapping[str, Json]) -> dict[str, Json]:
    """A definition without the values that it keeps private: private parameters, of which the names stay in their lists."""
    states = {name: {key: _disclosed(key, value) for key, value in state.items()} for name, state in document['States'].items()}
    return {**document, 'States': states}


def _disclosed(key: str, value: Json) -> Json:
    return hide(value, private(value)) if key in ('Parameters', 'Result') else value
