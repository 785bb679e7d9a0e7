"""`flows.yaml`: what is read, and every mistake at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_parsl.errors import ConfigError
from relay_parsl.flows.messages import Limits
from relay_parsl.flows.settings import Settings, load_settings
from relay_parsl.home import Home

GOOD = """
collections:
  beamline: {root: /data/xpcs, allowed: [/raw]}
compute: {relay: null, endpoints: {74defd5b-5f61-42fc-bcc4-834c9f376a4f: polaris}}
limits: {steps: 50, duration: 2.5, runs_at_once: 7, keep_days: 1}
actions:
  mint: {type: 'tests.unit.flows.providers:Scripted', urls: ['https://example.org/mint']}
mint: {prefix: '10.5072'}
"""
BAD = """
colections: {a: {root: /}}
limits: {steps: 0, duration: week, run_at_once: 3, keep_days: true, state_bytes: 1.5}
notify: 25
actions:
  mint: {urls: https://example.org/mint}
  other: {type: nowhere, klass: x}
"""


def home(tmp_path: Path, text: str) -> Home:
    (tmp_path / 'flows.yaml').write_text(text)
    return Home(tmp_path)


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    assert load_settings(Home(tmp_path)) == Settings()


def test_what_stands_in_the_file_is_read(tmp_path: Path) -> None:
    found = load_settings(home(tmp_path, GOOD))
    assert found.limits == Limits(steps=50, duration=2.5)
    assert (found.runs_at_once, found.keep_days) == (7, 1)
    assert found.section('collections') == {'beamline': {'root': '/data/xpcs', 'allowed': ['/raw']}}
    assert found.section('compute')['endpoints'] == {'74defd5b-5f61-42fc-bcc4-834c9f376a4f': 'polaris'}
    assert found.section('mint') == {'prefix': '10.5072'}
    assert found.section('nonesuch') == {}
    assert found.actions['mint'] == {'type': 'tests.unit.flows.providers:Scripted', 'urls': ['https://example.org/mint']}


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(home(tmp_path, BAD))
    lines = [line.split('flows.yaml:', 1)[1] for line in str(caught.value).splitlines()]
    starts = [
        '2: colections: unknown key; did you mean `collections`?',
        '3: limits.run_at_once: unknown key; did you mean `runs_at_once`?',
        '3: limits.steps: must be a whole number greater than 0',
        '3: limits.duration: must be a number greater than 0',
        '3: limits.keep_days: must be a number greater than 0',
        '3: limits.state_bytes: must be a whole number greater than 0',
        '4: notify: must be `key: value` lines',
        '6: actions.mint: needs `type: package.module:Class`',
        '6: actions.mint.urls: must be a list of URLs',
        '7: actions.other.klass: unknown key',
        '7: actions.other.type: needs `type: package.module:Class`',
    ]
    assert len(lines) == len(starts)
    assert [start for start in starts if not any(line.startswith(start) for line in lines)] == []


def test_mistakes_of_collections_have_their_lines(tmp_path: Path) -> None:
    text = """
collections:
  good: {root: /data}
  bad:
    root: data
    alowed: [/raw]
  worse: {root: /x, allowed: [/raw, /../etc]}
  empty:
"""
    with pytest.raises(ConfigError) as caught:
        load_settings(home(tmp_path, text))
    lines = [line.split('flows.yaml:', 1)[1] for line in str(caught.value).splitlines()]
    starts = (
        "5: collections.bad.root: 'data' is not absolute",
        '6: collections.bad.alowed: unknown key',
        "7: collections.worse.allowed[1]: '/../etc'",
        '8: collections.empty: needs a `root`',
    )
    assert len(lines) == len(starts)
    assert all(line.startswith(start) for line, start in zip(lines, starts))


SECTIONS = """
collections:
  dst: {root: /data, alowed: [/raw]}
  src: {root: data, uuid: nope, read_only: perhaps, allowed: [/ok, ../up]}
compute:
  relais: lab
  functions: {c7d5b4a2-0c1e-4d4e-8f55-3c7f0d2e6a11: 'what now', d7d5b4a2-0c1e-4d4e-8f55-3c7f0d2e6a11: 'xpcs.tools:correlate'}
  at_most_once: 1
notify: {host: h, port: 99999, sender: nobody, start_tls: true}
search: {directory: [a]}
web_input: {expires: -1, identities: {urn: 5}}
datacite: {user: me, url: ''}
"""
TOLD = [
    '3: collections.dst.alowed: unknown key; did you mean `allowed`?',
    "4: collections.src.root: 'data' is not absolute",
    "4: collections.src.uuid: 'nope' is no UUID",
    '4: collections.src.read_only: must be true or false',
    '4: collections.src.allowed[1]: ',
    '6: compute.relais: unknown key; this section takes',
    '7: compute.functions.c7d5b4a2-0c1e-4d4e-8f55-3c7f0d2e6a11: must be package.module:function',
    '8: compute.at_most_once: must be true or false',
    '9: notify.port: must be a number from 1 to 65535',
    '9: notify.sender: must be an address',
    '9: notify.start_tls: unknown key; did you mean `starttls`?',
    '10: search.directory: must be a text',
    '11: web_input.expires: must be a number of seconds',
    '11: web_input.identities.urn: must be a text',
    '12: datacite.user: unknown key; ',
    '12: datacite.url: must be a text',
]


def test_each_provider_says_what_is_wrong_with_its_section(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(home(tmp_path, SECTIONS))
    lines = [line.split('flows.yaml:', 1)[1] for line in str(caught.value).splitlines()]
    assert [start for start in TOLD if not any(line.startswith(start) for line in lines)] == []
    assert len(lines) == len(TOLD)


def test_a_plug_in_says_what_is_wrong_with_its_own(tmp_path: Path) -> None:
    plug = "actions:\n  mint: {type: 'tests.unit.flows.providers:Append'}\nmint: {spped: 3, speed: 5}\n"
    with pytest.raises(ConfigError, match=r'3: mint.spped: unknown key; did you mean `speed`'):
        load_settings(home(tmp_path, plug))
    with pytest.raises(ConfigError, match=r'3: mint: no_such_package:X, which reads this section, cannot be had'):
        load_settings(home(tmp_path, plug.replace('tests.unit.flows.providers:Append', 'no_such_package:X')))
