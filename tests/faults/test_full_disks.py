"""Small disks that are filled to the last byte, under a relay and under an endpoint."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from relay_parsl.client.executor import Executor
from relay_parsl.home import Home
from relay_parsl.wire import messages as m
from tests.faults.namespaces import fill, seen_by, small_disk, with_mounts
from tests.integration.commands import THREADS, commands, until
from tests.integration.relay_site import FUNCTION, GRANT, Party, Site, an_id, leases, site_in
from tests.integration.test_relay_failures import process

pytestmark = [pytest.mark.integration]
LARGE = bytes(200_000)
T = TypeVar('T')
CONFIGURE_AND_START = '"$0" -m relay_parsl endpoint configure site --endpoint-config "$1" >&2 && exec "$0" -m relay_parsl endpoint start site'


@contextmanager
def relay_on_a_small_disk(tmp_path: Path, size: str) -> Iterator[tuple[Site, int, Path]]:
    """The site, its port, and where its disk is seen."""
    disk = tmp_path / 'disk'
    site = site_in(disk / 'home')
    with process(site, with_mounts(small_disk(disk, size))) as (relay, port):
        there = seen_by(relay.pid, disk)
        yield Site(Home(there / 'home'), site.people), port, there
        assert relay.poll() is None, 'it lives on'


def answers(client: Party, *tasks: m.Task) -> list[str]:
    """What becomes of each: `accepted`, or the code of its refusal; says Hello again where the relay wants it."""
    end = time.monotonic() + 30
    said: dict[m.Id, str] = {}
    client.say(m.Objects((GRANT, FUNCTION)), m.Submit(tasks))
    while len(said) < len(tasks):
        assert time.monotonic() < end, said
        client.say(m.Ping())  # who says nothing is told nothing
        client.dealer.wait(0.2)
        for message in client.dealer.receive():
            if isinstance(message, m.Goodbye):
                client.say(m.Hello('client', an_id(77)))
            elif isinstance(message, m.Welcome):
                client.say(m.Objects((GRANT, FUNCTION)), m.Submit(tasks))
            elif isinstance(message, m.Accepted):
                said.update(dict.fromkeys(message.ids, 'accepted'))
            elif isinstance(message, m.Rejected):
                said.update({each.task_id: each.code for each in message.tasks})
            elif isinstance(message, m.Ping):
                client.say(m.Pong())
    return list(said.values())


def by_and_by(question: Callable[[], T], answer: T, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while (found := question()) != answer:
        assert time.monotonic() < end, found
        time.sleep(0.2)


@pytest.mark.fault(35)
def test_a_relay_that_filled_its_disk_refuses_tasks_takes_results_and_makes_room_by_itself(tmp_path: Path) -> None:
    with relay_on_a_small_disk(tmp_path, '48m') as (site, port, _), site.client('ann', port) as client, site.endpoint(port) as endpoint:
        client.say(m.Follow(groups=(an_id(0),)))
        number = 0
        while answers(client, site.task(number := number + 1, LARGE)) == ['accepted']:
            assert number < 400, 'the disk has no end'
        assert answers(client, site.task(1, LARGE), site.task(9999)) == ['accepted', 'full'], 'what it has it knows; anything new is refused'
        done = leases(endpoint, number - 1)
        for start in range(0, len(done), 20):
            endpoint.say(m.Results(tuple([site.result(each, bytes(100_000)) for each in done[start : start + 20]])))
        endpoint.wait(m.Recorded, lambda found: sum(len(each.tasks) for each in found) == number - 1)
        client.say(m.Received(tuple([an_id(each) for each in range(1, number)])))
        by_and_by(lambda: answers(client, site.task(10_000)), ['accepted'])


@pytest.mark.slow
@pytest.mark.fault(35)
def test_on_a_disk_without_a_byte_left_nothing_is_acknowledged_and_nothing_lost(tmp_path: Path) -> None:
    with relay_on_a_small_disk(tmp_path, '24m') as (site, port, disk), site.client('ann', port) as client:
        assert answers(client, site.task(1)) == ['accepted']
        ballast = fill(disk)
        assert set(answers(client, *[site.task(number, LARGE) for number in range(2, 40)])) == {'full'}
        ballast.unlink()
        by_and_by(lambda: answers(client, site.task(2, LARGE), site.task(1)), ['accepted', 'accepted'])


CLIENT = """
import time
import relay_parsl as rp
with rp.Executor('site') as executor:
    assert executor.submit(abs, -1).result(60) == 1
    print('works', flush=True)
    input()
    futures = [executor.submit(abs, -number) for number in range(20)]
    while 'disk is full' not in futures[-1].detail.get('why', ''):
        time.sleep(0.05)
    assert not any(future.done() for future in futures)
    print('waits', flush=True)
    print([future.result(90) for future in futures] == list(range(20)), flush=True)
"""


@pytest.mark.slow
@pytest.mark.fault(35)
def test_what_a_full_relay_does_not_take_waits_in_its_client(tmp_path: Path) -> None:
    """The client is a process of its own, too: its tasks wait, and none of its futures fails."""
    start = [sys.executable, '-m', 'relay_parsl', 'relay', 'start', '--bind', '127.0.0.1:0', '--user', 'alice']
    with commands(tmp_path / 'home') as cli, commands(tmp_path / 'cluster') as cluster, ExitStack() as stack:
        disk = cli.root
        relay = stack.enter_context(subprocess.Popen([*with_mounts(small_disk(disk, '64m')), *start], env=cli.environment, cwd=cli.cwd))
        stack.callback(relay.kill)
        until(lambda: list(seen_by(relay.pid, disk).glob('relays/*.json')))
        there = seen_by(relay.pid, disk)
        cli.environment['RELAY_PARSL_HOME'] = str(there)
        cluster.ok('join', cli.ok('invite', 'site', '--role', 'endpoint', '--credentials', 'alice').strip())
        cluster.endpoint('site')
        cli.ok('account', 'list', '--credentials', 'alice')  # confirms the endpoint
        client = stack.enter_context(
            subprocess.Popen(
                [sys.executable, '-c', CLIENT], env=cli.environment, cwd=cli.cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
        stack.callback(client.kill)
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == 'works\n'
        ballast = fill(there, leave=2 << 20)
        by_and_by(lambda: json.loads(cli.ok('relay', 'status', '--json'))['full'], True)
        client.stdin.write('\n')
        client.stdin.flush()
        assert client.stdout.readline() == 'waits\n'
        ballast.unlink()
        assert client.stdout.readline() == 'True\n'
        assert client.wait(60) == 0
        cluster.ok('endpoint', 'stop', 'site')


def held_until(go: str, path: str, number: int) -> int:
    """A thread of the endpoint's: it says where it is, and goes on once a file is there."""
    import os
    import time

    for word in ('begins', 'ends'):
        with open(path, 'a') as file:
            file.write(f'{number} {word}\n')
        while not os.path.exists(go):
            time.sleep(0.05)
    return number


def note(path: str, number: int) -> int:
    with open(path, 'a') as file:
        file.write(f'{number}\n')
    return number


@pytest.mark.slow
@pytest.mark.fault(36)
def test_an_endpoint_on_a_full_disk_starts_nothing_that_it_could_not_remember_and_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with commands(tmp_path / 'home') as cli, ExitStack() as stack:
        cli.relay()
        (cli.cwd / 'site.yaml').write_text(THREADS.replace('max_workers: 2', 'max_workers: 8'))
        disk = cli.root / 'endpoints'
        command = [*with_mounts(small_disk(disk, '8m')), 'sh', '-c', CONFIGURE_AND_START, sys.executable, str(cli.cwd / 'site.yaml')]
        said = stack.enter_context((tmp_path / 'said').open('w'))
        endpoint = stack.enter_context(subprocess.Popen(command, env=cli.environment, cwd=cli.cwd, stderr=said))
        stack.callback(endpoint.kill)
        monkeypatch.setenv('RELAY_PARSL_HOME', str(cli.root))
        done = str(tmp_path / 'done')
        until(lambda: 'site' in Home(cli.root).pins())
        with Executor('site') as executor:
            assert executor.submit(note, done, 0).result(60) == 0
            works = executor.submit(held_until, str(tmp_path / 'go'), done, 100)
            until(lambda: '100 begins\n' in Path(done).read_text())
            there = seen_by(endpoint.pid, disk)
            ballast = fill(there)
            once = [executor.with_options(at_most_once=True).submit(note, done, number) for number in range(1, 6)]
            executor.flush(30)
            until(lambda: 'waits until it can write again' in (tmp_path / 'said').read_text())
            more = [executor.submit(note, done, number) for number in range(6, 10)]
            executor.flush(30)
            (tmp_path / 'go').touch()
            until(lambda: '100 ends\n' in Path(done).read_text())
            time.sleep(2.0)  # several tries of its journal
            assert not any(each.done() for each in [*once, *more, works])
            assert Path(done).read_text() == '0\n100 begins\n100 ends\n', 'there are workers, and it has them do nothing'
            ballast.unlink()
            assert works.result(60) == 100
            assert [each.result(60) for each in [*once, *more]] == list(range(1, 10))
        assert sorted(Path(done).read_text().split('\n')[3:-1]) == list('123456789')
        endpoint.terminate()
        assert endpoint.wait(60) == 0


@pytest.mark.slow
@pytest.mark.fault(36)
def test_an_endpoint_that_is_started_on_a_full_disk_ends_with_a_code_that_systemd_restarts(tmp_path: Path) -> None:
    with commands(tmp_path / 'home') as cli:
        cli.relay()
        (cli.cwd / 'site.yaml').write_text(THREADS)
        disk = cli.root / 'endpoints'
        script = CONFIGURE_AND_START.replace('&& exec', f'&& {{ cat /dev/zero >{disk}/ballast 2>/dev/null; exec') + '; }'
        command = [*with_mounts(small_disk(disk, '8m')), 'sh', '-c', script, sys.executable, str(cli.cwd / 'site.yaml')]
        done = subprocess.run(command, check=False, env=cli.environment, cwd=cli.cwd, capture_output=True, text=True, timeout=60)
        assert (done.returncode, 'No space left on device' in done.stderr) == (1, True), done
