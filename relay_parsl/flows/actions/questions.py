"""What flows ask people: how a question is kept, who may answer it, and what an answer makes of it. Pure.

A question is a row of the section `web_input`, under `question/` and its id: `web_input_id`, `run_id`, `time`, `expires`, `status` (`OPEN` or
`CLOSED`), `title`, `context`, `options` (each with `Value`, and `Label`, `Description`), `respondents`; once it is answered `response`,
`respondent` and `response_time`. `Journal.respond` writes the answer; the actions that wait for it read it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from relay_parsl.errors import AccessDenied, FlowError
from relay_parsl.flows.definition import Json

SECTION = 'web_input'
"""Of the settings and of the rows."""
PREFIX = 'question/'
"""Of the keys of questions among these rows."""
EVERYBODY = frozenset({'public', 'all_authenticated_users'})
Question = dict[str, Any]


def shown(question: Question, now: float) -> Question:
    """As it is listed: one whose time is over is `EXPIRED`."""
    return {**question, 'status': status(question, now)}


def status(question: Question, now: float) -> str:
    """OPEN, CLOSED or EXPIRED."""
    return 'EXPIRED' if question['status'] == 'OPEN' and now >= question['expires'] else str(question['status'])


def chosen(question: Question, value: Json) -> Question | None:
    """The option of this `Value`, or of which a text is the JSON; None where there is none."""
    for option in question['options']:
        if option['Value'] == value and type(option['Value']) is type(value):
            return dict(option)
    texts = {json.dumps(option['Value']): dict(option) for option in question['options']} if isinstance(value, str) else {}
    return texts.get(str(value))


def answered(question: Question, value: Json, by: Collection[str], now: float) -> Question:
    """The question with its answer.

    Args:
        question: As it is kept.
        value: The `Value` of one of its options; text may be its JSON, for a command line has nothing else.
        by: Who answers: the names and URNs of one person, the one to be noted first.
        now: Seconds since 1970.

    Raises:
        FlowError: it takes no more answers, or has no such option.
        AccessDenied: somebody else is asked.
    """
    name, stands = question['web_input_id'], status(question, now)
    if stands != 'OPEN':
        raise FlowError(f'question {name} is {stands}: it takes no more answers')
    option = chosen(question, value)
    if option is None:
        known = ', '.join(repr(each['Value']) for each in question['options'])
        raise FlowError(f'question {name} has no option {value!r}; it has {known}')
    asked = option.get('respondents') or question['respondents']
    if asked and not EVERYBODY.intersection(asked) and not set(asked).intersection(by):
        raise AccessDenied(
            f'question {name} is for {", ".join(asked)}, not for {next(iter(by), "nobody")}: if that is you, say so with --by, '
            'or have `web_input: identities:` in flows.yaml say who it is here'
        )
    return {**question, 'status': 'CLOSED', 'response': option['Value'], 'respondent': next(iter(by), ''), 'response_time': now}
