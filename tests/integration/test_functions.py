"""A function that is registered on one machine runs from another one of the account."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import relay_parsl as rp
from relay_parsl.wire import payload
from tests.integration.commands import Commands, Short, commands, until

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
    with commands(tmp_path / 'here', Short) as made:
        yield made


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'there', Short) as made:
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


def square(number: int) -> int:
    return number**2


def test_endpoints_that_run_only_what_they_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    threads = {'type': 'ThreadPoolEngine', 'max_workers': 1}
    names: dict[str, Any] = {'engine': threads, 'function_policy': {'names': ['math:sqrt']}}
    digest = sha256(payload.dump_function(square)).hexdigest()
    hashes: dict[str, Any] = {'engine': threads, 'function_policy': {'hashes': [digest]}}
    with rp.local(endpoints={'names': names, 'hashes': hashes}) as relay, rp.Client(relay=relay) as client:
        with rp.Executor('names') as executor:
            assert executor.submit_to_registered_function('math:sqrt', (49,)).result(60) == 7
            assert executor.submit_to_registered_function(executor.register_function('math:sqrt'), [4]).result(60) == 2
            for refused in (executor.submit_to_registered_function('math:cos', (0,)), executor.submit(pow, 2, 3)):
                assert 'function policy' in str(refused.exception(60))
            executor.serializer = 'cloudpickle'
            assert 'allowed: json (the executor has a `serializer`)' in str(executor.submit_to_registered_function('math:sqrt', (4,)).exception(60))
        task = client.run(81, endpoint_id='names', function_id='math:sqrt')
        until(lambda: not client.get_task(task)['pending'])
        assert client.get_result(task) == 9
        with rp.Executor('hashes', serializer='json') as executor:
            assert executor.submit(square, 9).result(60) == 81
            assert 'function policy' in str(executor.submit_to_registered_function('math:sqrt', (4,)).exception(60))
