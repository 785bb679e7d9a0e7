"""Results for programs: every command has them, on a stdout with nothing else on it."""

from __future__ import annotations

import ast
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from relay_parsl import cli
from relay_parsl.cli.main import main
from relay_parsl.cli.relay import enrol_founders, remember
from relay_parsl.endpoint.place import Place
from relay_parsl.flows.engine import Engine
from relay_parsl.flows.journal import Journal
from relay_parsl.home import Credentials, Home, Pin, RelayEntry, to_text
from relay_parsl.relay.schema import APPLICATION, BOOKS, OBJECTS, TASKS, VERSION
from relay_parsl.relay.sqlite import SqliteStore
from tests.integration.commands import until
from tests.unit.cli.test_flow_respond import QUESTION

WITHOUT = {
    'relay start': 'runs until it is stopped; its lines are objects with --log-format json',
    'endpoint start': 'the same',
    'endpoint restart': 'the same',
    'flow serve': 'the same',
    'endpoint logs': 'prints a file as it is',
    'endpoint render': 'prints an endpoint file, which is YAML',
    'endpoint from-script': 'prints an endpoint file, which is YAML',
    'quickstart': 'runs an example, which prints what it likes',
}
"""Commands that have no `--json`, and why."""
SECRET = 'correct horse'
HELLO = {'StartAt': 'Hello', 'States': {'Hello': {'Type': 'Pass', 'End': True}}}


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield ' '.join(path), command
        return
    for name, each in command.commands.items():
        yield from leaves(each, (*path, name))


def test_every_command_that_prints_a_result_has_json() -> None:
    missing = {name for name, command in leaves(main) if not any('--json' in parameter.opts for parameter in command.params)}
    assert missing == WITHOUT.keys()


def test_no_question_is_asked_on_stdout() -> None:
    asking = [f'{name}: {each.name}' for name, command in leaves(main) for each in command.params if getattr(each, 'prompt', None)]
    assert asking == [], 'click asks these on stdout: ask in a callback, with err=True'
    for path in Path(cli.__file__).parent.glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ('click.prompt', 'click.confirm'):
                assert 'err=True' in map(ast.unparse, node.keywords), f'{path.name}:{node.lineno}'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    for name in ('RELAY_PARSL_RELAY', 'RELAY_PARSL_CREDENTIALS', 'RELAY_PARSL_PASSPHRASE'):
        monkeypatch.delenv(name, raising=False)
    return Home.find()


def run(*words: str, text: str | None = None, code: int = 0) -> Any:
    """What a command prints with `--json`."""
    done: Result = CliRunner().invoke(main, [*words, '--json'], input=text, prog_name='relay-parsl')
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


# -- the relay ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def relay(home: Home) -> Home:
    """The home of a relay that does not run."""
    enrol_founders(home, 'alice')
    remember(home, '127.0.0.1:1', 'alice')
    SqliteStore(home.directory('relay') / 'relay.db').close()
    return home


def test_a_backup_and_back(relay: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, before = tmp_path / 'b', time.time()
    made = run('relay', 'backup', str(file), text=f'{SECRET}\n' * 2)
    assert {**made, 'made': 0, 'bytes': 0, 'files': 0} == {
        'file': str(file), 'made': 0, 'tasks': 0, 'files': 0, 'bytes': 0, 'missing_bodies': 0, 'with_keys': True,
    }  # fmt: skip
    assert before <= made['made'] <= time.time()
    assert (made['files'] > 0, made['bytes'] > 0) == (True, True)
    assert run('relay', 'backup', str(tmp_path / 'bare'), '--without-keys')['with_keys'] is False
    again = run('relay', 'restore', str(file), '--force', '--passphrase', SECRET)
    assert (again['made'], again['keys'], Path(again['before']).is_dir()) == (made['made'], [], True)
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'other'))
    assert run('relay', 'restore', str(file), text=f'{SECRET}\n') == {
        **{key: made[key] for key in ('made', 'tasks', 'files', 'bytes')}, 'keys': ['accounts/operator.key', 'relay/relay.key'], 'before': None,
    }  # fmt: skip


def test_a_store_of_now(relay: Home) -> None:
    store = relay.root / 'relay' / 'relay.db'
    assert run('relay', 'migrate') == {'store': str(store), 'version': VERSION, 'from_version': None, 'before': None}


def test_a_store_of_before(home: Home) -> None:
    store = home.directory('relay') / 'relay.db'
    with closing(sqlite3.connect(store)) as older:
        older.executescript(f'{BOOKS}{OBJECTS}{TASKS}PRAGMA application_id = {APPLICATION}; PRAGMA user_version = 3;')
    kept = f'{store}.3'
    assert run('relay', 'migrate') == {'store': str(store), 'version': VERSION, 'from_version': 3, 'before': kept}
    assert Path(kept).exists()


def test_the_relays_keys(relay: Home) -> None:
    key = to_text(Credentials.load(relay.root / 'relay' / 'relay.key').keys.curve_public)
    alone = {'key': key, 'next_key': None, 'next_key_from': None}
    assert run('relay', 'key') == alone
    known = run('relay', 'rotate', '--until', '30d')
    assert (known['key'], len(known['next_key'])) == (key, len(key))
    assert 29 * 86400 < known['next_key_from'] - time.time() < 31 * 86400
    assert run('relay', 'key') == known
    assert run('relay', 'rotate', '--cancel') == alone


def test_a_key_that_is_pinned(relay: Home) -> None:
    made, owner = (Credentials.create(name, role, now=0, lifetime=1e12) for name, role in (('site', 'endpoint'), ('alice', 'user')))
    Place(relay, 'site').enrolled(made, relay.find_relay(None, None)[0], Pin('alice', owner.card.identity, 'user'))
    key = to_text(bytes(range(32)))
    assert run('relay', 'pin', key) == {'address': 'tcp://127.0.0.1:1', 'key': key, 'endpoints': ['site']}
    assert run('relay', 'pin', key, '--at', 'localhost:2')['address'] == 'tcp://localhost:2'


def test_a_relay_that_does_not_run(relay: Home) -> None:
    assert run('relay', 'stop', '--drain', '1') == {'stopped': False, 'process': None, 'under_way': None}


# -- accounts ----------------------------------------------------------------------------------------------------------


def test_an_account_moves(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Credentials.create('alice', 'user', now=0, lifetime=1e12)
    made.save(home.credentials_path('alice'))
    file = str(tmp_path / 'file')
    assert run('account', 'export', file, text=f'{SECRET}\n' * 2) == {'name': 'alice', 'file': file}
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'other'))
    moved = run('account', 'import', file, text=f'{SECRET}\n')
    assert (moved['name'], moved['role'], bytes.fromhex(moved['id'].replace('-', ''))) == ('alice', 'user', made.id)


# -- endpoints ---------------------------------------------------------------------------------------------------------


def test_an_endpoint_that_has_not_joined(home: Home) -> None:
    file = home.root / 'endpoints' / 'laptop' / 'endpoint.yaml'
    assert run('endpoint', 'configure', 'laptop') == {'name': 'laptop', 'file': str(file), 'warnings': [], 'joined': False}
    assert file.exists()
    assert run('endpoint', 'stop', 'laptop') == {'name': 'laptop', 'stopped': False, 'process': None}
    assert run('endpoint', 'delete', 'laptop', text='y\n') == {'name': 'laptop', 'deleted': True, 'note': None, 'boot': None}
    assert not file.exists()


def test_what_keeps_a_relay_from_forgetting_an_endpoint_is_told(home: Home) -> None:
    made, owner = (Credentials.create(name, role, now=0, lifetime=1e12) for name, role in (('site', 'endpoint'), ('alice', 'user')))
    Place(home, 'site').enrolled(made, RelayEntry('relay', 'tcp://127.0.0.1:1', bytes(32), ''), Pin('alice', owner.card.identity, 'user'))
    assert run('endpoint', 'delete', 'site', '--yes')['note'].startswith('the relay still knows it, and only its owner can ask it')


def test_an_endpoint_that_starts_with_its_host(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no systemd: what is left to be done by hand."""
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setenv('XDG_CONFIG_HOME', str(tmp_path / 'config'))
    Place(home, 'site').configure(b'engine: {type: ThreadPoolEngine}\n')
    unit = tmp_path / 'config' / 'systemd' / 'user' / 'relay-parsl-endpoint-site.service'
    on = run('endpoint', 'enable-on-boot', 'site')
    assert (on['unit'], on['written'], on['enabled'], on['refusal']) == (str(unit), True, False, 'there is no systemctl here')
    assert on['by_hand'] == ['systemctl --user daemon-reload', f'systemctl --user enable {unit.name}']
    assert run('endpoint', 'enable-on-boot', 'site')['written'] is False
    off = run('endpoint', 'disable-on-boot', 'site')
    assert (off['removed'], off['by_hand']) == (True, [f'systemctl --user disable {unit.name}', 'systemctl --user daemon-reload'])
    assert run('endpoint', 'disable-on-boot', 'site') == {'name': 'site', 'unit': str(unit), 'removed': False, 'refusal': None, 'by_hand': []}
    run('endpoint', 'enable-on-boot', 'site')
    assert run('endpoint', 'delete', 'site', '--yes')['boot']['removed'] is True


# -- flows -------------------------------------------------------------------------------------------------------------


def test_runs_that_are_asked_to_end(home: Home, tmp_path: Path) -> None:
    file = tmp_path / 'hello.json'
    file.write_text(json.dumps(HELLO))
    run_id = run('flow', 'run', str(file), '--detach')['run_id']
    assert run('flow', 'cancel', run_id, code=1) == [{'run_id': run_id, 'status': 'ACTIVE'}], 'no engine serves: the request stays'
    with Journal.open() as journal:
        stop = threading.Event()
        engine = threading.Thread(target=Engine(journal).serve, args=(stop,))
        engine.start()
        until(lambda: journal.status(run_id) != 'ACTIVE')
        stop.set()
        engine.join(30)
    assert run('flow', 'cancel', run_id, code=2) == []
    assert run('flow', 'resume', run_id, code=2) == []
    assert run('flow', 'release', run_id) == [{'run_id': run_id, 'released': True}]


def test_a_question_that_is_answered(home: Home) -> None:
    with Journal.open() as journal:
        journal.records('web_input').put('question/4f0c', QUESTION)
    assert run('flow', 'respond', '4f0c', 'yes', '--by', 'ann') == {'web_input_id': '4f0c', 'value': 'yes', 'served': False}
