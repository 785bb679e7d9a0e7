"""Guests: whom the owner's statement lets in, and which statements count."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from relay_parsl.endpoint.effects import CancelWork, Start, Statement, Withdraw
from relay_parsl.endpoint.gate import ALLOWED, Gate, Refusal
from relay_parsl.endpoint.policy import FunctionPolicy, policy_of
from relay_parsl.endpoint.shares import Shares
from relay_parsl.errors import ConfigError, SealError, TaskRejected
from relay_parsl.wire import codec, payload
from relay_parsl.wire.messages import Hash, Held, Welcome
from relay_parsl.wire.seal import Guest, Keys, hash_uuid, issue_card, issue_share, issue_voucher
from tests.unit.endpoint.desk import GRANT, Desk, only, sent, task, task_id
from tests.unit.endpoint.sender import Sender

NOW = 1_800_000_000.0
SITE, OTHER, ALICE, BOB, MALLORY = (Keys.generate() for _ in range(5))
CARD = issue_card(SITE, 'endpoint', serial=1, not_after=NOW + 1e6)
OTHER_CARD = issue_card(OTHER, 'endpoint', serial=1, not_after=NOW + 1e6)
BLOB = payload.dump_source('def double(n):\n    return 2 * n\n', 'double')
SQRT = payload.dump_importable('math:sqrt')


def share(serial: int, *guests: Guest, signer: Keys = ALICE, **more: Any) -> bytes:
    return issue_share(signer, more.pop('endpoint', CARD).id, serial, guests, **more).data


def guest(policy: str = 'any', *functions: str, not_after: float = NOW + 1000) -> Guest:
    return Guest(BOB.identity_public, policy, functions, not_after)


class Site:
    """A gate with a guest, Bob, beside Alice, whom it trusts."""

    def __init__(self, *guests: Guest, policy: FunctionPolicy | None = None, sender: Sender | None = None) -> None:
        self.trusted = {ALICE.identity_public}
        self.shares = Shares(CARD.id, lambda: self.trusted)
        self.shares.take(share(1, *guests))
        self.gate = Gate(SITE, 3, policy or FunctionPolicy(), lambda: self.trusted, self.shares)
        self.sender = sender or Sender(BOB, CARD, NOW)
        self.refused = self.gate.keep(self.sender.grant_object, NOW)

    def call(self, blob: bytes = BLOB, now: float = NOW) -> dict[str, Any]:
        """The options of a call that passes."""
        function = self.sender.function(blob)
        self.gate.keep(function, now)
        task = self.sender.task(function, blob, (4,), serializer='json')
        return self.gate.open(Start(1, task.header, task.payload, 0, codec.task_header(task.header)), now).call.options


def test_a_guest_passes_and_is_on_record_as_one() -> None:
    site = Site(guest())
    assert site.refused == ''
    assert site.call() == {}
    assert site.gate.about(site.sender.grant.hash)['guest_by'] == 1
    site = Site(guest(), sender=Sender(ALICE, CARD, NOW))
    assert 'guest_by' not in site.gate.about(site.sender.grant.hash)


def test_nobody_else_passes() -> None:
    assert 'not trusted' in Site().refused
    assert 'not trusted' in Site(guest(), sender=Sender(MALLORY, CARD, NOW)).refused
    assert 'not trusted' in Site(guest(not_after=NOW - 1)).refused


def test_a_guests_services_are_no_guests() -> None:
    robot = Keys.generate()
    voucher = issue_voucher(BOB, 'robot', issue_card(robot, 'service', serial=1, not_after=NOW + 1000)).data
    assert 'which is a guest itself' in Site(guest(), sender=Sender(robot, CARD, NOW, kind='service', voucher=voucher)).refused


def test_a_share_ends_also_for_grants_that_are_open() -> None:
    site = Site(guest())
    assert site.gate.lapsed(NOW) == set()
    with pytest.raises(Refusal, match='not shared with it'):
        site.call(now=NOW + 1001)
    assert site.gate.lapsed(NOW + 1001) == {site.sender.grant.hash}
    assert site.gate.lapsed(NOW + 1001) == set(), 'told once'


def test_a_later_statement_takes_a_guest_off() -> None:
    site = Site(guest())
    assert site.shares.take(share(2))
    with pytest.raises(Refusal, match='not shared with it'):
        site.call()
    assert site.gate.lapsed(NOW) == {site.sender.grant.hash}


def test_what_begins_under_a_share_of_a_moment_is_told_of_when_that_is_over() -> None:
    """Let in and put out again between two looks: what had begun by then waited in its engine, and ran."""
    site = Site(guest())
    assert site.shares.take(share(2))
    assert site.gate.lapsed(NOW) == {site.sender.grant.hash}
    assert site.shares.take(share(3, guest()))
    site.call()
    assert site.shares.take(share(4))
    assert site.gate.lapsed(NOW) == {site.sender.grant.hash}


def test_whom_a_statement_expels_is_told_once_also_when_its_date_was_over_before() -> None:
    """What ran went on where the share had ended by its date when the owner took it off and said that it ends."""
    site = Site(guest())
    assert site.gate.lapsed(NOW + 1001) == {site.sender.grant.hash}
    assert site.gate.expelled(NOW + 1001) == set(), 'by its date what runs goes on'
    assert site.shares.take(share(2, cancel=True))
    assert site.shares.take(share(3))
    assert site.gate.expelled(NOW + 1001) == {site.sender.grant.hash}
    assert site.gate.expelled(NOW + 1001) == set()


@pytest.mark.parametrize('later', [share(2), share(2, guest(), cancel=True)], ids=['taken off', 'stays'])
def test_who_is_only_taken_off_or_stays_is_not_expelled(later: bytes) -> None:
    site = Site(guest())
    assert site.shares.take(later)
    assert site.gate.expelled(NOW) == set()


def test_who_is_let_in_again_is_not_expelled() -> None:
    site = Site(guest())
    assert site.shares.take(share(2, cancel=True))
    assert site.shares.take(share(3, guest()))
    assert site.shares.take(share(4))
    assert site.gate.expelled(NOW) == set(), 'the last word about it is that what runs goes on'


def test_shares_end_with_the_trust_in_whoever_signed_them() -> None:
    site = Site(guest())
    site.trusted.clear()
    with pytest.raises(Refusal):
        site.call()


def test_a_guest_runs_only_what_its_share_names_with_json() -> None:
    site = Site(guest('names', 'math:sqrt'))
    assert site.call(SQRT) == {ALLOWED: ['json']}
    with pytest.raises(TaskRejected, match=r"share of this endpoint with your account \(function policy: names\).*\(math:sqrt\), and not 'function'"):
        site.call()
    site = Site(guest('hashes', hash_uuid(sha256(BLOB).digest())))
    assert site.call() == {ALLOWED: ['json']}
    with pytest.raises(TaskRejected, match=rf'hashes.*{hash_uuid(sha256(SQRT).digest())}: ask the owner to add that id'):
        site.call(SQRT)


def test_of_two_policies_the_stricter_holds() -> None:
    site = Site(guest(), policy=FunctionPolicy('names', frozenset({'math:sqrt'})))
    assert site.call(SQRT) == {ALLOWED: ['json']}
    with pytest.raises(TaskRejected, match=r'this endpoint \(function policy: names\)'):
        site.call()
    site = Site(guest('names', 'math:cos'), policy=FunctionPolicy('names', frozenset({'math:sqrt'})))
    with pytest.raises(TaskRejected, match='the share of this endpoint'):
        site.call(SQRT)


# -- Statements ------------------------------------------------------------------------------------------------------


def shares() -> Shares:
    return Shares(CARD.id, lambda: {ALICE.identity_public}, share(5, guest()))


def test_the_highest_serial_holds_and_no_older_one_comes_back() -> None:
    found = shares()
    assert not found.take(share(5, guest())), 'the one that is here'
    assert found.take(share(6))
    assert found.guest(BOB.identity_public, NOW) is None
    with pytest.raises(SealError, match='brought back'):
        found.take(share(5, guest()))
    assert not found.take(share(5, guest())), 'complained of once'
    with pytest.raises(SealError, match='brought back'):
        found.take(share(6, guest()))
    assert found.guest(BOB.identity_public, NOW) is None
    assert found.serial == 6


@pytest.mark.parametrize(
    ('data', 'why'),
    [
        (share(9, guest(), signer=MALLORY), 'does not trust'),
        (share(9, guest(), signer=BOB), 'does not trust'),
        (share(9, guest(), endpoint=OTHER_CARD), 'another endpoint'),
        (share(9, guest()).replace(CARD.id, OTHER_CARD.id), 'signature'),
        (b'junk', 'should be signed'),
    ],
    ids=['of a stranger', 'of a guest', 'of another endpoint', 'changed', 'junk'],
)
def test_what_is_no_word_of_the_owner_changes_nothing(data: bytes, why: str) -> None:
    found = shares()
    with pytest.raises(SealError, match=why):
        found.take(data)
    assert found.serial == 5
    assert found.guest(BOB.identity_public, NOW) is not None


# -- In the reactor --------------------------------------------------------------------------------------------------


def test_a_statement_comes_with_the_welcome_and_again_in_the_same_session() -> None:
    desk = Desk()
    desk.open(7)
    effects = desk.turn(Welcome(7, 0.0, share=b'one'), Welcome(7, 0.0, share=b'two'))
    assert [each.data for each in only(effects, Statement)] == [b'one', b'two']
    assert sent(effects, Held) == [], 'the session goes on'
    desk.reactor.shared(b'two')
    assert desk.journal.share() == b''
    desk.turn()
    assert desk.journal.share() == b'two'


def test_what_has_not_begun_comes_back_and_what_runs_goes_on_unless_it_is_to_end() -> None:
    desk = Desk()
    desk.open()
    other = Hash(b'o' * 32)
    desk.run(task(1), task(2, grant=other), task(3, at_most_once=True))
    desk.reactor.revoked({GRANT}, cancel=False)
    assert [each.task_id for each in only(desk.turn(), Withdraw)] == [task_id(1)], 'what may run only once has begun'
    desk.reactor.revoked({GRANT}, cancel=True)
    assert [each.task_id for each in only(desk.turn(), CancelWork)] == [task_id(1), task_id(3)]


def test_a_list_of_functions_is_of_hashes_or_of_names() -> None:
    digest = sha256(BLOB).hexdigest()
    assert policy_of([]) == FunctionPolicy()
    assert policy_of(['math:sqrt']) == FunctionPolicy('names', frozenset({'math:sqrt'}))
    assert policy_of([digest.upper()]) == FunctionPolicy('hashes', frozenset({digest}))
    for wrong in (['math:sqrt', digest], [digest, 'math:sqrt'], ['sqrt']):
        with pytest.raises(ConfigError, match='not both'):
            policy_of(wrong)
