"""Endpoint files that are templates: `user_config_template.yaml.j2`, with `user_config_schema.json` beside it.

```
 user_endpoint_config ─► canonical ─► a process of its own: schema, sandbox (`rendering`) ─► intruders (lines, directives) ─► an endpoint file
```
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from relay_parsl import interpreter
from relay_parsl.config import Located, Report, parse_yaml
from relay_parsl.endpoint.rules import CONTROL
from relay_parsl.engines.words import PLAIN
from relay_parsl.errors import ConfigError

TEMPLATE, SCHEMA = 'user_config_template.yaml.j2', 'user_config_schema.json'
"""What the two files are called in the directory of an endpoint, as in Globus Compute."""
OPTIONS = 'user_endpoint_config'
"""What users call the values of a template."""
MAX_BYTES, MAX_DEPTH, MAX_TEXTS = 65_536, 8, 500
"""Bytes of a user's values as JSON, how deep they may nest, and how many texts may be in them."""
WAIT = 30.0
"""Seconds that filling in a template may take, the start of a process included."""
ENVIRONMENT = ('PATH', 'PYTHONPATH', 'PYTHONHOME', 'LD_LIBRARY_PATH', 'LANG', 'LC_ALL', 'VIRTUAL_ENV')
"""What the process that does it gets of our environment."""
DIRECTIVE = re.compile(r'^\s*#\s*(?:SBATCH|PBS|BSUB|COBALT|FLUX|OAR|\$)', re.MULTILINE | re.IGNORECASE)
LINES = frozenset({'worker_init', 'node_init', 'node_exit', 'endpoint_setup', 'endpoint_teardown', 'scheduler_options'})
"""Keys whose values may have several lines."""
IN_DIRECTIVES = frozenset(
    {'account', 'queue', 'partition', 'qos', 'constraint', 'clusters', 'gres', 'project', 'select_options', 'walltime', 'filesystems', 'place'}
)
"""Keys that become options of a directive, where a space would begin another option."""
IN_COMMANDS = frozenset(
    {'container_uri', 'container_cmd_options', 'worker_logdir_root', 'available_accelerators', 'cpu_affinity', 'mpi_launcher', 'launch_cmd'}
    | {'interchange_launch_cmd', 'overrides', 'prepend', 'bind_cmd', 'bind_to', 'bash_location', 'cpu_bind', 'gpu_bind'}
    | {'bootstrap', 'bootstrap_exec'}
)
"""Keys that become words of a command, unquoted as Parsl writes it: a blank or `;` in a value would run something else, past `function_policy`."""
WHOLE_COMMANDS = frozenset({'launch_cmd', 'interchange_launch_cmd', 'bash_location', 'bootstrap_exec', 'prepend'})
"""Keys that name the program itself."""


def quoted(value: Any) -> Any:
    """A user's value as templates see it: each text is a JSON string, which YAML reads back as that text, whatever is in it."""
    if isinstance(value, str):
        return re.sub(r'[^\x20-\x7e]', _escaped, json.dumps(value, ensure_ascii=False))
    if isinstance(value, dict):
        return {key: quoted(child) for key, child in value.items()}
    return [quoted(child) for child in value] if isinstance(value, list) else value


def _escaped(match: re.Match[str]) -> str:
    letter = match[0]
    return letter if letter.isprintable() else f'\\U{ord(letter):08x}'


def canonical(options: Mapping[str, Any] | None) -> str:
    """A user's values as JSON that is the same for the same values.

    Raises:
        ConfigError: They are too large or too deep, or hold what JSON cannot; names the place.
    """
    faults = list(islice(_unplain(options or {}, OPTIONS, 0), 20))
    if faults:
        raise ConfigError('\n'.join(faults))
    text = json.dumps(options or {}, sort_keys=True, separators=(',', ':'), ensure_ascii=False)
    size = len(text.encode('utf-8', 'surrogatepass'))
    if size > MAX_BYTES:
        raise ConfigError(f'{OPTIONS}: {size} bytes; an endpoint takes {MAX_BYTES} at most: give large data to the function')
    if sum(1 for _ in islice(_texts(options or {}, OPTIONS), MAX_TEXTS + 1)) > MAX_TEXTS:
        raise ConfigError(f'{OPTIONS}: more than {MAX_TEXTS} texts; an endpoint takes no more: give large data to the function')
    return text


def _unplain(value: Any, where: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        yield f'{where[:200]}: nests deeper than {MAX_DEPTH} levels'
    elif isinstance(value, Mapping):
        for key, child in value.items():
            if not isinstance(key, str):
                yield f'{where[:200]}: {str(key)[:80]!r} is no name'
            else:
                yield from _unplain(child, f'{where}.{key[:80]}', depth + 1)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _unplain(child, f'{where}[{index}]', depth + 1)
    elif isinstance(value, str):
        if '\0' in value or any('\ud800' <= letter <= '\udfff' for letter in value):
            yield f'{where[:200]}: holds a character that no file can'
    elif not (value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))):
        yield f'{where[:200]}: {str(value)[:80]} is no value of JSON'


def runtime_of(python: str | None = None) -> dict[str, Any]:
    """`user_runtime` for a user of this Python (`major.minor`); by default our own."""
    version = python or '.'.join(map(str, sys.version_info[:2]))
    return {'python': {'version': version, 'version_tuple': [int(part) if part.isdigit() else part for part in version.split('.')]}}


@dataclass(frozen=True)
class Rendered:
    """A filled-in template: the endpoint file's text, and which values it was filled in with (as `canonical` JSON)."""

    text: str
    values: str


@dataclass(frozen=True)
class Template:
    """A template that can be filled in, and its schema.

    Attributes:
        path: The template's file; it may include others of its directory.
        schema: The JSON schema of its values; None: each variable takes any value.
        variables: What it takes values of.
        uses_runtime: Whether it asks for `user_runtime`, so that users of another Python get another pool.
    """

    path: Path
    schema: dict[str, Any] | None = field(default=None, repr=False)
    variables: tuple[str, ...] = ()
    uses_runtime: bool = False

    def render(self, values: str, runtime: Mapping[str, Any]) -> Rendered:
        """Fill it in. Takes some tenths of a second.

        Args:
            values: As `canonical` made them.
            runtime: What `user_runtime` is.

        Raises:
            ConfigError: With everything that is wrong with the values, a line each, by name.
        """
        options = json.loads(values)
        answer = _ask(self.path, self.schema, {'options': options, 'runtime': dict(runtime)})
        errors = answer['faults'] or answer['errors']
        if errors:
            raise ConfigError('\n'.join(errors))
        self._admit(answer['text'], options)
        return Rendered(answer['text'], values)

    def _admit(self, text: str, options: Mapping[str, Any]) -> None:
        """Raises ConfigError for text that is no YAML, and for values that stand where they would be more than a value."""
        report = Report(str(self.path))
        root = parse_yaml(text, report)
        faults = list(dict.fromkeys([*torn(text, root, options), *intruders(root, options)]))
        if faults:
            raise ConfigError('\n'.join(faults))


def read_template(path: Path, schema: Path | None = None) -> Template:
    """A template and its schema.

    Args:
        path: The template.
        schema: Its schema; None for `user_config_schema.json` beside it, where there is one.

    Raises:
        ConfigError: One of them cannot be read, or with everything that is wrong with them, a line each with file and line.
    """
    beside = path.parent / SCHEMA
    schema = schema if schema is not None else beside if beside.is_file() else None
    rules = None if schema is None else _schema(schema)
    if not path.is_file():
        raise ConfigError(f'{path}: no such template')
    answer = _ask(path, rules, {})
    if answer['faults']:
        where = [f'{schema}: {fault}' if fault.startswith('the schema') else f'{_beside(path, fault)}' for fault in answer['faults']]
        raise ConfigError('\n'.join(where))
    return Template(path, rules, tuple(answer['variables']), answer['runtime'])


def _beside(path: Path, fault: str) -> str:
    """`3: text` is of the template, `other.j2:3: text` of a file that it includes."""
    return f'{path}:{fault}' if fault[:1].isdigit() else f'{path.parent}{os.sep}{fault}'


def _schema(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}') from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f'{path}: no JSON: {error}') from None
    if not isinstance(found, dict):
        raise ConfigError(f'{path}: a schema is a JSON object')
    return found


def _ask(path: Path, schema: Mapping[str, Any] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """Have it done by a process without our keys, memory and time."""
    question = {'name': path.name, 'directory': str(path.parent.absolute()), 'schema': schema, **more}
    command = interpreter.command('relay_parsl.endpoint.rendering')
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603  our own module
            command, input=json.dumps(question).encode(), capture_output=True, check=False, timeout=WAIT, env=environment
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise ConfigError(f'{path}: takes more than {WAIT:g} s to fill in') from None
    except OSError as error:
        raise ConfigError(f'{path}: no process to fill it in: {error.strerror}') from None
    except ValueError:
        said = done.stderr.decode(errors='replace').strip().splitlines()
        raise ConfigError(f'{path}: cannot be filled in: it takes too much time or memory ({said[-1][:200] if said else done.returncode})') from None
    return answer


SIGNS = re.compile(r'[,:#{}\[\]"]')
"""What YAML may read as more than a letter."""


def torn(text: str, root: Located, options: Mapping[str, Any]) -> Iterator[str]:
    """Values that YAML has read as several things, because they stand inside a longer value without quotes: `{a: --x={{ a }}}`.

    Args:
        text: The filled-in file.
        root: What YAML reads in it.
        options: The user's values.
    """
    held = Counter([*(value for _, value in _leaves(root)), *_keys(root)])  # a loop of the template may write one value many times
    for name, value in _texts(options, OPTIONS):
        form = quoted(value)[1:-1]
        if SIGNS.search(value) and text.count(form) > sum(times * max(each.count(value), each.count(form)) for each, times in held.items()):
            yield f'{name}: YAML would take part of it for something else: in the template, give it a value of its own, or a block (`|`)'


def _keys(node: Located) -> Iterator[str]:
    if node.is_mapping:
        yield from node.value
    for child in node.value.values() if node.is_mapping else node.value if isinstance(node.value, list) else ():
        yield from _keys(child)


def intruders(root: Located, options: Mapping[str, Any]) -> Iterator[str]:
    """Values of a user that stand where they would be more than a value: a line of their own, a directive, another option of one.

    Args:
        root: The filled-in file.
        options: The user's values.
    """
    leaves = {(re.sub(r'\[\d+\]', '', path), held): path for path, held in reversed(list(_leaves(root)))}
    for name, value in _texts(options, OPTIONS):
        forms = {form for form in (value.strip(), json.dumps(value, ensure_ascii=False)[1:-1].strip()) if form}  # as it is, and within longer text
        for (_, held), path in leaves.items():
            if any(form in held for form in forms):
                yield from (f'{name}: {why}, and it stands in `{path}`' for why in _harm(value, path.rpartition('.')[2].partition('[')[0], held))


def _harm(value: str, key: str, held: str) -> Iterator[str]:
    if key in IN_COMMANDS:
        yield from _commanding(value, key, held)
    elif key in LINES and (strange := CONTROL.search(value)):
        yield f'it holds {strange[0]!r}, where lines end with a line feed alone'
    elif key == 'scheduler_options' and (ran := _bare(value, held)):
        yield f'`{ran[:40]}` is no directive: the batch script would run it'
    whole = key == 'scheduler_options' and value.strip() == held.strip()  # the template gives its users the directives
    if not whole and DIRECTIVE.search(value):
        line = next(line for line in value.splitlines() if DIRECTIVE.match(line))
        yield f'`{line.strip()[:40]}` would be a directive'
    if not value.strip().isprintable() and (key not in LINES or (key == 'scheduler_options' and not whole)):
        yield 'it must be one line'
    elif key in IN_DIRECTIVES and re.search(r'\s', value.strip()):
        yield 'it must be one word: after a space another option of the directive would begin'


def _commanding(value: str, key: str, held: str) -> Iterator[str]:
    if key in WHOLE_COMMANDS and held.strip().startswith(value.strip()):
        yield 'it would be the program that is started, which the endpoint alone chooses: write it into the template'
    elif value.strip() and not PLAIN.fullmatch(value.strip()):
        yield 'it must be one plain word, of letters, digits and `_ @ % + = : , . / -`: it stands unquoted in a command'


def _bare(value: str, held: str) -> str:
    """The line of a batch script's directives that is none and that the value has made; '' where there is none."""
    lines = [line.strip() for line in held.splitlines() if line.strip() and not line.lstrip().startswith('#')]
    return next((line for line in lines if value.strip() in line or line in value), '')


def _leaves(node: Located) -> Iterator[tuple[str, str]]:
    children = node.value.values() if node.is_mapping else node.value if isinstance(node.value, list) else ()
    for child in children:
        yield from _leaves(child)
    if isinstance(node.value, str):
        yield node.path, node.value


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _texts(child, f'{where}.{key}')
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _texts(child, f'{where}[{index}]')
