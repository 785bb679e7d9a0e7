"""The home: modes, owners, atomic files, and finding one's relay."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.errors import ConfigError, HomeError
from relay_parsl.home import Credentials, Home, Invitation, PendingInvite, Pin, RelayEntry, check_name, ending, read_private, write_private
from relay_parsl.wire.codec import pack

NOW = 1_750_000_000.0
ALICE = Credentials.create('alice', 'user', now=NOW, lifetime=1e6)
ENTRY = RelayEntry('main', 'tcp://relay.example:7400', bytes(range(32)), 'accounts/alice.key')


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ('RELAY_PARSL_HOME', 'RELAY_PARSL_RELAY', 'RELAY_PARSL_CREDENTIALS'):
        monkeypatch.delenv(name, raising=False)
    return Home(tmp_path / 'home')


@pytest.fixture
def joined(home: Home) -> Home:
    ALICE.save(home.credentials_path('alice'))
    home.add_relay(ENTRY)
    return home


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# -- Modes -------------------------------------------------------------------------------------------------------------


@pytest.mark.attack(28)
@pytest.mark.usefixtures('no_umask')
def test_everything_is_private_whatever_the_umask(joined: Home) -> None:
    joined.pin(Pin('polaris', bytes(32), 'endpoint'))
    joined.add_invite(Invitation.create(ENTRY, ALICE, 'bob', 'user', NOW).pending())
    joined.directory('endpoints', 'polaris', 'spool')
    joined.export_account('alice', joined.root / 'copy', 'correct horse')
    for path in [joined.root, *joined.root.rglob('*')]:
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.attack(27)
@pytest.mark.parametrize('bits', [0o640, 0o604, 0o644, 0o660, 0o666, 0o610, 0o601])
def test_a_file_that_lets_others_in_is_refused(tmp_path: Path, bits: int) -> None:
    path = tmp_path / 'key'
    write_private(path, b'secret')
    path.chmod(bits)
    with pytest.raises(HomeError, match=f'chmod 600 {path}'):
        read_private(path)
    path.chmod(0o400)
    assert read_private(path) == b'secret'


@pytest.mark.attack(27)
@pytest.mark.parametrize('bits', [0o750, 0o705, 0o755, 0o777, 0o710, 0o1777])
def test_a_directory_that_lets_others_in_is_refused(joined: Home, bits: int) -> None:
    for path in (joined.root, joined.root / 'relays'):
        path.chmod(bits)
        with pytest.raises(HomeError, match=f'chmod 700 {path}'):
            joined.relays()
        path.chmod(0o700)
    assert joined.relays() == {'main': ENTRY}


@pytest.mark.attack(27, 33)
def test_symbolic_links_are_refused(joined: Home, tmp_path: Path) -> None:
    key = joined.credentials_path('alice')
    key.rename(tmp_path / 'elsewhere')
    key.symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(HomeError, match='symbolic link'):
        Credentials.load(key)
    (tmp_path / 'link').symlink_to(joined.root)
    with pytest.raises(HomeError, match='symbolic link'):
        Home(tmp_path / 'link').directory()


@pytest.mark.attack(27, 33)
def test_what_belongs_to_another_user_is_refused(joined: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = os.geteuid()
    monkeypatch.setattr(os, 'geteuid', lambda: uid + 1)
    with pytest.raises(HomeError, match=f'another user .uid {uid}'):
        Credentials.load(joined.root / 'accounts' / 'alice.key')
    with pytest.raises(HomeError, match='another user'):
        joined.relays()


@pytest.mark.attack(27, 33)
def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe', 0o600)
    (tmp_path / 'directory').mkdir()
    for name, said in (('pipe', 'not a regular file'), ('directory', 'not a regular file'), ('missing', 'does not exist')):
        with pytest.raises(HomeError, match=said):
            read_private(tmp_path / name)
    write_private(tmp_path / 'large', bytes((1 << 20) + 1))
    with pytest.raises(HomeError, match='too large'):
        read_private(tmp_path / 'large')


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(HomeError, match='RELAY_PARSL_HOME'):
        Home(tmp_path / 'file' / 'home').directory()
    with pytest.raises(HomeError, match='cannot be written'):
        write_private(tmp_path / 'missing' / 'key', b'')


def test_files_are_replaced_whole_and_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'key'
    write_private(path, b'old')
    write_private(path, b'new')

    def broken(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'replace', broken)
    with pytest.raises(HomeError, match='No space left'):
        write_private(path, b'newer')
    assert read_private(path) == b'new'
    assert os.listdir(tmp_path) == ['key']


@pytest.mark.attack(25)
@pytest.mark.parametrize('name', ['', '.', '..', '.hidden', 'a/b', '../x', 'a\0', 'a\n', 'x' * 65, '-rf', 'ä', '\u202eabc', "'; drop table--"])
def test_names_that_are_none(home: Home, name: str) -> None:
    for call in (check_name, home.directory, home.credentials_path):
        with pytest.raises(ConfigError, match='no name'):
            call(name)
    assert check_name('alice@laptop-2.example_x') == 'alice@laptop-2.example_x'


# -- Credentials -------------------------------------------------------------------------------------------------------


def test_credentials_come_back(home: Home) -> None:
    path = home.credentials_path('alice')
    ALICE.save(path)
    assert Credentials.load(path) == ALICE
    assert Credentials.load(str(path)).id == ALICE.card.id
    assert ALICE.card.not_after == NOW + 1e6


def test_keys_are_not_overwritten_by_accident(home: Home) -> None:
    path = home.credentials_path('alice')
    ALICE.save(path)
    other = Credentials.create('alice', 'user', now=NOW, lifetime=1.0)
    with pytest.raises(HomeError, match='exists'):
        other.save(path)
    assert Credentials.load(path) == ALICE
    other.save(path, replace=True)
    assert Credentials.load(path) == other


@pytest.mark.attack(29)
def test_credentials_never_show_their_keys() -> None:
    for key in (ALICE.keys.identity, ALICE.keys.sealing, ALICE.keys.curve):
        assert repr(key) not in repr(ALICE)


JUNK = [b'', b'{}', b'[]', b'junk', b'{"identity": 7}', b'[' * 100_000, b'\xff']


@pytest.mark.parametrize('data', JUNK, ids=lambda data: repr(data)[:12])
def test_damaged_files_are_named(joined: Home, data: bytes) -> None:
    for path in (joined.credentials_path('alice'), joined.root / 'relays' / 'main.json'):
        write_private(path, data)
    with pytest.raises(HomeError, match=r'alice\.key is damaged'):
        Credentials.load(joined.credentials_path('alice'))
    with pytest.raises(HomeError, match=r'main\.json is damaged'):
        joined.relays()


@pytest.mark.parametrize('field', ['identity', 'sealing', 'curve', 'card', 'role', 'name'])
def test_keys_and_card_belong_together(home: Home, field: str) -> None:
    path = home.credentials_path('alice')
    other = Credentials.create('../x' if field == 'name' else 'bob', 'endpoint', now=NOW, lifetime=1.0) if field != 'name' else None
    wrong = other.plain()[field] if other else '../x'
    write_private(path, json.dumps({**ALICE.plain(), field: wrong}).encode())
    with pytest.raises(HomeError, match='damaged'):
        Credentials.load(path)


# -- Relays ------------------------------------------------------------------------------------------------------------


def test_the_only_relay_is_found(joined: Home) -> None:
    assert joined.find_relay() == (ENTRY, ALICE)
    assert joined.find_relay('main') == joined.find_relay('tcp://relay.example:7400') == (ENTRY, ALICE)


def test_arguments_go_before_the_environment(joined: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bob = Credentials.create('bob', 'service', now=NOW, lifetime=1.0)
    bob.save(tmp_path / 'bob.key')
    second = RelayEntry('second', 'tcp://127.0.0.1:1', bytes(32), str(tmp_path / 'bob.key'))
    joined.add_relay(second)
    with pytest.raises(ConfigError, match='several relays are known: main, second'):
        joined.find_relay()
    monkeypatch.setenv('RELAY_PARSL_RELAY', 'second')
    assert joined.find_relay() == (second, bob)
    assert joined.find_relay('main') == (ENTRY, ALICE)
    monkeypatch.setenv('RELAY_PARSL_CREDENTIALS', str(tmp_path / 'bob.key'))
    assert joined.find_relay('main') == (ENTRY, bob)
    assert joined.find_relay('main', 'alice') == (ENTRY, ALICE)


def test_a_relay_that_is_not_there_names_the_remedy(home: Home) -> None:
    with pytest.raises(ConfigError, match='relay-parsl join'):
        home.find_relay()
    assert not home.root.exists()
    home.add_relay(ENTRY)
    with pytest.raises(ConfigError, match="no relay 'other' was joined; known: main"):
        home.find_relay('other')
    with pytest.raises(HomeError, match=r'alice\.key does not exist'):
        home.find_relay()


def test_the_home_is_found_by_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'there'))
    assert Home.find().root == tmp_path / 'there'
    monkeypatch.delenv('RELAY_PARSL_HOME')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert Home.find().root == tmp_path / '.relay_parsl'


# -- Pins --------------------------------------------------------------------------------------------------------------


def test_a_pinned_name_keeps_its_identity(home: Home) -> None:
    assert home.pins() == {}
    pin, other = Pin('polaris', bytes(32), 'endpoint'), Pin('polaris', bytes(31) + b'x', 'endpoint')
    home.pin(pin)
    home.pin(pin)
    with pytest.raises(HomeError, match='another identity'):
        home.pin(other)
    assert home.pins() == {'polaris': pin}
    home.pin(other, replace=True)
    assert home.pins() == {'polaris': other}
    home.unpin('polaris')
    home.unpin('polaris')
    assert home.pins() == {}


def test_pins_of_several_processes_add_up(home: Home) -> None:
    code = 'import sys; from relay_parsl.home import *; [Home(sys.argv[1]).pin(Pin(f"{sys.argv[2]}{n}", bytes(32), "user")) for n in range(15)]'
    running = [subprocess.Popen([sys.executable, '-c', code, str(home.root), letter]) for letter in 'abc']
    assert [each.wait(60) for each in running] == [0, 0, 0]
    assert len(home.pins()) == 45


# -- Invitations -------------------------------------------------------------------------------------------------------


def invitation() -> Invitation:
    return Invitation.create(ENTRY, ALICE, 'bob', 'service', NOW + 600)


def test_a_link_holds_the_invitation() -> None:
    invite = invitation()
    link = invite.link()
    assert link.startswith('relay-parsl://relay.example:7400/#')
    assert link.isascii()
    assert Invitation.read(f'  {link}\n') == invite
    assert (invite.relay_key, invite.inviter_identity) == (ENTRY.key, ALICE.keys.identity_public)
    assert len({invite.curve, invite.token, invite.secret, invite.curve_public, invite.token_hash}) == 5
    assert invitation().token != invite.token


def test_a_link_says_when_the_account_ends_and_is_as_before_without(tmp_path: Path) -> None:
    ends = Invitation.create(ENTRY, ALICE, 'bob', 'service', NOW + 600, NOW + 5000)
    assert Invitation.read(ends.link()) == ends
    assert Invitation.read(invitation().link()).until == 0.0
    home = Home(tmp_path / 'home')
    home.add_invite(ends.pending('lab'))
    assert [each.until for each in home.invites()] == [NOW + 5000]


@pytest.mark.parametrize(('left', 'said'), [(15, ''), (13, 'ends in 13 days'), (0.5, 'ends today'), (-1, 'is over')])
def test_one_is_told_two_weeks_before_an_account_ends(left: float, said: str) -> None:
    found = ending('robot', 'service', NOW + left * 86400, NOW)
    assert said in found
    assert bool(found) == bool(said)


def test_an_ipv6_relay_keeps_its_brackets() -> None:
    entry = RelayEntry('six', 'tcp://[::1]:7400', bytes(32), '')
    assert Invitation.read(Invitation.create(entry, ALICE, 'bob', 'user', NOW).link()).url == 'tcp://[::1]:7400'


@pytest.mark.attack(29)
def test_an_invitation_never_shows_its_secrets() -> None:
    invite = invitation()
    shown = repr(invite) + repr(invite.pending())
    assert not any(repr(each) in shown for each in (invite.curve, invite.token, invite.secret))


WRONG = [
    '',
    'relay-parsl://',
    'https://relay.example:7400/#abc',
    invitation().link()[:-7],
    invitation().link().replace('relay-parsl:', 'http:'),
    invitation().link().replace(':7400', ''),
    invitation().link().replace(':7400', ':99999'),
    invitation().link().replace('#', '?'),
    'relay-parsl://h:1/#' + '=' * 50,
    'relay-parsl://h:1/#ä',
]


@pytest.mark.parametrize('link', WRONG, ids=range(len(WRONG)))
def test_links_that_are_none(link: str) -> None:
    with pytest.raises(ConfigError, match='copy the whole'):
        Invitation.read(link)


@pytest.mark.parametrize(
    'values', [[], [2], [1, *[bytes(32)] * 4], [1, *[b'x'] * 5, 'bob', 'user', NOW], [1, *[bytes(32)] * 5, '../x', 'user', NOW], 7]
)
def test_links_with_other_content(values: object) -> None:
    from base64 import urlsafe_b64encode

    with pytest.raises(ConfigError):
        Invitation.read('relay-parsl://h:1/#' + urlsafe_b64encode(pack(values)).decode())


def test_the_inviter_remembers_until_it_drops(home: Home) -> None:
    assert home.invites() == []
    first, second = invitation(), invitation()
    home.add_invite(first.pending('main'))
    home.add_invite(second.pending('main'))
    assert {each.token_hash for each in home.invites()} == {first.token_hash, second.token_hash}
    found = next(each for each in home.invites() if each.token_hash == first.token_hash)
    assert found == PendingInvite('bob', 'service', first.secret, first.token_hash, NOW + 600, 'main', first.inviter_identity)
    home.drop_invite(found)
    home.drop_invite(found)
    assert [each.token_hash for each in home.invites()] == [second.token_hash]


# -- Moving an account -------------------------------------------------------------------------------------------------


def test_an_account_moves_with_its_relays_and_pins(joined: Home, tmp_path: Path) -> None:
    joined.add_relay(RelayEntry('foreign', 'tcp://x:1', bytes(32), 'accounts/somebody.key'))
    pin = Pin('polaris', bytes(32), 'endpoint')
    joined.pin(pin)
    joined.export_account('alice', tmp_path / 'moving', 'correct horse')
    raw = (tmp_path / 'moving').read_bytes()
    assert ALICE.keys.identity not in raw
    assert b'alice' not in raw
    there = Home(tmp_path / 'there')
    assert there.import_account(tmp_path / 'moving', 'correct horse') == ALICE
    assert there.find_relay() == (ENTRY, ALICE)
    assert there.pins() == {'polaris': pin}
    with pytest.raises(HomeError, match='exists'):
        there.import_account(tmp_path / 'moving', 'correct horse')


def test_what_is_known_there_already_stands(joined: Home, tmp_path: Path) -> None:
    joined.pin(Pin('polaris', bytes(32), 'endpoint'))
    joined.export_account('alice', tmp_path / 'moving', 'correct horse')
    there, pin = Home(tmp_path / 'there'), Pin('polaris', bytes(31) + b'x', 'endpoint')
    there.pin(pin)
    there.import_account(tmp_path / 'moving', 'correct horse')
    assert there.pins() == {'polaris': pin}


def test_an_export_needs_its_passphrase_and_every_bit(joined: Home, tmp_path: Path) -> None:
    path = tmp_path / 'moving'
    with pytest.raises(ConfigError, match='passphrase'):
        joined.export_account('alice', path, 'short')
    joined.export_account('alice', path, 'correct horse')
    raw = path.read_bytes()
    changed = [raw[:-1], raw[:30], raw + b'x', raw[:25] + bytes([raw[25] ^ 1]) + raw[26:], raw[:-1] + bytes([raw[-1] ^ 1])]
    for data, passphrase in [(raw, 'wrong horse'), *[(each, 'correct horse') for each in changed]]:
        write_private(path, data)
        with pytest.raises(HomeError, match='passphrase'):
            Home(tmp_path / 'there').import_account(path, passphrase)
    write_private(path, b'something else')
    with pytest.raises(HomeError, match='no exported account'):
        Home(tmp_path / 'there').import_account(path, 'correct horse')
