"""The relay's keys of now and the next: whole at every moment, and said in words that hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_parsl.errors import HomeError
from relay_parsl.home import Credentials, Home
from relay_parsl.relay.keyring import KEY, NEXT, Keyring, announce, heir_of
from relay_parsl.wire.seal import read_succession

NOW, DAY, LIFE = 1_800_000_000.0, 86400.0, 1e8


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = Home(tmp_path / 'home').directory('relay')
    Credentials.create('relay', 'relay', now=NOW, lifetime=LIFE).save(made / KEY)
    return made


def test_the_next_key_is_announced_and_takes_its_place_at_its_time(directory: Path) -> None:
    ring = Keyring(directory, NOW)
    first = ring.current
    assert read_succession(ring.succession).heir is None
    assert not ring.look()
    heir = announce(directory, NOW + DAY, NOW, LIFE)
    assert ring.look()
    said = read_succession(ring.succession)
    assert said.heir is not None
    assert (said.card, said.heir.curve, said.since) == (first.card, heir.credentials.keys.curve_public, NOW + DAY)
    assert (ring.due(NOW + DAY - 1), ring.due(NOW + DAY)) == (False, True)
    ring.advance()
    assert ring.current == Credentials.load(directory / KEY) == heir.credentials
    assert (ring.current.id, ring.current.card.serial, ring.current.keys.old) == (first.id, 2, ())
    assert ring.current.keys.curve != first.keys.curve
    assert heir_of(directory) is None
    assert not ring.look()
    assert read_succession(ring.succession).card == heir.credentials.card
    assert (directory / KEY).stat().st_mode & 0o777 == 0o600


def test_a_start_after_its_time_begins_with_the_next_key(directory: Path) -> None:
    heir = announce(directory, NOW + DAY, NOW, LIFE)
    assert Keyring(directory, NOW + DAY - 1).current != heir.credentials
    assert Keyring(directory, NOW + DAY + 1).current == heir.credentials
    assert not (directory / NEXT).exists()


def test_said_again_it_changes_the_date_and_not_the_key(directory: Path) -> None:
    first, second = announce(directory, NOW + DAY, NOW, LIFE), announce(directory, NOW + 9 * DAY, NOW, LIFE)
    assert (first.credentials, second.since) == (second.credentials, NOW + 9 * DAY)
    ring = Keyring(directory, NOW)
    (directory / NEXT).unlink()
    assert ring.look()
    assert read_succession(ring.succession).heir is None


def test_a_file_that_cannot_be_used_changes_nothing(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    ring = Keyring(directory, NOW)
    (directory / NEXT).write_text('{}')
    (directory / NEXT).chmod(0o600)
    assert not ring.look()
    assert 'goes on as it was' in caplog.text
    with pytest.raises(HomeError, match='damaged'):
        Keyring(directory, NOW)
