"""Where boxes and lines go."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest

from relay_parsl.flows.graph.layering import GAP_X, Layout, Link, Rect, depths, lay, loops, spread


def apart(first: Rect, second: Rect) -> bool:
    return first.right < second.left or second.right < first.left or first.bottom < second.top or second.bottom < first.top


def check(layout: Layout) -> None:
    """No box lies over another, labels included, and no line goes through one."""
    things = {**layout.boxes, **{f'label {number}': rect for number, rect in layout.labels.items()}}
    for (one, first), (two, second) in combinations(things.items(), 2):
        assert apart(first, second), f'{one} over {two}'
    for rect in things.values():
        assert rect.left >= -1e-6
        assert rect.right <= layout.width + 1e-6
    for number, route in layout.routes.items():
        for x, y in route[1:-1]:
            inside = [key for key, rect in layout.boxes.items() if rect.left < x < rect.right and rect.top < y < rect.bottom]
            assert not inside, f'link {number} goes through {inside}'


def some(seed: int) -> tuple[dict[str, tuple[float, float]], list[Link]]:
    """A graph of up to 40 boxes with loops, fans, labels and two styles."""
    draw = random.Random(seed)
    names = [f's{number}' for number in range(draw.randint(1, 40))]
    sizes = {name: (draw.uniform(60, 260), 46.0) for name in names}
    links = []
    for _ in range(draw.randint(0, 70)):
        label = (draw.uniform(30, 200), 20.0) if draw.random() < 0.4 else None
        links.append(Link(draw.choice(names), draw.choice(names), label, draw.choice(('', 'catch'))))
    return sizes, links


@pytest.mark.parametrize('seed', range(40))
def test_nothing_lies_over_anything(seed: int) -> None:
    check(lay(*some(seed)))


def test_the_same_graph_is_laid_the_same() -> None:
    assert lay(*some(7)) == lay(*some(7))


def test_a_chain_is_a_straight_line_downwards() -> None:
    names = ['a', 'b', 'c', 'd']
    layout = lay(dict.fromkeys(names, (100.0, 40.0)), [Link(*pair) for pair in pairwise(names)])
    assert len({round(rect.x, 6) for rect in layout.boxes.values()}) == 1
    tops = [layout.boxes[name].top for name in names]
    assert tops == sorted(tops)


def test_a_link_that_closes_a_loop_goes_back_up_outside_of_all_boxes() -> None:
    layout = lay(dict.fromkeys('abc', (100.0, 40.0)), [Link('a', 'b'), Link('b', 'c'), Link('c', 'a')])
    assert layout.back == {2}
    lane = max(x for x, _ in layout.routes[2])
    assert lane > max(rect.right for rect in layout.boxes.values())
    assert layout.width >= lane


def test_a_state_that_is_its_own_successor_has_a_loop() -> None:
    layout = lay({'a': (100.0, 40.0)}, [Link('a', 'a')])
    assert layout.back == {0}


def test_crossings_are_taken_out() -> None:
    """Two states that each lead to one below, written the wrong way round."""
    sizes = dict.fromkeys(('root', 'left', 'right', 'below right', 'below left'), (80.0, 40.0))
    links = [Link('root', 'left'), Link('root', 'right'), Link('right', 'below right'), Link('left', 'below left')]
    boxes = lay(sizes, links).boxes
    assert (boxes['left'].x < boxes['right'].x) == (boxes['below left'].x < boxes['below right'].x)


def test_long_links_to_one_target_join() -> None:
    names = [f's{number}' for number in range(6)]
    links = [Link(*pair) for pair in pairwise(names)] + [Link(name, 's5', None, 'catch') for name in names[:3]]
    layout = lay(dict.fromkeys(names, (100.0, 40.0)), links)
    ends = [layout.routes[number][-3:] for number in (5, 6, 7)]
    assert ends[0] == ends[1] == ends[2]


def test_loops_are_found_without_recursion() -> None:
    names = [str(number) for number in range(5_000)]
    links = [Link(*pair) for pair in pairwise(names)] + [Link('4999', '0')]
    back = loops(names, links)
    assert back == {4_999}
    assert depths(names, links[:-1])['4999'] == 4_999


def test_spread_keeps_order_and_distance_and_moves_no_more_than_it_must() -> None:
    widths = [40.0, 60.0, 20.0]
    placed = spread([100.0, 90.0, 500.0], widths, [1.0, 1.0, 1.0])
    assert placed[1] - placed[0] == pytest.approx(50 + GAP_X)
    assert sum(placed[:2]) / 2 == pytest.approx(95)
    assert placed[2] == 500
    assert spread([], [], []) == []
