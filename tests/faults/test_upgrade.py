"""This version beside the one before it, in real processes: every pair of them, an upgrade in every order under load, and the way back."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.rig import Site, until

pytestmark = [pytest.mark.integration, pytest.mark.fault(46)]

PARTIES = ('relay', 'endpoint', 'client')
CLIENT = """
import os, sys, time
import relay_parsl as rp

record, first, count, until_there = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

def note(path, number):
    import os
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, b'%d\\n' % number)
    os.close(handle)
    return number * number

with rp.Executor('one') as executor:
    futures, number = {}, first
    while number < first + count or not os.path.exists(until_there):
        futures[number] = executor.submit(note, record, number)
        number += 1
        if number >= first + count:
            time.sleep(0.02)
    for each, future in futures.items():
        assert future.result(60) == each * each
    print(len(futures))
"""


class Versions:
    """A site whose parties are of one version or the other."""

    def __init__(self, site: Site, before: Path) -> None:
        self.site, self._before = site, before
        (site.cli.cwd / 'client.py').write_text(CLIENT)
        self.stop_file = site.cli.cwd / 'enough'

    @contextmanager
    def version(self, *, old: bool) -> Iterator[None]:
        """What is started inside is of this version."""
        if old:
            self.site.cli.environment['PYTHONPATH'] = str(self._before)
        try:
            yield
        finally:
            self.site.cli.environment.pop('PYTHONPATH', None)

    def start(self, party: str, *, old: bool) -> None:
        with self.version(old=old):
            self.site.start('one' if party == 'endpoint' else party)

    def configure(self, *, old: bool) -> None:
        with self.version(old=old):
            self.site.configure('one')

    def restart(self, party: str, *, old: bool) -> None:
        self.site.running.pop('one' if party == 'endpoint' else party).stop()
        self.start(party, old=old)

    def client(self, first: int, count: int, *, old: bool, until_there: Path | None = None) -> subprocess.Popen[str]:
        """Submits so many tasks, and more until a file is there."""
        words = [str(self.site.record), str(first), str(count), str(until_there or self.site.cli.cwd)]
        with self.version(old=old):
            return subprocess.Popen(
                [sys.executable, 'client.py', *words],
                env=self.site.cli.environment,
                cwd=self.site.cli.cwd,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )


@pytest.fixture
def versions(site: Site, before: Path) -> Versions:
    return Versions(site, before)


def finished(client: subprocess.Popen[str]) -> int:
    """How many results it got, all of them right."""
    try:
        out, err = client.communicate(timeout=90)
    finally:
        with suppress(OSError):
            client.kill()
    assert client.returncode == 0, err
    return int(out)


MIXED = [each for each in itertools.product((False, True), repeat=3) if len(set(each)) == 2]
QUICK = [(False, True, True), (True, False, False)]


@pytest.mark.parametrize(
    'old',
    [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in MIXED],
    ids=lambda old: '-'.join(('old' if each else 'new') + party for each, party in zip(old, PARTIES)),
)
def test_each_version_works_with_the_other(versions: Versions, old: tuple[bool, bool, bool]) -> None:
    """Relay, endpoint, client: which of them is of the version before."""
    relay, endpoint, client = old
    versions.start('relay', old=relay)
    versions.configure(old=endpoint)
    versions.start('endpoint', old=endpoint)
    assert finished(versions.client(0, 50, old=client)) == 50
    assert set(versions.site.runs().values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize('order', list(itertools.permutations(PARTIES)), ids='-'.join)
def test_an_upgrade_under_load_loses_nothing(versions: Versions, order: tuple[str, ...]) -> None:
    versions.start('relay', old=True)
    versions.configure(old=True)
    versions.start('endpoint', old=True)
    clients = [versions.client(0, 100, old=True, until_there=versions.stop_file)]
    until(lambda: len(versions.site.runs()) > 50)
    for party in order:
        seen = len(versions.site.runs())
        if party == 'client':
            clients.append(versions.client(1_000_000, 100, old=False, until_there=versions.stop_file))
        else:
            versions.restart(party, old=False)
        until(lambda seen=seen: len(versions.site.runs()) > seen + 20)
    versions.stop_file.touch()
    counts = [finished(each) for each in clients]
    assert sum(counts) == len(versions.site.runs())
    assert (versions.site.home.root / 'relay' / 'relay.db.2').exists(), 'the store as it was'


def test_the_version_before_refuses_the_store_of_this_one_and_goes_on_with_the_one_that_was_kept(versions: Versions) -> None:
    cli, relay = versions.site.cli, versions.site.home.root / 'relay'
    versions.start('relay', old=True)
    versions.configure(old=True)
    versions.start('endpoint', old=True)
    finished(versions.client(0, 20, old=True))
    versions.site.running.pop('one').stop()
    versions.site.running.pop('relay').stop()
    assert 'from version 2 to 4' in cli.ok('relay', 'migrate')
    assert 'already' in cli.ok('relay', 'migrate')
    kept = (relay / 'relay.db').read_bytes()
    with versions.version(old=True):
        refused = cli.run('relay', 'start', '--bind', '127.0.0.1:0')
    assert refused.returncode != 0
    assert 'newer relay-parsl' in refused.stderr
    assert 'store version 4' in refused.stderr
    assert (relay / 'relay.db').read_bytes() == kept
    (relay / 'relay.db.2').replace(relay / 'relay.db')
    versions.start('relay', old=True)
    versions.start('endpoint', old=True)
    assert finished(versions.client(100, 20, old=True)) == 20
    with versions.version(old=True):
        assert cli.ok('task', 'list').count('success') == 40
