"""The picture of a flow: well-formed, complete, readable by machines and ears, and quick."""

from __future__ import annotations

import time
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest

from relay_parsl.flows.graph.picture import cut, measure, span, svg
from tests.unit.flows.graph.test_graph import FLOW, LOG, entry

SVG = '{http://www.w3.org/2000/svg}'
HOSTILE = '</text><script>alert(1)</script>&"\'\x00\x1b[31m\u202e\ud800 ]]>'


def read(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text.encode())  # noqa: S314  our own text


def of_class(root: ElementTree.Element, word: str) -> list[ElementTree.Element]:
    return [each for each in root.iter() if word in each.get('class', '').split()]


def test_every_state_and_every_way_is_there() -> None:
    root = read(svg(FLOW))
    assert {each.get('data-state') for each in of_class(root, 'node')} == set(FLOW['States'])
    ways = {(each.get('data-from'), each.get('data-to'), each.get('data-kind')) for each in of_class(root, 'way')}
    assert ways == {('Copy', 'Enough', 'next'), ('Copy', 'Gone', 'catch'), ('Enough', 'Copy', 'choice'), ('Enough', 'Done', 'choice')}
    assert {'$.n < 3', '$.stop is true or otherwise'} <= {each.text for each in root.iter(f'{SVG}text')}
    (dashed,) = of_class(root, 'catch')
    assert dashed.tag == f'{SVG}path'


def test_it_says_in_words_what_it_shows() -> None:
    root = read(svg(FLOW, title='Nightly copy', run={'status': 'ACTIVE', 'state': 'Copy'}, log=LOG))
    assert root.get('role') == 'img'
    assert root.findtext(f'{SVG}title') == 'Nightly copy'
    described = root.findtext(f'{SVG}desc') or ''
    assert 'Taken: Copy, Enough, Copy.' in described
    assert 'Copy to Gone on catch' in described


def test_the_way_that_was_taken_is_marked_and_has_its_times() -> None:
    root = read(svg(FLOW, run={'status': 'ACTIVE', 'state': 'Copy'}, log=LOG))
    taken = {(each.get('data-from'), each.get('data-to')) for each in of_class(root, 'way') if 'taken' in (each.get('class') or '')}
    assert taken == {('Copy', 'Enough'), ('Enough', 'Copy')}
    assert [each.get('data-state') for each in of_class(root, 'now')] == ['Copy']
    assert [each.get('data-state') for each in of_class(root, 'done')] == ['Enough']
    assert [each.text for each in of_class(root, 'badge')] == ['\N{MULTIPLICATION SIGN}2 now']


def test_where_a_run_failed_is_red() -> None:
    log = [*LOG, entry(9, 'ActionTimeout', 'Copy'), entry(9, 'FailStarted', 'Gone'), entry(9, 'FlowFailed')]
    root = read(svg(FLOW, run={'status': 'FAILED'}, log=log))
    assert [each.get('data-state') for each in of_class(root, 'failed')] == ['Gone']
    assert [each.get('data-state') for each in of_class(root, 'caught')] == ['Copy']


def test_hostile_names_are_text() -> None:
    flow = {
        'Comment': HOSTILE,
        'StartAt': HOSTILE,
        'States': {
            HOSTILE: {'Type': HOSTILE, 'ActionUrl': HOSTILE, 'Next': 'b', 'Choices': [{'Variable': HOSTILE, 'StringEquals': HOSTILE, 'Next': 'b'}]},
            'b': {'Type': 'Pass', 'End': True},
        },
    }
    text = svg(flow, run={'status': HOSTILE}, log=[entry(0, 'PassStarted', HOSTILE)])
    root = read(text)
    assert {each.tag for each in root.iter()} == {f'{SVG}{name}' for name in ('svg', 'title', 'desc', 'style', 'rect', 'text', 'g', 'circle', 'path')}
    assert '\x1b' not in text
    assert '\u202e' not in text
    assert '<script' not in text
    assert not [name for each in root.iter() for name in each.attrib if name.startswith('on')]


def test_boxes_lie_apart_in_the_picture_too() -> None:
    frames = [[float(each.get(key, 'nan')) for key in ('x', 'y', 'width', 'height')] for each in of_class(read(svg(FLOW)), 'frame')]
    assert len(frames) == 4
    for (x, y, width, height), (other_x, other_y, other_width, other_height) in combinations(frames, 2):
        assert x + width <= other_x or other_x + other_width <= x or y + height <= other_y or other_y + other_height <= y


def test_the_same_flow_is_drawn_the_same() -> None:
    assert svg(FLOW, log=LOG) == svg(FLOW, log=LOG)


def test_an_empty_definition_is_a_picture_too() -> None:
    assert not of_class(read(svg({})), 'node')


def chain(count: int) -> dict[str, Any]:
    last = f's{count - 1}'
    states: dict[str, Any] = {
        f's{number}': {'Type': 'Pass', 'Next': f's{number + 1}', 'Catch': [{'ErrorEquals': ['States.ALL'], 'Next': last}]}
        for number in range(count - 1)
    }
    return {'StartAt': 's0', 'States': {**states, last: {'Type': 'Pass', 'End': True}}}


def fan(count: int) -> dict[str, Any]:
    rules = [{'Variable': '$.x', 'NumericEquals': number, 'Next': f's{number}'} for number in range(1, count)]
    states: dict[str, Any] = {f's{number}': {'Type': 'Pass', 'Next': 's0'} for number in range(1, count)}
    return {'StartAt': 's0', 'States': {'s0': {'Type': 'Choice', 'Choices': rules}, **states}}


@pytest.mark.parametrize('flow', [chain(500), fan(500)], ids=['chain', 'fan'])
def test_500_states_take_less_than_a_second(flow: dict[str, Any]) -> None:
    began = time.process_time()
    text = svg(flow)
    assert time.process_time() - began < 1.0
    assert text.count('class="node"') == 500


def test_a_long_run_through_many_states_is_drawn_soon() -> None:
    """10,000 steps through 500 states: each step is looked at once."""
    names = [f's{number % 499 + 1}' for number in range(5_000)]
    log = [entry(0, f'Pass{what}', state) for name in names for state in ('s0', name) for what in ('Started', 'Completed')]
    began = time.process_time()
    text = svg(fan(500), run={'status': 'SUCCEEDED'}, log=log)
    assert time.process_time() - began < 2.0
    assert text.count('class="way taken"') == 998


def test_durations_and_texts() -> None:
    assert [span(each) for each in (0.04, 9.94, 20.4, 154, 3_900, 93_600)] == ['0.0 s', '9.9 s', '20 s', '2 m 34 s', '1 h 5 m', '1 d 2 h']
    assert cut('abcdef', 4) == 'abc…'
    assert measure('WWW', 10) > measure('iii', 10) > 0
