from __future__ import annotations

import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from relay_parsl.client.trust import judge, question
from relay_parsl.errors import NotFound, SealError
from relay_parsl.home import Credentials, Home, Invitation, Pin, RelayEntry
from relay_parsl.wire.seal import enrolment_mac

YEAR = 365 * 86400.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / 'home')


def made(name: str, role: str) -> Credentials:
    return Credentials.create(name, role, now=time.time(), lifetime=YEAR)


def row(party: Credentials, mac: bytes = b'') -> dict[str, object]:
    return {'id': bytes(party.id), 'name': party.name, 'role': party.role, 'card': party.card.data, 'mac': mac, 'owner': b''}


def invited(home: Home, name: str) -> Invitation:
    ada = made('ada', 'user')
    entry = RelayEntry('lab', 'tcp://127.0.0.1:7400', bytes(32), 'accounts/ada.key')
    invitation = Invitation.create(entry, ada, name, 'endpoint', time.time() + 600)
    home.add_invite(invitation.pending('lab'))
    return invitation


def test_pinned_names_mean_an_identity(home: Home) -> None:
    polaris = made('polaris', 'endpoint')
    home.pin(Pin('polaris', polaris.keys.identity_public, 'endpoint'))
    assert question(home, 'polaris') == {'id': bytes(polaris.id)}
    found = judge(home, 'polaris', [row(polaris)])
    assert found.trusted
    assert found.card.id == polaris.id
    with pytest.raises(SealError, match='another identity'):
        judge(home, 'polaris', [row(made('polaris', 'endpoint'))])
    with pytest.raises(NotFound, match='the relay knows no endpoint'):
        judge(home, 'polaris', [])


def test_uuids_certify_themselves(home: Home) -> None:
    polaris = made('polaris', 'endpoint')
    reference = str(uuid.UUID(bytes=bytes(polaris.id)))
    assert question(home, reference) == {'id': bytes(polaris.id)}
    assert not judge(home, reference, [row(polaris)]).trusted
    home.pin(Pin('polaris', polaris.keys.identity_public, 'endpoint'))
    assert judge(home, reference, [row(polaris)]).trusted
    with pytest.raises(SealError):
        judge(home, reference, [row(made('other', 'endpoint'))])


def test_an_invited_endpoint_is_pinned_when_its_mac_holds(home: Home) -> None:
    invitation = invited(home, 'polaris')
    polaris, liar = made('polaris', 'endpoint'), made('polaris', 'endpoint')
    assert question(home, 'polaris') == {'name': 'polaris'}
    with pytest.raises(NotFound, match='has not joined yet'):
        judge(home, 'polaris', [])
    mac = enrolment_mac(invitation.secret, polaris.card.data, 'polaris', 'endpoint')
    with pytest.raises(SealError, match='another identity'):
        judge(home, 'polaris', [row(liar, mac)])
    found = judge(home, 'polaris', [row(liar, mac), row(polaris, mac)])
    assert found.trusted
    assert found.card.id == polaris.id
    assert home.pins()['polaris'].identity == polaris.keys.identity_public
    assert home.invites() == []


def test_names_of_users_and_strangers_are_no_endpoints(home: Home) -> None:
    ada = made('ada', 'user')
    home.pin(Pin('ada', ada.keys.identity_public, 'user'))
    for name in ('ada', 'nobody'):
        with pytest.raises(NotFound, match=f'no endpoint {name!r} is known here'):
            question(home, name)


def test_cards_that_do_not_hold_are_refused(home: Home) -> None:
    polaris = made('polaris', 'endpoint')
    home.pin(Pin('polaris', polaris.keys.identity_public, 'endpoint'))
    broken = row(polaris)
    broken['card'] = polaris.card.data[:-1] + bytes([polaris.card.data[-1] ^ 1])
    with pytest.raises(SealError):
        judge(home, 'polaris', [broken])
    user = replace(polaris, name='user')
    assert judge(home, 'polaris', [row(user), {'card': 'no bytes'}]).trusted
