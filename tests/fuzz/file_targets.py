"""What somebody may have written by hand, or a stranger has sent: files of a home, endpoint files, templates' values, flows, expressions, paths."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from relay_parsl.config import Report, parse_yaml
from relay_parsl.daemon import PidFile
from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.endpoint.templates import Template, canonical
from relay_parsl.endpoint.trust import Trusted
from relay_parsl.errors import ConfigError, DefinitionInvalid, HomeError, InputInvalid
from relay_parsl.flows.definition import StateError
from relay_parsl.flows.flow import Flow
from relay_parsl.flows.storage import paths as places
from relay_parsl.flows.storage.faults import Outside
from relay_parsl.flows.terms import expressions, paths
from relay_parsl.home import Credentials, Home, Pin, RelayEntry
from relay_parsl.home.files import to_json
from tests.fuzz.harness import Target
from tests.fuzz.wire_targets import MALLORY, NOW

CONFIGS = Path(__file__).parents[2] / 'configs'
PAYLOAD = {'a': 1, 'b': [1, 2, {'c': 'x'}], 'name': 'text', 'deep': {'er': {'still': None}}}
CREDENTIALS = Credentials.create('mallory', 'user', now=NOW, lifetime=1e6)
ENTRY = RelayEntry('main', 'tcp://127.0.0.1:7400', MALLORY.curve_public, 'accounts/mallory.key')
PIN = Pin('site', MALLORY.identity_public, 'endpoint')
FLOW = {
    'StartAt': 'First',
    'States': {
        'First': {
            'Type': 'Action', 'ActionUrl': 'https://actions.globus.org/hello_world', 'Parameters': {'echo_string.$': '$.name', 'n.=': 'a + len(b)'},
            'ResultPath': '$.first', 'WaitTime': 60, 'Catch': [{'ErrorEquals': ['States.ALL'], 'Next': 'End', 'ResultPath': '$.error'}],
            'Next': 'Which',
        },
        'Which': {
            'Type': 'Choice', 'Default': 'End',
            'Choices': [{'And': [{'Variable': '$.a', 'NumericEquals': 1}, {'Not': {'Variable': '$.name', 'IsNull': True}}], 'Next': 'Set'}],
        },
        'Set': {'Type': 'ExpressionEval', 'Parameters': {'x.=': 'a'}, 'ResultPath': '$.y', 'Next': 'Wait'},
        'Wait': {'Type': 'Wait', 'Seconds': 3, 'Next': 'End'},
        'End': {'Type': 'Pass', 'Parameters': {'z': [1, 2]}, 'End': True},
    },
}  # fmt: skip
SCHEMA = {'type': 'object', 'properties': {'a': {'type': 'integer', 'minimum': 0}, 'b': {'items': {'enum': [1, 2, 3]}}}, 'required': ['a']}
EXPRESSIONS = [
    b'a + len(b) * 2',
    b"name.upper() if a > 0 else '-'.join([str(x) for x in b])",
    b"{'k': `$.deep.er`, 'l': b[0:2]}",
    b'sorted(b[0:2])[-1] ** 2',
]
PATHS = [b'$.b[2].c', b'$.deep..still', b"$['name']", b'$.b[?(@ > 1)]', b'$.b[0:2]']


def text(parse: Callable[[str], Any]) -> Callable[[bytes], Any]:
    """Bytes as whoever opened the file would have them."""
    return lambda data: parse(data.decode('utf-8', 'surrogateescape'))


def filed(name: str, read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    """The bytes as a private file of a home, and what reads it."""

    def parse(data: bytes) -> Any:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, name)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(data)
            return read(path)

    return parse


def flow(data: bytes) -> None:
    """All that is asked of a flow before it runs."""
    found = Flow.from_text(data)
    found.validate(strict=True)
    found.definition  # noqa: B018  it is read now


def evaluated(source: str) -> None:
    """An expression, and that what was found wrong beforehand is wrong."""
    fault = expressions.check(source)
    json.dumps(expressions.evaluate(source, PAYLOAD))
    assert fault is None


def walked(source: str) -> None:
    """A path for reading, and for writing."""
    paths.check(source)
    with suppress(StateError):
        paths.write(source, PAYLOAD, 1)
    with suppress(StateError):
        paths.present(source, PAYLOAD)
    paths.read(source, PAYLOAD)


SCHEMED = Flow.from_dict({'definition': FLOW, 'input_schema': SCHEMA})
NO_JSON = (ValueError, RecursionError)
"""What Python's own reader of JSON says: whoever calls it has it beside it."""
TEMPLATE = Template(Path('x.j2'))

TARGETS = [
    Target('keys', filed('a.key', Credentials.load), (HomeError,), [to_json(CREDENTIALS.plain())]),
    Target('relays', filed('relays/main.json', lambda path: Home(path.parent.parent).relays()), (HomeError,), [to_json(ENTRY.plain())]),
    Target('pins', filed('pins.json', lambda path: Home(path.parent).pins()), (HomeError,), [to_json({'site': PIN.plain()})]),
    Target('invitations', filed(f'invites/{"ab" * 32}.json', lambda path: Home(path.parent.parent).invites()), (HomeError,), [
        to_json({'name': 'x', 'role': 'user', 'secret': 'AAAA', 'expires': NOW, 'relay': 'main', 'inviter': ''})]),
    Target('trusted accounts', filed('trusted.json', Trusted), (HomeError,), [to_json({'site': PIN.plain()})]),
    Target('pid file', filed('a.pid', lambda path: PidFile(path, 'it').running()), (HomeError,), [b'{"host": "here", "pid": 1, "created": 1.5}']),
    Target('YAML', lambda data: parse_yaml(data, Report('x')).plain, (ConfigError,), [b'a: 1\nb: [x, {c: d}]\ne: |\n  text\n']),
    Target('endpoint file', filed('site.yaml', lambda path: load_endpoint_config(path).summary()), (ConfigError,),
           [path.read_bytes() for path in sorted(CONFIGS.glob('*/*.yaml'))[:4]]),
    Target('values of a template', lambda data: canonical(json.loads(data)), (ConfigError, *NO_JSON), [b'{"account": "x", "n": [1, 2.5, null]}']),
    Target('what a template became', text(lambda found: TEMPLATE._admit(found, {'account': 'phys-7', 'l': ['#SBATCH -A z']})), (ConfigError,),
           [b'engine:\n  provider: {account: "phys-7", scheduler_options: "#SBATCH -C gpu"}\n']),
    Target('flow', flow, (DefinitionInvalid,), [json.dumps(FLOW).encode(), b'StartAt: A\nStates:\n  A: {Type: Pass, End: true}\n']),
    Target('body of a run', lambda data: SCHEMED.check(json.loads(data)), (InputInvalid, *NO_JSON), [b'{"a": 1, "b": [1, 2]}']),
    Target('expression', text(evaluated), (StateError,), EXPRESSIONS, few=120),
    Target('path', text(walked), (StateError,), PATHS, few=120),
    Target('path of a collection', text(places.parse), (Outside,), [b'/~/data/x.h5', b'/a/b/']),
]  # fmt: skip
