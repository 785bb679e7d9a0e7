"""`Flow`: from files, objects and texts; ids; ways; scopes."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.errors import DefinitionInvalid, InputInvalid
from relay_parsl.flows.flow import Flow
from relay_parsl.flows.language.routes import LISTED, TRIES
from tests.unit.flows.definitions import ONE, action, flow

TRANSFER = 'https://transfer.actions.globus.org'


def test_files_objects_and_texts_give_the_same_flow(tmp_path: Path) -> None:
    wrapped = {'definition': flow(A=action(), B=ONE), 'input_schema': {'type': 'object'}, 'title': 'T'}
    (tmp_path / 'a.json').write_text(json.dumps(wrapped))
    (tmp_path / 'a.yaml').write_text(
        'title: T\ninput_schema: {type: object}\ndefinition:\n  StartAt: A\n  States:\n    B: {End: true, Type: Pass}\n'
        '    A:\n      Type: Action\n      ActionUrl: https://actions.globus.org/hello_world\n      Parameters: {}\n      End: true\n'
    )
    flows = [
        Flow.from_dict(wrapped),
        Flow.from_file(tmp_path / 'a.json'),
        Flow.from_file(str(tmp_path / 'a.yaml')),
        Flow.from_text(json.dumps(wrapped)),
    ]
    assert {each.flow_id for each in flows} == {flows[0].flow_id}
    assert {each.title for each in flows} == {'T'}
    assert flows[2].input_schema == {'type': 'object'}
    assert flows[2].definition.states == flows[0].definition.states


def test_a_flow_id_is_a_uuid_that_follows_from_what_the_flow_does() -> None:
    first = Flow.from_dict(flow(A=ONE))
    assert uuid.UUID(first.flow_id).version == 8
    assert first.flow_id == Flow.from_dict({'States': {'A': {'End': True, 'Type': 'Pass'}}, 'StartAt': 'A'}, title='other').flow_id
    assert first.flow_id != Flow.from_dict(flow(B=ONE)).flow_id
    assert first.flow_id != Flow.from_dict(flow(A=ONE), input_schema={}).flow_id


def test_schema_and_title_can_be_given() -> None:
    found = Flow.from_dict(
        {'definition': flow(A=ONE), 'input_schema': {'type': 'array'}, 'title': 'own'}, input_schema={'required': ['a']}, title='mine'
    )
    assert (found.title, found.input_schema) == ('mine', {'required': ['a']})
    assert Flow.from_dict(flow(A=ONE), input_schema={'a': {1}}).validate().faults[0].path == '$.input_schema.a'


def test_what_is_wrong_is_said_and_raised_where_it_matters() -> None:
    found = Flow.from_dict(flow(A={'Type': 'Fail', 'End': True}), input_schema={'type': 'x'})
    assert [fault.path for fault in found.validate().faults] == ['$.States.A.End', '$.input_schema.type']
    assert not found.validate().valid
    for wants in (lambda: found.definition, lambda: found.check({}), found.validate().need):
        with pytest.raises(DefinitionInvalid, match='a Fail has no End'):
            wants()


def test_a_body_is_checked() -> None:
    found = Flow.from_dict(flow(A=ONE), input_schema={'required': ['a']})
    assert found.check({'a': 1}) == {'a': 1}
    with pytest.raises(InputInvalid, match=r'\$\.a: is needed'):
        found.check({})


def test_strict_makes_faults_of_warnings() -> None:
    found = Flow.from_dict(flow(A=action(RunAs='Flow')))
    assert (len(found.validate().warnings), found.validate().valid) == (1, True)
    assert (found.validate(strict=True).warnings, found.validate(strict=True).valid) == ((), False)


def test_scopes_by_role_and_actions() -> None:
    states: dict[str, Any] = {
        'A': action(ActionUrl=f'{TRANSFER}/ls', Next='B'),
        'B': action(ActionUrl=f'{TRANSFER}/stat/', Next='C'),
        'C': action(RunAs='Flow', Next='D'),
        'D': action(RunAs='Me', ActionScope='urn:mine'),
    }
    for name in 'ABC':
        del states[name]['End']
    found = Flow.from_dict(flow(**states)).validate()
    assert found.scopes == {
        'Flow': ['https://auth.globus.org/scopes/actions.globus.org/hello_world'],
        'Me': ['urn:mine'],
        'User': ['urn:globus:auth:scope:transfer.api.globus.org:all'],
    }
    assert found.actions == ('hello_world', 'ls', 'stat')


def test_traversals_pass_no_state_twice() -> None:
    loop = {'Type': 'Choice', 'Choices': [{'Variable': '$.a', 'IsPresent': True, 'Next': 'B'}], 'Default': 'Z'}
    caught = action(Catch=[{'ErrorEquals': ['States.ALL'], 'Next': 'Z', 'ResultPath': '$.e'}], Next='A')
    del caught['End']
    found = Flow.from_dict(flow(A=loop, B=caught, Z=ONE)).validate().traversals
    assert (found.count, found.complete, found.listed) == (2, True, (('A', 'B', 'Z'), ('A', 'Z')))


def test_more_ways_than_anybody_counts() -> None:
    states: dict[str, Any] = {}
    for i in range(40):
        states[f'c{i}'] = {'Type': 'Choice', 'Choices': [{'Variable': '$.a', 'IsPresent': True, 'Next': f'p{i}'}], 'Default': f'q{i}'}
        states[f'p{i}'] = states[f'q{i}'] = {'Type': 'Pass', 'Next': f'c{i + 1}'}
    found = Flow.from_dict(flow(**states, c40=ONE)).validate().traversals
    assert not found.complete
    assert 0 < found.count < TRIES
    assert len(found.listed) == LISTED


def test_importing_flows_loads_nothing_heavy() -> None:
    code = (
        'import sys, relay_parsl.flows; print([m for m in ("aiohttp", "asyncssh", "jsonpath", "parsl", "fsspec", "jsonschema") if m in sys.modules])'
    )
    assert subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout.strip() == '[]'
    code = 'import sys, relay_parsl.flows.flow as f; f.here(); print([m for m in ("aiohttp", "asyncssh", "parsl", "zmq") if m in sys.modules])'
    assert subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout.strip() == '[]'


def test_actions_of_this_home_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    mine = flow(A=action(ActionUrl='https://mine.example.org/hello/'))
    assert 'no action is known' in str(Flow.from_dict(mine).validate().faults[0])
    (tmp_path / 'home').mkdir(mode=0o700)
    (tmp_path / 'home' / 'flows.yaml').write_text(
        'actions:\n  mine: {type: "relay_parsl.flows.actions.hello_world:HelloWorld", urls: [https://mine.example.org/hello]}\n'
    )
    assert Flow.from_dict(mine).definition.states['A'].action == 'mine'  # type: ignore[union-attr]


def test_a_registered_api_is_served_by_an_action_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = '8F1E3B9C-0000-4000-8000-000000000000'
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path))
    (tmp_path / 'flows.yaml').write_text(f'actions:\n  mine: {{type: "relay_parsl.flows.actions.hello_world:HelloWorld", urls: [{name.lower()}]}}\n')
    state = {'Type': 'Action', 'Handler': {'Type': 'RegisteredAPI', 'Id': name}, 'Parameters': {}, 'ResultPath': '$.a', 'End': True}
    found = Flow.from_dict(flow(A=state))
    assert (found.definition.states['A'].action, found.definition.states['A'].url) == ('mine', name)  # type: ignore[union-attr]
    assert found.validate().scopes == {'User': [name.lower()]}
