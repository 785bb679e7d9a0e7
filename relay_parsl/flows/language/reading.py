"""From a document to a `Definition`, or to every fault that it has.

```
file, text ─► documents (plain JSON, bounded) ─► unwrap ─► fields, templates, rules, webinputs, syntax: all faults ─► build ─► Definition
```
First everything is checked, and nothing is built; then, if nothing was wrong, everything is built, and nothing is checked. So one fault does not hide
another, and what is built needs no doubts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from relay_parsl.flows.definition import Definition, Json
from relay_parsl.flows.language import fields, rules, templates, webinputs
from relay_parsl.flows.language.building import build
from relay_parsl.flows.language.documents import NOTHING, need, plain
from relay_parsl.flows.language.faults import Faults, shown, under
from relay_parsl.flows.language.syntax import reference_fault

ALL = 'States.ALL'
WRAPPER = ('definition', 'input_schema', 'inputSchema', 'title')
"""What we take of a document that wraps its definition; the rest is for others."""
ActionOf = Callable[[str], 'str | None']
"""From an ActionUrl or a URN to the name of the action that serves it; None where none does."""


@dataclass
class Reading:
    """A document on its way: the definition that it holds, what is wrong with it, and what it is once nothing is.

    Attributes:
        actions: For each Action, by the name of the state, the name of the action behind its URL.
    """

    document: Json
    input_schema: Json = None
    title: str = ''
    faults: Faults = field(default_factory=Faults)
    actions: dict[str, str] = field(default_factory=dict)

    def definition(self) -> Definition:
        """The definition.

        Raises:
            DefinitionInvalid: With every fault, a line each.
        """
        need(self.faults)
        return build(self.document, self.actions, self.input_schema, self.title)


def read(
    document: Any, action_of: ActionOf, *, faults: Faults | None = None, unknown: Callable[[str], str] = lambda url: '', clean: bool = False
) -> Reading:
    """Check a document, bare or wrapped, and say what is wrong with it.

    Args:
        document: JSON as Python has it, from whomever; NOTHING where `documents` has noted why there is none.
        action_of: The catalogue.
        faults: Those that are known already.
        unknown: More words for a URL that the catalogue does not have.
        clean: It is what `documents` has read, plain JSON that is nobody else's.
    """
    faults = faults or Faults()
    found = document if clean or document is NOTHING else plain(document, faults)
    reading = Reading({}, faults=faults)
    if found is NOTHING:
        return reading
    _unwrap(found, reading)
    if isinstance(reading.document, dict):
        _check(reading, action_of, unknown)
    else:
        faults.fault('$', f'a flow definition is an object with StartAt and States, not {shown(reading.document)}')
    return reading


def _unwrap(found: Json, reading: Reading) -> None:
    if not isinstance(found, dict) or 'definition' not in found or 'States' in found:
        reading.document = found
        return
    reading.document = found['definition']
    schemas = [found[key] for key in ('input_schema', 'inputSchema') if found.get(key) is not None]
    if len(schemas) > 1 and schemas[0] != schemas[1]:
        reading.faults.fault('$.inputSchema', 'there is an `input_schema`, too, and it differs; keep one')
    reading.input_schema = schemas[0] if schemas else None
    title = found.get('title')
    if not isinstance(title, str | None):
        reading.faults.fault('$.title', f'must be a text, not {shown(title)}')
    reading.title = title if isinstance(title, str) else ''
    for key in found:
        near = reading.faults.near(key, ('definition', 'input_schema', 'title')) if key not in WRAPPER else ''
        if near:
            reading.faults.warn(under('$', key), f'is not read{near}')


def _check(reading: Reading, action_of: ActionOf, unknown: Callable[[str], str]) -> None:
    document, faults = reading.document, reading.faults
    _top(document, faults)
    states = document.get('States')
    if not isinstance(states, dict):
        return
    if not states:
        faults.fault('$.States', 'needs at least one state')
    _target(document.get('StartAt'), '$.StartAt', states, faults)
    for name, state in states.items():
        if faults.more:
            break  # nobody reads on
        _state(name, state, reading, states, action_of, unknown)
    if states and not any(_ends(state) for state in states.values()):
        faults.fault('$.States', 'no state ends the flow; give one `"End": true`, or add a Fail')


def _top(document: Mapping[str, Json], faults: Faults) -> None:
    for key, value in document.items():
        if key not in fields.TOP:
            remedy = f'`{key}` is not supported: {fields.NO_FIELD[key]}' if key in fields.NO_FIELD else f'no such field{faults.near(key, fields.TOP)}'
            faults.fault(under('$', key), remedy)
        elif fault := fields.TOP[key](value):
            faults.fault(under('$', key), fault)
    for key in ('StartAt', 'States'):
        if key not in document:
            faults.fault('$', f'needs {key}')


def _ends(state: Json) -> bool:
    if not isinstance(state, dict) or not isinstance(state.get('Type'), str):
        return True  # nobody knows; that it is none was said
    kind = state['Type']
    return kind not in fields.FIELDS or kind == 'Fail' or 'End' in state or (kind == 'Wait' and 'Next' not in state)


def _target(name: Json, path: str, states: Collection[str], faults: Faults) -> None:
    if isinstance(name, str) and name and name not in states:
        faults.fault(path, f'there is no state {shown(name)}{faults.near(name, states)}')


def _state(name: str, state: Json, reading: Reading, states: Mapping[str, Json], action_of: ActionOf, unknown: Callable[[str], str]) -> None:
    path, faults = under('$.States', name), reading.faults
    if not name:
        faults.fault(path, 'a state needs a name')
    if not isinstance(state, dict):
        faults.fault(path, f'must be a state, an object, not {shown(state)}')
        return
    kind = state.get('Type')
    if not isinstance(kind, str) or kind not in fields.FIELDS:
        _no_type(state, path, faults)
        _targets(state, path, states, faults)
        return
    fields.check(kind, state, path, faults)
    _targets(state, path, states, faults)
    _contents(kind, state, path, faults)
    if kind == 'Action':
        _action(name, state, path, reading, action_of, unknown)


def _no_type(state: Mapping[str, Json], path: str, faults: Faults) -> None:
    kind = state.get('Type')
    if 'Type' not in state:
        faults.fault(path, f'needs a Type: {", ".join(fields.FIELDS)}')
    elif not isinstance(kind, str):
        faults.fault(under(path, 'Type'), f'must be a text, not {shown(kind)}')
    elif kind in fields.NO_TYPE:
        faults.fault(under(path, 'Type'), f'`{kind}` is not supported: {fields.NO_TYPE[kind]}')
    else:
        faults.fault(
            under(path, 'Type'), f'there is no type {shown(kind)}{faults.near(kind, fields.FIELDS) or "; there are " + ", ".join(fields.FIELDS)}'
        )
    for key in state:
        if key in fields.NO_FIELD:
            faults.fault(under(path, key), f'`{key}` is not supported: {fields.NO_FIELD[key]}')


def _targets(state: Mapping[str, Json], path: str, states: Mapping[str, Json], faults: Faults) -> None:
    for key in ('Next', 'Default'):
        _target(state.get(key), under(path, key), states, faults)
    for key in ('Choices', 'Catch'):
        items = state.get(key)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, dict):
                _target(item.get('Next'), under(under(under(path, key), index), 'Next'), states, faults)


def _contents(kind: str, state: Mapping[str, Json], path: str, faults: Faults) -> None:
    if isinstance(state.get('Parameters'), dict):
        place = under(path, 'Parameters')
        templates.check(state['Parameters'], place, faults, expressions=kind in fields.EXPRESSIONS)
        if kind == 'CreateWebInput':
            webinputs.check_create(state['Parameters'], place, faults)
        elif kind == 'AwaitWebInput':
            webinputs.check_await(state['Parameters'], place, faults)
    if kind == 'Choice' and isinstance(state.get('Choices'), list):
        for index, rule in enumerate(state['Choices']):
            rules.check(rule, under(under(path, 'Choices'), index), faults)
    if 'Catch' in fields.FIELDS[kind] and isinstance(state.get('Catch'), list):
        for index, item in enumerate(state['Catch']):
            _catcher(item, under(under(path, 'Catch'), index), faults, last=index == len(state['Catch']) - 1)
    if kind == 'Wait' and 'Next' not in state:
        faults.warn(path, 'has no Next: the flow ends after it')


def _catcher(item: Json, path: str, faults: Faults, *, last: bool) -> None:
    if not isinstance(item, dict):
        faults.fault(path, f'must be an object with ErrorEquals and Next, not {shown(item)}')
        return
    for key in item:
        if key not in ('ErrorEquals', 'Next', 'ResultPath'):
            faults.fault(under(path, key), f'an item of Catch has no such field{faults.near(key, ("ErrorEquals", "Next", "ResultPath"))}')
    for key in ('ErrorEquals', 'Next'):
        if key not in item:
            faults.fault(path, f'needs {key}')
    if 'Next' in item and not (isinstance(item['Next'], str) and item['Next']):
        faults.fault(under(path, 'Next'), f'must be a name, not {shown(item["Next"])}')
    if 'ResultPath' in item and (fault := reference_fault(item['ResultPath'])):
        faults.fault(under(path, 'ResultPath'), fault)
    if 'ErrorEquals' in item:
        _errors(item['ErrorEquals'], under(path, 'ErrorEquals'), faults, last=last)


def _errors(names: Json, path: str, faults: Faults, *, last: bool) -> None:
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        faults.fault(path, f'must be a list with at least one name of an error, not {shown(names)}')
        return
    if len(set(names)) < len(names):
        faults.fault(path, 'names an error twice; keep one')
    if any(is_all(name) for name in names):
        if len(names) > 1:
            faults.fault(path, f'`{ALL}` stands alone: it catches every error')
        if not last:
            faults.fault(path, f'`{ALL}` catches every error, so it stands in the last item of Catch')
    for index, name in enumerate(names):
        if name != ALL and is_all(name):
            faults.warn(under(path, index), f'is spelled `{ALL}` in the language of Globus Flows; taken as that')


def is_all(name: str) -> bool:
    """Whether the name of an error stands for all of them: `States.ALL`, and `States.All` as some tools write it."""
    return name in (ALL, 'States.All')


def _action(name: str, state: Mapping[str, Json], path: str, reading: Reading, action_of: ActionOf, unknown: Callable[[str], str]) -> None:
    key = 'ActionUrl' if 'ActionUrl' in state else 'Handler'
    place = under(path, key)
    url = state.get(key)
    if key == 'Handler' and 'Handler' in state:
        url, place = _handler(url, place, reading.faults)
    if not isinstance(url, str) or not url:
        return
    found = action_of(url)
    if found is None:
        reading.faults.fault(place, f'no action is known for {shown(url, 120)}{unknown(url)}')
    else:
        reading.actions[name] = found


HANDLERS = {'ActionProvider': 'Url', 'RegisteredAPI': 'Id'}
"""The types of handlers, and the field that says which one is meant."""


def _handler(handler: Json, path: str, faults: Faults) -> tuple[Json, str]:
    """The URL, URN or id in it, and its place; None where it has none."""
    if isinstance(handler, str) and handler:
        return handler, path
    if not isinstance(handler, dict):
        faults.fault(path, f'must be {{"Type": "ActionProvider", "Url": …}}, {{"Type": "RegisteredAPI", "Id": …}} or a URN, not {shown(handler)}')
        return None, path
    kind = handler.get('Type')
    if not isinstance(kind, str) or kind not in HANDLERS:
        faults.fault(under(path, 'Type'), f'must be "ActionProvider" or "RegisteredAPI", not {shown(kind)}')
    wanted = HANDLERS.get(kind, 'Url') if isinstance(kind, str) else 'Url'
    for key in handler:
        if key not in ('Type', wanted):
            faults.fault(under(path, key), f'a Handler of this type has no such field{faults.near(key, ("Type", wanted))}')
    found = handler.get(wanted)
    if not isinstance(found, str) or not found:
        faults.fault(under(path, wanted), f'must be a text, not {shown(found)}' if wanted in handler else 'is needed')
        return None, path
    return found, under(path, wanted)
