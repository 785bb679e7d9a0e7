"""Whether `Parameters` are right: the suffixes of keys, paths, expressions and private names, at any depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from relay_parsl.flows.definition import Json
from relay_parsl.flows.language.faults import Faults, shown, under
from relay_parsl.flows.language.syntax import expression_fault, path_fault

PRIVATE = '__Private_Parameters'
PATH, EXPRESSION = '.$', '.='
Template: TypeAlias = Mapping[str, Json]


def bare(key: str) -> str:
    """A key without its suffix: the name in what the template makes."""
    return key[:-2] if key.endswith((PATH, EXPRESSION)) else key


def leaves(template: Json, path: str) -> Iterator[tuple[str, str, Json]]:
    """Path, key and value of everything in a template that is no object and no list; private names are left out."""
    if isinstance(template, dict):
        for key, value in template.items():
            if key == PRIVATE:
                continue
            if isinstance(value, dict | list) and not key.endswith((PATH, EXPRESSION)):
                yield from leaves(value, under(path, key))
            else:
                yield under(path, key), key, value
    elif isinstance(template, list):
        for index, value in enumerate(template):
            if isinstance(value, dict | list):
                yield from leaves(value, under(path, index))
            else:
                yield under(path, index), '', value


def check(template: Json, path: str, faults: Faults, *, expressions: bool) -> None:
    """Note every fault of a template.

    Args:
        template: What stands under `Parameters`, or within it.
        path: Its place.
        faults: Takes them.
        expressions: Whether the state's type may have keys that end in `.=`.
    """
    if isinstance(template, list):
        for index, value in enumerate(template):
            check(value, under(path, index), faults, expressions=expressions)
    elif isinstance(template, dict):
        _names(template, path, faults)
        for key, value in template.items():
            if key == PRIVATE:
                _private(value, template, under(path, key), faults)
            elif key.endswith((PATH, EXPRESSION)):
                _evaluated(key, value, under(path, key), faults, expressions=expressions)
            else:
                check(value, under(path, key), faults, expressions=expressions)


def _names(template: Template, path: str, faults: Faults) -> None:
    seen: dict[str, str] = {}
    for key in template:
        name = bare(key)
        if not name:
            faults.fault(under(path, key), 'the key has a suffix and no name')
        if name in seen:
            faults.fault(under(path, key), f'makes `{name}`, which `{seen[name]}` makes, too; keep one')
        seen.setdefault(name, key)


def _evaluated(key: str, value: Json, path: str, faults: Faults, *, expressions: bool) -> None:
    if not faults.affords(value):
        return
    if key.endswith(PATH):
        fault = path_fault(value)
        if fault.startswith('must be a JSONPath, which') and any(sign in value for sign in '+`('):
            fault += '; an expression needs a key that ends in `.=`'
    elif not expressions:
        fault = 'a Pass has no expressions; make it an ExpressionEval, or use a JSONPath under a key that ends in `.$`'
    else:
        fault = expression_fault(value)
    if fault:
        faults.fault(path, fault)


def _private(names: Json, template: Template, path: str, faults: Faults) -> None:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        faults.fault(path, f'must be a list of names, not {shown(names)}')
        return
    made = {bare(key) for key in template if key != PRIVATE}
    seen: set[str] = set()
    for index, name in enumerate(names):
        natural = name if name in made or name not in template else bare(name)
        if natural != name:
            faults.warn(under(path, index), f'names stand here without a suffix: `{natural}`; taken as that')
        if natural in seen:
            faults.fault(under(path, index), f'`{natural}` stands twice; keep one')
        elif natural not in made:
            faults.fault(under(path, index), f'there is no parameter {shown(name)} beside it{faults.near(name, made)}')
        seen.add(natural)
