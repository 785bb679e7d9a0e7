"""Each action says every spelling that the documentation of the hosted ones has."""

from __future__ import annotations

import pytest

from relay_parsl.flows.actions import OURS
from relay_parsl.flows.catalogue import load, standard

HOSTS = ('actions.globus.org', 'actions.automate.globus.org')
PATHS = {
    'hello_world': 'hello_world',
    'notification/notify': 'notify',
    'weboption/wait_for_option': 'web_input_option',
    'expression_eval': 'expression_eval',
    'search/ingest': 'search_ingest',
    'search/delete': 'search_delete',
    'datacite/mint/basic_auth': 'datacite',
}
COMPUTE = (
    'compute.actions.globus.org',
    'compute.actions.globus.org/v2',
    'compute.actions.globus.org/v3',
    'compute.actions.globus.org/fxap',
    'automate.funcx.org',
)


@pytest.mark.parametrize('end', ['', '/'])
@pytest.mark.parametrize('path', PATHS)
@pytest.mark.parametrize('host', HOSTS)
def test_general_ones(host: str, path: str, end: str) -> None:
    assert standard().find(f'https://{host}/{path}{end}') == PATHS[path]


@pytest.mark.parametrize('end', ['', '/'])
@pytest.mark.parametrize('place', COMPUTE)
def test_compute(place: str, end: str) -> None:
    assert standard().find(f'https://{place}{end}') == 'compute'


@pytest.mark.parametrize('name', OURS)
def test_a_name_is_that_of_the_description(name: str) -> None:
    assert load(OURS[name]).description.name == name
