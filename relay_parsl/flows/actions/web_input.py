"""Questions to people: `web_input` asks, `web_input_response` waits for the answer, `web_input_option` does both, as older flows do.

They are answered through the journal (`relay-parsl flow respond`), by any process; the engine then asks the waiting action how it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from relay_parsl.flows.actions import keys
from relay_parsl.flows.actions.alarms import Alarms
from relay_parsl.flows.actions.base import Call, Description, Surroundings
from relay_parsl.flows.actions.bodies import Fields
from relay_parsl.flows.actions.kept import Kept, Row
from relay_parsl.flows.actions.questions import PREFIX, SECTION, Question, status
from relay_parsl.flows.actions.requests import hashed
from relay_parsl.flows.definition import Json
from relay_parsl.flows.messages import ActionStatus

EXPIRES = 30 * 86_400.0
"""Seconds, by default, for which a question may be answered."""
KEEP = 90 * 86_400.0
"""Seconds for which one that takes no more answers is still listed."""
GRACE = 1.0
"""Seconds after its end until nobody can have answered in time any more."""
_URNS = {'type': 'array', 'items': {'type': 'string'}}


class _Asking(Kept):
    """Settings: `expires` [s], and `identities`: who a URN of a flow is here."""

    settings_keys: ClassVar[keys.Keys] = {'expires': keys.seconds, 'identities': keys.Table(keys.text)}

    def _question(self, call: Call, shown: Mapping[str, Json], respondents: list[str]) -> Question:
        settings = self.surroundings.settings
        return {
            'web_input_id': hashed(f'{call.request_id}/question'),
            'run_id': str(call.context.get('run_id') or call.request_id.split(':', 1)[0]),
            'label': call.label,
            'time': call.time,
            'expires': call.time + float(settings.get('expires') or EXPIRES),
            'status': 'OPEN',
            'respondents': self._people(respondents),
            **shown,
        }

    def _people(self, urns: list[str]) -> list[str]:
        """With each URN whoever the settings say it is."""
        here = self.surroundings.settings.get('identities') or {}
        return list(dict.fromkeys([*urns, *[str(here[each]) for each in urns if each in here]]))

    def _ask(self, question: Question) -> None:
        """Once: an answer may have come already."""
        records, key = self.surroundings.records, PREFIX + question['web_input_id']
        if records.get(key) is None:
            records.put(key, question)
            self._forget_old()

    def _forget_old(self) -> None:
        now = self.surroundings.clock()
        for key, each in list(self.surroundings.records.scan(PREFIX)):
            if max(each['time'], min(each['expires'], each.get('response_time', each['expires']))) + KEEP < now:
                self.surroundings.records.delete(key)


class WebInput(_Asking):
    """What a state of type CreateWebInput calls."""

    description = Description(
        name='web_input',
        title='Ask people',
        section=SECTION,
        urls=('urn:relay-parsl:web_input',),
        synchronous=True,
        input_schema={
            'type': 'object',
            'properties': {
                'InputType': {'type': 'string', 'enum': ['Selection']},
                'Context': {'type': 'object'},
                'Options': {'type': 'array', 'minItems': 1, 'items': {'type': 'object', 'required': ['Value']}},
                'RespondentUrns': _URNS,
                'ViewerUrns': _URNS,
            },
            'required': ['Options'],
        },
    )

    def check(self, call: Call) -> Row:
        """Raises ActionUnableToRun."""
        fields = Fields(call.body)
        fields.choice('InputType', ('Selection',), 'Selection')
        context = fields.mapping('Context', {})
        options = [_option(each) for each in fields.objects('Options', least=1)]
        _distinct(fields, 'Options', options)
        respondents, viewers = fields.texts('RespondentUrns', []), fields.texts('ViewerUrns', [])
        fields.only()
        fields.done()
        shown = {'title': str(context.get('Title') or ''), 'context': context, 'options': options, 'viewers': viewers}
        return {'question': self._question(call, shown, respondents)}

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        """The question stands where `web_inputs` lists it."""
        self._ask(row['question'])
        return self.succeeded(action_id, row, {'web_input_id': row['question']['web_input_id']})


class _Waiting(_Asking):
    """ACTIVE until the question is answered, or can be no more."""

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._alarms = Alarms(self.tell, surroundings.clock)

    def close(self) -> None:
        """No more alarms; answers come to the next process."""
        self._alarms.close()

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        """Somebody answers, or its time ends."""
        stands = self.standing(action_id, row)
        if stands.completion_time is None:
            self._alarms.set(action_id, self._kept(row)['expires'] + GRACE)
        return stands

    def standing(self, action_id: str, row: Row) -> ActionStatus:
        """By the question."""
        question = self._kept(row)
        if 'response' in question:
            said = {'response': question['response'], 'respondent': question.get('respondent', ''), 'response_time': question.get('response_time')}
            return self.succeeded(action_id, row, {'web_input_id': question['web_input_id'], **said, **self._more(row, question)})
        if question['status'] != 'OPEN' or status(question, self.surroundings.clock() - GRACE) == 'EXPIRED':
            text = f'question {question["web_input_id"]} was not answered in time'
            return self.failed(action_id, row, 'Flows.WebInputExpired', text, web_input_id=question['web_input_id'])
        answer = f'relay-parsl flow respond {question["web_input_id"]}'
        return self.active(
            action_id, row, {'web_input_id': question['web_input_id'], 'expires': question['expires'], 'answer': answer}, 'waits for an answer'
        )

    def stop(self, action_id: str, row: Row) -> ActionStatus:
        """Nobody needs to answer any more."""
        question = self._kept(row)
        if question['status'] == 'OPEN' and 'time' in question:
            self.surroundings.records.put(PREFIX + question['web_input_id'], {**question, 'status': 'CLOSED'})
        return super().stop(action_id, row)

    def _kept(self, row: Row) -> Question:
        """The question; one that was deleted takes no answers."""
        name = row.get('web_input_id') or row['question']['web_input_id']
        found: Question | None = self.surroundings.records.get(PREFIX + name)
        return found or {'web_input_id': name, 'status': 'CLOSED', 'expires': 0.0, 'options': []}

    def _more(self, row: Row, question: Question) -> dict[str, Json]:
        """What else the result says."""
        return {}


class WebInputResponse(_Waiting):
    """What a state of type AwaitWebInput calls."""

    description = Description(
        name='web_input_response',
        title='Wait for an answer',
        section=SECTION,
        urls=('urn:relay-parsl:web_input_response',),
        input_schema={'type': 'object', 'properties': {'web_input_id': {'type': 'string'}}, 'required': ['web_input_id']},
    )

    def check(self, call: Call) -> Row:
        """Raises ActionUnableToRun."""
        fields = Fields(call.body)
        name = fields.text('web_input_id')
        if name and self.surroundings.records.get(PREFIX + name) is None:
            fields.fault('web_input_id', f'{name!r:.80} is no question of this journal')
        fields.only()
        fields.done()
        return {'web_input_id': name}


class WebInputOption(_Waiting):
    """The older action: options with a name and a URL's suffix, on a landing page or not. The pages are not served; the name is the answer."""

    description = Description(
        name='web_input_option',
        title='Wait for an option',
        section=SECTION,
        urls=('https://actions.globus.org/weboption/wait_for_option', 'https://actions.automate.globus.org/weboption/wait_for_option'),
        input_schema={
            'type': 'object',
            'properties': {
                'options': {
                    'type': 'array',
                    'minItems': 1,
                    'items': {
                        'type': 'object',
                        'properties': {'name': {'type': 'string'}, 'url_suffix': {'type': 'string'}, 'selectable_by': _URNS},
                        'required': ['name'],
                    },
                },
                'landing_page': {'type': ['object', 'null']},
            },
            'required': ['options'],
        },
    )

    def check(self, call: Call) -> Row:
        """Raises ActionUnableToRun."""
        fields = Fields(call.body)
        found = fields.objects('options', least=1)
        options = [{**_older(each), 'respondents': self._people(each.texts('selectable_by', []))} for each in found]
        _distinct(fields, 'options', options)
        page = Fields(fields.mapping('landing_page', {}), 'landing_page', fields.faults)
        respondents = page.texts('selectable_by', [])
        title, text = page.text('page_title', ''), page.text('preamble_text', '')
        header = page.text('header_text', '')
        fields.only()
        fields.done()
        context = {'PresentationStyle': 'Text', 'Title': title or header, 'Text': text}
        return {'question': self._question(call, {'title': title or header, 'context': context, 'options': options}, respondents)}

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        """Ask, and wait."""
        self._ask(row['question'])
        return super().begin(action_id, row, again=again)

    def _more(self, row: Row, question: Question) -> dict[str, Json]:
        chosen: Mapping[str, Any] = next(each for each in question['options'] if each['Value'] == question['response'])
        return {'name': chosen['Value'], 'url_suffix': chosen.get('url_suffix', '')}


def _option(fields: Fields) -> dict[str, Json]:
    value = fields.any('Value')
    if value is None or isinstance(value, (dict, list)):
        fields.fault('Value', 'is text, a number, true or false: it is the answer')
    made = {'Value': value, 'Label': fields.text('Label', str(value)), 'Description': fields.text('Description', '')}
    fields.only()
    return made


def _older(fields: Fields) -> dict[str, Json]:
    name = fields.text('name')
    return {'Value': name, 'Label': name, 'Description': fields.text('description', ''), 'url_suffix': fields.text('url_suffix', '')}


def _distinct(fields: Fields, name: str, options: list[dict[str, Json]]) -> None:
    values = [repr(each['Value']) for each in options]
    for value in dict.fromkeys(each for each in values if values.count(each) > 1):
        fields.fault(name, f'has {value} twice: an answer would not say which is meant')
