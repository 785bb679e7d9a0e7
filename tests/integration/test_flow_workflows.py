"""Flows, relay and Parsl together: a workflow inside a compute step, a flow inside a workflow, people in between, engines that are killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import parsl
import pytest
from parsl.executors.threads import ThreadPoolExecutor as ParslThreads

from relay_parsl import testing
from relay_parsl.client.executor import Executor
from relay_parsl.errors import AccessDenied, RunFailed
from relay_parsl.flows.flow import Flow
from relay_parsl.flows.journal import Journal
from relay_parsl.flows.run import Run

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
COMPUTE = 'https://compute.actions.globus.org/v3'


@pytest.fixture(name='relay', scope='module')
def _relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[testing.InProcessRelay]:
    engines = {'here': {'type': 'ThreadPoolEngine', 'max_workers': 4}, 'apart': {'type': 'ProcessPoolEngine', 'max_workers': 1}}
    with testing.relay(tmp_path_factory.mktemp('relay'), engines) as relay:
        yield relay


@pytest.fixture(autouse=True)
def _home(relay: testing.InProcessRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(relay.home.root))


def compute(function: str, endpoint: str = 'here', **more: Any) -> dict[str, Any]:
    parameters = {'endpoint_id': endpoint, 'tasks': [{'function_id': function, **more}]}
    return {'Type': 'Action', 'ActionUrl': COMPUTE, 'Parameters': parameters, 'ResultPath': '$.Out', 'ExceptionOnActionFailure': True, 'End': True}


def one(state: dict[str, Any]) -> Flow:
    return Flow.from_dict({'StartAt': 'Only', 'States': {'Only': state}})


def workflow(words: list[str]) -> dict[str, Any]:
    """A Parsl workflow inside a task; values come back, never futures."""
    import parsl
    from parsl.executors.threads import ThreadPoolExecutor

    @parsl.python_app
    def length(word: str) -> int:
        return len(word)

    @parsl.python_app
    def total(*lengths: int) -> int:
        return sum(lengths)

    with parsl.load(parsl.Config(executors=[ThreadPoolExecutor(max_threads=2)], initialize_logging=False, usage_tracking=0)):
        lengths = [length(word) for word in words]
        return {'total': total(*lengths).result(), 'lengths': [each.result() for each in lengths]}


def test_a_compute_step_runs_a_parsl_workflow(relay: testing.InProcessRelay) -> None:
    with Executor('apart', relay=relay) as executor:
        function = executor.register_function(workflow)
    flow = one(compute(function, 'apart', **{'kwargs.$': '$.input'}))
    payload = flow.run({'input': {'words': ['moon', 'coins']}}).result(timeout=60)
    assert payload['Out']['details']['result'] == [{'total': 9, 'lengths': [4, 5]}]
    assert payload['Out']['status'] == 'SUCCEEDED'


def test_a_parsl_script_starts_flows_and_waits_for_them_in_a_join_app(relay: testing.InProcessRelay, tmp_path: Path) -> None:
    flow = one(compute('math:factorial', **{'args.$': '$.args'}))

    @parsl.join_app
    def factorial(number: int) -> Any:
        return flow.run({'args': [number]}, label=f'{number}!').future

    @parsl.python_app
    def result(payload: dict[str, Any]) -> int:
        return int(payload['Out']['details']['result'][0])

    config = parsl.Config(executors=[ParslThreads(max_threads=2)], run_dir=str(tmp_path), initialize_logging=False, usage_tracking=0)
    with parsl.load(config):
        assert [each.result() for each in [result(factorial(number)) for number in (3, 4, 5)]] == [6, 24, 120]
        failing = factorial(-1)
        assert isinstance(failing.exception(), parsl.dataflow.errors.JoinError)


def test_a_failed_task_is_an_exception_that_a_flow_catches(relay: testing.InProcessRelay) -> None:
    state = {**compute('math:factorial', args=[-1]), 'Catch': [{'ErrorEquals': ['ActionFailedException'], 'ResultPath': '$.why', 'Next': 'Sorry'}]}
    flow = Flow.from_dict({'StartAt': 'Only', 'States': {'Only': state, 'Sorry': {'Type': 'Pass', 'End': True}}})
    assert 'ValueError' in str(flow.run({}).result(timeout=60)['why'])
    with pytest.raises(RunFailed, match='ValueError'):
        one(compute('math:factorial', args=[-1])).run({}).result(timeout=60)


ASK = {
    'StartAt': 'Ask',
    'States': {
        'Ask': {
            'Type': 'CreateWebInput',
            'Parameters': {
                'InputType': 'Selection',
                'Context': {'PresentationStyle': 'Text', 'Title': 'Publish?', 'Text': 'Scan 7'},
                'Options': [{'Value': 'yes', 'Label': 'Yes', 'Description': 'Do'}, {'Value': 'no', 'Label': 'No', 'Description': 'Do not'}],
                'RespondentUrns.$': '$.respondents',
            },
            'ResultPath': '$.Asked',
            'Next': 'Await',
        },
        'Await': {
            'Type': 'AwaitWebInput',
            'Parameters': {'web_input_id.$': '$.Asked.web_input_id'},
            'ResultPath': '$.Answer',
            'Catch': [{'ErrorEquals': ['Flows.WebInputExpired'], 'ResultPath': '$.late', 'Next': 'Done'}],
            'Next': 'Done',
        },
        'Done': {'Type': 'Pass', 'End': True},
    },
}


def question_of(run: Run) -> dict[str, Any]:
    """Waits until the run has asked."""
    end = time.monotonic() + 30
    with Journal.open() as journal:
        while not (found := journal.web_inputs(run.run_id)) or run.describe()['state'] != 'Await':
            assert time.monotonic() < end, run.describe()
            time.sleep(0.01)
    return found[0]


def test_a_person_answers_and_nobody_else_may(relay: testing.InProcessRelay) -> None:
    urn = 'urn:globus:auth:identity:c5ab1c3d-b812-4ef9-acb6-4d84c58db4de'
    run = Flow.from_dict(ASK).run({'respondents': [urn]})
    asked = question_of(run)
    with Journal.open() as journal:
        with pytest.raises(AccessDenied):
            journal.respond(asked['web_input_id'], 'no')
        journal.respond(asked['web_input_id'][:13], 'no', by=urn)
    assert run.result(timeout=30)['Answer']['response'] == 'no'


def test_the_account_itself_may_answer_what_its_flows_ask_it(relay: testing.InProcessRelay) -> None:
    definition = {**ASK, 'States': {**ASK['States']}}  # type: ignore[dict-item]
    definition['States']['Ask'] = {**ASK['States']['Ask'], 'Parameters': {**ASK['States']['Ask']['Parameters']}}  # type: ignore[index]
    parameters = definition['States']['Ask']['Parameters']
    del parameters['RespondentUrns.$']
    parameters['RespondentUrns.$'] = '$._context.identities'
    run = Flow.from_dict(definition).run({})
    with Journal.open() as journal:
        journal.respond(question_of(run)['web_input_id'], 'yes')
    assert run.result(timeout=30)['Answer']['response'] == 'yes'


def test_a_question_that_nobody_answers_raises_the_languages_error(relay: testing.InProcessRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('relay_parsl.flows.actions.web_input.EXPIRES', 0.5)
    payload = Flow.from_dict(ASK).run({'respondents': ['urn:x']}).result(timeout=30)
    assert 'late' in payload
    assert 'Answer' not in payload


def test_a_consent_that_is_missing_makes_the_run_wait_for_a_person(relay: testing.InProcessRelay) -> None:
    body = {'required_dependent_scope': 'urn:globus:auth:scope:groups.api.globus.org:all', 'echo_string': 'hi'}
    flow = one(
        {'Type': 'Action', 'ActionUrl': 'https://actions.automate.globus.org/hello_world/', 'Parameters': body, 'ResultPath': '$.Out', 'End': True}
    )
    run = flow.run({})
    assert run.wait(timeout=30) == 'INACTIVE'
    assert run.details['code'] == 'ConsentRequired'
    run.resume()
    end = time.monotonic() + 30
    while run.status != 'SUCCEEDED':
        assert time.monotonic() < end, run.describe()
        time.sleep(0.01)
    assert run.result(timeout=30)['Out']['details'] == {'Hello': 'World', 'hello': 'hi'}


LOOP = """
import sys
from relay_parsl.flows.flow import Flow
from relay_parsl.flows.journal import Journal
flow = Flow.from_file(sys.argv[1])
print(flow.run({'left': 4, 'path': sys.argv[2]}, run_id=sys.argv[3]).result(timeout=100)['left'], flush=True)
"""
LOOP_FLOW = {
    'StartAt': 'Note',
    'States': {
        'Note': {**compute('tests.contract.computed:note', kwargs={'path.$': '$.path', 'value': 1, 'seconds': 0.3}), 'Next': 'Count'},
        'Count': {'Type': 'ExpressionEval', 'Parameters': {'left.=': 'left - Out.details.result[0]'}, 'ResultPath': '$.counted', 'Next': 'Move'},
        'Move': {'Type': 'Pass', 'InputPath': '$.counted.left', 'ResultPath': '$.left', 'Next': 'More'},
        'More': {'Type': 'Choice', 'Choices': [{'Variable': '$.left', 'NumericGreaterThan': 0, 'Next': 'Note'}], 'Default': 'End'},
        'End': {'Type': 'Pass', 'End': True},
    },
}
del LOOP_FLOW['States']['Note']['End']  # type: ignore[index]


@pytest.mark.parametrize('after', [0.15, 0.4])
def test_engines_that_are_killed_again_and_again_run_each_step_once(relay: testing.InProcessRelay, tmp_path: Path, after: float) -> None:
    """Four visits of one compute step; each engine lives until so many seconds after the first step has begun to run under it.

    They have a journal of their own: that of the other tests has an engine in this process.
    """
    import json
    import uuid

    (tmp_path / 'loop.json').write_text(json.dumps(LOOP_FLOW))
    shutil.copytree(relay.home.root, tmp_path / 'home', symlinks=True, ignore=shutil.ignore_patterns('relay', 'endpoints', 'flows'))
    environment = {**os.environ, 'RELAY_PARSL_HOME': str(tmp_path / 'home')}
    notes, run_id, kills = tmp_path / 'notes', str(uuid.uuid4()), 0
    command = [sys.executable, '-c', LOOP, str(tmp_path / 'loop.json'), str(notes), run_id]
    while True:
        before = len(notes.read_text().splitlines()) if notes.exists() else 0
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            end = time.monotonic() + 60
            while child.poll() is None and (len(notes.read_text().splitlines()) if notes.exists() else 0) == before:
                assert time.monotonic() < end
                time.sleep(0.005)
            time.sleep(after if kills < 3 else 0.0)
            if kills < 3 and child.poll() is None:
                os.kill(child.pid, signal.SIGKILL)
                kills += 1
                continue
            assert child.communicate(timeout=60)[0].strip() == '0'
            break
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
    assert notes.read_text().splitlines() == ['done'] * 4
    assert kills >= 1
