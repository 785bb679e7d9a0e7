"""Somebody has laid a link in the place of a file that will be made: what it leads to is not written to, and not made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from relay_parsl import daemon
from relay_parsl.endpoint.journal import SqliteJournal
from relay_parsl.errors import HomeError, StoreError
from relay_parsl.home import Home, Pin
from relay_parsl.home.audit import AuditLog
from relay_parsl.home.files import write_private
from relay_parsl.metrics import Publisher
from relay_parsl.metrics.text import gauge
from relay_parsl.relay import archive
from relay_parsl.relay.sqlite import SqliteStore
from relay_parsl.spool import Spool
from relay_parsl.wire.seal import Keys

KEYS = Keys.generate()


def audit(path: Path) -> None:
    log = AuditLog(path.with_suffix('.log'), KEYS)
    log.write(0.0, 'start', {})
    log.close()


def lock(path: Path) -> None:
    Home(path.parent).pin(Pin('name', KEYS.identity_public, 'user'))


def packed(path: Path) -> None:
    source = path.parent / 'snapshot'
    source.mkdir()
    archive.pack(source, path.with_suffix(''), archive.Manifest('1', 0.0, 1, 0, {}), None, ())


def published(path: Path) -> None:
    Publisher(path).publish([gauge('up', 'Whether it is.', 1.0)])


MADE: dict[str, tuple[str, Callable[[Path], object]]] = {
    'log of a detached process': ('relay.log', lambda path: daemon.detach(['--version'], path, 30.0)),
    'audit log': ('audit.log', audit),
    'head of an audit log': ('audit.head', audit),
    'store of a relay': ('relay.db', lambda path: SqliteStore(path).close()),
    'journal of an endpoint': ('journal.db', lambda path: SqliteJournal(path).close()),
    'lock of a home': ('.lock', lock),
    'private file': ('keys', lambda path: write_private(path, b'mine')),
    'spooled body': (f'{"00" * 16}.1.task', lambda path: Spool(path.parent).write((bytes(16), 1, 'task'), 0, b'mine')),
    'part of an archive': ('copy.part', packed),
    'metrics': ('relay.prom', published),
}


@pytest.mark.attack(33)
@pytest.mark.parametrize('there', [True, False], ids=['to a file', 'to nothing'])
@pytest.mark.parametrize('name', MADE)
def test_what_a_link_leads_to_is_neither_written_to_nor_made(name: str, there: bool, tmp_path: Path) -> None:
    directory, target = tmp_path / 'home', tmp_path / 'precious'
    directory.mkdir(mode=0o700)
    if there:
        target.write_bytes(b'precious')
    file, make = MADE[name]
    (directory / file).symlink_to(target)
    with suppress(OSError, StoreError, HomeError):
        make(directory / file)
    assert (target.read_bytes() if target.exists() else None) == (b'precious' if there else None)


@pytest.mark.parametrize('name', MADE)
def test_without_the_link_it_is_made(name: str, tmp_path: Path) -> None:
    """Else the test above would see nothing."""
    (tmp_path / 'home').mkdir(mode=0o700)
    file, make = MADE[name]
    with suppress(Exception if file == 'relay.log' else ()):
        make(tmp_path / 'home' / file)
    assert (tmp_path / 'home' / file).exists() or (tmp_path / 'home' / file.removesuffix('.part')).exists()
