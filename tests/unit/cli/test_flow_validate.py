"""What `flow validate` prints, and with which exit code it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay_parsl.cli.flow_show import described
from relay_parsl.cli.main import main

TRANSFER = 'https://transfer.actions.globus.org/transfer'
MOVE: dict[str, Any] = {
    'definition': {
        'StartAt': 'Copy',
        'States': {
            'Copy': {'Type': 'Action', 'ActionUrl': TRANSFER, 'InputPath': '$.input', 'ResultPath': '$.Copy', 'WaitTime': 60, 'Next': 'Good'},
            'Good': {
                'Type': 'Choice',
                'Choices': [{'Variable': '$.Copy.status', 'StringEquals': 'SUCCEEDED', 'Next': 'Done'}],
                'Default': 'Bad',
            },
            'Done': {'Type': 'Pass', 'End': True},
            'Bad': {'Type': 'Fail'},
        },
    },
    'input_schema': {'type': 'object', 'required': ['input'], 'properties': {'input': {'type': 'object'}}},
    'title': 'Copy it',
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ['flow', 'validate', *arguments])


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'move.json').write_text(json.dumps(MOVE))
    (tmp_path / 'bad.yaml').write_text('StartAt: A\nStates:\n  A: {Type: Pas, End: true}\n  B: {Type: Fail, Caus: x}\n')
    (tmp_path / 'body.json').write_text('{"input": {}}')
    return tmp_path


def test_a_good_flow_is_told_with_ways_actions_and_scopes(there: Path) -> None:
    result = run('move.json')
    assert result.exit_code == 0
    assert result.output.splitlines()[:-1] == [
        'move.json: valid  Copy it',
        '  possible state traversals: 2',
        '    Copy → Good → Done',
        '    Copy → Good → Bad',
        '  actions: transfer',
        '  scopes of User, at the hosted service: urn:globus:auth:scope:transfer.api.globus.org:all',
    ]
    assert result.output.splitlines()[-1].startswith('  flow id: ')


def test_every_fault_of_a_bad_one_and_exit_code_1(there: Path) -> None:
    result = run('bad.yaml')
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        'bad.yaml: not valid',
        '  faults:',
        '    $.States.A.Type: there is no type "Pas"; did you mean `Pass`?',
        '    $.States.B.Caus: a Fail has no such field; did you mean `Cause`?',
        'error: bad.yaml cannot be run',
    ]


def test_one_bad_of_many(there: Path) -> None:
    result = run('move.json', 'bad.yaml')
    assert result.exit_code == 1
    assert 'move.json: valid' in result.output
    assert result.output.splitlines()[-1] == 'error: 1 of 2 cannot be run: bad.yaml'


def test_a_file_that_cannot_be_read_is_exit_code_2(there: Path) -> None:
    for arguments in (('nowhere.json',), ('move.json', '--body', 'nowhere.json'), ('move.json', '--input-schema', 'bad'), ('--json',)):
        assert run(*arguments).exit_code == 2
    (there / 'broken.json').write_text('{')
    assert 'not JSON' in run('move.json', '--body', 'broken.json').output


def test_a_body_is_checked_too(there: Path) -> None:
    assert run('move.json', '--body', 'body.json').exit_code == 0
    (there / 'body.json').write_text('{"input": 3}')
    result = run('move.json', '--body', 'body.json')
    assert result.exit_code == 1
    assert '  the input:\n    $.input: 3 is not of type ' in result.output


def test_input_and_definition_may_come_otherwise(there: Path) -> None:
    assert run('move.json', '--body', '{"input": {}}').exit_code == 0
    assert CliRunner().invoke(main, ['flow', 'validate', 'move.json', '--body', '-'], input='{"input": 3}').exit_code == 1
    assert CliRunner().invoke(main, ['flow', 'validate', '-'], input=json.dumps(MOVE)).output.startswith('-: valid  Copy it')
    assert 'is a directory' in run('.').output
    assert run('move.json', '--body', '{"input": NaN}').exit_code == 2


def test_a_schema_of_its_own(there: Path) -> None:
    (there / 'schema.json').write_text('{"required": ["more"]}')
    result = run('move.json', '--body', 'body.json', '--input-schema', 'schema.json')
    assert '$.more: is needed' in result.output
    (there / 'schema.json').write_text('{"type": "strange"}')
    assert '$.input_schema.type: ' in run('move.json', '--input-schema', 'schema.json').output


def test_warnings_stand_apart_and_are_faults_when_asked(there: Path) -> None:
    del MOVE['definition']['States']['Copy']['WaitTime']
    (there / 'move.json').write_text(json.dumps(MOVE))
    MOVE['definition']['States']['Copy']['WaitTime'] = 60
    result = run('move.json')
    assert result.exit_code == 0
    assert '  warnings:\n    $.States.Copy: has no WaitTime' in result.output
    assert run('move.json', '--strict').exit_code == 1


def test_json(there: Path) -> None:
    result = run('move.json', 'bad.yaml', '--json')
    assert result.exit_code == 1
    good, bad = json.loads(result.output)
    assert good == {
        'file': 'move.json',
        'title': 'Copy it',
        'valid': True,
        'flow_id': good['flow_id'],
        'faults': [],
        'warnings': [],
        'scopes': {'User': ['urn:globus:auth:scope:transfer.api.globus.org:all']},
        'actions': ['transfer'],
        'traversals': {'count': 2, 'complete': True, 'listed': [['Copy', 'Good', 'Done'], ['Copy', 'Good', 'Bad']]},
        'body': [],
    }
    assert (bad['valid'], bad['flow_id'], bad['faults'][0]['path']) == (False, None, '$.States.A.Type')


def test_the_example_of_the_documentation_is_what_is_printed(there: Path) -> None:
    tar = {'Type': 'Action', 'ActionUrl': 'https://compute.actions.globus.org', 'ResultPath': '$.Tar', 'Next': 'Move'}
    move = {'Type': 'Action', 'ActionUrl': f'{TRANSFER[:-8]}tranfser', 'InputPath': '$.move', 'ResultPath': '$.Move', 'End': True}
    tar['Parameters'] = {'tasks': [{'endpoint.$': '$.input.endpoint', 'function.$': 'input.f'}]}  # type: ignore[assignment]
    (there / 'tar.json').write_text(json.dumps({'StartAt': 'Tarr', 'States': {'Tar': tar, 'Move': move}}))
    text = (Path(__file__).parents[3] / 'docs' / 'flows.md').read_text()
    shown = text.split('$ relay-parsl flow validate tar.json\n')[1].split('```')[0].splitlines()
    assert run('tar.json').output.splitlines()[:-1] == shown


def test_nothing_in_a_definition_moves_the_cursor(there: Path) -> None:
    name = 'a\x1b]0;owned\x07'
    (there / 'sly.json').write_text(
        json.dumps({'definition': {'StartAt': name, 'States': {name: {'Type': 'Pass', 'End': True}}}, 'title': 't\x9b2J\u202e'})
    )
    schema = {'type': 'object', 'properties': {name: {'type': 'integer', 'const': name}}}
    (there / 'schema.json').write_text(json.dumps(schema))
    for result in (run('sly.json'), run('sly.json', '--input-schema', 'schema.json', '--body', json.dumps({name: name}))):
        assert 'owned' in result.output
        assert all(line.isprintable() for line in result.output.split('\n'))


def test_nor_does_the_action_id_of_a_run() -> None:
    name = 'a\x1b]0;owned\x07'
    run: dict[str, Any] = dict.fromkeys(('label', 'flow_title', 'flow_id', 'state', 'start_time', 'completion_time'), '')
    run |= {'run_id': 'r', 'tags': [], 'status': 'ACTIVE', 'details': None, 'action': {'action': 'hello_world', 'action_id': f'r:{name}:1'}}
    assert all(str(value).isprintable() for value in described(run).values())


def test_the_definition_of_the_documentation_is_one_without_a_warning(there: Path) -> None:
    text = (Path(__file__).parents[3] / 'docs' / 'flows.md').read_text()
    (there / 'first.json').write_text(text.split('```json\n')[1].split('```')[0])
    result = run('first.json', '--strict', '--body', '{"input": {"path": "/raw/7.h5", "scan": 7}}')
    assert result.exit_code == 0, result.output
