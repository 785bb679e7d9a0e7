"""Connections are finite: nobody takes all of them, and operators always get in."""

from __future__ import annotations

import logging
import resource

import pytest

from relay_parsl.relay import descriptors
from relay_parsl.relay.effects import Audit
from relay_parsl.wire import messages as m
from tests.unit.relay.stage import Stage, an_id


def refused(stage: Stage, name: str) -> str:
    """The reason why one more client of an account does not get in."""
    party = stage.party(name)
    party.say(m.Hello('client', an_id(name, 'one more')))
    answer = party.one(m.Refused)
    assert answer.code == 'limit'
    return answer.reason


def test_an_account_has_a_quarter_of_the_connections() -> None:
    stage = Stage(connections=16)
    for number in range(4):
        stage.client('ann', str(number))
    assert '4 sessions of this account' in refused(stage, 'ann')
    assert [(each.account, '4 sessions' in each.fields['why']) for each in stage.effects if isinstance(each, Audit) and each.event == 'crowded'] == [
        (an_id('ann'), True)
    ]
    stage.client('bob')
    stage.client('ann', '3')  # the same process again takes the place that it has


def test_operators_get_in_whoever_else_is_there() -> None:
    stage = Stage(connections=8)
    for name in ('ann', 'bob', 'robot'):
        for number in range(2):
            stage.client(name, str(number))
    stage.client('root', 'one')
    stage.client('root', 'two')
    assert '2 sessions of this account' in refused(stage, 'root')


def test_all_but_operators_share_three_quarters() -> None:
    stage = Stage(connections=8)
    for name in ('ann', 'bob'):
        for number in range(2):
            stage.client(name, str(number))
    for name in ('site', 'far'):
        stage.endpoint(name)
    assert 'all that this relay has room for' in refused(stage, 'robot')
    stage.client('root')


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The limit of open files, soft and hard: the last is what holds."""
    held = [(1024, 8192)]
    monkeypatch.setattr(resource, 'getrlimit', lambda _which: held[-1])
    monkeypatch.setattr(resource, 'setrlimit', lambda _which, pair: held.append(pair))
    return held


def test_the_relay_takes_the_files_that_it_may_have(limits: list[tuple[int, int]], caplog: pytest.LogCaptureFixture) -> None:
    assert descriptors.raise_open_files() == 8192
    assert limits[-1] == (8192, 8192)
    assert caplog.records == []
    limits.append((1024, resource.RLIM_INFINITY))
    assert descriptors.raise_open_files() == descriptors.MANY_FILES
    assert limits[-1] == (descriptors.MANY_FILES, resource.RLIM_INFINITY)


def test_few_files_are_warned_of(limits: list[tuple[int, int]], caplog: pytest.LogCaptureFixture) -> None:
    limits.append((1024, 2048))
    with caplog.at_level(logging.WARNING):
        assert descriptors.raise_open_files() == 2048
    assert 'only 2048 files' in caplog.text


def test_a_limit_that_may_not_be_raised_stays(limits: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_which: int, _pair: tuple[int, int]) -> None:
        raise ValueError('not permitted')

    monkeypatch.setattr(resource, 'setrlimit', forbidden)
    assert descriptors.raise_open_files() == 1024


def test_when_an_account_was_here_is_told_also_after_a_restart() -> None:
    stage = Stage()

    def seen(name: str) -> float:
        root = stage.client('root')
        root.say(m.List(1, 'accounts'))
        return next(float(row['seen']) for row in root.one(m.Listing).rows if row['name'] == name)

    assert seen('ann') == 0.0
    ann = stage.client('ann')
    stage.wait(20)
    ann.say(m.Pong())
    assert seen('ann') == stage.now
    ann.say(m.Goodbye('done'))
    stage.restart()
    assert stage.now - 30 <= seen('ann') <= stage.now, 'within an hour'
