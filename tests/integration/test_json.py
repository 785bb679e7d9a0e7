"""What commands that ask a relay print with `--json`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands import Commands, Short, commands

pytestmark = pytest.mark.integration
SUBMIT = """
import relay_parsl as rp
executor = rp.Executor('site')
future = executor.submit(pow, 2, 3)
future.accepted(60)
print(future.task_id)
executor.shutdown(wait=False)
"""


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Any]:
    """A machine by its name, each with a home of its own."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(commands(tmp_path / name, Short))


def told(user: Commands, *words: str) -> Any:
    return json.loads(user.ok(*words, '--json'))


def test_what_a_relay_was_asked_for_is_told_to_programs(party: Any) -> None:
    alice, bob, cluster = party('alice'), party('bob'), party('cluster')
    alice.relay()
    relay = told(alice, 'relay', 'status')['address']
    operator = str(alice.root / 'accounts' / 'operator.key')

    # who comes
    invited = told(alice, 'invite', 'bob', '--role', 'user', '--until', '30d')
    assert (invited['name'], invited['role'], invited['relay']) == ('bob', 'user', 'relay')
    assert time.time() < invited['expires'] < time.time() + 700
    assert 29 * 86400 < invited['until'] - time.time() < 31 * 86400
    joined = told(bob, 'join', invited['url'])
    assert (joined['name'], joined['role'], joined['relay'], joined['address']) == ('bob', 'user', '127.0.0.1', relay)
    assert Path(joined['keys']) == bob.root / 'accounts' / 'bob.key'
    site = told(cluster, 'join', told(alice, 'invite', 'site', '--role', 'endpoint')['url'])
    assert (site['name'], site['role'], Path(site['keys'])) == ('site', 'endpoint', cluster.root / 'endpoints' / 'site')
    rows = {row['name']: row for row in told(alice, 'account', 'list', '--credentials', operator)}
    assert (rows['bob']['id'], rows['site']['id']) == (joined['id'], site['id'])

    # whom an endpoint serves
    shared = told(alice, 'endpoint', 'share', 'site', joined['id'], '--functions', 'math:sqrt', '--until', '1d', '--yes')
    assert (shared['endpoint'], shared['endpoint_id'], shared['account']) == ('site', site['id'], joined['id'])
    assert (shared['policy'], shared['functions']) == ('names', ['math:sqrt'])
    assert 0 < shared['until'] - time.time() < 2 * 86400
    [row] = told(alice, 'endpoint', 'shares', 'site')
    assert {key: row[key] for key in ('account', 'policy', 'functions', 'until')} == {
        key: shared[key] for key in ('account', 'policy', 'functions', 'until')
    }
    confirmed = told(bob, 'endpoint', 'confirm', 'hers', site['id'], '--yes')
    assert confirmed == {'endpoint': 'hers', 'endpoint_id': site['id'], 'trusted': False}
    assert told(alice, 'endpoint', 'unshare', 'site', joined['id']) == {
        'endpoint': 'site', 'endpoint_id': site['id'], 'account': joined['id'], 'cancel': False,
    }  # fmt: skip

    # new keys
    assert told(cluster, 'endpoint', 'rotate', 'site', '--overlap', '1h') == {
        'name': 'site', 'role': 'endpoint', 'id': site['id'], 'serial': 2, 'overlap': 3600.0,
    }  # fmt: skip
    assert told(bob, 'account', 'rotate', '--now')['overlap'] == 0.0

    # an end
    task = alice.python(SUBMIT).stdout.strip()
    assert told(alice, 'task', 'cancel', task) == [{'id': task, 'state': 'cancelled'}]
    assert told(alice, 'account', 'revoke', joined['id'], '--credentials', operator) == {'id': joined['id'], 'name': 'bob', 'standing': 'revoked'}
    here = told(alice, 'endpoint', 'configure', 'laptop')
    assert (here['joined'], here['relay'], here['owner'], Path(here['file']).exists()) == (True, 'relay', 'alice', True)
    assert told(alice, 'relay', 'rotate')['next_key_from'] > time.time()
    assert told(alice, 'relay', 'backup', str(alice.cwd / 'b'), '--without-keys')['tasks'] == 1
    stopped = told(alice, 'relay', 'stop', '--drain', '60')
    assert (stopped['stopped'], stopped['under_way']) == (True, 0)
