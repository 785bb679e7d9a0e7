"""What an endpoint runs before and after itself, and that it ends by itself when it is idle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.commands import PATIENCE, THREADS, Commands, commands, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
TASK = "import relay_parsl as rp\nwith rp.Executor('site') as executor:\n    print(executor.submit(pow, 2, 5).result(60))\n"


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'home') as made:
        yield made


def configure(cli: Commands, more: str) -> Path:
    cli.relay()
    file = cli.cwd / 'site.yaml'
    file.write_text(THREADS + more)
    cli.ok('endpoint', 'configure', 'site', '--endpoint-config', str(file))
    return cli.root / 'endpoints' / 'site'


def test_an_idle_endpoint_ends_with_0_after_its_last_task_and_tears_down(cli: Commands) -> None:
    hooks = 'endpoint_setup: echo up > up; echo begins\nendpoint_teardown: mv up down; echo ends\n'
    place = configure(cli, 'heartbeat_period: 1\nidle_heartbeats_soft: 4\n' + hooks)
    serving = cli.start('endpoint', 'start', 'site')
    assert cli.python(TASK).stdout == '32\n'
    assert (place / 'up').exists()
    said, _ = serving.communicate(timeout=PATIENCE)
    assert serving.returncode == 0, said
    assert 'nothing to do for 4 s (idle_heartbeats_soft)' in said
    assert said.index('endpoint_setup: begins') < said.index('begins its epoch') < said.index('endpoint_teardown: ends')
    assert (place / 'down').exists()
    assert not (place / 'up').exists()


def test_a_setup_that_fails_aborts_the_start_with_its_stderr_and_is_torn_down(cli: Commands) -> None:
    place = configure(cli, 'endpoint_setup: "echo no such module >&2; exit 3"\nendpoint_teardown: touch gone\n')
    said = cli.refused('endpoint', 'start', 'site')
    assert 'endpoint_setup ended with exit code 3\nno such module' in said
    assert (place / 'gone').exists()
    assert not (place / 'journal.db').exists()


def test_an_endpoint_that_is_stopped_in_its_setup_does_not_begin(cli: Commands) -> None:
    place = configure(cli, 'endpoint_setup: "touch begun; sleep 300"\nendpoint_teardown: touch gone\n')
    serving = cli.start('endpoint', 'start', 'site')
    until((place / 'begun').exists)
    serving.terminate()
    said, _ = serving.communicate(timeout=PATIENCE)
    assert serving.returncode == 0, said
    assert (place / 'gone').exists()
    assert not (place / 'journal.db').exists()
