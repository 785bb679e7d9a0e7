"""An endpoint whose file is a template: a pool for each value, and bad values that harm nobody else."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import relay_parsl as rp
from relay_parsl.errors import TaskRejected
from tests.integration.commands import Commands, Short, commands, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
TEMPLATE = """\
endpoint_setup: {{ endpoint_setup|default() }}
engine:
  type: HtexEngine
  max_workers_per_node: 1
  provider:
    type: LocalProvider
    init_blocks: 1
    min_blocks: 0
    max_blocks: 1
    worker_init: {{ worker_init|default() }}
  working_dir: {{ account|default("none") }}
heartbeat_period: 1
idle_heartbeats_soft: 3
"""
SCHEMA = {
    'type': 'object',
    'properties': {
        'endpoint_setup': {'type': 'string', 'maxLength': 100},
        'worker_init': {'type': 'string'},
        'account': {'type': 'string', 'pattern': '^[a-z]*$'},
    },
    'additionalProperties': False,
}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    with commands(tmp_path / 'home', Short) as made:
        monkeypatch.setenv('RELAY_PARSL_HOME', str(made.root))
        made.relay()
        (made.cwd / 'mine.yaml.j2').write_text(TEMPLATE)
        (made.cwd / 'user_config_schema.json').write_text(json.dumps(SCHEMA))
        made.ok('endpoint', 'configure', 'site', '--endpoint-config', str(made.cwd / 'mine.yaml.j2'))
        made.ok('endpoint', 'start', 'site', '--detach')
        yield made


def pools(cli: Commands) -> list[dict[str, Any]]:
    report = json.loads(cli.ok('endpoint', 'show', 'site', '--json'))['report']
    return report['pools'][''].get('detail', {}).get('pools', [])  # type: ignore[no-any-return]


def running(cli: Commands, word: str) -> list[psutil.Process]:
    """Processes with this in their command lines."""
    found = []
    for each in cli.processes():
        with suppress(psutil.NoSuchProcess):
            found += [each] if word in ' '.join(each.cmdline()) else []
    return found


def color() -> tuple[str | None, str]:
    return os.environ.get('COLOR'), os.path.basename(os.getcwd())


def test_two_values_are_two_pools_that_retire_when_idle_and_bad_values_harm_nobody(cli: Commands) -> None:
    with rp.Executor('site', user_endpoint_config={'worker_init': 'export COLOR=red', 'account': 'a'}) as executor:
        blue = executor.with_options(user_endpoint_config={'worker_init': 'export COLOR=blue'})
        bad = {
            r'acount: is not declared; did you mean `account`\?': {'acount': 'x'},
            r"account: 'A; rm' does not match": {'account': 'A; rm'},
            r'worker_init: 5 is not of type': {'worker_init': 5},
            r'worker_init: `#SBATCH --account=x` would be a directive': {'worker_init': '#SBATCH --account=x'},
            r'_GC: is not declared; it belongs to the endpoint': {'_GC': {}},
            r'endpoint_setup: .* is too long': {'endpoint_setup': 'y' * 200},
            r'65536 at most': {'worker_init': 'z' * 100_000},
            r'endpoint_setup ended with exit code 3\nno such module': {'endpoint_setup': 'echo no such module >&2; exit 3'},
        }
        refused = {said: executor.with_options(user_endpoint_config=value).submit(color) for said, value in bad.items()}
        one, two, again = executor.submit(color), blue.submit(color), executor.submit(color)
        assert one.result(90) == again.result(90) == ('red', 'a')
        assert two.result(90) == ('blue', 'none')
        for said, future in refused.items():
            with pytest.raises(TaskRejected, match=said):
                future.result(60)
        slow = running(cli, 'relay_parsl.engines.child')
        for each in slow:
            each.suspend()
        until(lambda: {row['state'] for row in pools(cli)} == {'ending'})
        assert running(cli, 'process_worker_pool')
        for each in slow:
            each.resume()
        until(lambda: not pools(cli))
        assert not running(cli, 'process_worker_pool'), 'a pool is told of until nothing of it is left'
        began = time.monotonic()
        assert executor.submit(color).result(90) == ('red', 'a'), 'values of a pool that has retired make a new one'
        assert time.monotonic() - began < 60
        cli.ok('endpoint', 'stop', 'site')
        assert [each for each in cli.processes() if 'relay' not in each.cmdline()] == []


def test_a_value_whose_workers_never_come_and_that_is_flooded_starves_no_other(cli: Commands) -> None:
    with rp.Executor('site', user_endpoint_config={'worker_init': 'exec sleep 600'}) as executor:
        stuck = [executor.submit(color) for _ in range(3000)]
        executor.flush(60)
        other = executor.with_options(user_endpoint_config={'account': 'b'})
        assert [other.submit(color).result(60) for _ in range(3)] == [(None, 'b')] * 3
        assert not any(each.done() for each in stuck)
        for each in stuck:
            each.cancel()


def test_kill_9_of_the_endpoint_loses_no_task_of_any_value_and_leaves_no_pool_behind(cli: Commands, tmp_path: Path) -> None:
    def once(path: str) -> str:
        import os
        import time

        with open(path, 'a') as file:
            file.write(f'{os.environ["COLOR"]}\n')
        time.sleep(0.0 if os.path.exists(f'{path}.go') else 300.0)
        return os.environ['COLOR']

    with rp.Executor('site') as executor:
        notes = {color: tmp_path / color for color in ('red', 'blue')}
        futures = {
            color: executor.with_options(user_endpoint_config={'worker_init': f'export COLOR={color}'}).submit(once, str(note))
            for color, note in notes.items()
        }
        until(lambda: all(note.exists() for note in notes.values()))
        (serving,) = [each for each in cli.processes() if each.cmdline()[-3:] == ['endpoint', 'start', 'site']]
        before = {each.pid for each in cli.processes()}
        serving.kill()
        for note in notes.values():
            note.with_name(f'{note.name}.go').touch()
        cli.ok('endpoint', 'start', 'site', '--detach')
        assert {color: future.result(90) for color, future in futures.items()} == {'red': 'red', 'blue': 'blue'}
        kept = {each.pid for each in cli.processes() if 'relay' in each.cmdline()}
        until(lambda: not {each.pid for each in cli.processes()} & (before - kept))


def test_every_way_to_submit_brings_its_values(tmp_path: Path) -> None:
    template = tmp_path / 'mine.yaml.j2'
    template.write_text('engine: {type: ProcessPoolEngine, max_workers: 1, working_dir: {{ where|default("nowhere") }}}\n')
    with rp.local(endpoints={'site': template}) as relay:
        with rp.Executor('site', relay=relay, user_endpoint_config={'where': 'first'}) as executor:
            assert executor.submit(color).result(60)[1] == 'first'
            assert executor.with_options(user_endpoint_config={}).submit(color).result(60)[1] == 'nowhere'
        client = rp.Client(relay=relay)
        batch = client.create_batch(user_endpoint_config={'where': 'second'})
        batch.add(client.register_function(color))
        ((task_id,),) = client.batch_run('site', batch)['tasks'].values()
        until(lambda: not client.get_task(task_id)['pending'])
        assert client.get_result(task_id)[1] == 'second'
        client.close()
        far = rp.RelayExecutor('site', relay=relay)
        far.start()
        assert far.submit(color, {'user_endpoint_config': {'where': 'third'}}).result(60)[1] == 'third'
        far.shutdown()
