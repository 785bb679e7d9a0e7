"""The input schema of a flow: whether it is one, and whether a run's body is what it takes.

```
harmless and small ─────────────────────────────► here, in a millisecond ─┐
`pattern`, `$ref`, … or large ─► a process with 3 s of CPU and 1 GiB ─────┴─► every violation, each with its path
```
A pattern may take longer than the universe has, and ten references to one another may stand for a billion schemas. So what can be either runs in a
process of its own (`python -m relay_parsl.flows.language.schema`, a JSON object in, a list out), which is killed when its time is up. Nothing is
ever fetched.
Formats (`uuid`, `globus-collection`, …) are annotations, as JSON Schema has it by default: a collection may go by its name here.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from relay_parsl import interpreter
from relay_parsl.errors import InputInvalid
from relay_parsl.flows.definition import Json
from relay_parsl.flows.language.documents import plain
from relay_parsl.flows.language.faults import Fault, Faults, shown, under

ROOT = '$.input_schema'
NODES, DEPTH = 20_000, 60
"""Values that a schema may have, and objects and lists within one another."""
HARMLESS = 200_000
"""Values of the schema times values of the body, up to which the work is done here."""
SECONDS, MEMORY, WAIT = 3, 1 << 30, 20.0
"""CPU seconds and bytes of the process, and how long anybody waits for it."""
MOST = 100
"""Violations that are told."""
DATA = frozenset({'const', 'enum', 'default', 'examples', 'example'})
"""Keywords under which there is no schema."""
RISKY = frozenset({'patternProperties', 'unevaluatedProperties', 'unevaluatedItems', '$dynamicRef', '$recursiveRef'})
"""Keywords that may take longer than they are long; so do `pattern`, `$ref` and `uniqueItems`."""
ENVIRONMENT = ('PATH', 'PYTHONPATH', 'PYTHONHOME', 'LD_LIBRARY_PATH', 'LANG', 'LC_ALL', 'VIRTUAL_ENV')
"""What the process gets of our environment."""
Told = list[tuple[str, str]]


def check(schema: Json) -> list[Fault]:
    """What is wrong with an input schema; nothing where there is none."""
    if schema is None:
        return []
    if not isinstance(schema, dict):
        return [Fault(ROOT, f'must be a JSON Schema, an object, not {shown(schema)}')]
    if not isinstance(schema.get('$schema', ''), str):
        return [Fault(f'{ROOT}.$schema', f'must be the URI of a draft, not {shown(schema["$schema"])}')]
    nodes, depth, risky = measure(schema)
    if nodes > NODES or depth > DEPTH:
        return [Fault(ROOT, f'has more than {NODES} values' if nodes > NODES else f'has more than {DEPTH} objects and lists within one another')]
    text = json.dumps(schema)
    told = _schema_here(text) if not risky and nodes < HARMLESS // 100 else _elsewhere({'schema': schema}, 'the schema')
    return [Fault(path, message) for path, message in told]


def need(body: Any, schema: Json) -> dict[str, Json]:
    """The body, as plain JSON of its own, if the schema takes it.

    Args:
        body: What a run starts with.
        schema: A flow's input schema, which `check` found right; None takes any object.

    Raises:
        InputInvalid: It does not; a line for each violation, which begins with the place in the body.
    """
    noted = Faults()
    found = plain(body, noted)
    if noted.faults:
        raise InputInvalid(noted.text)
    if not isinstance(found, dict):
        raise InputInvalid(f"$: a run's body is an object, not {shown(found)}")
    if schema is not None and (told := faults(schema, found)):
        raise InputInvalid('\n'.join(map(str, told)))
    return found


def faults(schema: Json, body: Json) -> list[Fault]:
    """What in a body, plain JSON, a schema does not take; at most `MOST` violations, sorted by their places."""
    return checker(schema)(body)


def checker(schema: Json) -> Callable[[Json], list[Fault]]:
    """The same for many bodies: what there is to know of the schema is found out once."""
    (nodes, _, risky), text = measure(schema), json.dumps(schema)

    def check_body(body: Json) -> list[Fault]:
        here = not risky and nodes * measure(body)[0] <= HARMLESS
        told = _body_here(text, body) if here else _elsewhere({'schema': schema, 'body': body}, 'the body')
        return [Fault(path, message) for path, message in told]

    return check_body


def measure(document: Json) -> tuple[int, int, bool]:
    """Values, depth, and whether as a schema it may take longer to use than it is large."""
    count, deepest, risky = 0, 0, False
    todo: list[tuple[Any, int]] = [(document, 0)]
    while todo:
        item, depth = todo.pop()
        count, deepest = count + 1, max(deepest, depth)
        if isinstance(item, dict):
            risky = risky or not RISKY.isdisjoint(item)
            risky = risky or any(isinstance(item.get(key), str) for key in ('pattern', '$ref')) or item.get('uniqueItems') is True
            todo += [(child, depth + 1) for child in item.values()]
        elif isinstance(item, list):
            todo += [(child, depth + 1) for child in item]
    return count, deepest, risky


def draft(schema: Mapping[str, Json]) -> Any:
    """The validator of the draft that `$schema` names, however its URI is spelled; None where nobody knows it. Draft-07 where it names none."""
    named = schema.get('$schema')
    if not isinstance(named, str):
        return Draft7Validator
    plainly = named.strip().rstrip('#').removeprefix('https:').removeprefix('http:')
    for spelling in (named, f'http:{plainly}#', f'https:{plainly}'):
        if (found := validator_for({'$schema': spelling}, default=None)) is not None:
            return found
    return None


@lru_cache(maxsize=256)
def _schema_here(text: str) -> Told:
    """What is wrong with a schema. The cache: a script validates one schema many times."""
    schema, told = json.loads(text), list[tuple[str, str]]()
    kind = draft(schema) or Draft7Validator
    meta = kind(kind.META_SCHEMA, format_checker=kind.FORMAT_CHECKER)
    try:
        told = sorted({(_place(ROOT, error), _message(error)) for error in islice(meta.iter_errors(schema), MOST)})
        return [*told, *islice(_nowhere(schema, kind), MOST)]
    except RecursionError:
        return [(ROOT, 'refers to itself without an end')]
    except (TypeError, ValueError, AttributeError) as error:
        return told or [(ROOT, f'cannot be looked through: {error}')]  # references of what is no schema lead nowhere anyway


def _nowhere(schema: dict[str, Any], kind: Any) -> Iterator[tuple[str, str]]:
    """References to what is not in the schema."""
    specification = specification_with(str(kind.META_SCHEMA.get('$schema', '')).rstrip('#') or 'http://json-schema.org/draft-07/schema')
    root = Resource.from_contents(schema, default_specification=specification)
    resolver = Registry().with_resource('', root).crawl().resolver_with_root(root)
    for path, reference in _references(schema):
        if not _leads(resolver, reference):
            yield path, f'{shown(reference)} leads to nothing in this schema, and nothing is fetched; put it under `definitions` and refer to that'


def _leads(resolver: Any, reference: str) -> bool:
    try:
        resolver.lookup(reference)
    except (Unresolvable, ValueError):
        return False
    return True


def _references(schema: Json) -> Iterator[tuple[str, str]]:
    todo: list[tuple[Any, str]] = [(schema, ROOT)]
    while todo:
        item, path = todo.pop()
        if isinstance(item, dict):
            if isinstance(item.get('$ref'), str) and not item.get('$id'):
                yield under(path, '$ref'), item['$ref']
            todo += [(child, under(path, key)) for key, child in item.items() if key not in DATA]
        elif isinstance(item, list):
            todo += [(child, under(path, index)) for index, child in enumerate(item)]


@lru_cache(maxsize=64)
def _validator(text: str) -> Any:
    schema = json.loads(text)
    return (draft(schema) or Draft7Validator)(schema, registry=Registry())


def _body_here(text: str, body: Json) -> Told:
    """Every violation, by its place."""
    try:
        errors = list(islice(_validator(text).iter_errors(body), MOST))
    except Unresolvable as error:
        return [('$', f'the schema refers to what is not in it: {error}')]
    except RecursionError:
        return [('$', 'the schema refers to itself without an end')]
    except (ArithmeticError, ValueError, TypeError) as error:
        return [('$', f'the schema cannot be used on it: {error}')]
    return sorted({told for error in errors for told in _violations(error)})


def _place(root: str, error: ValidationError) -> str:
    path = root
    for part in error.absolute_path:
        path = under(path, part)
    return path


def _message(error: ValidationError) -> str:
    """What jsonschema says, with the value cut."""
    value = repr(error.instance)
    text = str(error.message).replace(value, value if len(value) <= 60 else f'{value[:59]}…')
    return text if len(text) <= 300 else text[:299] + '…'


def _violations(error: ValidationError) -> Iterator[tuple[str, str]]:
    path = _place('$', error)
    value: Any = error.instance
    wanted: Any = error.validator_value
    if error.validator == 'required' and isinstance(wanted, list):
        yield from ((under(path, name), 'is needed') for name in wanted if name not in value)
    elif error.validator == 'additionalProperties' and wanted is False and isinstance(error.schema, dict) and 'patternProperties' not in error.schema:
        known = error.schema.get('properties', {})
        noted = Faults()
        extra = [name for name in list(value)[:MOST] if name not in known]
        yield from ((under(path, name), f'is not declared by the schema{noted.near(name, known)}') for name in extra)
    else:
        yield path, _message(error)


def _elsewhere(asked: Mapping[str, Any], what: str) -> Told:
    """Have a process do it that can be killed."""
    place = '$' if 'body' in asked else ROOT
    try:
        return _asked(json.dumps(asked))
    except (subprocess.TimeoutExpired, _Spent):
        most = f'{SECONDS} s or {MEMORY >> 30} GiB'
        return [(place, f'to check {what} takes more than {most}: simplify its patterns (`pattern`) and references (`$ref`)')]
    except (OSError, ValueError) as error:
        return [(place, f'{what} cannot be checked: {error}')]


class _Spent(Exception):
    """The process used up what it was given."""


@lru_cache(maxsize=64)
def _asked(question: str) -> Told:
    """The answer; only answers are remembered."""
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    command = interpreter.command('relay_parsl.flows.language.schema')
    done = subprocess.run(command, input=question.encode(), capture_output=True, check=False, timeout=WAIT, env=environment)  # noqa: S603  our own
    said = done.stderr.decode(errors='replace').strip().splitlines()
    if done.returncode < 0 or (said and said[-1].startswith('MemoryError')):
        raise _Spent
    if done.returncode:
        raise ValueError(said[-1][:200] if said else f'exit code {done.returncode}')
    return [(path, message) for path, message in json.loads(done.stdout)]


def main() -> None:
    """Answer what stands in stdin, within the limits."""
    for limit, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY)):
        with suppress(ValueError, OSError):  # a system that does not know it; whoever asked waits for so long only
            resource.setrlimit(limit, (most, most))
    asked = json.load(sys.stdin)
    text = json.dumps(asked['schema'])
    told = _body_here(text, asked['body']) if 'body' in asked else _schema_here(text)
    sys.stdout.write(json.dumps(told))


if __name__ == '__main__':
    main()
