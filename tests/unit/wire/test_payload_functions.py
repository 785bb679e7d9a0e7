"""Functions through bytes."""

from __future__ import annotations

import json
import threading
import traceback

import pytest

from relay_parsl.errors import ProtocolError, SerializationError, VersionMismatch
from relay_parsl.wire import codec, payload


def test_a_function_says_what_it_is() -> None:
    blob = payload.dump_function(json.dumps)
    assert payload.describe(blob) == payload.FunctionInfo('cloudpickle', payload.PYTHON, 'dumps')
    assert payload.load_function(blob) is json.dumps
    assert payload.load_function(payload.dump_function(lambda x: x + 1))(1) == 2


def test_source_is_text_and_fits_every_python() -> None:
    blob = payload.dump_source('import math\nK = 2\n\ndef area(r):\n    return K * math.floor(r)\n', 'area')
    assert payload.describe(blob) == payload.FunctionInfo('source', '', 'area')
    assert payload.load_function(blob)(2.5) == 4
    with pytest.raises(TypeError) as caught:
        payload.load_function(blob)('x')
    assert 'math.floor(r)' in ''.join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(('source', 'name'), [('def f(:', 'f'), ('x = 1', 'not a name'), ('\0', 'f')])
def test_source_that_is_none(source: str, name: str) -> None:
    with pytest.raises(SerializationError):
        payload.dump_source(source, name)


@pytest.mark.parametrize('source', ['x = 1', 'f = 7', 'raise RuntimeError("no")', 'import no_such_module'])
def test_source_that_does_not_define_its_function(source: str) -> None:
    with pytest.raises(SerializationError, match='f '):
        payload.load_function(payload.dump_source(source, 'f'))


def test_importable_names_carry_no_code() -> None:
    blob = payload.dump_importable('os.path:basename')
    assert payload.describe(blob) == payload.FunctionInfo('import', '', 'os.path:basename')
    assert payload.load_function(blob)('/a/b') == 'b'


NO_NAMES = [
    'os',
    'os.system',
    'os:system.__globals__',
    'os:__builtins__',
    '..:x',
    'os:',
    ':x',
    'os:a b',
    'ös:system',
    'os:sys\ntem',
    'a:b:c',
    '/etc:x',
    'os:system\n',
]


@pytest.mark.attack(22)
@pytest.mark.parametrize('name', NO_NAMES)
def test_names_that_are_not_importable(name: str) -> None:
    with pytest.raises(SerializationError):
        payload.dump_importable(name)
    with pytest.raises(SerializationError):
        payload.load_function(codec.pack(['import', '', name, b'']))


def test_another_python_is_refused_before_anything_is_run() -> None:
    blob = codec.pack(['cloudpickle', '2.7', 'f', b'never read'])
    with pytest.raises(VersionMismatch, match=r'Python 2\.7.*Python 3\.'):
        payload.load_function(blob)
    payload.check_python('f', '', '3.13')
    payload.check_python('f', '3.13', '3.13')


def test_a_function_that_cannot_travel_names_what_is_to_blame() -> None:
    lock = threading.Lock()
    with pytest.raises(SerializationError, match=r"lambda.*it uses 'lock' \(a lock\)"):
        payload.dump_function(lambda: lock)
    with pytest.raises(SerializationError, match='not callable'):
        payload.dump_function(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    'blob', [b'', b'\xc1', codec.pack([]), codec.pack({}), codec.pack(['cloudpickle', '3.11', 'f']), codec.pack(['eval', '', 'f', b''])]
)
def test_junk_is_no_function(blob: bytes) -> None:
    with pytest.raises(ProtocolError):
        payload.describe(blob)
    with pytest.raises(ProtocolError):
        payload.load_function(blob)


@pytest.mark.parametrize('data', [b'', b'junk', b'\x80\x05cno_such_module\nx\n.', b'\x80\x05K\x07.'])
def test_pickles_that_do_not_load(data: bytes) -> None:
    with pytest.raises(SerializationError):
        payload.load_function(codec.pack(['cloudpickle', payload.PYTHON, 'f', data]))
