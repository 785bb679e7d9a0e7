"""What the tests of reading definitions share: small flows, and what is wrong with them."""

from __future__ import annotations

from typing import Any

from relay_parsl.flows.catalogue import standard
from relay_parsl.flows.definition import Definition
from relay_parsl.flows.language import reading

HELLO = 'https://actions.globus.org/hello_world'
ONE: dict[str, Any] = {'Type': 'Pass', 'End': True}


def read(document: Any) -> reading.Reading:
    return reading.read(document, standard().find, unknown=standard().unknown)


def flow(**states: Any) -> dict[str, Any]:
    return {'StartAt': next(iter(states)), 'States': states}


def faults(document: Any) -> list[str]:
    return [str(fault) for fault in read(document).faults.faults]


def fault(**states: Any) -> str:
    """The one fault of a flow of these states."""
    found = faults(flow(**states))
    assert len(found) == 1, found
    return found[0]


def definition(**states: Any) -> Definition:
    return read(flow(**states)).definition()


def action(**fields: Any) -> dict[str, Any]:
    return {'Type': 'Action', 'ActionUrl': HELLO, 'Parameters': {}, 'End': True, **fields}
