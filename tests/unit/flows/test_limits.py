"""What would go on for ever, or grow without end, ends; and what is small is not slowed down by what is large beside it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from relay_parsl.flows.definition import Action, Catcher, Choice, Comparison, ExpressionEval, Json, Pass, State, Wait
from relay_parsl.flows.machine.weight import DEPTH, Exceeded, text, weigh
from relay_parsl.flows.messages import FAILED, SUCCEEDED, CancelAction, CancelRequested, Limits, ReleaseAction
from tests.unit.flows.play import NOON, Play

LOOPS: dict[str, tuple[State, ...]] = {
    'pass': (Pass('P', {'n': 1}, result_path='$.x', next='P'),),
    'pass alone': (Pass('P', next='P'),),
    'choice': (Choice('C', ((Comparison('$.nonesuch', 'IsPresent', True), 'C'),), 'C'),),
    'expression': (ExpressionEval('E', {'n.=': 'n + 1'}, next='E'),),
    'no wait': (Wait('W', seconds=0, next='W'),),
    'catch': (Action('A', '', 'ls', {'x.$': '$.nonesuch'}, catch=(Catcher(('States.ALL',), 'A', '$.e'),)),),
}


@pytest.mark.parametrize('which', LOOPS)
def test_endless_loops_end(which: str) -> None:
    play = Play(*LOOPS[which], body={'n': 0}, limits=Limits(steps=1_000))
    assert play.run.status == FAILED
    assert play.run.details['code'] == 'StepsExceeded'
    assert '1,000' in play.run.details['cause']
    assert play.codes[-1] == 'FlowFailed'
    assert play.run.steps == 1_000


GROWING: dict[str, tuple[State, ...]] = {
    'doubles by reference': (Pass('P', {'a.$': '$.x', 'b.$': '$.x'}, result_path='$.x', next='P'),),
    'doubles the payload': (Pass('P', {'a.$': '$', 'b.$': '$'}, next='P'),),
    'a thousandfold': (Pass('P', {f'k{number}.$': '$.x' for number in range(1_000)}, result_path='$.x', next='P'),),
    'nests': (Pass('P', {'x.$': '$.x'}, result_path='$.x', next='P'),),
    'nests in a list': (Pass('P', {'x': [[['$']]], 'y.$': '$.x'}, result_path='$.x', next='P'),),
    'appends': (ExpressionEval('E', {'x.=': 'x + [x[0] * 100]'}, next='E'),),
    'copies by input path': (Pass('P', input_path='$', result_path='$.x', next='P'),),
}


@pytest.mark.parametrize('which', GROWING)
def test_growing_states_end_soon_and_by_their_limit(which: str) -> None:
    begin = time.process_time()
    play = Play(*GROWING[which], body={'x': ['seed']}, limits=Limits(steps=50_000))
    assert play.run.status == FAILED
    assert play.run.details['code'] == 'StateSizeExceeded' or play.run.details['error'] == 'States.IntrinsicFailure', play.run.details
    assert len(text(play.run.payload)) <= 200_000
    assert time.process_time() - begin < 20


def test_no_catch_sees_a_limit() -> None:
    catch = (Catcher(('States.ALL',), 'End', '$.e'),)
    play = Play(Action('A', '', 'ls', {}, catch=catch), Pass('End'))
    play.succeed({'large': 'x' * 200_000})
    assert play.run.details['code'] == 'StateSizeExceeded'
    assert 'limits.state_bytes' in play.run.details['cause']
    assert play.all(ReleaseAction)
    assert play.run.payload == {}


def often(name: str) -> str:
    return '[' + ','.join([f"'{name}'"] * 240) + ']'


@pytest.mark.parametrize('path', [f'${often("a")}{often("b")}', '$..*', f'$[?@.b]{often("b")}'], ids=['names', 'levels', 'filtered'])
def test_a_path_that_gives_one_part_many_times_ends_by_the_limit(path: str) -> None:
    body: Json = {'a': {'b': 'x' * 100_000}}
    for _ in range(100 if '..' in path else 0):
        body = {'a': body}
    for state in (Pass('P', {'n.$': path}), Pass('P', input_path=path)):
        begin = time.process_time()
        play = Play(state, body=body)
        assert play.run.details['code'] == 'StateSizeExceeded'
        assert time.process_time() - begin < 2


@pytest.mark.parametrize('size', [199_000, 201_000])
def test_the_body_and_what_goes_to_an_action_are_held_to_the_limit_too(size: int) -> None:
    play = Play(Pass('P'), body={'x': 'y' * size})
    assert play.run.status == (SUCCEEDED if size < 200_000 else FAILED)
    play = Play(Action('A', '', 'ls', {'a.$': '$.x', 'b.$': '$.x'}), body={'x': 'y' * (size // 2)})
    assert play.run.status == ('ACTIVE' if size < 200_000 else FAILED)


def test_an_inactive_action_that_says_too_much_ends_the_run() -> None:
    play = Play(Action('A', '', 'ls', {}))
    play.rest({'code': 'x' * 300_000})
    assert play.run.status == FAILED
    assert play.all(CancelAction)


def test_what_a_write_replaces_does_not_count() -> None:
    play = Play(Pass('P', {'x': 'y' * 50_000}, result_path='$.deep.down', next='P'), limits=Limits(steps=200))
    assert play.run.details['code'] == 'StepsExceeded'


@pytest.mark.parametrize('resting', [False, True])
def test_a_run_that_lasts_too_long_ends(resting: bool) -> None:
    play = Play(Action('A', '', 'compute', {}, wait_time=10_000), limits=Limits(duration=100))
    if resting:
        play.rest()
    play.ring()
    assert play.now == NOON + 100
    assert play.run.details['code'] == 'DurationExceeded'
    assert play.all(CancelAction)
    play = Play(Wait('W', seconds=1_000), limits=Limits(duration=100))
    play.ring()
    assert play.now == NOON + 100
    assert play.run.details['code'] == 'DurationExceeded'


def test_whatever_comes_after_the_end_of_a_run_ends_it() -> None:
    play = Play(Action('A', '', 'compute', {}, next='A'), limits=Limits(duration=100))
    play.report(SUCCEEDED, {}, after=101)
    assert play.run.details['code'] == 'DurationExceeded'
    assert play.all(CancelAction)
    play = Play(Action('A', '', 'compute', {}), limits=Limits(duration=100))
    play.hear(CancelRequested(), after=101)
    assert play.run.details['code'] == 'FlowCanceled'


def test_a_large_payload_does_not_make_small_steps_slow() -> None:
    def seconds(body: Json) -> float:
        begin = time.process_time()
        play = Play(Pass('P', {'a.$': '$.n', 'b': 5}, result_path='$.r', next='P'), body=body, limits=Limits(steps=2_000))
        assert play.run.details['code'] == 'StepsExceeded'
        return time.process_time() - begin

    files = [{'name': f'file{number}', 'size': number} for number in range(3_000)]  # writing it down takes as long as 30 steps
    small, large = (min(seconds(body) for _ in range(3)) for body in ({'n': 1}, {'n': 1, 'files': files}))
    assert large < 5 * small


# -- Weighing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('value', [None, True, 5, 1.5, 'é"\n', [], {}, {'a': [1, {'b': None}]}, ['x'] * 50])
def test_a_weight_is_the_length_as_json(value: Json) -> None:
    assert weigh(value, 1_000).size == len(text(value))
    with pytest.raises(Exceeded):
        weigh(value, len(text(value)) - 1)


def nested(depth: int, kind: type) -> Json:
    """A value in so many others."""
    value: Json = kind()
    for _ in range(depth - 1):
        value = [value] if kind is list else {'k': value}
    return value


@pytest.mark.parametrize('kind', [list, dict])
@pytest.mark.parametrize('about', [0, 10**9])
def test_depth_has_an_end(kind: type, about: int) -> None:
    assert weigh(nested(DEPTH, kind), 10_000, about=about)
    for depth in (DEPTH + 1, 900, 5_000, 100_000):
        with pytest.raises(Exceeded, match=r'inside one another|bytes'):
            weigh(nested(depth, kind), 10_000_000, about=about)


@pytest.mark.parametrize('noise', ['}' * 300, '[' * 300, '\\"[', '\\', '"', '\\\\"{', 'é\u2028{'])
def test_brackets_in_texts_are_not_counted(noise: str) -> None:
    assert weigh([{noise: [noise]}] * 300, 10_000_000)
    with pytest.raises(Exceeded, match='inside one another'):
        weigh([noise, nested(DEPTH, list), noise], 10_000_000)


def test_many_references_to_one_part_are_seen_before_they_are_written_down() -> None:
    value: Json = ['x' * 1000]
    for _ in range(8):
        value = [value] * 100
    begin = time.process_time()
    with pytest.raises(Exceeded):
        weigh(value, 200_000, about=10**20)
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    ('value', 'private'), [({'a': 1}, False), ({'_private_x': 1}, True), ([{'b': {'_privates': 1}}], True), ({'_tokens': 1}, True)]
)
def test_it_says_whether_there_may_be_something_to_hide(value: Any, private: bool) -> None:
    assert weigh(value, 1_000).private is private
