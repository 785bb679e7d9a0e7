"""What may run code that comes as data stands in the modules that are named here, and nowhere else.

Ruff's `S` rules say much of it, one line at a time, and each line may silence them with a `noqa`. They do not see `compile`, cloudpickle,
subclasses of `Unpickler`, `recv_pyobj` of pyzmq, `recv` of multiprocessing, `import_module`, or a function that is handed on instead of being
called. This sees them, and what is allowed is a table.
"""

from __future__ import annotations

import ast
import builtins
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = {
    path.relative_to(ROOT).with_suffix('').as_posix(): path
    for folder in ('relay_parsl', 'configs', 'examples', 'benchmarks')
    for path in sorted((ROOT / folder).rglob('*.py'))
}
BANNED = {
    *('eval', 'exec', 'compile', '__import__', 'breakpoint'),
    *(
        f'{module}.{name}'
        for module in ('pickle', '_pickle', 'cloudpickle', 'dill', 'marshal', 'jsonpickle')
        for name in ('load', 'loads', 'Unpickler', 'decode')
    ),
    *(
        'shelve.open',
        'code.interact',
        'code.InteractiveInterpreter',
        'runpy.run_path',
        'runpy.run_module',
        'importlib.import_module',
        'imp.load_source',
    ),
    *(
        'importlib.util.spec_from_file_location',
        'pandas.read_pickle',
        'joblib.load',
        'torch.load',
    ),
    *(f'yaml.{name}' for name in ('load', 'load_all', 'full_load', 'unsafe_load', 'Loader', 'UnsafeLoader', 'FullLoader', 'CLoader')),
    *(
        'os.system',
        'os.popen',
        'subprocess.getoutput',
        'subprocess.getstatusoutput',
        'asyncio.create_subprocess_shell',
        'pty.spawn',
        'commands.getoutput',
    ),
    *(
        'tempfile.mktemp',
        'os.tempnam',
        'os.tmpnam',
        'xml.etree.ElementTree.parse',
        'xml.etree.ElementTree.fromstring',
    ),
}
METHODS = {'recv_pyobj', 'send_pyobj', 'run_line_magic'}
"""What unpickles whatever the other side sends."""
ALLOWED = {
    'relay_parsl/__init__': 'importlib.import_module',  # names of a table in the module, as in the next three
    'relay_parsl/providers/__init__': 'importlib.import_module',
    'relay_parsl/flows/__init__': 'importlib.import_module',
    'relay_parsl/flows/storage/place': 'importlib.import_module',
    'relay_parsl/flows/catalogue': 'importlib.import_module',  # a class that the engine's own settings name
    'relay_parsl/flows/settings': 'importlib.import_module',
    'relay_parsl/endpoint/plugins': 'importlib.import_module',  # a class that the endpoint's own file names
    'relay_parsl/engines/child': 'pickle.loads',  # from its own parent, over a socket pair
    'relay_parsl/engines/leash': 'runpy.run_module',  # a module that its own parent names
    'relay_parsl/wire/payload/functions': 'compile exec importlib.import_module',  # what an endpoint is for, after the gate
    'relay_parsl/wire/payload/pickling': 'pickle.loads pickle.load pickle.Unpickler',  # callers ask first whom the bytes are from
    'relay_parsl/wire/payload/values': 'importlib.import_module',  # a serializer, whose name stands under the seal
}


def dangers(text: str) -> set[str]:
    """The banned things that a module calls, hands on, or inherits from, under whatever name it imports them."""
    tree = ast.parse(text)
    names = {name: name for name in dir(builtins)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.split('.')[0]: alias.name if alias.asname else alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f'{node.module}.{alias.name}' for alias in node.names}
    found = {dotted(node, names) for node in ast.walk(tree) if isinstance(node, (ast.Name, ast.Attribute))} & BANNED
    found |= {f'{node.module}.{alias.name}' for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names} & BANNED
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in METHODS:
            found.add(node.attr)
        elif (
            isinstance(node, ast.Attribute) and node.attr == 'recv' and any(each.startswith('multiprocessing.connection') for each in names.values())
        ):
            found.add('Connection.recv')
        elif (
            isinstance(node, ast.keyword)
            and node.arg in ('shell', 'allow_pickle')
            and not (isinstance(node.value, ast.Constant) and not node.value.value)
        ):
            found.add(f'{node.arg}=')
    return found


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """The full name of a name or an attribute of one; '' for attributes of anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id, '')
    if isinstance(node, ast.Attribute):
        before = dotted(node.value, names)
        return f'{before}.{node.attr}'.removeprefix('builtins.') if before else ''
    return ''


@pytest.mark.attack(45)
def test_nothing_runs_data_but_in_the_modules_that_are_named() -> None:
    found = {name: dangers(path.read_text()) for name, path in MODULES.items()}
    assert {name: some for name, some in found.items() if some} == {name: set(some.split()) for name, some in ALLOWED.items()}


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('import pickle\npickle.loads(b"")', 'pickle.loads'),
        ('import pickle as p\nf = p.loads', 'pickle.loads'),
        ('from pickle import loads as read', 'pickle.loads'),
        ('def f():\n    from cloudpickle import loads\n    return map(loads, [])', 'cloudpickle.loads'),
        ('import pickle\nclass U(pickle.Unpickler): pass', 'pickle.Unpickler'),
        ('import dill\ndill.load(file)', 'dill.load'),
        ('list(map(eval, texts))', 'eval'),
        ('exec("x = 1")', 'exec'),
        ('import builtins\nrun = builtins.exec', 'exec'),
        ('import yaml\nyaml.load(text, Loader=yaml.SafeLoader)', 'yaml.load'),
        ('import subprocess\nsubprocess.run(line, shell=True)', 'shell='),
        ('run(line, shell=flag)', 'shell='),
        ('run(line, shell=False)', ''),
        ('import os\nos.system("ls")', 'os.system'),
        ('import marshal\nmarshal.loads(b"")', 'marshal.loads'),
        ('import tempfile\ntempfile.mktemp()', 'tempfile.mktemp'),
        ('socket.recv_pyobj()', 'recv_pyobj'),
        ('from multiprocessing.connection import Client\nClient("x").recv()', 'Connection.recv'),
        ('import re\nre.compile("x")', ''),
        ('import yaml\nyaml.safe_load(text)', ''),
    ],
)  # fmt: skip
def test_each_way_to_it_is_seen(text: str, said: str) -> None:
    assert dangers(text) == ({said} if said else set())
