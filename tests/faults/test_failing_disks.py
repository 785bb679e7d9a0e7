"""A disk that fails under a relay and under an endpoint: `strace` has the system call return EIO, or no file may grow."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from relay_parsl.client.executor import Executor
from relay_parsl.endpoint.journal import SqliteJournal
from relay_parsl.endpoint.ledger import Kept
from relay_parsl.errors import StoreError, TaskLost
from relay_parsl.home import Home
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Id
from tests.integration.commands import THREADS, commands, until
from tests.integration.hand_relay import Site as Hand
from tests.integration.hand_relay import site_in as hand_in
from tests.integration.relay_site import FUNCTION, GRANT, PATIENCE, Party, Site, an_id, site_in, submit
from tests.integration.test_relay_failures import process
from tests.integration.test_spine import free_port

pytestmark = [pytest.mark.integration, pytest.mark.fault(37)]


@contextlib.contextmanager
def failing(pid: int, calls: str) -> Iterator[None]:
    """From here on these system calls of a process return EIO. Skips the test where nobody may trace."""
    if shutil.which('strace') is None:
        pytest.skip('needs strace')
    command = ['strace', '--follow-forks', '--output', '/dev/null', '--trace', calls, '--inject', f'{calls}:error=EIO', '--attach', str(pid)]
    strace = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        if 'attached' not in said:
            pytest.skip(f'strace: {said.strip()}')
        until_traced(pid, strace.pid)
        yield
    finally:
        strace.kill()
        strace.communicate(timeout=PATIENCE)


def until_traced(pid: int, tracer: int) -> None:
    """All threads of it."""
    end = time.monotonic() + PATIENCE
    while any(f'TracerPid:\t{tracer}\n' not in each.read_text() for each in Path(f'/proc/{pid}/task').glob('*/status')):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_after_a_failed_sync_the_relay_acknowledges_nothing_more_and_ends(tmp_path: Path) -> None:
    site: Site = site_in(tmp_path / 'home')
    with process(site) as (relay, port), site.client('ann', port) as client:
        submit(client, [site.task(1)])
        with failing(relay.pid, 'fdatasync,fsync'):
            client.say(m.Submit((site.task(2),)))
            assert relay.wait(PATIENCE) == 1
        client.dealer.wait(0.2)
        assert not [each for each in client.dealer.receive() if isinstance(each, m.Accepted)]
    with process(site) as (_, port), site.client('ann', port) as client:
        client.say(m.Objects((GRANT, FUNCTION)), m.Submit((site.task(1), site.task(2))))
        accepted = client.wait(m.Accepted, lambda found: sum(len(each.ids) for each in found) >= 2)
        assert {each for message in accepted for each in message.ids} == {an_id(1), an_id(2)}


def pieces(client: Party, body: bytes, offers: m.Submit) -> list[m.Segment]:
    """What the relay asks for of a body that is offered, until it has asked for all of it."""

    def asked(found: list[m.Fetch]) -> bool:
        if not found:
            client.say(offers)
        return sum(each.length for each in found) >= len(body)

    fetches = client.wait(m.Fetch, asked)
    return [
        m.Segment(each.task_id, each.attempt, each.direction, each.offset, len(body), m.Body(body[each.offset : each.offset + each.length]))
        for each in fetches
    ]


def test_large_arguments_whose_sync_failed_are_not_acknowledged_and_are_fetched_anew(tmp_path: Path) -> None:
    """They are files of the spool: their `fsync` fails, and the `fdatasync` of the store does not."""
    site, body = site_in(tmp_path / 'home'), os.urandom(1 << 20)
    offers = m.Submit((site.task(1, body=len(body)),))
    with process(site) as (relay, port), site.client('ann', port) as client:
        client.say(m.Objects((GRANT, FUNCTION)))
        sealed = pieces(client, body, offers)
        with failing(relay.pid, 'fsync'):
            client.say(*sealed)
            again = pieces(client, body, offers)
        assert {each.offset for each in again} == {each.offset for each in sealed}
        assert [each for each in client.inbox if isinstance(each, m.Accepted)] == []
        assert relay.poll() is None, 'a body that is not on the disk ends nothing but its own offer'
        client.say(*again)
        assert client.one(m.Accepted).ids == (an_id(1),)


JOURNAL = """
import sys
from pathlib import Path
from relay_parsl.client.executor import Executor
from relay_parsl.endpoint.journal import SqliteJournal
from relay_parsl.endpoint.ledger import Kept
from relay_parsl.errors import StoreError
from relay_parsl.wire.messages import Id
journal = SqliteJournal(Path(sys.argv[1]))
for line in sys.stdin:
    try:
        journal.begin()
        journal.keep(Kept(Id(bytes([int(line)]) * 16), 1, b'header', b'result'))
        journal.commit()
        print('kept', flush=True)
    except StoreError as error:
        journal.rollback()
        print('broken' if journal.broken else 'full', error, flush=True)
"""


def test_a_journal_whose_sync_failed_says_that_it_is_broken_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / 'journal.db'
    command = [sys.executable, '-c', JOURNAL, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def keep(number: int) -> str:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(f'{number}\n')
            child.stdin.flush()
            return child.stdout.readline()

        assert keep(1) == 'kept\n'
        with failing(child.pid, 'fdatasync,fsync'):
            assert keep(2).startswith('broken')
        child.stdin.close()
    journal = SqliteJournal(path)
    assert Kept(Id(b'\x01' * 16), 1, b'header', b'result') in journal.results()
    journal.close()


def test_commands_whose_disk_fails_end_with_a_code_that_systemd_restarts_and_start_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    no_byte = (0, resource.RLIM_INFINITY)  # no file takes a byte more, and SQLite calls that an I/O error
    with commands(tmp_path / 'home') as cli, ExitStack() as stack:
        port = free_port()

        def serve(*words: str) -> subprocess.Popen[str]:
            party = stack.enter_context(cli.start(*words))
            stack.callback(party.kill)
            return party

        def relay() -> subprocess.Popen[str]:
            return serve('relay', 'start', '--bind', f'127.0.0.1:{port}', '--user', 'alice')

        first = relay()
        until(lambda: list(Home(cli.root).relays()))
        cli.ok('endpoint', 'configure', 'one', '--endpoint-config', str(threads(cli.cwd)))
        endpoint = serve('endpoint', 'start', 'one')
        executor = stack.enter_context(Executor('one'))
        assert executor.submit(abs, -1).result(60) == 1
        resource.prlimit(endpoint.pid, resource.RLIMIT_FSIZE, no_byte)
        once = executor.with_options(at_most_once=True).submit(abs, -2)
        assert endpoint.wait(PATIENCE) == 1
        serve('endpoint', 'start', 'one')
        with pytest.raises(TaskLost):  # the relay cannot know that it had not begun
            once.result(60)
        resource.prlimit(first.pid, resource.RLIMIT_FSIZE, no_byte)
        late = executor.submit(abs, -3)
        assert first.wait(PATIENCE) == 1
        relay()
        assert late.result(60) == 3


def threads(directory: Path) -> Path:
    file = directory / 'one.yaml'
    file.write_text(THREADS)
    return file


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    with hand_in(tmp_path / 'home') as made:
        yield made


def double(number: int) -> int:
    return 2 * number


def test_an_endpoint_whose_disk_fails_ends_and_starts_nothing_that_is_not_written(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    def commit(journal: SqliteJournal) -> None:
        if journal._database.in_transaction:
            with journal._errors():
                raise sqlite3.OperationalError('disk I/O error')
        original(journal)

    original = SqliteJournal.commit
    party = hand.serve()
    monkeypatch.setattr(SqliteJournal, 'commit', commit)
    hand.give(double, 21, at_most_once=True)
    with pytest.raises(StoreError, match='disk I/O error'):
        party.end()
    assert hand.engine.works == []
