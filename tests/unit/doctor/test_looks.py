"""What the doctor sees in a home and on this host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay_parsl.cli.main import main
from relay_parsl.daemon import Process
from relay_parsl.doctor import looks
from relay_parsl.doctor import round as rounds
from relay_parsl.home import Credentials, Home
from relay_parsl.home.audit import AuditLog
from relay_parsl.relay.sqlite import SqliteStore

NOW = 1_800_000_000.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A relay, an account and an endpoint, none of which runs."""
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    home = Home(tmp_path / 'home')
    relay, polaris = home.directory('relay'), home.directory('endpoints', 'polaris')
    Credentials.create('relay', 'relay', now=NOW, lifetime=1e9).save(relay / 'relay.key')
    Credentials.create('ann', 'user', now=NOW, lifetime=1e9).save(home.credentials_path('ann'))
    SqliteStore(relay / 'relay.db').close()
    log = AuditLog(relay / 'audit.log', Credentials.load(relay / 'relay.key').keys)
    log.write(NOW, 'start', {})
    log.close()
    (polaris / 'endpoint.yaml').write_text(
        'engine:\n  worker_init: |\n    export API_TOKEN=kJ8s2Lq9ZxW4vN7bT1yR5cMd\n    export TOKEN_FILE=$HOME/.token\n'
    )
    (polaris / 'endpoint.yaml').chmod(0o600)
    return home


def doctor(*arguments: str) -> tuple[int, list[dict[str, str]]]:
    result = CliRunner().invoke(main, ['doctor', '--offline', '--json', *arguments])
    return result.exit_code, json.loads(result.stdout)


def bad(check: str) -> list[str]:
    return [each['seen'] for each in doctor()[1] if each['verdict'] != 'ok' and each['check'] == check]


def test_a_home_as_it_should_be_has_no_fault(home: Home) -> None:
    code, found = doctor()
    assert code == 0, found
    assert {'files', 'keys', 'disk', 'limits', 'audit', 'store', 'versions'} <= {each['check'] for each in found}


@pytest.mark.attack(27)
def test_modes_links_and_damaged_keys_are_seen_and_the_exit_code_tells(home: Home) -> None:
    key = home.root / 'accounts' / 'ann.key'
    key.chmod(0o644)
    (home.root / 'relay').chmod(0o755)
    (home.root / 'accounts' / 'bob.key').symlink_to(key)
    code, found = doctor()
    assert code == 1
    mends = [each['mend'] for each in found if each['check'] == 'files' and each['verdict'] == 'fault']
    assert {f'chmod 600 {key}', f'chmod 700 {home.root / "relay"}', 'put the file itself there'} <= set(mends)
    assert any('ann.key' in seen for seen in bad('keys'))


def test_a_line_that_was_changed_and_a_page_that_was_overwritten_are_seen(home: Home) -> None:
    log = home.root / 'relay' / 'audit.log'
    log.write_text(log.read_text().replace('start', 'stop!'))
    database = home.root / 'relay' / 'relay.db'
    with database.open('r+b') as file:
        file.seek(8192 * 2)
        file.write(b'\xff' * 8192)
    assert bad('audit') == [
        'relay: audit.log, line 1: its hash is that of other words',
        'relay: audit.log: line number 1 is another one than the head has signed: the log was written anew',
    ]
    assert bad('store')


def test_a_store_that_is_in_use_is_left_alone(home: Home) -> None:
    store = SqliteStore(home.root / 'relay' / 'relay.db')
    try:
        [checked] = looks.stores(home)
        assert 'in use' in checked.note
        store.begin()
        store.start()
        store.commit()
    finally:
        store.close()


def test_a_process_that_ended_without_a_word_and_what_it_left_are_seen(home: Home) -> None:
    place = home.root / 'endpoints' / 'polaris'
    current = Process.current()
    (place / 'endpoint.pid').write_text(json.dumps({'host': current.host, 'pid': current.pid, 'created': current.created - 1000}))
    (place / 'endpoint.pid').chmod(0o600)
    child = subprocess.Popen([sys.executable, '-c', 'input()', f'{place}/runs/default/0'], stdin=subprocess.PIPE)
    try:
        assert ['ended without a word' in seen for seen in bad('processes')] == [True]
        assert [f'process {child.pid} is of' in seen for seen in bad('leftovers')] == [True]
    finally:
        child.communicate(b'\n')


def test_what_looks_like_a_secret_in_an_endpoint_file_is_told_by_its_line(home: Home) -> None:
    [found] = looks.secrets(home)
    assert (found.line, found.key) == (3, 'API_TOKEN')


def test_a_look_that_hangs_delays_nothing_else(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def hangs(_home: Home) -> list[object]:
        never.wait(30)
        return []

    monkeypatch.setattr(looks, 'disks', hangs)
    facts = rounds.gather(home, offline=True, patience=1.5)
    never.set()
    assert facts.late == ['disks']
    assert facts.keys


def test_filesystems_of_this_host_are_known() -> None:
    if not Path('/proc/self/mountinfo').exists():
        pytest.skip('this system has no table of mounts')
    assert looks.filesystems()[-1][0] == Path('/')
    assert looks.limits().files > 0
    before = os.umask(0o027)
    try:
        assert looks.limits().umask == 0o027
        assert os.umask(0o027) == 0o027, 'it is left as it was'
    finally:
        os.umask(before)
