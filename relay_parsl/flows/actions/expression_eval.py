"""`expression_eval`: expressions over the arguments that are given with them. Older flows call it; a state of type ExpressionEval needs no action."""

from __future__ import annotations

from relay_parsl.flows.actions.base import Call, Description
from relay_parsl.flows.actions.bodies import Fields
from relay_parsl.flows.actions.kept import Kept, Row
from relay_parsl.flows.definition import Json, StateError
from relay_parsl.flows.messages import ActionStatus
from relay_parsl.flows.terms import TERMS, expressions, paths

MOST = 100
"""Expressions of one request."""
_ONE = {
    'expression': {'type': 'string'},
    'arguments': {'type': ['object', 'null'], 'description': 'The names that the expression may use.'},
    'result_path': {'type': ['string', 'null'], 'description': 'Where in `details` the value goes: `$.a.b`, or `a.b`; `result` by default.'},
}


class ExpressionEval(Kept):
    """Nothing happens outside, so there is nothing to do once."""

    description = Description(
        name='expression_eval',
        title='Evaluate expressions',
        urls=('https://actions.globus.org/expression_eval', 'https://actions.automate.globus.org/expression_eval'),
        synchronous=True,
        input_schema={
            'type': 'object',
            'properties': {**_ONE, 'expressions': {'type': 'array', 'minItems': 1, 'items': {'type': 'object', 'properties': _ONE}}},
            'additionalProperties': False,
        },
    )

    def check(self, call: Call) -> Row:
        """Raises ActionUnableToRun."""
        fields = Fields(call.body)
        for each in _requests(fields):
            fault = expressions.check(each.text('expression'))
            if 'expression' in each and fault:
                each.fault('expression', fault)
            each.mapping('arguments', {})
            fault = paths.check_reference(_reference(each.text('result_path', 'result')))
            if fault:
                each.fault('result_path', fault)
            if each is not fields:
                each.only()
        fields.only()
        fields.done()
        return {}

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        """One after another; a later one may write over an earlier one's result."""
        details: Json = {}
        terms = TERMS.measured()
        for each in _requests(Fields(row['body'])):
            try:
                value = terms.evaluate(each.text('expression'), each.mapping('arguments', {}))
                details = TERMS.write(_reference(each.text('result_path', 'result')), details, value)
            except StateError as error:  # noqa: PERF203  the first one ends it
                return self.failed(action_id, row, error.error, error.cause)
        return self.succeeded(action_id, row, details)


def _requests(fields: Fields) -> list[Fields]:
    if 'expressions' not in fields:
        fields.any('expressions')
        return [fields]
    found = fields.objects('expressions', least=1)
    if len(found) > MOST:
        fields.fault('expressions', f'are {MOST} at most')
    return found[:MOST]


def _reference(path: str) -> str:
    """Dotted names, or a reference path as they are."""
    return path if path.startswith('$') else f'$.{path}'
