"""Who comes in by an invitation, and whose keys count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay_parsl.wire import messages as m
from tests.unit.relay.stage import FAR, Party, Stage, account, an_id
from tests.unit.relay.test_admin import act, ask, enrol, invitation


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize('whose', ['root', 'ann', 'site'])
def test_nobody_joins_with_the_curve_key_of_another(stage: Stage, whose: str) -> None:
    """Cards are public: what came under that key would count as said by the joiner, and its owner would be out."""
    act(stage.client('ann'), 'invite', **invitation())
    assert isinstance(enrol(stage, curve=stage.rows[whose].curve), m.Refused)
    stage.restart()
    assert {row['name'] for row in ask(stage.client('root', 'again'), 'accounts')} >= {'root', 'bob', 'far'}
    assert enrol(stage) == m.Enrolled(an_id('new'), 'new', 'endpoint')


@pytest.mark.parametrize('how', ['revoked', 'over'])
def test_the_open_invitations_of_whom_is_out_are_over(stage: Stage, how: str) -> None:
    other = {'name': 'friend', 'role': 'operator'}
    assert isinstance(act(stage.client('root'), 'invite', **invitation(name='second', role='operator', expires=80_000.0)), m.Done)
    enrol(stage, kind='operator', curve=b'2' * 32, not_after=2000.0 if how == 'over' else FAR)
    second = Party(stage, replace(account('new', 'operator'), curve=b'2' * 32), b'second')
    stage.parties[b'second'] = second
    second.say(m.Hello('client', an_id('second', 1)))
    second.one(m.Welcome)
    assert isinstance(act(second, 'invite', **invitation(**other, curve=b'd' * 32, expires=80_000.0)), m.Done)
    assert stage.reactor.admits(b'd' * 32, stage.now)
    if how == 'revoked':
        assert isinstance(act(stage.client('root', 'again'), 'revoke', id=an_id('new')), m.Done)
        assert isinstance(act(stage.client('root', 'more'), 'invite', **invitation(**other, curve=b'e' * 32, expires=80_000.0)), m.Done)
    else:
        stage.now = 2001.0
    for _ in range(2):
        assert not stage.reactor.admits(b'd' * 32, stage.now)
        stage.restart()
