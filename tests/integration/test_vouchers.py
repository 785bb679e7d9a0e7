"""Vouchers from end to end: two users with an endpoint of the same name, a service with a home of its own, and a second machine of one user."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.commands import Commands, Short, commands

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

WHERE = """
import os
import relay_parsl as rp
with rp.Executor({name!r}) as executor:
    print(executor.submit(os.getenv, 'RELAY_PARSL_HOME').result(timeout=40))
    print(type(executor.submit(complex, 1, 2).result(timeout=40)).__name__)
"""
"""Whose endpoint ran it, by its home; and a result that no JSON holds, for only a trusted endpoint's is unpickled."""
PASSPHRASE = 'correct horse battery'

Party = Callable[[str], Commands]


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Party]:
    """A machine by its name, each with a home of its own."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(commands(tmp_path / name, Short))


def invited(inviter: Commands, name: str, role: str, joiner: Commands) -> None:
    joiner.ok('join', inviter.ok('invite', name, '--role', role).strip())


def runs_on(user: Commands, name: str, endpoint: Commands) -> None:
    done = user.python(WHERE.format(name=name))
    assert done.stdout.split() == [str(endpoint.root), 'complex'], done.stderr


def test_names_and_services(party: Party) -> None:
    alice, bob, theirs, his = party('alice'), party('bob'), party('theirs'), party('his')
    laptop, robot = party('laptop'), party('robot')
    alice.relay()
    invited(alice, 'bob', 'user', bob)

    # two users, two endpoints, one name; the first use of the name confirms it, and vouches for it
    invited(alice, 'polaris', 'endpoint', theirs)
    invited(bob, 'polaris', 'endpoint', his)
    for cluster in (theirs, his):
        cluster.endpoint('polaris')
    alice.ok('account', 'export', str(alice.cwd / 'alice'), '--account', 'alice', '--passphrase', PASSPHRASE)
    laptop.ok('account', 'import', str(alice.cwd / 'alice'), '--passphrase', PASSPHRASE)
    early = laptop.python(WHERE.format(name='polaris'))
    assert 'nobody has vouched for it yet' in early.stderr
    runs_on(alice, 'polaris', theirs)
    runs_on(bob, 'polaris', his)

    # another machine of alice, which took part in nothing of that
    assert not (laptop.root / 'pins.json').exists()
    runs_on(laptop, 'polaris', theirs)
    assert 'polaris' in json.loads((laptop.root / 'pins.json').read_text())

    # a service runs what its owner's endpoints trust it for, once its owner has said who it is
    invited(alice, 'robot', 'service', robot)
    refused = robot.python(WHERE.format(name='polaris'))
    assert "nobody has vouched for service 'robot' yet" in refused.stderr
    assert 'relay-parsl account list' in refused.stderr
    confirmed = {row['name']: row['confirmed'] for row in json.loads(alice.ok('account', 'list', '--json'))}
    assert confirmed == {'alice': True, 'polaris': True, 'robot': True}
    alice.ok('account', 'list', '--credentials', 'operator')  # who has invited bob
    assert list((alice.root / 'invites').iterdir()) == [], 'all came, and are vouched for'
    runs_on(robot, 'polaris', theirs)

    # what one's own names are is nothing to others; who is revoked is out
    assert 'no such account' in bob.refused('account', 'revoke', 'robot')
    assert 'give the id' in alice.refused('account', 'revoke', 'polaris', '--credentials', 'operator')
    alice.ok('account', 'revoke', 'robot')
    gone = robot.python(WHERE.format(name='polaris'))
    assert gone.returncode != 0
    assert 'refuses your key' in gone.stderr or 'revoked' in gone.stderr
    runs_on(laptop, 'polaris', theirs)
