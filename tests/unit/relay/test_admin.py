"""Lists, invitations, enrolment and sharing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from relay_parsl.relay.effects import Audit, Stop
from relay_parsl.relay.reactor import Enrolment
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Status
from tests.unit.relay.stage import FAR, Party, Stage, account, an_id


@pytest.fixture
def stage() -> Stage:
    return Stage()


def ask(party: Party, what: str, **where: Any) -> list[dict[str, Any]]:
    party.say(m.List(1, what, where))
    return list(party.one(m.Listing).rows)


def act(party: Party, verb: str, **args: Any) -> m.Done | m.Refused:
    party.say(m.Admin(7, verb, args))
    found = [each for each in party.inbox if isinstance(each, (m.Done, m.Refused))]
    party.inbox = []
    assert len(found) == 1
    assert found[0].request == 7
    return found[0]


def invitation(**more: Any) -> dict[str, Any]:
    return {'name': 'new', 'role': 'endpoint', 'curve': b'c' * 32, 'token': b't' * 32, 'expires': 1500.0, **more}


def enrolment(**more: Any) -> Enrolment:
    return Enrolment(
        **{'token': b't' * 32, 'id': an_id('new'), 'kind': 'endpoint', 'curve': b'n' * 32, 'not_after': FAR, 'card': b'card', 'mac': b'mac', **more}
    )


class Joiner:
    routing, key = b'joiner', b'c' * 32


def enrol(stage: Stage, **more: Any) -> m.Message:
    party = Party(stage, stage.rows['ann'], b'joiner')
    stage.parties[b'joiner'] = party
    stage.store.begin()
    stage.reactor.enrol(Joiner(), enrolment(**more), stage.now)
    stage.store.commit()
    stage.turn()
    return party.inbox[-1]


# -- Lists -----------------------------------------------------------------------------------------------------------


def test_each_sees_what_is_theirs(stage: Stage) -> None:
    names = {party: {row['name'] for row in ask(stage.client(party), 'accounts')} for party in ('ann', 'bob', 'root', 'robot')}
    assert names == {
        'ann': {'ann', 'site', 'robot'},
        'bob': {'bob', 'far'},
        'root': {'ann', 'bob', 'site', 'far', 'root', 'robot'},
        'robot': {'robot', 'ann', 'site'},
    }
    assert {row['name'] for row in ask(stage.endpoint(), 'cards')} == {'site', 'ann'}


def test_endpoints_say_how_they_stand(stage: Stage) -> None:
    ann, endpoint = stage.client('ann'), stage.endpoint(window=(1, 1 << 30))
    stage.submit(ann, 'a', 'b', 'c')
    endpoint.say(m.Report({'workers': 4}))
    [row] = ask(ann, 'endpoints')
    assert (row['name'], row['online'], row['backlog'], row['leases'], row['report']) == ('site', True, 2, 1, {'workers': 4})
    endpoint.say(m.Report({'much': 'x' * 60_000}), m.Goodbye('drained'))
    [row] = ask(ann, 'endpoints', name='site')
    assert (row['online'], row['report'], row['last_seen']) == (False, {'workers': 4}, stage.now)
    assert ask(ann, 'endpoints', name='far') == []


@pytest.mark.attack(9)
def test_tasks_are_ones_own(stage: Stage) -> None:
    ann, bob = stage.client('ann'), stage.client('bob')
    stage.submit(ann, 'a', 'b')
    assert [(row['id'], row['state']) for row in ask(ann, 'tasks', group=an_id('group'))] == [
        (an_id('a'), 'waiting-for-ep'),
        (an_id('b'), 'waiting-for-ep'),
    ]
    assert ask(bob, 'tasks') == []
    assert ask(bob, 'tasks', id=an_id('a')) == []


def test_long_lists_come_in_pages(stage: Stage) -> None:
    ann = stage.client('ann')
    stage.submit(ann, *[f't{number}' for number in range(700)])
    seen, page = [], ''
    while True:
        ann.say(m.List(1, 'tasks', page=page))
        answer = ann.one(m.Listing)
        seen += [row['id'] for row in answer.rows]
        page = answer.page
        if not page:
            break
    assert seen == [an_id(f't{number}') for number in range(700)]
    ann.say(m.List(1, 'tasks', page='nonsense'))
    assert ann.one(m.Listing).rows


def test_unknown_lists_and_verbs_are_refused(stage: Stage) -> None:
    ann = stage.client('ann')
    ann.say(m.List(3, 'secrets'))
    assert ann.one(m.Refused).request == 3
    assert act(ann, 'explode').code == 'unsupported'  # type: ignore[union-attr]


# -- Invitations -----------------------------------------------------------------------------------------------------


def test_an_invitation_is_good_for_one(stage: Stage) -> None:
    ann = stage.client('ann')
    assert not stage.reactor.admits(b'c' * 32, stage.now)
    assert isinstance(act(ann, 'invite', **invitation()), m.Done)
    assert isinstance(act(ann, 'invite', **invitation()), m.Done), 'asked again, for the answer may have been lost'
    assert [row['name'] for row in ask(ann, 'invites')] == ['new']
    stage.restart()
    assert stage.reactor.admits(b'c' * 32, stage.now)
    assert enrol(stage) == m.Enrolled(an_id('new'), 'new', 'endpoint')
    assert enrol(stage) == m.Enrolled(an_id('new'), 'new', 'endpoint')
    assert isinstance(enrol(stage, id=an_id('thief')), m.Refused)
    assert stage.reactor.admits(b'n' * 32, stage.now)
    assert not stage.reactor.admits(b'c' * 32, stage.now)
    stage.restart()
    [row] = ask(stage.client('ann'), 'cards', name='new')
    assert (row['owner'], row['mac']) == (an_id('ann'), b'mac')


@pytest.mark.parametrize('more', [{'token': b'x' * 32}, {'kind': 'operator'}, {'id': an_id('ann')}])
def test_an_enrolment_that_does_not_fit_is_refused(stage: Stage, more: dict[str, Any]) -> None:
    act(stage.client('ann'), 'invite', **invitation())
    assert isinstance(enrol(stage, **more), m.Refused)
    assert enrol(stage) == m.Enrolled(an_id('new'), 'new', 'endpoint')


@pytest.mark.attack(30)
def test_an_invitation_ends(stage: Stage) -> None:
    act(stage.client('ann'), 'invite', **invitation())
    stage.now = 1500.0
    assert not stage.reactor.admits(b'c' * 32, stage.now), 'at once, not with the next tick'
    stage.turn(tick=True)
    assert isinstance(enrol(stage), m.Refused)
    assert ask(stage.client('ann'), 'invites') == []


@pytest.mark.parametrize(
    ('who', 'more', 'code'),
    [
        ('ann', {'role': 'user'}, 'denied'),
        ('ann', {'role': 'operator'}, 'denied'),
        ('robot', {}, 'denied'),
        ('root', {}, 'denied'),
        ('ann', {'name': ''}, 'malformed'),
        ('ann', {'name': '../etc'}, 'malformed'),
        ('ann', {'name': 'a\nb'}, 'malformed'),
        ('ann', {'name': 'x' * 65}, 'malformed'),
        ('ann', {'name': 7}, 'malformed'),
        ('ann', {'curve': b'short'}, 'malformed'),
        ('ann', {'token': 'text'}, 'malformed'),
        ('ann', {'expires': 999.0}, 'malformed'),
        ('ann', {'expires': 1e9}, 'malformed'),
        ('ann', {'expires': None}, 'malformed'),
        ('ann', {'name': 'robot'}, 'limit'),
        ('root', {'name': 'bob', 'role': 'operator'}, 'limit'),
    ],
)
def test_who_may_invite_whom(stage: Stage, who: str, more: dict[str, Any], code: str) -> None:
    answer = act(stage.client(who), 'invite', **invitation(**more))
    assert isinstance(answer, m.Refused)
    assert answer.code == code


def test_operators_invite_users_and_users_their_services(stage: Stage) -> None:
    assert isinstance(act(stage.client('root'), 'invite', **invitation(role='user')), m.Done)
    assert isinstance(act(stage.client('ann'), 'invite', **invitation(role='service', name='s', curve=b'd' * 32)), m.Done)


# -- Names -----------------------------------------------------------------------------------------------------------


def test_everybody_names_their_own(stage: Stage) -> None:
    ann, bob, root = stage.client('ann'), stage.client('bob'), stage.client('root')
    assert isinstance(act(bob, 'invite', **invitation(name='site')), m.Done), "ann's endpoint of that name is nothing to bob"
    assert enrol(stage) == m.Enrolled(an_id('new'), 'site', 'endpoint')
    for party, mine in ((ann, 'site'), (bob, 'new')):
        assert [row['id'] for row in ask(party, 'cards', name='site')] == [an_id(mine)]
    assert {row['id'] for row in ask(root, 'accounts', name='site')} == {an_id('site'), an_id('new')}
    again = act(bob, 'invite', **invitation(name='site', curve=b'd' * 32))
    assert isinstance(again, m.Refused)
    assert again.code == 'limit'
    answer = act(root, 'revoke', name='site')
    assert isinstance(answer, m.Refused)
    assert (answer.code, 'give the id' in answer.reason) == ('ambiguous', True)
    assert act(bob, 'revoke', name='site') == m.Done(7, {'id': an_id('new'), 'name': 'site'})
    assert act(root, 'revoke', name='site') == m.Done(7, {'id': an_id('site'), 'name': 'site'}), 'the other one is over'


def test_an_open_invitation_keeps_its_name_for_its_owner_alone(stage: Stage) -> None:
    ann, bob, root = stage.client('ann'), stage.client('bob'), stage.client('root')
    assert isinstance(act(ann, 'invite', **invitation()), m.Done)
    assert isinstance(act(bob, 'invite', **invitation(curve=b'd' * 32)), m.Done)
    assert isinstance(act(ann, 'invite', **invitation(role='service', curve=b'e' * 32)), m.Refused)
    assert isinstance(act(root, 'invite', **invitation(role='user', curve=b'f' * 32)), m.Done), 'names of people are apart from those of endpoints'
    assert isinstance(act(root, 'invite', **invitation(role='operator', curve=b'g' * 32)), m.Refused)


def test_a_name_that_was_taken_meanwhile(stage: Stage) -> None:
    act(stage.client('ann'), 'invite', **invitation())
    stage.store.begin()
    row = account('old', 'endpoint', owner=an_id('ann'))
    stage.store.put_account(replace(row, name='new'))
    stage.store.commit()
    stage.restart()
    assert 'there is an account' in enrol(stage).reason  # type: ignore[union-attr]


def test_ones_own_name_and_that_of_ones_endpoint_are_told_apart_by_id(stage: Stage) -> None:
    ann = stage.client('ann')
    act(ann, 'invite', **invitation(name='ann'))
    enrol(stage)
    assert act(ann, 'revoke', name='ann').code == 'ambiguous'  # type: ignore[union-attr]
    assert isinstance(act(ann, 'revoke', id=an_id('new')), m.Done)


def test_an_account_is_over_when_its_invitation_said_so_whatever_its_card_says(stage: Stage) -> None:
    ann = stage.client('ann')
    assert act(ann, 'invite', **invitation(role='service', until=2000.0)).result['until'] == 2000.0  # type: ignore[union-attr]
    enrol(stage, kind='service', not_after=FAR)
    robot = Party(stage, replace(account('new', 'service'), curve=b'n' * 32), b'robot')
    stage.parties[b'robot'] = robot
    robot.say(m.Hello('client', an_id('robot', 1)))
    robot.one(m.Welcome)
    stage.now = 1999.0
    assert stage.reactor.admits(b'n' * 32, stage.now)
    stage.now = 2001.0
    stage.turn(tick=True)
    assert len(robot.got(m.Goodbye)) == 1, 'its live session ends'
    robot.say(m.Hello('client', an_id('robot', 2)))
    assert robot.got(m.Welcome) == []
    assert not stage.reactor.admits(b'n' * 32, stage.now)
    assert {row['name']: row['not_after'] for row in ask(stage.client('ann', 'two'), 'accounts')}['new'] == 2000.0


# -- Vouchers --------------------------------------------------------------------------------------------------------


def test_an_owner_vouches_and_those_who_see_the_card_see_the_voucher(stage: Stage) -> None:
    ann = stage.client('ann')
    assert act(ann, 'vouch', id=an_id('robot'), voucher=b'signed') == m.Done(7, {'id': an_id('robot'), 'name': 'robot'})
    act(ann, 'vouch', id=an_id('site'), voucher=b'first')
    act(ann, 'vouch', id=an_id('site'), voucher=b'second')
    stage.restart()
    for who in ('ann', 'robot'):
        vouchers = {row['name']: row['voucher'] for row in ask(stage.client(who, who), 'cards')}
        assert vouchers == {'ann': b'', 'robot': b'signed', 'site': b'second'}


@pytest.mark.parametrize(
    ('who', 'args', 'code'),
    [
        ('bob', {'id': an_id('robot')}, 'not-found'),
        ('root', {'id': an_id('robot')}, 'not-found'),
        ('robot', {'id': an_id('robot')}, 'not-found'),
        ('ann', {'id': an_id('far')}, 'not-found'),
        ('ann', {'id': an_id('ann')}, 'not-found'),
        ('ann', {'name': 'robot', 'id': 'robot'}, 'not-found'),
        ('ann', {'id': an_id('robot'), 'voucher': b''}, 'malformed'),
        ('ann', {'id': an_id('robot'), 'voucher': 'text'}, 'malformed'),
        ('ann', {'id': an_id('robot'), 'voucher': bytes(1025)}, 'malformed'),
    ],
)
def test_nobody_else_vouches_and_no_junk_is_kept(stage: Stage, who: str, args: dict[str, Any], code: str) -> None:
    answer = act(stage.client(who), 'vouch', **{'voucher': b'signed', **args})
    assert isinstance(answer, m.Refused)
    assert answer.code == code
    assert {row['voucher'] for row in ask(stage.client('ann'), 'cards')} == {b''}


# -- Acting ----------------------------------------------------------------------------------------------------------


def test_one_revokes_what_one_rules(stage: Stage) -> None:
    ann, endpoint = stage.client('ann'), stage.endpoint()
    assert act(ann, 'revoke', name='bob').code == 'not-found'  # type: ignore[union-attr]
    assert act(ann, 'revoke', id=an_id('far')).code == 'not-found'  # type: ignore[union-attr]
    assert isinstance(act(ann, 'revoke', name='site'), m.Done)
    assert endpoint.got(m.Goodbye)[0].reason == 'revoked'
    stage.submit(ann, 'a')
    assert [each.code for each in ann.one(m.Rejected).tasks] == ['not-found']


@pytest.mark.parametrize('who', ['ann', 'robot', 'root'])
def test_nobody_revokes_their_own_account(stage: Stage, who: str) -> None:
    party = stage.client(who)
    for named in ({'name': who}, {'id': an_id(who)}):
        answer = act(party, 'revoke', **named)
        assert isinstance(answer, m.Refused)
        assert (answer.code, 'this is your own account' in answer.reason, 'operator can revoke it' in answer.reason) == ('denied', True, True)
    assert stage.reactor.admits(party.key, stage.now)
    assert isinstance(act(party, 'status'), m.Done)


@pytest.mark.parametrize('whom', ['robot', 'ann'])
def test_a_service_ends_when_it_is_revoked_and_with_its_owner(stage: Stage, whom: str) -> None:
    root, robot, endpoint = stage.client('root'), stage.client('robot'), stage.endpoint(window=(1, 1 << 30))
    stage.submit(robot, 'a', 'b')
    assert robot.ids(m.Accepted) == [an_id('a'), an_id('b')]
    assert isinstance(act(root, 'revoke', id=an_id(whom)), m.Done)
    assert [each.reason for each in robot.got(m.Goodbye)] == ['revoked']
    assert not stage.reactor.admits(robot.key, stage.now)
    stage.finish(endpoint, 'a')
    assert endpoint.ids(m.Dispatch) == [an_id('a')], 'nothing more of it is run'


def test_a_deleted_endpoints_tasks_fail(stage: Stage) -> None:
    ann, endpoint = stage.client('ann'), stage.endpoint(window=(1, 1 << 30))
    stage.submit(ann, *[f't{number}' for number in range(1200)])
    ann.inbox.clear()
    assert isinstance(act(ann, 'delete-endpoint', id=an_id('site')), m.Done)
    stage.restart()
    again = stage.client('ann')
    again.say(m.Follow((an_id('group'),)))
    stage.wait(5)
    failed = [each for message in again.got(m.Deliver) for each in message.results]
    assert {each.status for each in failed} == {Status.FAILED}
    stage.store.begin()
    assert stage.store.queued() == []
    assert stage.store.leases(an_id('site')) == []
    stage.store.commit()
    assert ask(again, 'endpoints') == []
    endpoint.say(m.Ping())
    assert endpoint.got(m.Goodbye)[-1].reason == 'revoked'


def test_sharing_lets_another_account_in_and_unsharing_out(stage: Stage) -> None:
    ann, bob = stage.client('ann'), stage.client('bob')
    assert act(bob, 'share', id=an_id('site'), account=an_id('bob')).code == 'not-found'  # type: ignore[union-attr]
    assert isinstance(act(ann, 'share', id=an_id('site'), account=an_id('bob')), m.Done)
    assert {row['name'] for row in ask(bob, 'endpoints')} == {'far', 'site'}
    stage.submit(bob, 'b')
    assert bob.ids(m.Accepted) == [an_id('b')]
    act(ann, 'unshare', id=an_id('site'), account=an_id('bob'))
    stage.submit(bob, 'c')
    assert [each.code for each in bob.one(m.Rejected).tasks] == ['not-found']


def test_status_and_stop(stage: Stage) -> None:
    ann, root = stage.client('ann'), stage.client('root')
    stage.submit(ann, 'a')
    ann.inbox.clear()
    status = act(root, 'status')
    assert isinstance(status, m.Done)
    assert (status.result['waiting'], status.result['clients'], status.result['endpoints']) == (1, 2, 0)
    mine = act(ann, 'status')
    assert isinstance(mine, m.Done)
    assert 'clients' not in mine.result
    assert act(ann, 'stop').code == 'denied'  # type: ignore[union-attr]
    assert isinstance(act(root, 'stop'), m.Done)
    assert [each for each in stage.effects if isinstance(each, Stop)]
    events = [each for each in stage.effects if isinstance(each, Audit) and each.event == 'denied']
    assert [(each.account, each.fields['verb']) for each in events] == [(an_id('ann'), 'stop')]


# -- The audit log ---------------------------------------------------------------------------------------------------


def test_one_task_is_told_with_its_place_and_its_end(stage: Stage) -> None:
    ann, endpoint = stage.client('ann'), stage.endpoint(window=(1, 1 << 30))
    stage.submit(ann, 'a', 'b', 'c')
    assert [ask(ann, 'tasks', id=an_id(name))[0].get('ahead') for name in 'abc'] == [None, 0, 1]
    assert 'ahead' not in ask(ann, 'tasks')[1]
    stage.finish(endpoint, 'a')
    [row] = ask(ann, 'tasks', id=an_id('a'))
    assert (row['state'], row['result']) == ('success', {'attempt': 1, 'bytes': len(b'outcome'), 'reason': ''})


def test_nobodys_rights_change_while_nothing_can_be_put_on_record(stage: Stage) -> None:
    root = stage.client('root')
    stage.reactor.unrecorded = True
    assert getattr(act(root, 'revoke', name='bob'), 'code', '') == 'full'
    assert isinstance(act(root, 'status'), m.Done)
    stage.reactor.unrecorded = False
    assert isinstance(act(root, 'revoke', name='bob'), m.Done)
