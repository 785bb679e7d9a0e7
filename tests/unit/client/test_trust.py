from __future__ import annotations

import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from relay_parsl.client.defaults import Target
from relay_parsl.client.trust import judge, own_grant, own_voucher, question
from relay_parsl.errors import AccessDenied, NotFound, SealError
from relay_parsl.home import Credentials, Home, Invitation, Pin, RelayEntry
from relay_parsl.wire.seal import enrolment_mac, issue_card, issue_voucher, make_grant

YEAR = 365 * 86400.0


def made(name: str, role: str, *, inviter: bytes = b'') -> Credentials:
    return Credentials.create(name, role, now=time.time(), lifetime=YEAR, inviter=inviter)


ADA, BEN = made('ada', 'user'), made('ben', 'user')


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / 'home')


def row(party: Credentials, mac: bytes = b'', *, owner: Credentials = ADA, voucher: bytes = b'') -> dict[str, object]:
    about = {'id': bytes(party.id), 'name': party.name, 'role': party.role, 'card': party.card.data}
    return {**about, 'mac': mac, 'owner': bytes(owner.id), 'voucher': voucher}


def vouch(party: Credentials, name: str = '', *, by: Credentials = ADA) -> bytes:
    return issue_voucher(by.keys, name or party.name, party.card).data


def invited(home: Home, name: str) -> Invitation:
    entry = RelayEntry('lab', 'tcp://127.0.0.1:7400', bytes(32), 'accounts/ada.key')
    invitation = Invitation.create(entry, ADA, name, 'endpoint', time.time() + 600)
    home.add_invite(invitation.pending('lab'))
    return invitation


def test_pinned_names_mean_an_identity(home: Home) -> None:
    polaris = made('polaris', 'endpoint')
    home.pin(Pin('polaris', polaris.keys.identity_public, 'endpoint'))
    assert question(home, 'polaris') == {'id': bytes(polaris.id)}
    found = judge(home, ADA, 'polaris', [row(polaris)])
    assert found.trusted
    assert found.card.id == polaris.id
    with pytest.raises(SealError, match='another identity'):
        judge(home, ADA, 'polaris', [row(made('polaris', 'endpoint'))])
    with pytest.raises(NotFound, match='the relay knows no endpoint'):
        judge(home, ADA, 'polaris', [])


def test_uuids_certify_themselves(home: Home) -> None:
    polaris = made('polaris', 'endpoint')
    reference = str(uuid.UUID(bytes=bytes(polaris.id)))
    assert question(home, reference) == {'id': bytes(polaris.id)}
    assert not judge(home, ADA, reference, [row(polaris)]).trusted
    home.pin(Pin('polaris', polaris.keys.identity_public, 'endpoint'))
    assert judge(home, ADA, reference, [row(polaris)]).trusted
    with pytest.raises(SealError):
        judge(home, ADA, reference, [row(made('other', 'endpoint'))])


def test_an_invited_endpoint_is_pinned_when_its_mac_holds(home: Home) -> None:
    invitation = invited(home, 'polaris')
    polaris, liar = made('polaris', 'endpoint'), made('polaris', 'endpoint')
    assert question(home, 'polaris') == {'name': 'polaris'}
    with pytest.raises(NotFound, match='has not joined yet'):
        judge(home, ADA, 'polaris', [])
    mac = enrolment_mac(invitation.secret, polaris.card.data, 'polaris', 'endpoint')
    with pytest.raises(SealError, match='another identity'):
        judge(home, ADA, 'polaris', [row(liar, mac)])
    found = judge(home, ADA, 'polaris', [row(liar, mac), row(polaris, mac)])
    assert found.trusted
    assert found.card.id == polaris.id
    assert home.pins()['polaris'].identity == polaris.keys.identity_public
    assert home.invites() == [found.joined], 'until the relay has the voucher'


def test_an_invitation_that_another_account_of_this_home_gave_out_proves_nothing_to_this_one(home: Home) -> None:
    invitation, polaris = invited(home, 'polaris'), made('polaris', 'endpoint')
    mac = enrolment_mac(invitation.secret, polaris.card.data, 'polaris', 'endpoint')
    with pytest.raises(NotFound):
        judge(home, BEN, 'polaris', [row(polaris, mac)])
    assert judge(home, ADA, 'polaris', [row(polaris, mac)]).trusted


def test_names_of_users_and_strangers_are_no_endpoints(home: Home) -> None:
    ada = made('ada', 'user')
    home.pin(Pin('ada', ada.keys.identity_public, 'user'))
    with pytest.raises(NotFound, match="no endpoint 'ada' is known here"):
        question(home, 'ada')
    assert question(home, 'nobody') == {'name': 'nobody'}
    for rows in ([], [row(made('nobody', 'endpoint'), owner=BEN)]):
        with pytest.raises(NotFound, match="no endpoint 'nobody' is known here"):
            judge(home, ADA, 'nobody', rows)


# -- New keys --------------------------------------------------------------------------------------------------------


def test_a_card_from_before_the_keys_were_changed_is_not_taken_any_more(home: Home) -> None:
    polaris = made('polaris', 'endpoint')
    later = polaris.rotated(now=time.time(), overlap=60.0)
    home.pin(Pin('polaris', polaris.card.identity, 'endpoint'))
    assert judge(home, ADA, 'polaris', [row(polaris)]).card.serial == 1
    assert judge(home, ADA, 'polaris', [row(later)]).card.sealing == later.keys.sealing_public
    for reference in ('polaris', str(uuid.UUID(bytes=bytes(polaris.id)))):
        with pytest.raises(SealError, match='an old card'):
            judge(home, ADA, reference, [row(polaris)])


# -- Vouchers --------------------------------------------------------------------------------------------------------


def test_a_name_that_ones_account_vouched_for_is_pinned_on_its_other_machines(home: Home) -> None:
    polaris, foreign = made('polaris', 'endpoint'), made('polaris', 'endpoint')
    shown = [row(foreign, owner=BEN, voucher=vouch(foreign, by=BEN)), row(polaris, voucher=vouch(polaris))]
    found = judge(home, ADA, 'polaris', shown)
    assert (found.card.id, found.trusted, found.joined) == (polaris.id, True, None)
    assert home.pins()['polaris'].id == polaris.id
    assert question(home, 'polaris') == {'id': bytes(polaris.id)}
    with pytest.raises(SealError, match='another identity'):
        judge(home, ADA, 'polaris', [row(foreign, voucher=vouch(foreign))])


@pytest.mark.parametrize('lie', ['none', 'junk', 'no bytes', 'by another', 'of another', 'other name', 'other role', 'changed', 'expired'])
def test_a_relay_forges_no_voucher(home: Home, lie: str) -> None:
    polaris, other = made('polaris', 'endpoint'), made('polaris', 'endpoint')
    service, old = issue_card(polaris.keys, 'service', serial=1, not_after=4e9), issue_card(polaris.keys, 'endpoint', serial=1, not_after=1e9)
    right = vouch(polaris)
    voucher: object = {
        'none': b'', 'junk': b'junk', 'no bytes': 7, 'by another': vouch(polaris, by=BEN), 'of another': vouch(other),
        'other name': vouch(polaris, 'theta'), 'other role': issue_voucher(ADA.keys, 'polaris', service).data,
        'changed': right[:-1] + bytes([right[-1] ^ 1]), 'expired': issue_voucher(ADA.keys, 'polaris', old).data,
    }[lie]  # fmt: skip
    with pytest.raises(NotFound, match='nobody has vouched for it yet: run any command where it was invited'):
        judge(home, ADA, 'polaris', [{**row(polaris), 'voucher': voucher}])
    assert home.pins() == {}


def test_a_vouched_one_is_trusted_by_its_uuid_too(home: Home) -> None:
    polaris = made('polaris', 'endpoint')
    reference = str(uuid.UUID(bytes=bytes(polaris.id)))
    assert not judge(home, ADA, reference, [row(polaris, voucher=vouch(polaris, by=BEN))]).trusted
    home.pin(Pin('polaris', BEN.card.identity, 'endpoint'))
    assert judge(home, ADA, reference, [row(polaris, voucher=vouch(polaris))]).trusted
    assert home.pins()['polaris'].identity == BEN.card.identity, 'what was confirmed here stands'
    home.unpin('polaris')
    assert judge(home, ADA, reference, [row(polaris, voucher=vouch(polaris))]).trusted
    assert home.pins()['polaris'].id == polaris.id


def test_a_service_believes_its_owner_and_not_itself(home: Home) -> None:
    robot, polaris = made('robot', 'service', inviter=ADA.card.identity), made('polaris', 'endpoint')
    for liar in (BEN, robot):
        with pytest.raises(NotFound):
            judge(home, robot, 'polaris', [row(polaris, voucher=vouch(polaris, by=liar))])
    assert judge(home, robot, 'polaris', [row(polaris, voucher=vouch(polaris))]).trusted
    assert own_voucher(robot, [row(polaris, voucher=vouch(polaris)), row(robot, voucher=vouch(robot))]) == vouch(robot)
    for rows in ([], [row(robot)], [row(robot, voucher=vouch(robot, by=BEN))], [row(robot, voucher=vouch(polaris))]):
        with pytest.raises(AccessDenied, match='relay-parsl account list'):
            own_voucher(robot, rows)


def test_a_card_of_another_that_does_not_hold_is_in_nobodys_way(home: Home) -> None:
    polaris = made('polaris', 'endpoint')
    assert judge(home, ADA, 'polaris', [{**row(polaris, owner=BEN), 'card': b'junk'}, row(polaris, voucher=vouch(polaris))]).trusted


def test_cards_that_do_not_hold_are_refused(home: Home) -> None:
    polaris = made('polaris', 'endpoint')
    home.pin(Pin('polaris', polaris.keys.identity_public, 'endpoint'))
    broken = row(polaris)
    broken['card'] = polaris.card.data[:-1] + bytes([polaris.card.data[-1] ^ 1])
    with pytest.raises(SealError):
        judge(home, ADA, 'polaris', [broken])
    user = replace(polaris, name='user')
    assert judge(home, ADA, 'polaris', [row(user), {'card': 'no bytes'}]).trusted


def test_another_grant_than_was_asked_for_is_refused(home: Home) -> None:
    """It may be one's own, and hold: what is asked for is the one of a certain task."""
    polaris = made('polaris', 'endpoint')
    wanted, other = (make_grant(ADA.keys, 'user', polaris.card, now=time.time(), lifetime=60.0) for _ in range(2))
    target = Target(RelayEntry('lab', 'tcp://127.0.0.1:7400', bytes(32), 'accounts/ada.key'), ADA, home)
    assert own_grant(target, wanted.hash, wanted.data)[0].hash == wanted.hash
    with pytest.raises(SealError, match='other bytes'):
        own_grant(target, wanted.hash, other.data)
