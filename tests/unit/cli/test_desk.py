"""As whom a command asks a relay."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from relay_parsl.cli.desk import choose
from relay_parsl.errors import AccessDenied
from relay_parsl.home import Credentials, Home, RelayEntry


@pytest.mark.parametrize(
    ('own', 'roles', 'said'),
    [
        ('user', ('operator',), "this takes an operator of relay 'here', and 'ann' is a user: give --credentials FILE (operator: none here)"),
        ('operator', ('user',), "this takes a user of relay 'here', and 'ann' is an operator: give --credentials FILE (user: none here)"),
        ('service', ('operator', 'user'), 'this takes an operator or a user of'),
    ],
)
def test_whom_it_takes_is_said_with_the_article(own: str, roles: tuple[str, ...], said: str, tmp_path: Path) -> None:
    home = Home(tmp_path)
    Credentials.create('ann', own, now=time.time(), lifetime=1e6).save(home.credentials_path('ann'))
    home.add_relay(RelayEntry('here', 'tcp://127.0.0.1:1', bytes(32), 'accounts/ann.key'))
    with pytest.raises(AccessDenied) as caught:
        choose(home, None, None, roles)
    assert said in str(caught.value)
