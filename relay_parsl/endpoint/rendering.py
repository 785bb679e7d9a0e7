"""Fills in an endpoint template: validates a user's values by its schema and renders it, in a sandbox.

A hostile value may make a pattern of the schema or a loop of the template run for ever, or fill the memory. So an endpoint does this in a process of
its own (`python -m relay_parsl.endpoint.rendering`, a JSON object in, another out) which has neither keys nor time: see `templates`.
"""

from __future__ import annotations

import json
import math
import re
import resource
import shlex
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from relay_parsl.config import closest
from relay_parsl.endpoint.templates import OPTIONS, quoted

RESERVED = {
    '_GC': 'it belongs to the endpoint',
    'user_runtime': 'the endpoint fills it in',
    'parent_config': 'the template and its endpoint file are one here',
    'mapped_identity': 'an endpoint belongs to one user here',
}
"""Names of Globus Compute's templates that users may not use for values, and why."""
OURS = ('user_runtime',)
"""Those that there is something behind."""
RENDERED = 262_144
"""Characters of a rendered file, at most."""
SECONDS, MEMORY = 10, 1 << 30
"""CPU seconds and bytes that the process gets."""


class Missing(StrictUndefined):
    """A variable that has no value; remembers which."""

    names: list[str] = []  # noqa: RUF012  one process renders once
    __slots__ = ()

    def _fail_with_undefined_error(self, *_args: Any, **_kwargs: Any) -> Any:
        if self._undefined_obj is missing:  # a variable, no attribute of one
            self.names.append(str(self._undefined_name))
        return super()._fail_with_undefined_error()

    __iter__ = __str__ = __len__ = _fail_with_undefined_error
    __eq__ = __ne__ = __bool__ = __hash__ = _fail_with_undefined_error
    __contains__ = _fail_with_undefined_error


def shown(value: Any) -> Any:
    """What `{{ … }}` writes: lists and maps as YAML has them."""
    if isinstance(value, bool) or value is None:
        return {True: 'true', False: 'false', None: 'null'}[value]
    if isinstance(value, list | tuple):
        return '[' + ', '.join(str(shown(child)) for child in value) + ']'
    if isinstance(value, Mapping):
        return '{' + ', '.join(f'{quoted(str(key))}: {shown(child)}' for key, child in value.items()) + '}'
    return '.inf' if isinstance(value, float) and math.isinf(value) else value


def shell_escape(value: Any) -> str:
    """The filter of this name: a user's text as one word of a shell, and that as a JSON string again."""
    text = json.loads(value) if isinstance(value, str) and value.startswith('"') else str(value)
    return str(quoted(shlex.quote(str(text))))


class Kitchen:
    """One template, with the files beside it that it may include."""

    def __init__(self, name: str, directory: str) -> None:
        """`name` is a file in `directory`."""
        self._name = name
        self.environment = ImmutableSandboxedEnvironment(loader=FileSystemLoader(directory), undefined=Missing, finalize=shown, autoescape=False)
        self.environment.filters['shell_escape'] = shell_escape

    def variables(self) -> tuple[set[str], list[str]]:
        """The names that the template and what it includes take values of, and what is wrong with them."""
        found: set[str] = set()
        faults: list[str] = []
        todo, seen = [self._name], {self._name}
        while todo:
            name = todo.pop()
            try:
                assert self.environment.loader is not None  # noqa: S101  set above
                source, path, _ = self.environment.loader.get_source(self.environment, name)
                tree = self.environment.parse(source)
            except TemplateSyntaxError as error:
                faults.append(f'{_file(name, self._name)}{error.lineno}: {error.message}')
                continue
            except (TemplateError, OSError, UnicodeDecodeError) as error:
                faults.append(f'{_file(name, self._name)}1: cannot be read: {error} (a template includes files of its own directory only)')
                continue
            faults += _foreign(tree, _file(Path(path or name).name, self._name))
            found |= meta.find_undeclared_variables(tree)
            more = {str(each) for each in meta.find_referenced_templates(tree) if each is not None} - seen
            todo += more
            seen |= more
        return found, faults

    def render(self, options: Mapping[str, Any], runtime: Mapping[str, Any]) -> tuple[str, list[str]]:
        """The filled-in text, or what is wrong; every variable without a value is named."""
        absent: dict[str, str] = {}
        known = {'user_runtime': runtime, '_GC': {'user_runtime': runtime}}
        while True:
            Missing.names.clear()
            try:
                text = self._written({**quoted(dict(options)), **absent, **known})
            except UndefinedError as error:
                name = Missing.names[-1] if Missing.names else ''
                if not name or name in absent or len(absent) > 100:
                    return '', _needed(absent) or [f'{OPTIONS}: {error}']
                absent[name] = '""'
            except SecurityError as error:
                return '', [f'{OPTIONS}: the sandbox refuses: {error}']
            except Exception as error:  # noqa: BLE001  filters and operators raise what they like on values of another kind
                return '', [f'{OPTIONS}: the template cannot be filled in: {type(error).__name__}: {str(error)[:200]}']
            else:
                return text, _needed(absent)

    def _written(self, context: Mapping[str, Any]) -> str:
        parts, size = [], 0
        for part in self.environment.get_template(self._name).generate(context):
            parts.append(part)
            size += len(part)
            if size > RENDERED:
                raise ValueError(f'the filled-in file has more than {RENDERED} characters')
        return ''.join(parts)


def _needed(names: Iterable[str]) -> list[str]:
    return [f'{OPTIONS}.{name}: is needed: the template has no default for it' for name in names]


def _file(name: str, main: str) -> str:
    return '' if name == main else f'{name}:'


def _foreign(tree: nodes.Template, file: str) -> list[str]:
    """Names of Globus Compute's templates with nothing behind them here."""
    faults = []
    for node in tree.find_all((nodes.Name, nodes.Getattr)):
        name = ''
        if isinstance(node, nodes.Name) and node.name in RESERVED and node.name not in ('_GC', *OURS):
            name = node.name
        elif isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == '_GC' and node.attr not in OURS:
            name = node.attr
        if name:
            why = RESERVED.get(name, 'write the value into the template')
            faults.append(f'{file}{node.lineno}: `{name}` has no meaning here: {why}')
    return faults


def validated(schema: Mapping[str, Any] | None, variables: set[str], options: Mapping[str, Any]) -> list[str]:
    """What is wrong with a user's values, each by its name. Without a schema the template's variables take any value, and nothing else is taken."""
    known = {*variables, *(schema or {}).get('properties', {})} - {'_GC', *RESERVED}
    faults = [_undeclared(name, known) for name in options if name in RESERVED or name not in known]
    if schema is None:
        return faults
    validator = Draft202012Validator(dict(schema), registry=Registry())  # which fetches nothing
    try:
        errors = sorted(validator.iter_errors(dict(options)), key=lambda error: list(map(str, error.path)))
    except Unresolvable as error:
        return [*faults, f'the schema refers to what is not in it: {error}']
    told = [text for error in errors for text in _told(error)]
    return [*faults, *(text for text in told if text.split(':')[0] not in {fault.split(':')[0] for fault in faults})]


def _undeclared(name: str, known: set[str]) -> str:
    near = closest(name, known)
    hint = RESERVED.get(name) or (f'did you mean `{near}`?' if near else f'the template takes {", ".join(sorted(known)) or "no values"}')
    return f'{OPTIONS}.{name[:80]!s}: is not declared; {hint}'


def _told(error: ValidationError) -> list[str]:
    where = OPTIONS + ''.join(f'[{part}]' if isinstance(part, int) else f'.{part}' for part in error.absolute_path)
    if error.validator == 'required':
        needed: Any = error.validator_value
        given: Any = error.instance
        return [f'{where}.{name}: is needed' for name in needed if name not in given and repr(name) in error.message]
    if error.validator == 'additionalProperties' and isinstance(error.instance, dict):
        declared = error.schema.get('properties', {}) if isinstance(error.schema, dict) else {}
        patterns = error.schema.get('patternProperties', {}) if isinstance(error.schema, dict) else {}
        extra = [name for name in error.instance if name not in declared and not any(re.search(each, name) for each in patterns)]
        return [f'{where}.{name[:80]}: is not declared by the schema' for name in extra]
    value = repr(error.instance)
    message = error.message.replace(value, value if len(value) <= 60 else f'{value[:59]}…')
    return [f'{where}: {message if len(message) <= 300 else message[:299] + "…"}']


def serve(asked: Mapping[str, Any]) -> dict[str, Any]:
    """One answer.

    Args:
        asked: `name` and `directory` of the template, its `schema` (null without), and to have it rendered `options` and `runtime`.

    Returns:
        `faults` of the template and its schema, its `variables`; and `errors` of the options, or the rendered `text`.
    """
    kitchen = Kitchen(asked['name'], asked['directory'])
    variables, faults = kitchen.variables()
    schema = asked.get('schema')
    if schema is not None:
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            faults.append(f'the schema is no JSON schema: {"".join(f"{part}: " for part in error.absolute_path)}{error.message[:200]}')
    answer: dict[str, Any] = {'faults': faults, 'variables': sorted(variables - {'_GC', *RESERVED}), 'runtime': bool(variables & {'_GC', *OURS})}
    if faults or asked.get('options') is None:
        return answer
    errors = validated(schema, variables, asked['options'])
    text, more = kitchen.render(asked['options'], asked.get('runtime') or {}) if not errors else ('', [])
    return {**answer, 'text': text, 'errors': [*errors, *more]}


def main() -> None:
    """Answer what stands in stdin, within the limits."""
    for what, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY)):
        with suppress(ValueError, OSError):  # a system that does not know it; whoever asked waits for half a minute only
            resource.setrlimit(what, (most, most))
    sys.stdout.write(json.dumps(serve(json.load(sys.stdin))))


if __name__ == '__main__':
    main()
