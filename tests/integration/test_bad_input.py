"""What is asked wrongly gets one clear line that names the thing and the remedy, exit code 2, and never a traceback or a hang."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.cli.desk import open_desk
from relay_parsl.client.admin import REFUSED, TIMEOUT, Desk
from relay_parsl.errors import RelayUnavailable
from relay_parsl.home import Credentials, Home, Invitation, RelayEntry
from tests.integration.commands import THREADS, Commands, Short, commands

pytestmark = pytest.mark.integration
SOON = 25.0
"""Seconds within which any of these must be told."""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'home') as made:
        yield made


def test_an_unknown_endpoint(cli: Commands) -> None:
    cli.relay()
    cli.endpoint('polaris')
    assert "no endpoint 'polari' here (there are: polaris)" in cli.refused('endpoint', 'stop', 'polari')
    assert "no endpoint 'polari' that you may see; there are: polaris" in cli.refused('task', 'list', '--endpoint', 'polari')
    done = cli.python('import relay_parsl as rp; rp.Executor("polari").submit(pow, 2, 3).result(30)')
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "no endpoint 'polari' is known here (known: polaris)" in last
    assert 'relay-parsl invite polari --role endpoint' in last


def test_a_wrong_relay_key(cli: Commands) -> None:
    cli.relay()
    home = Home(cli.root)
    entry, _ = home.find_relay()
    home.add_relay(RelayEntry(entry.name, entry.url, bytes(range(32)), entry.credentials))
    began = time.monotonic()
    said = cli.refused('task', 'list')
    assert time.monotonic() - began < SOON
    assert entry.url in said
    assert 'its key is not the one that was pinned here' in said
    assert '`relay-parsl relay pin KEY`' in said


def test_a_relay_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_desk.__kwdefaults__ is not None
    monkeypatch.setitem(open_desk.__kwdefaults__, 'timeout', 1.0)  # its port refuses at once; only the patience is another
    with commands(tmp_path / 'home', Short) as cli:
        cli.relay()
        cli.ok('relay', 'stop')
        said = cli.refused('task', 'list')
    assert 'is the relay started, and can this machine reach its port?' in said


def test_the_status_of_a_relay_that_was_stopped_comes_at_once(cli: Commands) -> None:
    cli.relay()
    cli.ok('relay', 'stop')
    began = time.monotonic()
    done = cli.run('relay', 'status')
    assert time.monotonic() - began < 8, 'it does not wait for an answer, which takes 10 s'
    assert done.returncode == 1
    assert f'the relay of {cli.root} does not run: start it with `relay-parsl relay start`' in done.stderr


def test_a_refused_key_is_told_soon(cli: Commands) -> None:
    cli.relay()
    home = Home(cli.root)
    entry, _ = home.find_relay()
    stranger = Credentials.create('stranger', 'user', now=time.time(), lifetime=1e6)
    began = time.monotonic()
    with pytest.raises(RelayUnavailable, match='the relay refuses your key'):
        Desk(entry, stranger)
    assert REFUSED <= time.monotonic() - began < TIMEOUT / 2


@pytest.mark.attack(30)
def test_an_expired_invite(cli: Commands) -> None:
    cli.relay()
    link = cli.ok('invite', 'late', '--role', 'endpoint').strip()
    invitation = Invitation.read(link)
    expired = Invitation(**{**vars(invitation), 'expires': time.time() - 1})
    assert "invitation of 'late' has expired: ask for a new one" in cli.refused('join', expired.link())
    used = cli.ok('invite', 'once', '--role', 'endpoint').strip()
    cli.ok('join', used)
    (cli.root / 'endpoints' / 'once' / 'endpoint.key').unlink()
    said = cli.refused('join', used)
    assert 'ask for a new one' in said


def test_a_port_in_use(cli: Commands) -> None:
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        for detach in ([], ['--detach']):
            said = cli.refused('relay', 'start', '--bind', f'127.0.0.1:{port}', *detach)
            assert str(port) in said
            assert '--bind' in said


@pytest.mark.attack(27)
def test_an_unreadable_key_file(cli: Commands) -> None:
    cli.relay()
    key = cli.root / 'accounts' / 'alice.key'
    key.chmod(0o644)
    said = cli.refused('task', 'list')
    assert f'{key} is open to others (mode 0644): chmod 600 {key}' in said
    key.chmod(0o600)
    key.write_text('{}')
    assert str(key) in cli.refused('task', 'list')


FIVE = """\
display_name: wrong in five ways
engine:
  type: HtexEngine
  max_workers_per_nod: 4
  prefetch_capacity: many
  job_status_kwarg:
    max_idletime: 300
  provider:
    type: LocalProvidr
    init_blocks: 1
walltim: 1:00:00
"""


def test_an_endpoint_file_with_five_mistakes(cli: Commands) -> None:
    file = cli.cwd / 'five.yaml'
    file.write_text(FIVE)
    for command in (['endpoint', 'check', str(file)], ['endpoint', 'configure', 'five', '--endpoint-config', str(file)]):
        said = cli.refused(*command)
        lines = [line for line in said.splitlines() if 'five.yaml:' in line]
        assert len(lines) == 5, said
        for word in ('max_workers_per_node', 'prefetch_capacity', 'job_status_kwargs', 'LocalProvider', 'walltim: unknown key'):
            assert word in said, f'{word} is not in {said}'
    assert not (cli.root / 'endpoints' / 'five' / 'endpoint.yaml').exists()


@pytest.mark.fault(41)
def test_a_second_relay_on_the_same_store(cli: Commands) -> None:
    cli.relay()
    said = cli.refused('relay', 'start', '--bind', '127.0.0.1:0')
    assert 'already runs as process' in said
    assert 'relay-parsl relay stop' in said
    (cli.root / 'relay' / 'relay.pid').unlink()
    said = cli.refused('relay', 'start', '--bind', '127.0.0.1:0')
    assert 'relay.db' in said, 'without the pid file the store itself refuses'


@pytest.mark.fault(41)
def test_a_second_live_endpoint_with_the_same_identity(cli: Commands, tmp_path: Path) -> None:
    cli.relay()
    cli.endpoint('polaris')
    assert "endpoint 'polaris' already runs as process" in cli.refused('endpoint', 'start', 'polaris')
    with commands(tmp_path / 'copy') as other:
        place = Home(other.root).directory('endpoints', 'polaris')
        for name in ('endpoint.key', 'relay.json', 'trusted.json', 'endpoint.yaml'):
            (place / name).touch(0o600)
            (place / name).write_bytes((cli.root / 'endpoints' / 'polaris' / name).read_bytes())
        for _ in range(2):  # its new journal begins where that of the live one began, and goes on beyond
            began = time.monotonic()
            said = other.refused('endpoint', 'start', 'polaris')
            assert 'this endpoint runs already: stop it first, or start with --take-over' in said
            assert time.monotonic() - began < SOON
    assert cli.ok('endpoint', 'stop', 'polaris'), 'the live one is not disturbed'


def test_a_store_of_a_newer_version(cli: Commands) -> None:
    cli.relay()
    cli.ok('relay', 'stop')
    with sqlite3.connect(cli.root / 'relay' / 'relay.db') as database:
        database.execute('PRAGMA user_version = 999')
    database.close()
    said = cli.refused('relay', 'start', '--bind', '127.0.0.1:0')
    assert 'relay.db' in said
    assert 'newer' in said


def test_an_account_of_another_role(cli: Commands) -> None:
    cli.ok('relay', 'start', '--bind', '127.0.0.1:0', '--detach')
    said = cli.refused('invite', 'polaris', '--role', 'endpoint')
    assert 'this takes a user' in said
    (cli.cwd / 'x.yaml').write_text(THREADS)
    said = cli.ok('endpoint', 'configure', 'x', '--endpoint-config', str(cli.cwd / 'x.yaml'))
    assert 'invite x --role endpoint' in said
    assert json.loads(cli.ok('task', 'list', '--json')) == []
