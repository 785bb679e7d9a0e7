"""Credentials with new keys, and what is remembered of others'."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from relay_parsl.errors import HomeError
from relay_parsl.home import Credentials, Home, Pin


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / 'home')


@pytest.mark.parametrize(('role', 'after', 'kept'), [('user', 50.0, 2), ('user', 1e6, 2), ('endpoint', 50.0, 2), ('endpoint', 1e6, 0)])
def test_old_sealing_keys_stay_for_their_overlap_and_those_of_accounts_for_ever(tmp_path: Path, role: str, after: float, kept: int) -> None:
    now = time.time() - after
    first = Credentials.create('bob', role, now=now, lifetime=1e7)
    third = first.rotated(now=now, overlap=100.0).rotated(now=now, overlap=100.0)
    assert (third.id, third.card.serial, third.card.not_after) == (first.id, 3, first.card.not_after)
    assert len({first.keys.sealing, *third.keys.old, third.keys.sealing}) == 3
    third.save(tmp_path / 'bob.key')
    found = Credentials.load(tmp_path / 'bob.key')
    assert (found.keys.sealing, found.keys.curve, found.card) == (third.keys.sealing, third.keys.curve, third.card)
    assert found.keys.old == third.keys.old[:kept]
    assert not any(repr(each)[2:-1] in repr(third) for each in (third.keys.sealing, *third.keys.old)), 'never shown'


def test_newer_keys_of_an_account_replace_those_that_are_here_and_older_ones_do_not(home: Home) -> None:
    now = time.time()
    first = Credentials.create('bob', 'user', now=now, lifetime=1e6)
    second = first.rotated(now=now, overlap=60.0)
    for credentials, name in ((first, 'first'), (second, 'second')):
        credentials.save(home.credentials_path('bob'), replace=True)
        home.export_account('bob', home.root / name, 'a passphrase')
    first.save(home.credentials_path('bob'), replace=True)
    assert home.import_account(home.root / 'second', 'a passphrase').card.serial == 2
    assert Credentials.load(home.credentials_path('bob')).keys.old == (first.keys.sealing,)
    with pytest.raises(HomeError, match='exists'):
        home.import_account(home.root / 'first', 'a passphrase')


def test_a_pin_remembers_the_highest_serial_of_its_identity(home: Home) -> None:
    pin = Pin('site', bytes(32), 'endpoint')
    home.pin(pin.at(5))
    home.pin(pin)
    assert home.pins()['site'].serial == 5
    home.pin(Pin('site', b'n' * 32, 'endpoint'), replace=True)
    assert home.pins()['site'].serial == 0
