"""Too few descriptors, processes and places to write to: what cannot be done is said, and nothing else stops."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.client.executor import Executor
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Id
from tests.faults.namespaces import with_mounts
from tests.integration.commands import Commands, commands
from tests.integration.relay_site import PATIENCE, site_in, submit
from tests.integration.test_relay_failures import process

pytestmark = pytest.mark.integration
FEW = 64


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'home') as made:
        yield made


def descriptors(pid: int) -> int:
    return len(os.listdir(f'/proc/{pid}/fd'))


@pytest.mark.fault(44)
def test_a_relay_with_64_descriptors_lives_on_when_they_are_used_up_and_lets_in_whoever_comes_later(tmp_path: Path) -> None:
    site = site_in(tmp_path / 'home')
    with process(site, ['prlimit', f'--nofile={FEW}:{FEW}']) as (relay, port), site.client('ann', port) as client:
        submit(client, [site.task(1)])
        with contextlib.ExitStack() as crowd:
            for _ in range(2 * FEW):
                crowd.enter_context(socket.create_connection(('127.0.0.1', port)))
            submit(client, [site.task(2)])
            with site.client('root', port):
                assert descriptors(relay.pid) < FEW, 'a crowd that says nothing takes only some of them'
        wait_for(lambda: descriptors(relay.pid) < FEW // 2)
        resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (descriptors(relay.pid), FEW))
        with site.party('root', port) as late:
            late.say(m.Hello('client', Id(os.urandom(16))))
            submit(client, [site.task(3)])
            late.dealer.wait(0.5)
            assert late.dealer.receive() == [], 'there is none left'
            resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (FEW, FEW))
            late.one(m.Welcome)
        with site.endpoint(port) as endpoint:
            assert sum(len(each.tasks) for each in endpoint.wait(m.Dispatch, lambda found: sum(len(each.tasks) for each in found) == 3)) == 3
        assert relay.poll() is None


def wait_for(happened: object, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.fault(45)
def test_a_relay_that_can_have_no_threads_says_so(cli: Commands) -> None:
    if shutil.which('strace') is None:
        pytest.skip('needs strace')
    cli.relay()
    cli.ok('relay', 'stop')
    refuse = ['strace', '--follow-forks', '--output', '/dev/null', '--trace', 'clone,clone3', '--inject', 'clone,clone3:error=EAGAIN']
    command = [*refuse, sys.executable, '-m', 'relay_parsl', 'relay', 'start', '--bind', '127.0.0.1:0']
    done = subprocess.run(command, check=False, env=cli.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done
    assert done.stderr.startswith('error: no thread can be started here: raise the limit of processes (ulimit -u'), done.stderr


NOWHERE = [each for place in ('/tmp', '/var/tmp') for each in (['--bind', place, place], ['-o', 'remount,ro,bind', place])]
"""What is there can be read: this project may be there itself."""


@pytest.mark.slow
@pytest.mark.fault(45)
def test_without_a_tmp_to_write_to_relay_endpoint_and_client_work(cli: Commands, tmp_path: Path) -> None:
    before = with_mounts(['--bind', str(tmp_path), '/mnt'], *NOWHERE)
    environment = {**cli.environment, 'RELAY_PARSL_HOME': '/mnt/home'}
    cli.cwd.mkdir(exist_ok=True)

    def start(stack: contextlib.ExitStack, *arguments: str) -> subprocess.Popen[str]:
        command = [*before, sys.executable, '-m', 'relay_parsl', *arguments]
        started = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd='/')
        stack.enter_context(started)
        stack.callback(started.kill)
        return started

    with contextlib.ExitStack() as stack:
        relay = start(stack, 'relay', 'start', '--bind', '127.0.0.1:0', '--user', 'alice')
        assert relay.stdout is not None
        assert 'relay at' in relay.stdout.readline()
        endpoint = start(stack, 'endpoint', 'start', 'site')
        code = 'import time\nimport relay_parsl as rp\nfrom relay_parsl.home import Home\nwhile "site" not in Home.find().pins(): time.sleep(0.1)\n'
        code += 'with rp.Executor("site") as executor: print(executor.submit(pow, 2, 10).result(50))'
        done = subprocess.run(
            [*before, sys.executable, '-c', code], check=False, env=environment, capture_output=True, text=True, cwd='/', timeout=90
        )
        assert done.stdout == '1024\n', done.stderr
        for each in (endpoint, relay):
            each.terminate()
            assert each.wait(60) == 0


@pytest.mark.slow
@pytest.mark.fault(45)
def test_a_client_works_though_it_cannot_write_to_its_home(cli: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.relay()
    cli.endpoint('site')
    monkeypatch.setenv('RELAY_PARSL_HOME', str(cli.root))
    with Executor('site') as executor:
        assert executor.submit(pow, 2, 10).result(60) == 1024
    before = with_mounts(['--bind', str(cli.root), str(cli.root)], ['-o', 'remount,ro,bind', str(cli.root)])
    code = 'import relay_parsl as rp\nwith rp.Executor("site") as executor: print(executor.submit(pow, 2, 10).result(50))'
    done = subprocess.run([*before, sys.executable, '-c', code], check=False, env=cli.environment, capture_output=True, text=True, timeout=90)
    assert done.stdout == '1024\n', done.stderr
