"""A function that is registered on one machine runs from another one of the account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.commands import Commands, commands

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

REGISTER = """
import relay_parsl as rp

def double(number):
    return 2 * number + len('a word that nobody else may read') - 32

with rp.Executor('site') as executor:
    print(executor.register_function(double))
"""
USE = """
import sys
import relay_parsl as rp

with rp.Executor('site') as executor, rp.Client() as client:
    print([row['function_uuid'] for row in client.get_functions()])
    print(client.get_function({name!r})['function_name'], executor.submit_to_registered_function({name!r}, (21,)).result(timeout=60))
    client.delete_function({name!r})
    print(client.get_functions())
"""
GONE = """
import relay_parsl as rp

with rp.Client() as client:
    try:
        client.get_function({name!r})
    except rp.errors.NotFound as error:
        print(error)
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'here') as made:
        yield made


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'there') as made:
        yield made


def script(machine: Commands, code: str) -> list[str]:
    done = machine.python(code)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_function_of_another_machine(here: Commands, there: Commands, tmp_path: Path) -> None:
    here.relay()
    here.endpoint('site')
    (name,) = script(here, REGISTER)
    kept = b''.join(path.read_bytes() for path in (here.root / 'relay').rglob('*') if path.is_file())
    assert b'nobody else may read' not in kept, 'the relay keeps it sealed'
    here.ok('account', 'export', str(tmp_path / 'account'), '--account', 'alice', '--passphrase', 'a passphrase')
    there.ok('account', 'import', str(tmp_path / 'account'), '--passphrase', 'a passphrase')
    assert not (there.root / 'functions').exists()
    assert script(there, USE.format(name=name)) == [str([name]), 'double 42', '[]']
    (here.root / 'functions' / f'{name}.function').unlink()
    (words,) = script(here, GONE.format(name=name))
    assert words.startswith(f'no function {name!r} was registered by this account')
