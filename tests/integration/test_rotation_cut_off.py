"""A rotation that was cut off at any step goes on with the very keys that it had made."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from relay_parsl.client import rotation
from relay_parsl.client.admin import Desk, enrol
from relay_parsl.errors import AccessDenied, ConfigError, RelayUnavailable
from relay_parsl.home import Credentials, RelayEntry
from relay_parsl.wire.messages import Enrol
from tests.integration.relay_site import Site, site_in

pytestmark = pytest.mark.integration


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_in(tmp_path / 'home')


def entry(site: Site, port: int) -> RelayEntry:
    return RelayEntry('lab', f'tcp://127.0.0.1:{port}', site.relay_key, 'accounts/ann.key')


def key_file(site: Site) -> Path:
    path = site.home.credentials_path('ann')
    site.people['ann'].save(path, replace=True)
    return path


@pytest.mark.parametrize('heard', [False, True], ids=['before the relay heard', 'before the answer came'])
def test_it_goes_on_with_the_keys_that_it_had_made(site: Site, heard: bool) -> None:
    path = key_file(site)
    with site.serving() as server:
        relay, new = entry(site, server.port), site.people['ann'].rotated(now=time.time(), overlap=0.0)
        new.save(path.with_name('ann.key.new'))
        if heard:
            enrol(relay.url, relay.key, site.people['ann'].keys.curve, Enrol(b'', new.card.data, b''))
        assert rotation.rotate(path, [relay], 0.0).card == new.card
        assert Credentials.load(path).card == new.card
        assert not path.with_name('ann.key.new').exists()
        with Desk(relay, Credentials.load(path)) as desk:
            assert [row['card'] for row in desk.rows('cards', name='ann')] == [new.card.data]
        with pytest.raises(RelayUnavailable, match='refuses your key'):
            Desk(relay, site.people['ann'], timeout=3.0)


def test_a_relay_that_is_started_again_with_the_first_card_goes_on_with_the_last(site: Site) -> None:
    path = key_file(site)
    with site.serving() as server:
        rotation.rotate(path, [entry(site, server.port)], 0.0)
    with site.serving() as server, Desk(entry(site, server.port), Credentials.load(path)) as desk:
        assert desk.rows('cards', name='ann')


def test_a_relay_that_was_restored_from_an_older_backup_hears_of_the_keys_once_more(site: Site) -> None:
    path, store = key_file(site), site.home.directory('relay') / 'relay.db'
    with site.serving():
        pass
    backup = store.read_bytes()
    with site.serving() as server:
        rotation.rotate(path, [entry(site, server.port)], 0.0)
    store.write_bytes(backup)
    with site.serving() as server:
        relay = entry(site, server.port)
        with pytest.raises(RelayUnavailable, match='say that once more'):
            Desk(relay, Credentials.load(path), timeout=3.0)
        new = rotation.rotate(path, [relay], 0.0)
        assert new.card.serial == 3
        with Desk(relay, Credentials.load(path)) as desk:
            assert [row['card'] for row in desk.rows('cards', name='ann')] == [new.card.data]


def test_a_refusal_leaves_the_keys_as_they_were(site: Site) -> None:
    path = key_file(site)
    with pytest.raises(ConfigError, match='of no relay that is known here'):
        rotation.rotate(path, [], 0.0)
    with site.serving() as server:
        relay = entry(site, server.port)
        stranger = Credentials.create('ann', 'user', now=time.time(), lifetime=1e6)
        stranger.save(path, replace=True)
        with pytest.raises((AccessDenied, RelayUnavailable)):
            rotation.rotate(path, [relay], 0.0)
    assert Credentials.load(path).card == stranger.card


def test_nobody_brings_the_card_of_another(site: Site) -> None:
    with site.serving() as server:
        relay, other = entry(site, server.port), site.people['root'].rotated(now=time.time(), overlap=0.0)
        with pytest.raises(AccessDenied, match='not the next card of this account'):
            enrol(relay.url, relay.key, site.people['ann'].keys.curve, Enrol(b'', other.card.data, b''))
        with Desk(relay, site.people['root']) as desk:
            assert desk.order('status')['role'] == 'operator'
