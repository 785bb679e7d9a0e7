"""Every spelling of a hosted URL, and the action behind it."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from relay_parsl.errors import ConfigError
from relay_parsl.flows import catalogue
from relay_parsl.flows.actions.base import Description
from relay_parsl.flows.catalogue import Catalogue, canonical, load, retired, standard

NEW = 'https://transfer.actions.globus.org'
OLD = 'https://actions.globus.org'
AUTOMATE = 'https://actions.automate.globus.org'
SPELLINGS = [
    ('transfer', f'{NEW}/transfer'),
    ('transfer', f'{NEW}/transfer/'),
    ('transfer', f'{OLD}/transfer/transfer'),
    ('transfer', f'{AUTOMATE}/transfer/transfer'),
    ('transfer', f'{AUTOMATE}/transfer/transfer/'),
    ('transfer', 'http://TRANSFER.actions.globus.org//transfer/'),
    ('delete', f'{NEW}/delete'),
    ('delete', f'{OLD}/transfer/delete/'),
    ('ls', f'{NEW}/ls'),
    ('ls', f'{AUTOMATE}/transfer/ls'),
    ('stat', f'{NEW}/stat'),
    ('mkdir', f'{NEW}/mkdir'),
    ('mkdir', f'{OLD}/transfer/mkdir'),
    ('collection_info', f'{NEW}/collection_info'),
    ('collection_info', f'{OLD}/transfer/collection_info'),
    ('manage_permission', f'{NEW}/manage_permission'),
    ('manage_permission', f'{OLD}/transfer/set_permission'),
    ('compute', 'https://compute.actions.globus.org'),
    ('compute', 'https://compute.actions.globus.org/'),
    ('compute', 'https://compute.actions.globus.org/fxap'),
    ('compute', 'https://compute.actions.globus.org/fxap/'),
    ('compute', 'https://compute.actions.globus.org/v3'),
    ('compute', 'https://automate.funcx.org'),
    ('compute', 'https://automate.funcx.org/'),
    ('hello_world', f'{OLD}/hello_world'),
    ('hello_world', f'{AUTOMATE}/hello_world'),
    ('notify', f'{OLD}/notification/notify'),
    ('notify', f'{AUTOMATE}/notification/notify/'),
    ('expression_eval', f'{OLD}/expression_eval'),
    ('search_ingest', f'{OLD}/search/ingest'),
    ('web_input_option', f'{AUTOMATE}/weboption/wait_for_option'),
    ('ls', 'urn:globus:flows:handle:globus:TRANSFER.LS'),
    ('collection_info', 'urn:globus:flows:handle:globus:transfer.collection_info'),
    ('search_ingest', 'urn:globus:flows:handle:globus:SEARCH.INGEST'),
]


@pytest.mark.parametrize(('name', 'url'), SPELLINGS)
def test_every_spelling(name: str, url: str) -> None:
    assert standard().find(url) == name


NOBODYS = [
    'https://example.org',
    NEW,
    'urn:globus:flows:handle:globus:GROUPS.LS',
    'urn:globus:flows:handle:globus:',
    '',
    '::',
    'https://[',
    f'{NEW}/x',
]


@pytest.mark.parametrize('url', NOBODYS)
def test_what_nobody_serves(url: str) -> None:
    assert standard().find(url) is None
    assert standard().unknown(url)


def test_the_nearest_are_named_or_all() -> None:
    assert 'https://transfer.actions.globus.org/transfer' in standard().unknown('https://transfer.actions.globus.org/tranfser')
    assert 'actions here are collection_info, compute, ' in standard().unknown('https://somewhere.example')


def test_one_spelling_for_all() -> None:
    assert canonical(' HTTPS://Actions.Automate.Globus.org:443/a//b/?q=1#f ') == 'actions.globus.org/a/b'
    assert canonical('URN:globus:Flows:handle:globus:TRANSFER.LS') == 'urn:globus:flows:handle:globus:transfer.ls'


def test_what_was_retired() -> None:
    assert retired(f'{AUTOMATE}/transfer/ls')
    assert retired('https://automate.funcx.org/')
    assert not retired(f'{NEW}/ls')
    assert not retired(f'{OLD}/hello_world')


def test_every_description_is_found_by_its_urls_alone() -> None:
    known = standard()
    for name, description in known.descriptions.items():
        assert description.urls
        assert all(known.find(url) == name for url in description.urls)


PLUG_IN = '''
from relay_parsl.flows.actions.base import Action, Description


class Mint(Action):
    """Mints."""

    description = Description('mint', 'Mint a DOI', ('https://actions.globus.org/datacite/mint/basic_auth',))
    run = status = cancel = resume = release = None


class Nothing:
    """No action."""
'''


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / 'my_flow_actions.py').write_text(PLUG_IN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'my_flow_actions', raising=False)
    standard.cache_clear()
    return 'my_flow_actions:Mint'


def test_plug_ins_come_by_entry_points(plug_in: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint('mint', plug_in, catalogue.GROUP)]
    monkeypatch.setattr(catalogue, 'entry_points', lambda group: points if group == 'relay_parsl.actions' else [])
    try:
        assert standard().find('https://actions.globus.org/datacite/mint/basic_auth') == 'mint'
        assert standard().find(f'{NEW}/ls') == 'ls'
    finally:
        standard.cache_clear()


def test_and_by_the_settings_under_names_and_urls_of_ones_own(plug_in: str) -> None:
    known = standard().more({'datacite': {'type': plug_in, 'urls': ['https://mint.example.org/']}})
    assert known.find('https://mint.example.org') == 'datacite'
    assert known.find(f'{NEW}/ls') == 'ls'


@pytest.mark.parametrize('place', ['my_flow_actions:Nothing', 'my_flow_actions:Nobody', 'no_such_module:X', 'my_flow_actions', ''])
def test_what_is_no_plug_in(plug_in: str, place: str) -> None:
    with pytest.raises(ConfigError, match=r'actions\.mine\.type'):
        standard().more({'mine': {'type': place}})
    with pytest.raises(ConfigError):
        load(place)


def test_the_later_has_a_url_that_two_claim() -> None:
    known = Catalogue.of([Description('a', 'A', ('https://x.org',)), Description('b', 'B', ('https://x.org/',))])
    assert known.find('https://x.org') == 'b'
