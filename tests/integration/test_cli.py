"""The command line from the first start to the last stop."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.commands import THREADS, Commands, commands, until

pytestmark = pytest.mark.integration

SCRIPT = """
import relay_parsl as rp
with rp.Executor({name!r}) as executor:
    print(executor.submit(divmod, 17, 5).result(timeout=30))
"""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'home') as made:
        yield made


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'cluster') as made:
        yield made


def pid_of(file: Path) -> int:
    return int(json.loads(file.read_text())['pid'])


def test_who_has_finished_is_not_counted_as_connected(cli: Commands) -> None:
    cli.relay()
    cli.endpoint('laptop')
    cli.ok('task', 'list')
    assert 'no endpoint' in cli.refused('task', 'list', '--endpoint', 'unknown')
    done = cli.python(SCRIPT.format(name='laptop'))
    assert done.stdout == '(3, 2)\n', done.stderr
    deadline = time.monotonic() + 20  # a goodbye is on its way when its process has ended; without one it would be 30 s
    while json.loads(cli.ok('relay', 'status', '--json'))['clients'] != 1:
        assert time.monotonic() < deadline, 'more than the one who asks'


def test_two_commands_and_a_script(cli: Commands) -> None:
    said = cli.relay()
    assert 'relay-parsl endpoint start NAME --detach' in said
    cli.endpoint('laptop')
    done = cli.python(SCRIPT.format(name='laptop'))
    assert done.stdout == '(3, 2)\n', done.stderr

    assert json.loads(cli.ok('endpoint', 'list', '--json'))[0]['status'] == 'running'
    shown = json.loads(cli.ok('endpoint', 'show', 'laptop', '--json'))
    assert (shown['online'], shown['trusts']) == (True, ['alice'])
    assert json.loads(cli.ok('relay', 'status', '--json'))['endpoints'] == 1
    tasks = json.loads(cli.ok('task', 'list', '--endpoint', 'laptop', '--json'))
    assert [task['state'] for task in tasks] == ['success']
    assert cli.ok('task', 'list').count('\n') == 2
    names = {row['name']: row for row in json.loads(cli.ok('account', 'list', '--json'))}
    assert names['laptop']['confirmed'] is True
    assert 'laptop' in cli.ok('endpoint', 'logs', 'laptop')

    assert 'stopped' in cli.ok('endpoint', 'stop', 'laptop')
    assert 'relay stopped' in cli.ok('relay', 'stop')
    until(lambda: not cli.processes())
    assert json.loads(cli.ok('endpoint', 'list', '--json'))[0]['status'] == 'configured'


def test_tasks_wait_for_an_endpoint_and_can_be_cancelled(cli: Commands) -> None:
    cli.relay()
    (cli.cwd / 'x.yaml').write_text(THREADS)
    cli.ok('endpoint', 'configure', 'x', '--endpoint-config', str(cli.cwd / 'x.yaml'))
    done = cli.python(
        'import relay_parsl as rp; executor = rp.Executor("x"); future = executor.submit(pow, 2, 3); future.accepted(30); print(future.task_id)\n'
        'executor.shutdown(wait=False)'
    )
    task_id = done.stdout.strip()
    assert task_id, done.stderr
    assert json.loads(cli.ok('task', 'list', '--state', 'waiting-for-ep', '--json'))[0]['id'] == task_id
    assert cli.ok('task', 'cancel', task_id).split() == [task_id, 'cancelled']
    assert 'no task' in cli.refused('task', 'cancel', '00000000-0000-0000-0000-000000000000')
    cli.ok('relay', 'stop')


def test_an_endpoint_joins_from_another_machine(cli: Commands, cluster: Commands) -> None:
    cli.relay()
    invited = cli.run('invite', 'polaris', '--role', 'endpoint')
    assert invited.returncode == 0, invited.stderr
    link = invited.stdout.strip()
    assert 'this machine only' in invited.stderr
    assert 'relay-parsl endpoint configure polaris' in cluster.ok('join', link)
    assert (cluster.root / 'endpoints' / 'polaris' / 'endpoint.key').stat().st_mode & 0o777 == 0o600
    cluster.endpoint('polaris')
    done = cli.python(SCRIPT.format(name='polaris'))
    assert done.stdout == '(3, 2)\n', done.stderr
    assert 'polaris' in json.loads((cli.root / 'pins.json').read_text()), 'the name was confirmed by the proof that only the invited could give'

    cli.ok('account', 'revoke', 'polaris')
    pid = pid_of(cluster.root / 'endpoints' / 'polaris' / 'endpoint.pid') if (cluster.root / 'endpoints' / 'polaris' / 'endpoint.pid').exists() else 0
    until(lambda: not pid or not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    cli.ok('relay', 'stop')


def test_a_user_joins_and_the_inviter_waits_for_it(cli: Commands, cluster: Commands) -> None:
    cli.relay()
    waiting = cli.start('invite', 'bob', '--wait')
    try:
        assert waiting.stdout is not None
        link = next(line for line in waiting.stdout if line.startswith('relay-parsl://')).strip()
        cluster.ok('join', link, '--name', 'work')
        rest = waiting.stdout.read()
        assert waiting.wait(30) == 0, rest
        assert "user 'bob' joined and is confirmed" in rest
    finally:
        waiting.kill()
        waiting.communicate()
    assert json.loads(cluster.ok('account', 'list', '--json'))[0]['name'] == 'bob'
    assert json.loads((cli.root / 'pins.json').read_text())['bob']['kind'] == 'user'
    cli.ok('relay', 'stop')


def test_a_killed_relay_is_started_again_with_what_it_had(cli: Commands) -> None:
    cli.relay()
    url = cli.ok('relay', 'status', '--json')
    cli.endpoint('laptop')
    pid = pid_of(cli.root / 'relay' / 'relay.pid')
    psutil.Process(pid).send_signal(signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pid))
    port = json.loads(url)['address'].rpartition(':')[2]
    said = cli.ok('relay', 'start', '--bind', f'127.0.0.1:{port}', '--detach')
    assert 'next' not in said, 'only the first start teaches'
    done = cli.python(SCRIPT.format(name='laptop'))
    assert done.stdout == '(3, 2)\n', done.stderr


def test_the_foreground_stops_at_ctrl_c(cli: Commands) -> None:
    process = cli.start('relay', 'start', '--bind', '127.0.0.1:0')
    try:
        assert process.stdout is not None
        assert next(line for line in process.stdout if line.startswith('relay at 127.0.0.1:'))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert not (cli.root / 'relay' / 'relay.pid').exists()
    finally:
        process.kill()
        process.communicate()


def test_restart_and_delete(cli: Commands) -> None:
    cli.relay()
    cli.endpoint('laptop')
    before = pid_of(cli.root / 'endpoints' / 'laptop' / 'endpoint.pid')
    cli.ok('endpoint', 'restart', 'laptop', '--detach')
    assert pid_of(cli.root / 'endpoints' / 'laptop' / 'endpoint.pid') != before
    assert 'stop it first' in cli.refused('endpoint', 'delete', 'laptop', '--yes')
    cli.ok('endpoint', 'stop', 'laptop')
    assert "endpoint 'laptop' was not running; started" in cli.ok('endpoint', 'restart', 'laptop', '--detach')
    cli.ok('endpoint', 'stop', 'laptop')
    assert cli.ok('endpoint', 'delete', 'laptop', '--yes') == "endpoint 'laptop' is deleted\n"
    assert 'laptop' not in {row['name'] for row in json.loads(cli.ok('account', 'list', '--json'))}
    cli.endpoint('laptop')
    done = cli.python(SCRIPT.format(name='laptop'))
    assert done.stdout == '(3, 2)\n', done.stderr
