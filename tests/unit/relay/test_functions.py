"""Registered functions at the relay: kept for their account, counted, and absent for everybody else."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from relay_parsl.relay.reactor import Audit
from relay_parsl.wire import messages as m
from tests.unit.relay.stage import Party, Stage, an_id


@pytest.fixture
def stage() -> Stage:
    return Stage()


def act(party: Party, verb: str, **args: Any) -> m.Done | str:
    """The answer, or the code of the refusal."""
    party.say(m.Admin(7, verb, args))
    answer = party.inbox.pop()
    assert isinstance(answer, (m.Done, m.Refused))
    assert answer.request == 7
    return answer if isinstance(answer, m.Done) else answer.code


def ask(party: Party, page: str = '', **where: Any) -> m.Listing | str:
    party.say(m.List(8, 'functions', where, page))
    answer = party.inbox.pop()
    assert isinstance(answer, (m.Listing, m.Refused))
    return answer if isinstance(answer, m.Listing) else answer.code


def rows(party: Party, **where: Any) -> list[dict[str, Any]]:
    answer = ask(party, **where)
    assert isinstance(answer, m.Listing)
    return list(answer.rows)


def test_a_function_is_there_for_every_session_of_its_account(stage: Stage) -> None:
    assert act(stage.client(), 'register', id=an_id('f'), data=b'sealed') == m.Done(7, {'id': an_id('f'), 'size': 6})
    stage.restart()
    stage.now = 2000.0
    again = stage.client(instance='two')
    assert rows(again) == [{'id': an_id('f'), 'size': 6, 'registered': 1000.0}]
    assert rows(again, id=an_id('f')) == [{'id': an_id('f'), 'size': 6, 'registered': 1000.0, 'data': b'sealed'}]
    assert act(again, 'register', id=an_id('f'), data=b'sealed anew') == m.Done(7, {'id': an_id('f'), 'size': 11})
    assert rows(again, id=an_id('f')) == [{'id': an_id('f'), 'size': 11, 'registered': 1000.0, 'data': b'sealed anew'}]
    assert act(again, 'unregister', id=an_id('f')) == m.Done(7, {'id': an_id('f')})
    assert act(again, 'unregister', id=an_id('f')) == 'not-found'
    assert (rows(again), ask(again, id=an_id('f'))) == ([], 'not-found')


def test_another_account_sees_nothing(stage: Stage) -> None:
    ann = stage.client()
    act(ann, 'register', id=an_id('f'), data=b'of ann')
    for other in (stage.client('bob'), stage.client('robot'), stage.client('root')):
        assert (rows(other), ask(other, id=an_id('f'))) == ([], 'not-found')
        assert act(other, 'unregister', id=an_id('f')) == 'not-found'
    act(stage.client('bob'), 'register', id=an_id('f'), data=b'of bob')
    act(stage.client('robot'), 'register', id=an_id('f'), data=b'of robot')
    assert rows(ann, id=an_id('f'))[0]['data'] == b'of ann'
    site = stage.endpoint()
    site.inbox = []
    assert (rows(site), ask(site, id=an_id('f'))) == ([], 'not-found')


def test_who_may_register_and_what(stage: Stage) -> None:
    assert act(stage.client('root'), 'register', id=an_id('f'), data=b'data') == 'denied'
    assert act(stage.endpoint(), 'register', id=an_id('f'), data=b'data') == 'denied'
    ann = stage.client()
    wrong: list[dict[str, Any]] = [{}, {'id': an_id('f')}, {'id': 'f', 'data': b'x'}, {'id': b'f', 'data': b'x'}, {'id': an_id('f'), 'data': b''}]
    assert {act(ann, 'register', **args) for args in (*wrong, {'id': an_id('f'), 'data': 'text'})} == {'malformed'}
    assert act(ann, 'unregister') == 'malformed'
    assert {ask(ann, id=each) for each in (b'f', 'f', None)} == {'malformed'}
    stage.reactor.full = True
    assert act(ann, 'register', id=an_id('f'), data=b'data') == 'full'
    assert rows(ann) == []


def test_functions_are_limited_one_by_one_in_a_day_and_in_all() -> None:
    stage = Stage(object_limit=10, objects_daily=50, functions_kept=25)
    ann = stage.client()
    assert act(ann, 'register', id=an_id('f'), data=bytes(11)) == 'too-large'
    for name in 'fgf':
        assert isinstance(act(ann, 'register', id=an_id(name), data=bytes(10)), m.Done)
    assert act(ann, 'register', id=an_id('h'), data=bytes(10)) == 'limit', 'over 25 in all'
    ann.say(m.Objects((m.Object(m.Hash(bytes(32)), 'function', m.Body(bytes(8))),)))
    act(ann, 'unregister', id=an_id('g'))
    assert act(ann, 'register', id=an_id('h'), data=bytes(10)) == 'limit', 'over 50 in a day, with the objects'
    assert isinstance(act(stage.client('bob'), 'register', id=an_id('h'), data=bytes(10)), m.Done)
    stage.now += 86400.0
    assert isinstance(act(stage.client(), 'register', id=an_id('h'), data=bytes(10)), m.Done)


def test_functions_come_in_pages(stage: Stage) -> None:
    ann = stage.client()
    names = sorted(uuid.UUID(int=number).bytes for number in range(1, 502))
    for name in names:
        act(ann, 'register', id=name, data=b'x')
    first = ask(ann)
    assert isinstance(first, m.Listing)
    second = ask(ann, first.page)
    assert isinstance(second, m.Listing)
    assert [row['id'] for row in (*first.rows, *second.rows)] == names
    assert (len(first.rows), second.page) == (500, '')
    assert ask(ann, 'no page') == ask(ann, 'ff') == first


def test_the_audit_log_tells_of_functions_and_not_what_is_in_them(stage: Stage) -> None:
    ann = stage.client()
    act(ann, 'register', id=an_id('f'), data=b'sealed')
    act(ann, 'unregister', id=an_id('f'))
    lines = [each for each in stage.effects if isinstance(each, Audit) and 'register' in each.event]
    assert [(each.event, each.fields) for each in lines] == [
        ('register', {'id': an_id('f').hex(), 'size': 6}),
        ('unregister', {'id': an_id('f').hex()}),
    ]
