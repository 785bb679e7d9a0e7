"""Stores and journals that are gone, read-only, or somebody else's: who finds that says so, and begins nothing anew."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.endpoint.journal import SqliteJournal
from relay_parsl.errors import StoreError
from relay_parsl.relay.server import RelayServer
from relay_parsl.relay.sqlite import SqliteStore
from relay_parsl.wire.messages import Goodbye
from tests.faults.namespaces import with_mounts
from tests.integration import hand_relay, relay_site
from tests.integration.commands import Commands, commands

pytestmark = [pytest.mark.integration, pytest.mark.fault(40)]
START = ('relay', 'start', '--bind', '127.0.0.1:0')
NOBODY = 65534


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'home') as made:
        yield made


def run_with(cli: Commands, mounts: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*mounts, sys.executable, '-m', 'relay_parsl', *arguments]
    return subprocess.run(command, check=False, env=cli.environment, capture_output=True, text=True, timeout=60, cwd=cli.cwd)


def read_only(path: Path) -> list[str]:
    return with_mounts(['--bind', str(path), str(path)], ['-o', 'remount,ro,bind', str(path)])


def test_a_relay_whose_store_is_gone_does_not_begin_anew(tmp_path: Path) -> None:
    site = relay_site.site_in(tmp_path / 'home')
    with site.serving():
        pass
    store = site.home.root / 'relay' / 'relay.db'
    store.rename(tmp_path / 'kept')
    with pytest.raises(StoreError, match=r'relay\.db is gone'):
        RelayServer(site.home, relay_site.LOOPBACK).start()
    assert not store.exists()
    (tmp_path / 'kept').rename(store)
    with site.serving():
        pass


def test_an_endpoint_whose_journal_is_gone_does_not_begin_anew(tmp_path: Path) -> None:
    with hand_relay.site_in(tmp_path / 'home') as site:
        party = site.serve()
        site.relay.say(Goodbye('superseded'))
        party.end()
        (site.place / 'journal.db').unlink()
        with pytest.raises(StoreError, match=r'journal\.db is gone.*delete the endpoint'):
            site.begin().end()


@pytest.mark.slow
@pytest.mark.fault(45)
def test_a_home_that_cannot_be_written_is_named(cli: Commands) -> None:
    cli.relay()
    cli.endpoint('site')
    cli.ok('endpoint', 'stop', 'site')
    cli.ok('relay', 'stop')
    for arguments in (START, ('endpoint', 'start', 'site')):
        done = run_with(cli, read_only(cli.root), *arguments)
        assert done.returncode == 2, done
        assert 'Read-only file system' in done.stderr
        assert 'Traceback' not in done.stderr


@pytest.mark.parametrize(('name', 'kind'), [('relay.db', SqliteStore), ('journal.db', SqliteJournal)])
def test_what_only_can_be_read_is_not_opened(tmp_path: Path, name: str, kind: type[SqliteStore] | type[SqliteJournal]) -> None:
    place = tmp_path / 'place'
    place.mkdir()
    kind(place / name).close()
    code = f'from {kind.__module__} import {kind.__name__}\nfrom pathlib import Path\n{kind.__name__}(Path({str(place / name)!r}))'
    done = subprocess.run([*read_only(place), sys.executable, '-c', code], check=False, capture_output=True, text=True)
    assert 'StoreError' in done.stderr.splitlines()[-1]
    assert 'Read-only file system' in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason='only root gives files away')
@pytest.mark.parametrize(('name', 'kind'), [('relay.db', SqliteStore), ('journal.db', SqliteJournal)])
def test_what_belongs_to_another_is_not_opened(tmp_path: Path, name: str, kind: type[SqliteStore] | type[SqliteJournal]) -> None:
    kind(tmp_path / name).close()
    os.chown(tmp_path / name, NOBODY, NOBODY)
    with pytest.raises(StoreError, match=f'belongs to another user .uid {NOBODY}.'):
        kind(tmp_path / name)
