from __future__ import annotations

import threading
from typing import Any

import pytest

from relay_parsl.flows.actions.base import ActionUnableToRun, Call, Surroundings
from relay_parsl.flows.actions.questions import answered
from relay_parsl.flows.actions.web_input import KEEP, WebInput, WebInputOption, WebInputResponse
from relay_parsl.testing import MemoryRecords

ANN = 'urn:globus:auth:identity:c5ab1c3d-b812-4ef9-acb6-4d84c58db4de'
BODY = {'InputType': 'Selection', 'Options': [{'Value': 'yes'}, {'Value': 'no'}], 'RespondentUrns': [ANN]}


class Desk:
    """The surroundings of the three actions: one set of rows, one clock."""

    def __init__(self, **settings: Any) -> None:
        self.now = 1000.0
        self.records = MemoryRecords()
        self.told = threading.Event()
        self.surroundings = Surroundings(self.records, settings, lambda _: self.told.set(), lambda: self.now)

    def ask(self, request_id: str = 'run-1:Ask:1', body: Any = None) -> str:
        return str(WebInput(self.surroundings).run(Call(request_id, body or BODY, time=self.now)).details['web_input_id'])

    def question(self, name: str) -> Any:
        return self.records.get(f'question/{name}')


def test_a_question_says_of_which_run_it_is_and_until_when() -> None:
    desk = Desk(expires=60)
    found = desk.question(desk.ask())
    assert (found['run_id'], found['time'], found['expires'], found['status']) == ('run-1', 1000.0, 1060.0, 'OPEN')
    assert [option['Label'] for option in found['options']] == ['yes', 'no']


def test_a_repeated_request_does_not_undo_an_answer() -> None:
    desk = Desk()
    name = desk.ask()
    desk.records.put(f'question/{name}', answered(desk.question(name), 'no', [ANN], 1001.0))
    desk.records.delete('web_input/action/run-1:Ask:1')  # as if the process had died before it wrote down that it had asked
    assert desk.ask() == name
    assert desk.question(name)['response'] == 'no'


def test_the_answer_is_the_result() -> None:
    desk = Desk()
    name = desk.ask()
    waits = WebInputResponse(desk.surroundings)
    status = waits.run(Call('run-1:Await:1', {'web_input_id': name}, time=1000.0))
    assert (status.status, status.details['answer']) == ('ACTIVE', f'relay-parsl flow respond {name}')
    desk.records.put(f'question/{name}', answered(desk.question(name), 'no', [ANN], 1001.0))
    status = waits.status(status.action_id)
    assert (status.status, status.details['response'], status.details['respondent']) == ('SUCCEEDED', 'no', ANN)
    waits.close()


def test_a_question_that_expires_is_reported_and_fails_with_the_languages_error() -> None:
    desk = Desk(expires=0.001)
    waits = WebInputResponse(desk.surroundings)
    status = waits.run(Call('run-1:Await:1', {'web_input_id': desk.ask()}, time=1000.0))
    desk.now += 1.0
    assert waits.status(status.action_id).status == 'ACTIVE'  # who answered in time may still be writing
    desk.now += 1.0
    waits._alarms.set(status.action_id, 0.0)  # the clock of this test does not wake the thread
    assert desk.told.wait(10)
    assert waits.status(status.action_id).details['code'] == 'Flows.WebInputExpired'
    waits.close()


def test_the_settings_say_who_a_urn_is_here() -> None:
    desk = Desk(identities={ANN: 'ann'})
    assert desk.question(desk.ask())['respondents'] == [ANN, 'ann']


def test_a_cancelled_wait_closes_its_question() -> None:
    desk = Desk()
    name = desk.ask()
    waits = WebInputResponse(desk.surroundings)
    action = waits.run(Call('run-1:Await:1', {'web_input_id': name}, time=1000.0)).action_id
    assert waits.cancel(action).details['code'] == 'ActionCanceled'
    assert desk.question(name)['status'] == 'CLOSED'
    waits.close()


def test_old_questions_are_forgotten() -> None:
    desk = Desk(expires=10)
    old = desk.ask()
    desk.now += KEEP + 11
    new = desk.ask('run-2:Ask:1')
    assert desk.question(old) is None
    assert desk.question(new)


def test_the_older_action_names_option_and_suffix() -> None:
    desk = Desk()
    body = {
        'landing_page': {'url_suffix': 'page', 'header_text': 'Choose', 'preamble_text': 'Or not', 'selectable_by': ['ann'], 'page_title': ''},
        'options': [{'name': 'Yes', 'description': 'Allow', 'url_suffix': 'yes'}, {'name': 'No', 'url_suffix': 'no', 'selectable_by': ['bob']}],
    }
    waits = WebInputOption(desk.surroundings)
    action = waits.run(Call('run-1:Ask:1', body, time=1000.0))
    question = desk.question(action.details['web_input_id'])
    assert (question['title'], question['respondents'], question['options'][1]['respondents']) == ('Choose', ['ann'], ['bob'])
    desk.records.put(f'question/{question["web_input_id"]}', answered(question, 'No', ['bob'], 1001.0))
    details = waits.status(action.action_id).details
    assert (details['name'], details['url_suffix'], details['response']) == ('No', 'no', 'No')
    waits.close()


def test_what_is_no_question_is_refused() -> None:
    with pytest.raises(ActionUnableToRun, match="'nonesuch' is no question of this journal"):
        WebInputResponse(Desk().surroundings).run(Call('r:S:1', {'web_input_id': 'nonesuch'}, time=1.0))
