"""A client of the version before at a relay of this one, where it meets what it does not know: a quota, and the relay's next key."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands import Commands, commands, until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.fault(46), pytest.mark.timeout(240)]

GATED = """
import pathlib, time
import relay_parsl as rp
def hold(go, number):
    while not pathlib.Path(go).exists():
        time.sleep(0.05)
    return number
with rp.Executor('site') as executor:
    futures = [executor.submit(hold, {go!r}, number) for number in range(10)]
    refused = [each for each in futures[3:] if each.exception(60) is not None]
    print(len(refused), type(refused[0].exception()).__name__, refused[0].exception(), flush=True)
    pathlib.Path({go!r}).touch()
    print([each.result(60) for each in futures if each not in refused], flush=True)
"""
AGAIN = "import relay_parsl as rp\nwith rp.Executor('site') as executor: print(executor.submit(abs, -{number}).result(30))"


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Commands]:
    """Relay, account and endpoint, all of this version."""
    with commands(tmp_path / 'alice') as made:
        made.relay()
        made.endpoint('site')
        yield made


@pytest.fixture
def bob(alice: Commands, before: Path, tmp_path: Path) -> Iterator[Commands]:
    """An account whose machine has the version before, and an endpoint of that version too."""
    with commands(tmp_path / 'bob') as made:
        made.environment['PYTHONPATH'] = str(before)
        made.ok('join', alice.ok('invite', 'bob', '--role', 'user').strip())
        made.endpoint('site')
        yield made


def test_a_client_of_before_is_told_of_a_quota_and_loses_nothing_that_was_taken(alice: Commands, bob: Commands) -> None:
    alice.ok('account', 'quota', 'bob', '--tasks', '3', '--credentials', 'operator')
    done = bob.python(GATED.format(go=str(bob.cwd / 'go')))
    first, second = done.stdout.splitlines()
    assert first == '7 TaskRejected the relay did not take the task (quota): this account has 3 tasks that are not over, which is all it may have'
    assert second == '[0, 1, 2]'
    assert bob.python(AGAIN.format(number=4)).stdout.strip() == '4', 'and it goes on'
    assert sorted(row['state'] for row in tasks(bob)) == ['success'] * 4


def tasks(user: Commands) -> list[dict[str, Any]]:
    return json.loads(user.ok('task', 'list', '--json'))  # type: ignore[no-any-return]


LASTING = """
import pathlib, time
import relay_parsl as rp
with rp.Executor('site') as executor:
    while not pathlib.Path('enough').exists():
        executor.submit(abs, -1).result(30)
        pathlib.Path('beats').write_text('x' * 50)
        time.sleep(0.05)
    print('all right')
"""


def test_who_does_not_know_of_the_relays_next_key_goes_on_until_then_and_says_what_is_the_matter(alice: Commands, bob: Commands) -> None:
    with subprocess.Popen([sys.executable, '-c', LASTING], env=bob.environment, cwd=bob.cwd, stdout=subprocess.PIPE, text=True) as client:
        try:
            until((bob.cwd / 'beats').exists)
            alice.ok('relay', 'rotate', '--until', '1h')
            until(lambda: 'heir' in json.loads((alice.root / 'endpoints' / 'site' / 'relay.json').read_text()))
            (bob.cwd / 'beats').unlink()
            until((bob.cwd / 'beats').exists)
            assert bob.python(AGAIN.format(number=5)).stdout.strip() == '5', 'a new session, too'
            (bob.cwd / 'enough').touch()
            assert client.communicate(timeout=60)[0].strip() == 'all right'
        finally:
            client.kill()
    alice.ok('relay', 'rotate', '--until', '1s')
    until(lambda: not (alice.root / 'relay' / 'relay.key.next').exists())
    assert 'its key is not the one that was pinned' in bob.refused('account', 'list')
    failed = bob.python(AGAIN.format(number=6)).stderr
    assert 'its key is not the one that was pinned' in failed, failed
    bob.environment.pop('PYTHONPATH')  # updated
    bob.ok('relay', 'pin', alice.ok('relay', 'key').strip())
    bob.ok('endpoint', 'restart', 'site', '--detach')
    assert bob.python(AGAIN.format(number=7)).stdout.strip() == '7'
