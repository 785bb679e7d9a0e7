"""Our actions, each held to the contract."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from relay_parsl import testing
from relay_parsl.flows.actions.base import Action, Surroundings
from relay_parsl.flows.actions.datacite import Datacite as DataciteAction
from relay_parsl.flows.actions.expression_eval import ExpressionEval
from relay_parsl.flows.actions.hello_world import HelloWorld
from relay_parsl.flows.actions.notify import Notify
from relay_parsl.flows.actions.questions import answered
from relay_parsl.flows.actions.search import SearchDelete, SearchIngest
from relay_parsl.flows.actions.web_input import WebInput, WebInputOption, WebInputResponse
from tests.fakes.datacite import Datacite
from tests.fakes.smtp import SmtpServer


class TestHelloWorld(testing.ActionContract):
    def make(self, surroundings: Surroundings) -> Action:
        return HelloWorld(surroundings)

    def body(self) -> Any:
        return {'echo_string': 'hi', 'sleep_time': 0.05}

    def other_body(self) -> Any:
        return {'echo_string': 'ho', 'sleep_time': 0.05}

    def long_body(self) -> Any:
        return {'sleep_time': 1000}

    def inactive_body(self) -> Any:
        return {'required_dependent_scope': 'urn:globus:auth:scope:groups.api.globus.org:all', 'sleep_time': 0.01}

    def bad_bodies(self) -> Mapping[str, Any]:
        return {
            'echo_string': {'echo_string': 3},
            'sleep_time': {'sleep_time': -1},
            "did you mean 'sleep_time'": {'sleep_tme': 1},
            'required_dependent_scope': {'required_dependent_scope': ['x']},
        }


class TestExpressionEval(testing.ActionContract):
    def make(self, surroundings: Surroundings) -> Action:
        return ExpressionEval(surroundings)

    def body(self) -> Any:
        return {'arguments': {'Hellos': ['a']}, 'expression': 'Hellos == Hellos[0:0]', 'result_path': 'loop_done'}

    def other_body(self) -> Any:
        return {'expressions': [{'expression': '1 + 2'}, {'expression': 'x * 2', 'arguments': {'x': 4}, 'result_path': '$.a.b'}]}

    def failing_body(self) -> Any:
        return {'expression': 'nowhere + 1'}

    def bad_bodies(self) -> Mapping[str, Any]:
        return {
            'expression is missing': {},
            'expression': {'expression': '().__class__'},
            'arguments': {'expression': '1', 'arguments': [1]},
            'result_path': {'expression': '1', 'result_path': '$.a[*]'},
            'expressions[1].expression': {'expressions': [{'expression': '1'}, {'expression': 'lambda: 1'}]},
        }


class _Files(testing.ActionContract):
    """Those that write an index."""

    @pytest.fixture(autouse=True)
    def _site(self, tmp_path: Path) -> None:
        self.directory = tmp_path / 'indexes'

    def settings(self) -> Mapping[str, Any]:
        return {'directory': str(self.directory)}

    def done(self) -> int | None:
        return sum(len(path.read_text().splitlines()) for path in self.directory.glob('*.jsonl'))


class TestSearchIngest(_Files):
    def make(self, surroundings: Surroundings) -> Action:
        return SearchIngest(surroundings)

    def body(self) -> Any:
        return {'search_index': '6077d057-989d-41e2-b60b-91fe001f0687', 'subject': 'scan 7', 'visible_to': ['public'], 'content': {'g2': [1.0]}}

    def other_body(self) -> Any:
        return {**self.body(), 'subject': 'scan 8'}

    def bad_bodies(self) -> Mapping[str, Any]:
        good = self.body()
        return {
            'search_index is missing': {'subject': 's', 'content': {}},
            'search_index': {**good, 'search_index': '../../etc/passwd'},
            'subject': {'search_index': 'i', 'content': {}},
            'content': {**good, 'content': 'text'},
            'visible_to[0]': {**good, 'visible_to': [3]},
            'gmeta': {'search_index': 'i', 'ingest_type': 'GMetaList', 'ingest_data': {}},
            'ingest_data.gmeta[1].subject': {
                'search_index': 'i',
                'ingest_type': 'GMetaList',
                'ingest_data': {'gmeta': [{'subject': 's', 'content': {}}, {'content': {}}]},
            },
            "did you mean 'subject'": {**good, 'subjct': 's'},
        }


class TestSearchDelete(_Files):
    def make(self, surroundings: Surroundings) -> Action:
        return SearchDelete(surroundings)

    def body(self) -> Any:
        return {'search_index': 'xpcs', 'delete_by': 'subject', 'subject': 'scan 7'}

    def other_body(self) -> Any:
        return {'search_index': 'xpcs', 'delete_by': 'entry', 'subject': 'scan 7', 'entry_id': None}

    def bad_bodies(self) -> Mapping[str, Any]:
        return {
            'delete_by': {'search_index': 'i', 'delete_by': 'query', 'q': '*'},
            'subject': {'search_index': 'i'},
            'entry_id': {'search_index': 'i', 'subject': 's', 'entry_id': 3},
        }


QUESTION = {
    'InputType': 'Selection',
    'Context': {'PresentationStyle': 'Table', 'Title': 'Publish?', 'Rows': [{'Field': 'film', 'Value': '7'}]},
    'Options': [{'Value': 'yes', 'Label': 'Yes', 'Description': ''}, {'Value': 'no'}],
    'RespondentUrns': ['urn:globus:auth:identity:c5ab1c3d-b812-4ef9-acb6-4d84c58db4de'],
}


class TestWebInput(testing.ActionContract):
    def make(self, surroundings: Surroundings) -> Action:
        self.records = surroundings.records
        return WebInput(surroundings)

    def body(self) -> Any:
        return QUESTION

    def other_body(self) -> Any:
        return {**QUESTION, 'Options': [{'Value': 1}, {'Value': 1.5}, {'Value': True}]}

    def bad_bodies(self) -> Mapping[str, Any]:
        return {
            'InputType': {**QUESTION, 'InputType': 'Essay'},
            'Options is missing': {'InputType': 'Selection'},
            'Options[1].Value': {**QUESTION, 'Options': [{'Value': 'a'}, {'Label': 'b'}]},
            "Options has 'a' twice": {**QUESTION, 'Options': [{'Value': 'a'}, {'Value': 'a'}]},
            'RespondentUrns[0]': {**QUESTION, 'RespondentUrns': [7]},
            'Context': {**QUESTION, 'Context': 'why'},
        }

    def done(self) -> int | None:
        return len(list(self.records.scan('question/')))


class _Answered(testing.ActionContract):
    """Those that wait for an answer: the journal writes it, and the engine looks at the action then."""

    surroundings: Surroundings

    def proceed(self, action: Action, action_id: str) -> None:
        records = self.surroundings.records
        key = f'question/{action.status(action_id).details["web_input_id"]}'
        question = records.get(key)
        if question['status'] == 'OPEN' and key != 'question/unanswered':
            records.put(key, answered(question, question['options'][0]['Value'], question['respondents'] or ['me'], time.time()))
        self.surroundings.report(action_id)


class TestWebInputResponse(_Answered):
    def make(self, surroundings: Surroundings) -> Action:
        self.surroundings = surroundings
        for name in ('asked', 'unanswered'):
            if surroundings.records.get(f'question/{name}') is None:
                surroundings.records.put(f'question/{name}', _question(name))
        surroundings.records.put('question/late', {**_question('late'), 'expires': time.time() - 5})
        return WebInputResponse(surroundings)

    def body(self) -> Any:
        return {'web_input_id': 'asked'}

    def other_body(self) -> Any:
        return {'web_input_id': 'unanswered'}

    def long_body(self) -> Any:
        return {'web_input_id': 'unanswered'}

    def failing_body(self) -> Any:
        return {'web_input_id': 'late'}

    def bad_bodies(self) -> Mapping[str, Any]:
        return {'web_input_id is missing': {}, 'no question': {'web_input_id': 'nonesuch'}}


class TestWebInputOption(_Answered):
    def make(self, surroundings: Surroundings) -> Action:
        self.surroundings = surroundings
        return WebInputOption(surroundings)

    def body(self) -> Any:
        return {'options': [{'name': 'b', 'url_suffix': 'option_b', 'completed_message': 'Thank you'}, {'name': 'a', 'url_suffix': 'option_a'}]}

    def other_body(self) -> Any:
        return {**self.body(), 'landing_page': {'page_title': 'Choose', 'selectable_by': ['ann']}}

    def long_body(self) -> Any:
        return self.body()

    def bad_bodies(self) -> Mapping[str, Any]:
        return {
            'options is missing': {},
            'options[0].name': {'options': [{'url_suffix': 'x'}]},
            "options has 'a' twice": {'options': [{'name': 'a'}, {'name': 'a'}]},
            'options[0].selectable_by': {'options': [{'name': 'a', 'selectable_by': 'ann'}]},
            'landing_page': {**self.body(), 'landing_page': 'yes'},
        }


def _question(name: str) -> dict[str, Any]:
    options = [{'Value': 'yes'}, {'Value': 'no'}]
    return {'web_input_id': name, 'run_id': 'r', 'status': 'OPEN', 'time': 1.0, 'expires': 4e9, 'options': options, 'respondents': []}


class TestNotify(testing.ActionContract):
    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        with SmtpServer() as self.server:
            yield

    def make(self, surroundings: Surroundings) -> Action:
        return Notify(surroundings)

    def settings(self) -> Mapping[str, Any]:
        return {'host': '127.0.0.1', 'port': self.server.port, 'sender': 'flows@example.org'}

    def body(self) -> Any:
        return {'destination': 'ann@example.org', 'subject': 'Done', 'body_template': 'Scan $scan', 'body_variables': {'scan': 7}}

    def other_body(self) -> Any:
        return {**self.body(), 'destination': ['bob@example.org', 'Ann <ann@example.org>']}

    def failing_body(self) -> Any:
        self.server.answers['RCPT TO:<nobody'] = '550 no such mailbox'
        return {**self.body(), 'destination': 'nobody@example.org'}

    def bad_bodies(self) -> Mapping[str, Any]:
        good = self.body()
        return {
            'destination': {'body_template': 'x'},
            'destination has a line break': {**good, 'destination': 'ann@example.org\r\nBcc: eve@example.org'},
            'is no address': {**good, 'destination': 'ann'},
            'subject has a line break': {**good, 'subject': 'x\nBcc: eve@example.org'},
            'sender has a line break': {**good, 'sender': 'ann@example.org\nX: y'},
            'body_template': {**good, 'body_template': 3},
            'body_variables': {**good, 'body_variables': ['x']},
            'body_mimetype': {**good, 'body_mimetype': 'application/pdf'},
            'notification_method': {**good, 'notification_method': 'sms'},
            'send_credentials[0].credential_type': {**good, 'send_credentials': [{'credential_type': 'carrier pigeon', 'credential_value': {}}]},
        }

    def done(self) -> int | None:
        return len(self.server.received)


class TestDatacite(testing.ActionContract):
    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        with Datacite() as self.server:
            yield

    def make(self, surroundings: Surroundings) -> Action:
        return DataciteAction(surroundings)

    def settings(self) -> Mapping[str, Any]:
        return {'url': self.server.url}

    def body(self) -> Any:
        attributes = {'prefix': '10.5072', 'titles': [{'title': 'Scan 7'}], 'publisher': 'Lab', 'publicationYear': '2026'}
        return {'as_test': True, 'username': 'lab', 'password': 'geheim', 'Doi': {'type': 'dois', 'attributes': attributes}}

    def other_body(self) -> Any:
        return {**self.body(), 'Doi': {'id': '10.5072/other', 'type': 'dois', 'attributes': {'doi': '10.5072/other'}}}

    def failing_body(self) -> Any:
        return {**self.body(), 'password': 'falsch'}

    def bad_bodies(self) -> Mapping[str, Any]:
        good = self.body()
        return {
            'Doi is missing': {'as_test': True},
            'Doi.attributes': {**good, 'Doi': {'id': '10.5072/x'}},
            'Doi.attributes.doi': {**good, 'Doi': {'id': 'x', 'attributes': {}}},
            'Doi.type': {**good, 'Doi': {**good['Doi'], 'type': 'prefixes'}},
            'as_test': {**good, 'as_test': 'yes'},
            'username': {**good, 'username': 3},
            "did you mean 'password'": {**good, 'pasword': 'x'},
        }

    def done(self) -> int | None:
        return len(self.server.minted)
