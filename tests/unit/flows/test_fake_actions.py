"""`testing.run_flow`: what people test their own flows with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.errors import DefinitionInvalid
from relay_parsl.flows.actions.base import ActionUnableToRun
from relay_parsl.flows.catalogue import standard
from relay_parsl.flows.definition import Json
from relay_parsl.flows.flow import Flow
from relay_parsl.testing import Answer, FakeActions, FlowRun, run_flow, sample_body
from relay_parsl.testing.answers import usual

ROOT = Path(__file__).parents[3]
REAL = ROOT.parent / 'shared' / 'flows'
FILES = sorted(path for path in REAL.glob('*.json') if path.name[0] != '_') if REAL.is_dir() else []
TRANSFER = 'https://transfer.actions.globus.org/transfer'
REFUSED = {'ac_sync_via_intermediate_with_identifier'}
"""Written in a language that the hosted service gave up before its version 1.0."""


def flow(**fields: Any) -> dict[str, Json]:
    """One action, and a Pass after it."""
    state = {'Type': 'Action', 'ActionUrl': TRANSFER, 'Parameters': {'n.$': '$.n'}, 'ResultPath': '$.Move', 'Next': 'Done', **fields}
    catch = {'Type': 'Pass', 'End': True}
    return {'StartAt': 'Move', 'States': {'Move': state, 'Done': {'Type': 'Pass', 'End': True}, 'Mend': catch}}


def test_an_action_answers_what_the_test_says() -> None:
    ran = run_flow(flow(), {'n': 5}, actions={'transfer': {'files': 3}})
    assert ran.status == 'SUCCEEDED'
    assert ran.payload['Move']['details'] == {'files': 3}
    assert ran.codes == ['FlowStarted', 'ActionStarted', 'ActionCompleted', 'PassStarted', 'PassCompleted', 'FlowSucceeded']
    assert ran.states == ['Move', 'Done']
    assert ran.body_of('Move') == {'n': 5}
    assert ran.log[0]['time'] == '2026-01-01T00:00:00.000000+00:00'
    with pytest.raises(KeyError, match='those that did: Move'):
        ran.body_of('Done')


def test_a_state_goes_before_its_action_and_a_list_has_one_for_each_call() -> None:
    ran = run_flow(flow(Next='Move', Catch=[{'ErrorEquals': ['States.ALL'], 'Next': 'Mend', 'ResultPath': '$.e'}]), {'n': 5}, actions={
        'transfer': Answer.refused('not this one'),
        'Move': [{'k': 1}, Answer({'k': 2}, after=50), lambda body: {'k': body['n']}, Answer.refused('no more')],
    })  # fmt: skip
    assert [entry['details']['output']['details']['k'] for entry in ran.log if entry['code'] == 'ActionCompleted'] == [1, 2, 5]
    assert ran.payload['e'] == {'Error': 'ActionUnableToRun', 'Cause': 'no more'}
    assert ran.seconds == 50
    assert len(ran.calls) == 4


def test_failures_timeouts_and_refusals() -> None:
    ran = run_flow(flow(ExceptionOnActionFailure=True), {'n': 1}, actions={'Move': Answer.failed({'description': 'the disk is full'})})
    assert ran.status == 'FAILED'
    assert ran.details['error'] == 'ActionFailedException'
    assert 'the disk is full' in ran.details['cause']
    ran = run_flow(flow(WaitTime=20), {'n': 1}, actions={'Move': Answer.never()})
    assert (ran.details['error'], ran.seconds) == ('ActionTimeout', 20)

    def refuse(body: Json) -> Json:
        raise ActionUnableToRun(f'{body["n"]} is too small')

    ran = run_flow(flow(), {'n': 1}, actions={'Move': refuse})
    assert (ran.details['error'], ran.details['cause']) == ('ActionUnableToRun', '1 is too small')


def test_what_answers_at_once_is_never_too_late() -> None:
    assert run_flow(flow(WaitTime=0), {'n': 1}).status == 'SUCCEEDED'


def test_somebody_may_resume_it() -> None:
    actions = {'Move': Answer.inactive('ConsentRequired', then=Answer({'ok': True}))}
    ran = run_flow(flow(), {'n': 1}, actions=actions)
    assert (ran.status, ran.details['code']) == ('INACTIVE', 'ConsentRequired')
    ran = run_flow(flow(), {'n': 1}, actions=FakeActions(actions), resumes=1)
    assert ran.status == 'SUCCEEDED'
    assert ran.payload['Move']['details'] == {'ok': True}


def test_a_question_is_answered_with_its_first_option() -> None:
    ran = run_flow(ROOT / 'tests/data/flows/played/ask_before_publishing.json', {'frames': 5})
    assert ran.payload['Answer']['response'] == 'publish'
    assert ran.states[-1] == 'Publish'
    ran = run_flow(ROOT / 'tests/data/flows/played/ask_before_publishing.json', {'frames': 5}, actions={'Answer': {'response': 'drop'}})
    assert ran.states[-1] == 'Drop'


def test_what_is_no_flow_is_refused() -> None:
    with pytest.raises(DefinitionInvalid, match='StartAt'):
        run_flow({'States': {}})


@pytest.mark.parametrize('name', sorted(standard().descriptions))
def test_every_action_of_the_catalogue_has_a_usual_answer(name: str) -> None:
    answer = usual(name, {'expression': '1 + 1', 'tasks': [{'function_id': 'f'}]}, 'run:S:1')
    details = answer.details if isinstance(answer, Answer) else answer
    assert isinstance(details, dict)
    assert details


def test_a_fake_expression_eval_writes_where_the_real_one_does() -> None:
    assert usual('expression_eval', {'expression': 'x + 1', 'arguments': {'x': 1}, 'result_path': 'a.b'}, 'r') == {'a': {'b': 2}}
    several = [{'expression': '1', 'result_path': '$.one'}, {'expression': "'two'"}]
    assert usual('expression_eval', {'expressions': several}, 'r') == {'one': 1, 'result': 'two'}


# -- Real definitions --------------------------------------------------------------------------------------------------


def played(path: Path) -> FlowRun:
    """With its sample, or with made-up input."""
    return run_flow(path, json.loads(path.read_text()).get('sample_input') or sample_body(Flow.from_file(path)), resumes=3)


@pytest.mark.parametrize('path', [path for path in FILES if path.stem not in REFUSED], ids=lambda path: path.stem)
def test_real_definitions_run_to_their_end(path: Path) -> None:
    ran = played(path)
    wanted = 'FAILED' if 'failed' in path.stem else 'SUCCEEDED'
    assert ran.status == wanted, ran.details
    assert ran.codes[-1] == f'Flow{wanted.title()}'
    print(f'{path.stem:40} {ran.status:10} {len(ran.log):3} entries  {" > ".join(ran.states)[:90]}')  # noqa: T201  the table of `pytest -rP`


@pytest.mark.parametrize('path', [path for path in FILES if path.stem in REFUSED], ids=lambda path: path.stem)
def test_what_is_no_longer_the_language_is_refused(path: Path) -> None:
    with pytest.raises(DefinitionInvalid, match='ActionWait'):
        played(path)
