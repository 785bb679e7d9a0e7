"""The architecture, held as a test: who may know whom, who owns which library, and what does no I/O. A start: grow it with the house."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / 'relay_parsl'

# Every room and the rooms it may import, lowest floor first. A room names only rooms above it in this table.
MAY_IMPORT = {
    'version': '',
    'errors': '',
    'wire': 'errors',
    'shelltext': '',
    'supervisor': '',
    'interpreter': '',
    'logs': '',
    'metrics': 'errors',
    'shell': 'errors shelltext',
    'home': 'errors wire',
    'spool': 'errors',
    'transport': 'errors wire home',
    'config': 'errors',
    'daemon': 'errors interpreter home supervisor',
    'client': 'version errors wire home spool transport config',
    'relay': 'version errors metrics wire home spool transport config daemon',
    'providers': 'errors',
    'launchers': 'errors',
    'engines': 'version errors interpreter wire shell home spool transport config providers launchers',
    'endpoint': 'version errors interpreter metrics wire home spool transport config daemon providers launchers engines',
    'executors': 'version errors client',
    'local': 'version errors home daemon client relay endpoint',
    'flows': 'version errors interpreter supervisor metrics home config daemon client',
    'doctor': 'version errors home daemon transport client relay endpoint',
    'cli': 'version errors metrics logs home config daemon shell client relay endpoint local flows doctor',
    'testing': 'version errors wire home spool transport config client relay engines endpoint flows',
}
OWNERS = {
    'zmq': {'transport'},
    'msgpack': {'wire.codec'},
    'cloudpickle': {'wire.payload'},
    'cryptography': {'wire.seal', 'home'},
    'yaml': {'config'},
    'sqlite3': {'relay.sqlite', 'endpoint.journal', 'flows.journal'},
    'psutil': {'daemon', 'engines'},
    'parsl': {'engines', 'providers', 'launchers', 'executors', 'endpoint.plugins', 'endpoint.config'},
    'jinja2': {'endpoint.rendering'},
    'jsonschema': {'endpoint.rendering', 'flows.language.schema'},
    'referencing': {'endpoint.rendering', 'flows.language.schema'},
    'jsonpath': {'flows.terms.paths'},
    'simpleeval': {'flows.terms.expressions'},
    'fsspec': {'flows.storage'},
    'sshfs': {'flows.storage'},
    'asyncssh': {'flows.storage'},
    'aiohttp': {'flows.storage'},
    'click': {'cli'},
    'rich': {'cli'},
}
PURE = (
    'wire.messages',
    'wire.codec',
    'client.reactor',
    'relay.reactor',
    'endpoint.reactor',
    'engines.demand',
    'engines.breaker',
    'engines.ranks',
    'engines.fusion',
    'engines.shifts',
    'doctor.facts',
    'relay.census',
    'endpoint.census',
    'flows.definition',
    'flows.messages',
    'flows.machine',
    'flows.machine.turn',
    'flows.machine.states',
    'flows.machine.entries',
    'flows.machine.weight',
    'flows.machine.parameters',
    'flows.machine.choices',
)
PURE_MAY = {
    '__future__',
    'abc',
    'bisect',
    'collections',
    'contextlib',
    'dataclasses',
    'enum',
    'functools',
    'heapq',
    'itertools',
    'json',  # how large a payload is as JSON, and what to call it in an error: text of values, no files
    'math',
    'operator',
    'types',
    'typing',
    'msgpack',
}

BASES = {'errors': {'concurrent'}}  # for the class CancelledError alone, which is a base of TaskCancelled


def module_of(path: Path) -> str:
    name = path.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')
    return name.removesuffix('.__init__')


FILES = {module_of(path): path for path in sorted(ROOT.rglob('*.py'))}
ROOMS = [name for name in FILES if name.split('.')[0] not in ('__init__', '__main__')]


def imports(name: str) -> set[str]:
    """Every module the file imports, inside functions and under TYPE_CHECKING too."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{name}: absolute imports only'
            for alias in node.names:
                deep = f'{node.module}.{alias.name}'
                found.add(deep if deep.removeprefix('relay_parsl.') in FILES else str(node.module))
    return found


def own(name: str) -> set[str]:
    return {found.removeprefix('relay_parsl.') for found in imports(name) if found.startswith('relay_parsl.')}


def test_the_table_only_looks_down() -> None:
    rooms = list(MAY_IMPORT)
    for floor, room in enumerate(rooms):
        assert set(MAY_IMPORT[room].split()) <= set(rooms[:floor]), room


@pytest.mark.parametrize('name', ROOMS)
def test_rooms_know_only_whom_they_may(name: str) -> None:
    assert 'relay_parsl' not in imports(name), 'nobody imports the bare package'
    here = name.split('.', maxsplit=1)[0]
    assert {other.split('.')[0] for other in own(name)} - {here} <= set(MAY_IMPORT[here].split())


def test_no_import_circles() -> None:
    graph = {name: {other for other in own(name) if other in FILES and not name.startswith(f'{other}.')} for name in FILES}
    done: set[str] = set()
    path: list[str] = []

    def visit(name: str) -> None:
        assert name not in path, ' -> '.join([*path, name])
        if name not in done:
            path.append(name)
            for other in graph[name]:
                visit(other)
            done.add(path.pop())

    for name in graph:
        visit(name)


@pytest.mark.parametrize('name', FILES)
def test_each_library_has_its_owner(name: str) -> None:
    for library in {found.split('.')[0] for found in imports(name)} & OWNERS.keys():
        assert any(name == owner or name.startswith(f'{owner}.') for owner in OWNERS[library]), f'{name} imports {library}'


@pytest.mark.parametrize('name', [name for name in PURE if name in FILES])
def test_decisions_do_no_io(name: str) -> None:
    """Also through a neighbour: what a pure module imports of ours is held to the same list."""
    seen, todo = set(), [name]
    while todo:
        current = todo.pop()
        if current in seen or current not in FILES:
            continue
        seen.add(current)
        todo += own(current)
        foreign = {found.split('.')[0] for found in imports(current) if not found.startswith('relay_parsl')} - BASES.get(current, set())
        assert foreign <= PURE_MAY, f'{name} reaches {current}, which imports {foreign - PURE_MAY}'
