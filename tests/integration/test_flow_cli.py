"""`relay-parsl flow` as a user has it: an engine that serves, other terminals beside it, people who answer."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands import Commands, commands, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ECHO = {'Type': 'Action', 'ActionUrl': 'https://actions.globus.org/hello_world', 'ResultPath': '$.hello'}
HELLO = {
    'StartAt': 'Hello',
    'States': {
        'Hello': {**ECHO, 'Parameters': {'echo_string.$': '$.word'}, 'Next': 'Right'},
        'Right': {'Type': 'Choice', 'Choices': [{'Variable': '$.word', 'StringEquals': 'no', 'Next': 'Wrong'}], 'Default': 'Done'},
        'Done': {'Type': 'Pass', 'End': True},
        'Wrong': {'Type': 'Fail', 'Error': 'SaidNo', 'Cause': 'because'},
    },
}
SLEEP = {'StartAt': 'Wait', 'States': {'Wait': {'Type': 'Wait', 'Seconds': 3600, 'Next': 'Done'}, 'Done': {'Type': 'Pass', 'End': True}}}
SHORT: dict[str, Any] = {'StartAt': 'Wait', 'States': {'Wait': {'Type': 'Wait', 'Seconds': 6, 'Next': 'Done'}, 'Done': {'Type': 'Pass', 'End': True}}}
CONSENT = {'StartAt': 'Hello', 'States': {'Hello': {**ECHO, 'Parameters': {'echo_string': 'x', 'required_dependent_scope': 'urn:x'}, 'End': True}}}
ASK = {
    'title': 'Ask first',
    'definition': {
        'StartAt': 'Ask',
        'States': {
            'Ask': {
                'Type': 'CreateWebInput',
                'Parameters': {
                    'InputType': 'Selection',
                    'Context': {'PresentationStyle': 'Text', 'Title': 'Keep it?', 'Text': 'The scan has 100 frames.'},
                    'Options': [
                        {'Value': 'keep', 'Label': 'Keep', 'Description': 'copy it'},
                        {'Value': 'drop', 'Label': 'Drop', 'Description': 'or not'},
                    ],
                    'RespondentUrns': ['urn:globus:auth:identity:944cfbe8-60f8-474d-a634-a0c1ad543a54'],
                },
                'ResultPath': '$.Ask',
                'Next': 'Await',
            },
            'Await': {'Type': 'AwaitWebInput', 'Parameters': {'web_input_id.$': '$.Ask.web_input_id'}, 'ResultPath': '$.Answer', 'Next': 'Done'},
            'Done': {'Type': 'Pass', 'InputPath': '$.Answer.response', 'ResultPath': '$.answer', 'End': True},
        },
    },
}


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'home') as made:
        for name, flow in {'hello': HELLO, 'sleep': SLEEP, 'short': SHORT, 'consent': CONSENT, 'ask': ASK}.items():
            (made.cwd / f'{name}.json').write_text(json.dumps(flow))
        yield made


def listed(cli: Commands, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cli.ok('flow', 'list', '--json', *options))
    return found


def begin(cli: Commands, *words: str) -> str:
    """Start a run that an engine has; its id."""
    return cli.ok('flow', 'run', *words).split()[1]


def status(cli: Commands, run_id: str) -> str:
    return str(next(run['status'] for run in listed(cli) if run['run_id'] == run_id))


def test_without_an_engine_the_command_runs_the_flow_itself(cli: Commands) -> None:
    done = cli.run('flow', 'run', 'hello.json', '--body', '{"word": "hi"}', '--follow')
    assert done.returncode == 0, done.stderr
    assert 'this command is the engine' in done.stderr
    assert done.stdout.splitlines() == [
        '✔ FlowStarted',
        '✔ Hello - ActionStarted',
        '✔ Hello - ActionCompleted',
        '✔ Right - ChoiceStarted',
        '✔ Right - ChoiceCompleted',
        '✔ Done - PassStarted',
        '✔ Done - PassCompleted',
        '✔ FlowSucceeded',
    ]
    failed = cli.run('flow', 'run', 'hello.json', '--body', '-', '--wait', '--json', '--tag', 'a', '--tag', 'b', text='{"word": "no"}')
    assert failed.returncode == 1
    told = json.loads(failed.stdout)
    assert (told['status'], told['label'], told['tags'], told['payload']['word']) == ('FAILED', 'hello', ['a', 'b'], 'no')
    assert 'in state Wrong: SaidNo: because' in failed.stderr
    assert [run['status'] for run in listed(cli)] == ['SUCCEEDED', 'FAILED']
    assert [run['status'] for run in listed(cli, '--status', 'failed', '--tag', 'a', '--label', 'hel')] == ['FAILED']
    assert listed(cli, '--tag', 'c') == []


def test_with_an_engine_it_leaves_the_run_to_it(cli: Commands) -> None:
    assert 'engine of flows' in cli.ok('flow', 'serve', '--detach')
    assert 'already runs' in cli.refused('flow', 'serve')
    run_id = begin(cli, 'hello.json', '--body', '{"word": "hi"}', '--label', 'scan 7')
    until(lambda: status(cli, run_id) == 'SUCCEEDED')
    assert cli.ok('flow', 'log', run_id[:8], '--follow').splitlines()[-1] == '✔ FlowSucceeded'
    codes = [json.loads(line)['code'] for line in cli.ok('flow', 'log', run_id, '--follow', '--json').splitlines()]
    assert codes == [entry['code'] for entry in json.loads(cli.ok('flow', 'log', run_id, '--json'))]
    assert cli.ok('flow', 'log', run_id, '--reverse', '--limit', '1') == '✔ FlowSucceeded\n'
    assert json.loads(cli.ok('flow', 'show', run_id, '--definition')) == HELLO
    assert 'scan 7' in cli.ok('flow', 'show', run_id, '--graph', str(cli.cwd / 'run.svg'))
    assert (cli.cwd / 'run.svg').read_text().startswith('<svg')
    assert cli.ok('flow', 'show', run_id, '--graph', '-') == (cli.cwd / 'run.svg').read_text()
    assert cli.ok('flow', 'release', run_id) == f'{run_id}  released\n'
    assert 'there is no run' in cli.refused('flow', 'show', run_id)
    assert 'engine stopped' in cli.ok('flow', 'serve', '--stop')
    assert 'no engine' in cli.ok('flow', 'serve', '--stop')


def test_what_a_definition_keeps_private_is_in_no_json(cli: Commands) -> None:
    parameters = {'password': 'hush', 'user': 'ann', '__Private_Parameters': ['password']}
    flow = {'StartAt': 'Log in', 'States': {'Log in': {'Type': 'Pass', 'Parameters': parameters, 'ResultPath': '$.login', 'End': True}}}
    (cli.cwd / 'login.json').write_text(json.dumps(flow))
    told = [cli.ok('flow', 'run', 'login.json', '--body', '{}', '--wait', '--json')]
    run_id = json.loads(told[0])['run_id']
    told += [cli.ok('flow', *words) for words in (['show', run_id, '--json'], ['show', run_id], ['log', run_id, '--json'], ['list', '--json'])]
    told += [cli.ok('flow', 'run', 'login.json', '--body', '{}', '--detach', '--json')]
    assert 'ann' in told[0]
    assert not [text for text in told if 'hush' in text]
    assert json.loads(cli.ok('flow', 'show', run_id, '--definition')) == flow, 'who reruns it needs it whole'


def test_a_run_that_waits_shows_its_payload_and_ends_when_it_is_told(cli: Commands) -> None:
    cli.ok('flow', 'serve', '--detach')
    run_id = begin(cli, 'sleep.json', '--body', '{"sample": "G001"}')
    until(lambda: listed(cli)[0]['state'] == 'Wait')
    assert json.loads(cli.ok('flow', 'show', run_id, '--json'))['payload'] == {'sample': 'G001'}
    assert 'cancel it' in cli.refused('flow', 'release', run_id)
    assert 'only a run that is INACTIVE' in cli.refused('flow', 'resume', run_id)
    follower = cli.start('flow', 'log', run_id, '--follow')
    assert cli.ok('flow', 'cancel', run_id) == f'{run_id}  ENDED\n'
    out, _ = follower.communicate(timeout=30)
    assert follower.returncode == 1
    assert '! FlowCanceled' in out
    assert 'nothing to cancel' in cli.refused('flow', 'cancel', run_id)


def test_a_person_answers_and_another_gives_consent(cli: Commands) -> None:
    cli.ok('flow', 'serve', '--detach')
    asked, stuck = begin(cli, 'ask.json'), begin(cli, 'consent.json')
    until(lambda: status(cli, stuck) == 'INACTIVE' and json.loads(cli.ok('flow', 'web-inputs', '--json')))
    said = cli.ok('flow', 'show', asked)
    assert 'Keep it?' in said
    assert '"drop"  Drop: or not' in said
    question = json.loads(cli.ok('flow', 'web-inputs', '--json'))[0]['web_input_id']
    assert "it has 'keep', 'drop'" in cli.refused('flow', 'respond', question, 'burn')
    assert '--by' in cli.refused('flow', 'respond', question, 'keep')
    cli.ok('flow', 'respond', question, 'keep', '--by', 'urn:globus:auth:identity:944cfbe8-60f8-474d-a634-a0c1ad543a54')
    until(lambda: status(cli, asked) == 'SUCCEEDED')
    assert json.loads(cli.ok('flow', 'show', asked, '--json'))['payload']['answer'] == 'keep'
    assert 'CLOSED' in cli.refused('flow', 'respond', question, 'keep')
    assert 'ConsentRequired' in cli.ok('flow', 'show', stuck)
    cli.ok('flow', 'resume', stuck)
    until(lambda: status(cli, stuck) == 'SUCCEEDED')


@pytest.fixture
def terminal() -> Iterator[None]:
    """Programs heed Ctrl-C, as in a terminal: where these tests run in the background of a script, they would inherit that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures('terminal')
def test_ctrl_c_ends_the_look_and_not_the_run(cli: Commands) -> None:
    cli.ok('flow', 'serve', '--detach')
    follower = cli.start('flow', 'run', 'short.json', '--follow')
    assert follower.stdout is not None
    while 'WaitStarted' not in follower.stdout.readline():
        pass
    follower.send_signal(signal.SIGINT)
    out, _ = follower.communicate(timeout=30)
    assert (follower.returncode, 'the run goes on' in out) == (130, True)
    run_id = listed(cli)[0]['run_id']
    assert f'relay-parsl flow log {run_id} --follow' in out
    until(lambda: status(cli, run_id) == 'SUCCEEDED')


@pytest.mark.usefixtures('terminal')
def test_ctrl_c_on_the_engine_itself_leaves_the_run_to_the_next(cli: Commands) -> None:
    first = cli.start('flow', 'run', 'short.json', '--follow')
    assert first.stdout is not None
    while 'WaitStarted' not in first.stdout.readline():
        pass
    first.send_signal(signal.SIGINT)
    out, _ = first.communicate(timeout=30)
    assert (first.returncode, 'kept as it stands' in out) == (130, True)
    (run,) = listed(cli)
    assert run['status'] == 'ACTIVE'
    cli.ok('flow', 'serve', '--detach')
    assert cli.ok('flow', 'log', run['run_id'], '--follow').splitlines()[-1] == '✔ FlowSucceeded'


def test_an_engine_that_ends_with_its_own_run_leaves_no_other_behind(cli: Commands) -> None:
    """Two terminals, neither of them `flow serve`: the second does not leave its run to the first, which will be gone."""
    first = cli.start('flow', 'run', 'short.json', '--follow')
    assert first.stdout is not None
    while 'WaitStarted' not in first.stdout.readline():
        pass
    second = cli.run('flow', 'run', 'short.json')
    assert second.returncode == 0, second.stderr
    assert 'this command is the engine' in second.stderr
    first.communicate(timeout=30)
    assert first.returncode == 0
    assert [run['status'] for run in listed(cli)] == ['SUCCEEDED', 'SUCCEEDED']


def test_a_follower_outlives_the_engine_and_says_that_it_is_gone(cli: Commands) -> None:
    cli.ok('flow', 'serve', '--detach')
    follower = cli.start('flow', 'run', 'sleep.json', '--follow')
    assert follower.stdout is not None
    while 'WaitStarted' not in follower.stdout.readline():
        pass
    os.kill(int(json.loads((cli.root / 'flows' / 'engine.pid').read_text())['pid']), signal.SIGKILL)
    assert 'no engine serves this home' in follower.stdout.readline()
    cli.ok('flow', 'serve', '--detach')
    cli.ok('flow', 'cancel', listed(cli)[0]['run_id'])
    out, _ = follower.communicate(timeout=30)
    assert (follower.returncode, '! FlowCanceled' in out) == (1, True)


def test_a_run_that_nobody_drives_says_so(cli: Commands) -> None:
    done = cli.run('flow', 'run', 'hello.json', '--body', '{"word": "hi"}', '--detach')
    assert (done.returncode, 'the run waits for' in done.stderr) == (0, True)
    run_id = done.stdout.split()[1]
    late = cli.run('flow', 'cancel', run_id)
    assert late.returncode == 1
    assert 'no engine serves this home' in late.stderr
    cli.ok('flow', 'serve', '--detach')
    until(lambda: status(cli, run_id) == 'ENDED')


def test_a_terminal_sees_the_state_that_goes_on_redrawn_in_place(cli: Commands) -> None:
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover  the child is another program at once
        os.chdir(cli.cwd)
        os.execve(  # noqa: S606  our own program
            sys.executable, [sys.executable, '-m', 'relay_parsl', 'flow', 'run', 'short.json', '--follow'], {**cli.environment, 'TERM': 'xterm'}
        )
    drawn = b''
    try:
        while data := os.read(terminal, 4096):
            drawn += data
    except OSError:  # how a terminal says that nobody writes to it any more
        pass
    finally:
        os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0
    text = drawn.decode()
    assert text.count('● ') > 3
    assert '\x1b[2K' in text
    assert 'WaitStarted' in text
    assert f'({SHORT["States"]["Wait"]["Seconds"]} seconds)' in text.split('✔ ')[2]


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['run', 'nope.json'], 'no such file'),
        (['run', '.'], 'is a directory'),
        (['run', 'hello.json', '--body', '{bad'], 'the body is no JSON'),
        (['run', 'hello.json', '--body', '{"word": "a", "word": "b"}'], '$.word'),
        (['run', 'hello.json', '--body', '[]'], 'takes a JSON object'),
        (['run', 'hello.json', '--body', 'missing.json'], 'missing.json: no such file'),
        (['run', 'hello.json', '--label', 'x' * 65], '1 to 64 characters'),
        (['run', 'hello.json', '--follow', '--detach'], 'leave one of them out'),
        (['log', 'nope', '--follow'], 'there is no run'),
        (['list', '--status', 'nope'], 'is not one of'),
        (['respond', 'nope', 'x'], 'there is no question'),
        (['show'], "Missing argument 'RUN'"),
    ],
)
def test_what_is_asked_wrongly_is_refused_in_one_clear_line(cli: Commands, words: list[str], said: str) -> None:
    assert said in cli.refused('flow', *words)


def test_every_fault_of_a_definition_is_said_before_anything_begins(cli: Commands) -> None:
    (cli.cwd / 'bad.json').write_text('{"StartAt": "X", "States": {"A": {"Type": "Task"}}}')
    said = cli.refused('flow', 'run', 'bad.json')
    assert '$.StartAt' in said
    assert '$.States.A.Type' in said
    assert listed(cli) == []


def test_a_shell_completes_runs_states_and_answers(cli: Commands) -> None:
    run_id = cli.ok('flow', 'run', 'hello.json', '--body', '{"word": "hi"}', '--detach').split()[1]

    def completed(line: str) -> str:
        environment = {**cli.environment, '_RELAY_PARSL_COMPLETE': 'bash_complete', 'COMP_WORDS': line, 'COMP_CWORD': str(len(line.split(' ')) - 1)}
        program = [str(Path(sys.executable).with_name('relay-parsl'))]
        return subprocess.run(program, check=False, env=environment, capture_output=True, text=True, timeout=60).stdout

    assert completed(f'relay-parsl flow show {run_id[:4]}') == f'plain,{run_id}\n'
    assert completed('relay-parsl flow list --status SU').upper() == 'PLAIN,SUCCEEDED\n'
    assert 'plain,hello' in completed('relay-parsl flow list --label h')
