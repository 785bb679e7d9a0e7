"""Parameters of CreateWebInput and AwaitWebInput."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.flows.definitions import ONE, faults, flow, read

ASK: dict[str, Any] = {
    'InputType': 'Selection',
    'Context': {'PresentationStyle': 'Table', 'Title': 'Publish?', 'Rows': [{'Field': 'Run', 'Value.$': '$.run'}]},
    'Options': [{'Value': 'yes', 'Label': 'Yes', 'Description': 'do'}, {'Value': 'no', 'Label': 'No', 'Description': 'do not'}],
    'RespondentUrns': ['urn:globus:auth:identity:00000000-0000-0000-0000-000000000000'],
}


def asking(**changes: Any) -> dict[str, Any]:
    return flow(
        A={'Type': 'CreateWebInput', 'Parameters': {**ASK, **changes}, 'ResultPath': '$.ask', 'Next': 'B'},
        B={'Type': 'AwaitWebInput', 'Parameters': {'web_input_id.$': '$.ask.web_input_id'}, 'ResultPath': '$.answer', 'Next': 'C'},
        C=ONE,
    )


def test_web_inputs() -> None:
    states = read(asking(ViewerUrns=[])).definition().states
    assert [states[name].type for name in 'AB'] == ['CreateWebInput', 'AwaitWebInput']
    assert states['B'].parameters == {'web_input_id.$': '$.ask.web_input_id'}  # type: ignore[union-attr]


@pytest.mark.parametrize('part', ['InputType', 'Context', 'Options', 'RespondentUrns'])
def test_parts_of_a_web_input_may_come_from_the_payload(part: str) -> None:
    document = asking()
    del document['States']['A']['Parameters'][part]
    assert faults(document) == [f'$.States.A.Parameters: needs `{part}`']
    document['States']['A']['Parameters'][f'{part}.$'] = '$.x'
    assert faults(document) == []


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'InputType': 'Text'}, '.InputType: must be "Selection", not "Text"'),
        ({'Context': 'x'}, '.Context: must be an object'),
        ({'Context': {'PresentationStyle': 'List'}}, '.Context.PresentationStyle: must be "Table" or "Text", not "List"'),
        ({'Context': {'PresentationStyle': []}}, '.Context.PresentationStyle: must be "Table" or "Text", not []'),
        ({'Context': {'PresentationStyle': 'Text'}}, '.Context: a Text needs `Text`'),
        ({'Context': {'PresentationStyle': 'Table', 'Rows': [{'Value': 1}]}}, '.Context.Rows[0]: needs `Field`'),
        ({'Context': {'PresentationStyle': 'Table', 'Rows': [], 'Title': 3}}, '.Context.Title: must be a text'),
        ({'Options': []}, '.Options: must be a list with at least one'),
        ({'Options': ['yes']}, '.Options[0]: must be an object'),
        ({'Options': [{'Label': 'Yes'}]}, '.Options[0]: needs `Value`'),
        ({'Options': [{'Value': 'a'}, {'Value': 'a'}]}, '.Options[1].Value: "a" stands twice'),
        ({'RespondentUrns': []}, '.RespondentUrns: must be a list of URNs'),
        ({'ViewerUrns': 'urn:x'}, '.ViewerUrns: must be a list of URNs'),
    ],
)
def test_what_a_web_input_may_not_have(changes: dict[str, Any], words: str) -> None:
    assert faults(asking(**changes))[0].startswith(f'$.States.A.Parameters{words}')


def test_a_field_that_a_web_input_does_not_have_is_a_warning() -> None:
    assert [str(each) for each in read(asking(RespondentsUrn=[])).faults.warnings] == [
        '$.States.A.Parameters.RespondentsUrn: is not known here, and has no effect; did you mean `RespondentUrns`?'
    ]
