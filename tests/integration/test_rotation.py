"""New keys under the same identity: what was sent before goes on for the overlap, and with --now it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands import Commands, Short, commands, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

HOLD = """
import time, pathlib
import relay_parsl as rp
def hold(go, mark):
    pathlib.Path(mark).touch()
    while not pathlib.Path(go).exists():
        time.sleep(0.05)
    return 'ran'
with rp.Executor('site') as executor:
    running = [executor.submit(hold, {go!r}, {mark!r} + str(number)) for number in range(2)]
    while not all(pathlib.Path({mark!r} + str(number)).exists() for number in range(2)):
        time.sleep(0.05)
    waiting = [executor.submit(abs, -number) for number in range(3)]
    while not all(future.is_accepted for future in waiting):
        time.sleep(0.05)
    print(running[0].task_id, flush=True)
    ends = []
    for future in running + waiting:
        error = future.exception(timeout=60)
        ends.append(str(error or future.result()))
    print(ends, flush=True)
"""
WORKS = "import relay_parsl as rp\nwith rp.Executor('site') as e: print(e.submit(complex, 1, 2).result(timeout=40))"


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'alice', Short) as made:
        made.relay()
        made.endpoint('site')
        yield made


@contextmanager
def script(user: Commands) -> Iterator[subprocess.Popen[str]]:
    """Two tasks that run until they may end, and three that wait behind them."""
    code = HOLD.format(go=str(user.cwd / 'go'), mark=str(user.cwd / 'began-'))
    with subprocess.Popen(
        [sys.executable, '-c', code], env=user.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=user.cwd
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def record(user: Commands) -> list[dict[str, Any]]:
    lines = (user.root / 'endpoints' / 'site' / 'audit.log').read_text().splitlines()
    return [json.loads(line) for line in lines]


def renewed(user: Commands, serial: int) -> bool:
    """Whether the endpoint's process goes by its new keys, and is there again."""
    known = any(line['event'] == 'keys' and line['serial'] == serial for line in record(user))
    return known and json.loads(user.ok('endpoint', 'show', 'site', '--json'))['online'] is True


def test_what_was_sent_before_a_rotation_goes_on(alice: Commands) -> None:
    key, account = alice.root / 'endpoints' / 'site' / 'endpoint.key', alice.root / 'accounts' / 'alice.key'
    with script(alice) as process:
        assert process.stdout is not None
        task = process.stdout.readline().strip()
        old = json.loads(key.read_text())['sealing']
        assert 'a card of serial 2; those of before count for 1 more hours' in alice.ok('endpoint', 'rotate', 'site', '--overlap', '1h')
        assert 'a card of serial 2' in alice.ok('account', 'rotate', '--account', 'alice', '--overlap', '1h')
        until(lambda: renewed(alice, 2))
        (alice.cwd / 'go').touch()
        assert process.communicate(timeout=90)[0].strip() == "['ran', 'ran', '0', '1', '2']"
    assert json.loads(key.read_text())['sealing'] != old
    assert [each['sealing'] for each in json.loads(key.read_text())['retired']] == [old]
    assert [path.stat().st_mode & 0o777 for path in (key, account)] == [0o600, 0o600]
    assert [*key.parent.glob('*.new'), *account.parent.glob('*.new')] == []
    done = alice.python(WORKS)  # to the new keys, with the new keys
    assert done.stdout.strip() == '(1+2j)', done.stderr
    again = alice.python(f'import relay_parsl as rp\nwith rp.Client() as c: print(c.get_result({task!r}))')
    assert again.stdout.strip() == 'ran', again.stderr
    assert json.loads((alice.root / 'pins.json').read_text())['site']['serial'] == 2


def test_with_now_the_keys_of_before_count_no_more(alice: Commands) -> None:
    with script(alice) as process:
        assert process.stdout is not None
        process.stdout.readline()
        alice.ok('endpoint', 'rotate', 'site', '--now')
        until(lambda: any(line['event'] == 'lapsed' for line in record(alice)))
        until(lambda: renewed(alice, 2))
        (alice.cwd / 'go').touch()
        said = process.communicate(timeout=90)[0]
        assert said.count("'ran'") == 2, 'what runs goes on, and its result is read'
        assert said.count('a key of this endpoint that was replaced') == 3
    for who in ('alice', 'operator'):
        stolen = alice.cwd / f'{who}.key'
        stolen.write_bytes((alice.root / 'accounts' / f'{who}.key').read_bytes())
        stolen.chmod(0o600)
        alice.ok('account', 'rotate', '--account', who, '--now')
        assert 'refuses your key' in alice.refused('account', 'list', '--credentials', str(stolen))
        alice.ok('account', 'list', '--credentials', who)
    assert alice.python(WORKS).stdout.strip() == '(1+2j)'
