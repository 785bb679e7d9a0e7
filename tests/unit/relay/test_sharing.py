"""What the relay keeps of shares: it reads no statement, and shows each to whom it concerns."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.wire import messages as m
from tests.unit.relay.stage import Party, Stage, a_hash, an_id

TERMS = {an_id('bob').hex(): {'policy': 'any', 'until': 5000.0}}


@pytest.fixture
def stage() -> Stage:
    return Stage()


def act(party: Party, verb: str, **args: Any) -> m.Done | m.Refused:
    party.say(m.Admin(7, verb, args))
    [found] = [each for each in party.inbox if isinstance(each, (m.Done, m.Refused))]
    party.inbox = []
    return found


def ask(party: Party, what: str, **wanted: Any) -> list[dict[str, Any]]:
    party.say(m.List(3, what, wanted))
    return list(party.one(m.Listing).rows)


def share(party: Party, serial: Any = 5, after: int = 0, **args: Any) -> m.Done | m.Refused:
    named = {'id': an_id('site'), 'account': an_id('bob'), 'statement': f'signed {serial}'.encode(), 'serial': serial, 'after': after, 'terms': TERMS}
    return act(party, args.pop('verb', 'share'), **{**named, **args})


def code(answer: m.Done | m.Refused) -> str:
    return answer.code if isinstance(answer, m.Refused) else ''


def test_an_endpoint_is_told_at_once_and_at_each_welcome(stage: Stage) -> None:
    ann, endpoint = stage.client('ann'), stage.endpoint()
    share(ann)
    told = endpoint.one(m.Welcome)
    assert told.share == b'signed 5'
    share(ann, 6, 5, verb='unshare', terms={})
    again = endpoint.one(m.Welcome)
    assert (again.share, again.session) == (b'signed 6', told.session), 'the session is the same'
    stage.restart()
    later = stage.party('site')
    later.say(m.Hello('endpoint', an_id('site', 2), 2))
    assert later.one(m.Welcome).share == b'signed 6'
    assert stage.client('bob').inbox == []


def test_it_is_said_again_until_the_endpoint_says_that_it_goes_by_it(stage: Stage) -> None:
    ann, endpoint = stage.client('ann'), stage.endpoint()
    share(ann)
    endpoint.inbox.clear()
    for _ in range(25):
        stage.wait(1)
        endpoint.say(m.Pong())
    assert len(endpoint.got(m.Welcome)) == 2, 'every ten seconds'
    endpoint.say(m.Report({'share': 5}))
    for _ in range(25):
        stage.wait(1)
        endpoint.say(m.Pong())
    assert endpoint.got(m.Welcome) == []


def test_what_was_leased_of_a_guest_can_be_opened_when_it_is_none_any_more(stage: Stage) -> None:
    """Its grant was kept back: the task was never refused and never ran, and lay in the window of the endpoint until it expired."""
    ann, bob, endpoint = stage.client('ann'), stage.client('bob'), stage.endpoint()
    share(ann)
    stage.submit(bob, 'a')
    assert endpoint.ids(m.Dispatch) == [an_id('a')]
    share(ann, 6, 5, verb='unshare', terms={})
    endpoint.say(m.Need((a_hash('grant'), a_hash('function'))))
    assert [each.data for each in endpoint.one(m.Objects).objects] == [b'g', b'f']
    stage.finish(endpoint, 'a')
    endpoint.say(m.Need((a_hash('grant'),)))
    assert endpoint.got(m.Objects) == [], 'and then no more'


def test_each_sees_of_a_share_what_concerns_it(stage: Stage) -> None:
    ann, bob, root = stage.client('ann'), stage.client('bob'), stage.client('root')
    assert [row['name'] for row in ask(bob, 'endpoints')] == ['far']
    share(ann)
    [row] = ask(bob, 'endpoints', name='site')
    assert row['terms'] == {'policy': 'any', 'until': 5000.0}
    assert 'shared' not in row
    assert 'share' not in row
    [row] = ask(ann, 'endpoints', name='site')
    assert (row['shared'], row['share_serial'], 'share' in row) == ([an_id('bob')], 5, False)
    [row] = ask(ann, 'endpoints', id=an_id('site'))
    assert row['share'] == b'signed 5'
    assert [row['shared'] for row in ask(root, 'endpoints', name='site')] == [[an_id('bob')]]
    stage.submit(bob, 'b')
    assert bob.ids(m.Accepted) == [an_id('b')]
    share(ann, 6, 5, verb='unshare', terms={})
    stage.submit(bob, 'c')
    assert [each.code for each in bob.one(m.Rejected).tasks] == ['not-found']


def test_a_statement_follows_the_one_that_its_signer_saw(stage: Stage) -> None:
    ann = stage.client('ann')
    share(ann)
    assert code(share(ann)) == '', 'the answer was lost, and it comes again'
    assert code(share(ann, 6, 4)) == 'conflict'
    assert code(share(ann, 5, 5, statement=b'other')) == 'conflict'
    assert code(share(ann, 4, 5)) == 'conflict'
    assert code(share(ann, 6, 5)) == ''
    assert ask(ann, 'endpoints', id=an_id('site'))[0]['share'] == b'signed 6'


@pytest.mark.parametrize(
    ('who', 'args', 'wrong'),
    [
        ('bob', {}, 'not-found'),
        ('root', {}, 'not-found'),
        ('robot', {}, 'not-found'),
        ('ann', {'id': an_id('far')}, 'not-found'),
        ('ann', {'account': b'short'}, 'not-found'),
        ('ann', {'statement': b''}, 'malformed'),
        ('ann', {'statement': 'text'}, 'malformed'),
        ('ann', {'statement': bytes(33_000)}, 'malformed'),
        ('ann', {'serial': 'five'}, 'malformed'),
        ('ann', {'terms': []}, 'malformed'),
        ('ann', {'terms': {'bob': {'policy': 'any', 'until': 5.0}}}, 'malformed'),
        ('ann', {'terms': {an_id('bob').hex(): {'policy': 'any'}}}, 'malformed'),
        ('ann', {'terms': {f'{number:032x}': {'policy': 'any', 'until': 5.0} for number in range(101)}}, 'malformed'),
    ],
)
def test_nobody_else_shares_and_no_junk_is_kept(stage: Stage, who: str, args: dict[str, Any], wrong: str) -> None:
    assert code(share(stage.client(who), **args)) == wrong
    [row] = ask(stage.client('ann', 'two'), 'endpoints', id=an_id('site'))
    assert (row['share'], row['shared'], row['share_serial']) == (b'', [], 0)


def test_a_card_is_shown_to_a_user_who_knows_the_whole_id_and_no_name_with_it(stage: Stage) -> None:
    ann = stage.client('ann')
    assert [(row['name'], row['role'], row['card'], row['owner']) for row in ask(ann, 'cards', id=an_id('bob'))] == [
        ('', 'user', b'card of bob', m.NO_ID)
    ]
    assert ask(ann, 'cards', id=an_id('far')) == [], "endpoints are their owners' matter"
    assert ask(ann, 'cards', id=an_id('root')) == []
    assert ask(ann, 'cards', name='bob') == []
    assert ask(stage.client('robot'), 'cards', id=an_id('bob')) == []
