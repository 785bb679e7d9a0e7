"""Bodies that an action will refuse, seen before a run."""

from __future__ import annotations

from typing import Any

from relay_parsl.flows.actions.base import Description
from relay_parsl.flows.catalogue import Catalogue
from relay_parsl.flows.flow import Flow
from tests.unit.flows.definitions import action, flow

URL = 'https://example.org/shutter'
SCHEMA = {
    'type': 'object',
    'required': ['shutter'],
    'properties': {'shutter': {'type': 'string'}, 'open': {'type': 'boolean'}, 'times': {'type': 'array', 'items': {'type': 'integer'}}},
    'additionalProperties': False,
}


def said(schema: Any = SCHEMA, **parameters: Any) -> list[str]:
    known = Catalogue.of([Description('shutter', 'Move a shutter', (URL,), input_schema=schema)])
    found = Flow.from_dict(flow(A=action(ActionUrl=URL, Parameters=parameters)), catalogue=known).validate()
    assert found.valid
    return [str(each).removeprefix('$.States.A.Parameters') for each in found.warnings]


def test_what_will_be_refused() -> None:
    assert said() == [': `shutter` needs `shutter`; it will refuse this']
    assert said(shutter='a', opne=True) == ['.opne: `shutter` does not take this, and will refuse it; did you mean `open`?']
    assert said(**{'shutter': 'a', 'opne.$': '$.a'})[0].startswith('.opne.$: `shutter` does not take this')
    assert said(shutter='a', open='yes') == [".open: 'yes' is not of type 'boolean'; the action will refuse it"]
    assert said(shutter='a', times=[1, 'x']) == [".times[1]: 'x' is not of type 'integer'; the action will refuse it"]


def test_what_may_be_taken() -> None:
    assert said(shutter='a', open=True, times=[1, 2]) == []
    assert said(**{'shutter.$': '$.a', 'open.=': 'b', '__Private_Parameters': ['shutter']}) == []
    assert said(shutter='a', times=[{'x.$': '$.a'}]) == []
    assert said(schema=None, anything=1) == []
    assert said(schema={'properties': {}}, anything=1) == []
    assert said(schema={'additionalProperties': False, 'patternProperties': {'^a': {}}}, anything=1) == []
