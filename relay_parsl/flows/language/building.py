"""From a document that was found to be right to the frozen states of `definition`. Nothing is checked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from relay_parsl.flows.definition import (
    Action,
    AwaitWebInput,
    Catcher,
    Choice,
    CreateWebInput,
    Definition,
    ExpressionEval,
    Fail,
    Json,
    Pass,
    State,
    Wait,
)
from relay_parsl.flows.language import rules

Document = Mapping[str, Json]


def build(document: Document, actions: Mapping[str, str], input_schema: Json, title: str) -> Definition:
    """The definition. `actions`: for each Action the name of what is behind its URL."""
    states = {name: BUILDERS[state['Type']](name, state, actions.get(name, '')) for name, state in document['States'].items()}
    return Definition(document['StartAt'], states, document, input_schema, title, document.get('Comment') or '')


def _action(name: str, state: Document, action: str) -> Action:
    handler = state.get('ActionUrl') or state['Handler']
    return Action(
        name,
        handler.get('Url') or handler['Id'] if isinstance(handler, dict) else handler,
        action,
        **_body(state),
        wait_time=state.get('WaitTime', Action.__dataclass_fields__['wait_time'].default),
        exception_on_action_failure=state.get('ExceptionOnActionFailure', False),
        run_as=state.get('RunAs', 'User'),
        catch=_catch(state),
        next=state.get('Next'),
    )


def _body(state: Document) -> dict[str, Any]:
    return {'parameters': state.get('Parameters'), 'input_path': state.get('InputPath'), 'result_path': state.get('ResultPath', '$')}


def _catch(state: Document) -> tuple[Catcher, ...]:
    return tuple(Catcher(tuple(map(_error, item['ErrorEquals'])), item['Next'], item.get('ResultPath', '$')) for item in state.get('Catch', ()))


def _error(name: str) -> str:
    return 'States.ALL' if name == 'States.All' else name


def _pass(name: str, state: Document, _action: str) -> Pass:
    return Pass(name, **_body(state), result=state.get('Result'), next=state.get('Next'))


def _expression_eval(name: str, state: Document, _action: str) -> ExpressionEval:
    return ExpressionEval(name, state['Parameters'], state['ResultPath'], state.get('Next'))


def _choice(name: str, state: Document, _action: str) -> Choice:
    return Choice(name, tuple((rules.build(rule), rule['Next']) for rule in state['Choices']), state.get('Default'))


def _wait(name: str, state: Document, _action: str) -> Wait:
    return Wait(name, state.get('Seconds'), state.get('SecondsPath'), state.get('Timestamp'), state.get('TimestampPath'), state.get('Next'))


def _fail(name: str, state: Document, _action: str) -> Fail:
    (error, error_path), (cause, cause_path) = _said(state, 'Error'), _said(state, 'Cause')
    return Fail(name, error, cause, error_path, cause_path)


def _said(state: Document, key: str) -> tuple[str | None, str | None]:
    """The text, or the path to one: `ErrorPath`, `Error.$`, or an `Error` that is a path."""
    path = state.get(f'{key}Path', state.get(f'{key}.$'))
    text = state.get(key)
    return (None, text) if text is not None and text.startswith('$.') else (text, path)


def _create(name: str, state: Document, _action: str) -> CreateWebInput:
    return CreateWebInput(name, state['Parameters'], state.get('ResultPath', '$'), _catch(state), state.get('Next'))


def _await(name: str, state: Document, _action: str) -> AwaitWebInput:
    return AwaitWebInput(name, state['Parameters'], state.get('ResultPath', '$'), _catch(state), state.get('Next'))


BUILDERS: Mapping[str, Callable[[str, Document, str], State]] = {
    'Action': _action,
    'Pass': _pass,
    'ExpressionEval': _expression_eval,
    'Choice': _choice,
    'Wait': _wait,
    'Fail': _fail,
    'CreateWebInput': _create,
    'AwaitWebInput': _await,
}
