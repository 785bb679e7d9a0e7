"""What a run says of itself."""

from __future__ import annotations

import json
from pathlib import Path

from relay_parsl.flows import machine
from relay_parsl.flows.definition import Action, Pass
from relay_parsl.flows.messages import (
    SUCCEEDED,
    ActionStatus,
    Limits,
    Log,
)
from relay_parsl.flows.terms import TERMS
from tests.unit.flows.play import Play, act


def test_the_hosted_services_log_is_reproduced() -> None:
    path = Path(__file__).parents[3] / 'data' / 'flows' / 'run_log.json'
    wanted = json.loads(path.read_text())['entries']
    output = wanted[-1]['details']['output']
    start, end = TERMS.instant(output['start_time']), TERMS.instant(output['completion_time'])
    passes = [Pass(name, next=after) for name, after in (('PassState', 'PassState2'), ('PassState2', 'SyncHelloWorld'))]
    states = *passes, Action('SyncHelloWorld', 'https://actions.globus.org/hello_world', 'hello_world', {'echo_string': 'sync!'})
    play = Play(*states, context={'user_id': output['creator_id']})
    status = ActionStatus(output['action_id'], SUCCEEDED, output['details'], start_time=start or 0.0, completion_time=end)
    play.hear(machine.ActionReported('run-1:SyncHelloWorld:1', status))
    assert [{'code': each.code, 'description': each.description, 'details': each.details} for each in play.all(Log)] == wanted


def test_private_things_stay_out_of_the_log() -> None:
    play = Play(
        act(
            parameters={
                '__Private_Parameters': ['key'],
                'key.$': '$._private_key',
                'open': 1,
                'deep': {'__Private_Parameters': ['pin.$'], 'pin.$': '$.pin'},
            }
        ),
        body={'_private_key': 'secret-1', 'pin': 'secret-2', '_tokens': {'Role': 'secret-3'}, 'seen': 1},
    )
    assert play.asked.body == {'key': 'secret-1', 'open': 1, 'deep': {'pin': 'secret-2'}}
    assert play.entry('FlowStarted').details['input'] == {'pin': 'secret-2', 'seen': 1}
    assert play.entry('ActionStarted').details['input'] == {'open': 1, 'deep': {}}
    play.succeed({'echo': 'what it echoes is its own'})
    output = play.entry('FlowSucceeded').details['output']
    assert set(output) == {'pin', 'seen', 'Act'}
    assert '_private_key' in play.run.payload
    play = Play(Pass('P', {'__Private_Parameters': ['key'], 'key.$': '$.pin'}, result_path='$.x'), body={'pin': 'secret-2'})
    assert play.entry('PassCompleted').details['output'] == {}
    assert play.run.payload['x'] == {'key': 'secret-2'}
    assert play.entry('FlowSucceeded').details['output'] == {'pin': 'secret-2', 'x': {}}


def test_a_refusal_does_not_quote_what_is_private() -> None:
    private = act(parameters={'__Private_Parameters': ['key', 'pin'], 'key.$': '$.k', 'pin.$': '$.pin', 'open': 'as-it-is'})
    for body in ({'k': 'secret-12345', 'pin': 0}, {'k': {'deep': ['secret-12345']}, 'pin': 0}):
        for cause in ("$.key: 'secret-12345' is no number", "key 'secret-1…' is cut"):
            play = Play(private, body=body)
            play.hear(machine.ActionRefused('run-1:Act:1', cause))
            assert 'secret' not in str(play.run.details)
            assert 'secret' not in str([entry.details for entry in play.all(Log)][2:])
            assert 'private parameters' in play.run.details['cause']
    play = Play(private, body={'k': 'secret-12345', 'pin': 8_765_432})
    play.hear(machine.ActionRefused('run-1:Act:1', "$.open: 'as-it-is' is no number"))
    assert play.run.details['cause'] == "$.open: 'as-it-is' is no number"
    play = Play(act(parameters=None, input_path='$._private_body'), body={'_private_body': {'a': "it's"}})
    play.hear(machine.ActionRefused('run-1:Act:1', '"it\'s" is no number'))
    assert "it's" not in str(play.run.details)


def test_a_private_parameter_that_is_in_the_payload_stays_out_of_the_log_to_the_end() -> None:
    play = Play(
        Pass('P', {'__Private_Parameters': ['key'], 'key': 'secret-1', 'open': 1}, result_path='$.x', next='Q'),
        Pass('Q', input_path='$.x', result_path='$.y', next='R'),
        Pass('R', input_path='$', result_path='$.z', next='S'),
        Pass('S', {'x.$': '$.x.open'}),
    )
    assert play.entry('PassStarted', 1).details['input'] == {'open': 1}
    assert 'secret-1' not in str(play.all(Log)[:5])
    assert play.entry('FlowSucceeded').details['output'] == {'x': 1}


def test_a_log_that_is_full_says_what_it_leaves_out() -> None:
    play = Play(Pass('P', {'x': 'y' * 1000}, result_path='$.x', next='P'), limits=Limits(steps=10, log_bytes=3_000))
    omitted = [entry for entry in play.all(Log) if 'omitted' in str(entry.details)]
    assert len(omitted) == 18
    assert '1008 bytes' in str(omitted[0].details)
    play = Play(Pass('P', {'x': 'y' * 1000}), limits=Limits(log_bytes=100))
    assert play.entry('FlowSucceeded').details['output'] == {'x': 'y' * 1000}
