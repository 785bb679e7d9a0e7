"""A flow's graph as an SVG: text that stays text, a description for those who hear it, colours for light and dark. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise, takewhile

from relay_parsl.flows.definition import Json
from relay_parsl.flows.graph import Edge, Graph, Node, graph
from relay_parsl.flows.graph.layering import Layout, Link, Point, Rect, lay

MARGIN = 30.0
HEAD = 78.0
"""Pixels above the first state: the title, and where the run begins."""
NAME, SMALL = 13.5, 11.0
"""Font sizes in pixels."""
LONGEST_NAME, LONGEST_WORDS = 34, 40
"""Characters that are shown; the whole is in the tooltip."""
CORNER = 7.0
STYLE = """
.flow { font-family: 'Inter', 'Segoe UI', 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif; --x: 0 }
.paper { fill: #ffffff }
.title { font-size: 17px; font-weight: 600; fill: #1b2733 }
.note { font-size: 11.5px; fill: #5b6b7a }
.box { fill: #f6f8fa; stroke: #b4bfca; stroke-width: 1.2 }
.name { font-size: 13.5px; font-weight: 600; fill: #3d4a57 }
.small { font-size: 11px; fill: #6a7885 }
.edge { fill: none; stroke: #b4bfca; stroke-width: 1.4 }
.tip { fill: #b4bfca }
.catch { stroke-dasharray: 5 4 }
.chip { fill: #ffffff; stroke: #d3dae1; stroke-width: 1 }
.words { font-size: 11px; fill: #55636f }
.badge { font-size: 11px; font-weight: 600; fill: #2f7d58 }
.done .box { fill: #e8f5ee; stroke: #2f9e69 }
.done .name { fill: #14543a }
.now .box { fill: #e6f0fd; stroke: #2374d8; stroke-width: 2.4 }
.now .name { fill: #123f7c }
.caught .box { fill: #fdf3e1; stroke: #c9831a }
.caught .name { fill: #74480a }
.caught .badge { fill: #a56a10 }
.failed .box { fill: #fdeceb; stroke: #d0342c; stroke-width: 2 }
.failed .name { fill: #8b1d17 }
.now .badge { fill: #2374d8 }
.failed .badge { fill: #b4281f }
.taken .edge { stroke: #2f9e69; stroke-width: 2.4 }
.taken .tip { fill: #2f9e69 }
.taken .chip { stroke: #2f9e69 }
.taken .words { fill: #14543a }
@media (prefers-color-scheme: dark) {
.paper { fill: #12181f }
.title { fill: #e6edf3 }
.note, .small { fill: #93a1af }
.box { fill: #1b232c; stroke: #4a5764 }
.name { fill: #cdd7e0 }
.edge { stroke: #55626f }
.tip { fill: #55626f }
.chip { fill: #12181f; stroke: #3b4753 }
.words { fill: #a9b5c1 }
.badge { fill: #5cc894 }
.done .box { fill: #12301f; stroke: #35a972 }
.done .name, .taken .words { fill: #a6e5c5 }
.now .box { fill: #10284a; stroke: #5b9df0 }
.now .name { fill: #c5defd }
.caught .box { fill: #36260c; stroke: #dba04a }
.caught .name { fill: #f6dcae }
.caught .badge { fill: #e6b469 }
.failed .box { fill: #3d1614; stroke: #ea6a62 }
.failed .name { fill: #fbcfcc }
.now .badge { fill: #8dbcf7 }
.failed .badge { fill: #f3948e }
}
"""
TIMES = '\N{MULTIPLICATION SIGN}'


def svg(document: Mapping[str, Json], *, title: str = '', run: Mapping[str, Json] | None = None, log: Sequence[Mapping[str, Json]] = ()) -> str:
    """Draw a definition, and the way that a run took through it.

    Args:
        document: Bare, as it was written.
        title: For people.
        run: As the journal tells of it.
        log: The entries of its event log, oldest first.

    Returns:
        The text of an SVG file, the same for the same arguments.
    """
    return draw(graph(document, title=title, run=run, log=log))


def draw(drawn: Graph) -> str:
    """The SVG of a graph."""
    layout = arrange(drawn)
    width = max(layout.width, measure(drawn.title, 17.0), measure(note(drawn), 11.5)) + 2 * MARGIN
    height = layout.height + HEAD + MARGIN
    shift = (width - layout.width) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="flow" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"',
        'role="img" aria-labelledby="flow-title flow-desc">',
        f'<title id="flow-title">{plain(drawn.title)}</title>',
        f'<desc id="flow-desc">{plain(told(drawn))}</desc>',
        f'<style>{STYLE}</style>',
        '<rect class="paper" width="100%" height="100%"/>',
        f'<text class="title" x="{MARGIN:g}" y="30">{plain(cut(drawn.title, 90))}</text>',
        f'<text class="note" x="{MARGIN:g}" y="48">{plain(note(drawn))}</text>',
        f'<g transform="translate({shift:.1f} {HEAD:g})">',
        *_begin(drawn, layout),
        *_edges(drawn, layout),
        *(_label(number, edge, layout) for number, edge in enumerate(drawn.edges) if number in layout.labels),
        *(_node(node, layout.boxes[node.name]) for node in drawn.nodes),
        '</g>',
        '</svg>',
    ]
    return '\n'.join(parts) + '\n'


def arrange(drawn: Graph) -> Layout:
    """Where everything goes, before the margins."""
    sizes = {node.name: (max(96.0, max(measure(line, size) for line, size in _lines(node)) + 34.0), 46.0) for node in drawn.nodes}
    links = []
    for edge in drawn.edges:
        label = (measure(cut(edge.words, LONGEST_WORDS), SMALL) + 16.0, 20.0) if edge.words else None
        links.append(Link(edge.source, edge.target, label, edge.kind if edge.kind == 'catch' else ''))
    return lay(sizes, links)


def _lines(node: Node) -> list[tuple[str, float]]:
    return [(cut(node.name, LONGEST_NAME), NAME), (f'{under(node)}    {badge(node)}', SMALL)]


def under(node: Node) -> str:
    """The second line of a box: what the state is."""
    return cut(f'{node.type} · {node.does}' if node.does else node.type, LONGEST_NAME)


def badge(node: Node) -> str:
    """What a run did in a state: how often it was there, for how long."""
    times = f'{TIMES}{node.visits}' if node.visits > 1 else ''
    long = node.seconds is not None and (node.seconds >= 0.05 or node.type == 'Action')
    took = 'now' if node.standing == 'now' else span(node.seconds or 0.0) if long else ''
    return ' '.join(word for word in (times, took) if word)


def span(seconds: float) -> str:
    """A duration for people: `0.3 s`, `2 m 34 s`, `1 h 05 m`, `3 d 2 h`."""
    if seconds < 9.95:
        return f'{max(seconds, 0.0):.1f} s'
    whole = round(seconds)
    for unit, below, letter, smaller in ((86_400, 3_600, 'd', 'h'), (3_600, 60, 'h', 'm'), (60, 1, 'm', 's')):
        if whole >= unit:
            return f'{whole // unit} {letter} {whole % unit // below} {smaller}'
    return f'{whole} s'


def note(drawn: Graph) -> str:
    """The line beneath the title."""
    count = f'{len(drawn.nodes)} state{"" if len(drawn.nodes) == 1 else "s"}'
    if not drawn.status:
        return count
    entered = len(set(drawn.path))
    return f'{drawn.status} · {entered} of {count} entered'


def told(drawn: Graph) -> str:
    """The picture in words."""
    ways = '; '.join(f'{edge.source} to {edge.target}{f" on {edge.kind}" if edge.kind == "catch" else ""}' for edge in drawn.edges[:200])
    text = f'{note(drawn)}. Ways: {ways or "none"}.'
    return f'{text} Taken: {", ".join(drawn.path[:200])}.' if drawn.path else text


# -- Text --------------------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """Any text as XML may hold it: escaped, and without characters that XML forbids or that would turn the line around."""
    return escape(''.join(character if _harmless(character) else '\N{REPLACEMENT CHARACTER}' for character in text))


def _harmless(character: str) -> bool:
    return unicodedata.category(character) not in ('Cc', 'Cf', 'Cs', 'Cn', 'Co', 'Zl', 'Zp')


def cut(text: str, longest: int) -> str:
    """At most so many characters, with an ellipsis for the rest."""
    return text if len(text) <= longest else text[: longest - 1] + '…'


def measure(text: str, size: float) -> float:
    """About how many pixels a text is wide: for fonts that differ, rather too many."""
    narrow, wide = set("iljtf.,:;'|!()[] "), set('mwMW@%—…≤≥')
    units = sum(
        1.0 if unicodedata.east_asian_width(each) in 'WF' else 0.36 if each in narrow else 0.92 if each in wide else 0.7 if each.isupper() else 0.6
        for each in text
    )
    return units * size


# -- Shapes ------------------------------------------------------------------------------------------------------------


def _begin(drawn: Graph, layout: Layout) -> list[str]:
    """The dot from which the first state is entered."""
    if not drawn.nodes:
        return []
    rect = layout.boxes[drawn.nodes[0].name]
    taken = ' class="taken"' if drawn.path else ''
    line = f'<path class="edge" d="M {rect.x:.1f} -18 L {rect.x:.1f} {rect.top - 5:.1f}"/>{_tip(rect.x, rect.top)}'
    return [f'<g{taken}><circle class="tip" cx="{rect.x:.1f}" cy="-20" r="4.5"/>{line}</g>']


def _node(node: Node, rect: Rect) -> str:
    classes = f'node {node.standing}'.strip()
    shape = f'x="{rect.left:.1f}" y="{rect.top:.1f}" width="{rect.width:.1f}" height="{rect.height:.1f}" rx="{CORNER:g}"'
    inner = ''
    if node.ends:
        inner = (
            f'<rect class="box" x="{rect.left + 3:.1f}" y="{rect.top + 3:.1f}" width="{rect.width - 6:.1f}" height="{rect.height - 6:.1f}" '
            f'rx="{CORNER - 2:g}" fill-opacity="0"/>'
        )
    half = sum(map(_second, (under(node), badge(node)))) / 2 + (6.0 if badge(node) else 0.0)
    tail = f'<text class="badge" x="{rect.x + half:.1f}" y="{rect.y + 13:.1f}" text-anchor="end">{plain(badge(node))}</text>' if badge(node) else ''
    anchor = f'x="{rect.x - half:.1f}"' if tail else f'x="{rect.x:.1f}" text-anchor="middle"'
    return (
        f'<g class="{classes}" data-state="{plain(node.name)}"><title>{plain(_tooltip(node))}</title><rect class="box frame" {shape}/>{inner}'
        f'<text class="name" x="{rect.x:.1f}" y="{rect.y - 4:.1f}" text-anchor="middle">{plain(cut(node.name, LONGEST_NAME))}</text>'
        f'<text class="small" {anchor} y="{rect.y + 13:.1f}">{plain(under(node))}</text>{tail}</g>'
    )


def _second(text: str) -> float:
    return measure(text, SMALL)


def _tooltip(node: Node) -> str:
    words = [f'{node.name} ({node.type})', node.does, 'the end of the flow' if node.ends else '', node.standing, badge(node)]
    return ', '.join(word for word in words if word)


def _edge(number: int, edge: Edge, layout: Layout, drawn: set[str]) -> str:
    """An edge. What another one of its kind has drawn is left out: dashes over dashes look like none."""
    points = layout.routes[number]
    pieces = list(takewhile(lambda piece: edge.taken or piece not in drawn, _pieces(number, points, layout)))
    drawn.update(pieces)
    path = ' '.join(pieces)
    x, y = points[-1]
    style = 'edge catch' if edge.kind == 'catch' else 'edge'
    words = f'{edge.source} → {edge.target}' + (f': {edge.words}' if edge.words else '') + (f', taken {TIMES}{edge.taken}' if edge.taken else '')
    return (
        f'<g class="way{" taken" if edge.taken else ""}" data-from="{plain(edge.source)}" data-to="{plain(edge.target)}" data-kind="{edge.kind}">'
        f'<title>{plain(words)}</title><path class="{style}" d="{path}"/>{_tip(x, y)}</g>'
    )


def _label(number: int, edge: Edge, layout: Layout) -> str:
    rect = layout.labels[number]
    taken = ' class="taken"' if edge.taken else ''
    shape = f'x="{rect.left:.1f}" y="{rect.top:.1f}" width="{rect.width:.1f}" height="{rect.height:.1f}" rx="10"'
    text = f'<text class="words" x="{rect.x:.1f}" y="{rect.y + 3.8:.1f}" text-anchor="middle">{plain(cut(edge.words, LONGEST_WORDS))}</text>'
    return f'<g{taken}><title>{plain(edge.words)}</title><rect class="chip" {shape}/>{text}</g>'


def _tip(x: float, y: float) -> str:
    return f'<path class="tip" d="M {x:.1f} {y:.1f} l -4.5 -8 l 9 0 z"/>'


def _edges(drawn: Graph, layout: Layout) -> list[str]:
    """Those that were taken over the others."""
    known: dict[bool, set[str]] = {True: set(), False: set()}
    numbers = sorted(range(len(drawn.edges)), key=lambda number: drawn.edges[number].taken > 0)
    return [_edge(number, drawn.edges[number], layout, known[drawn.edges[number].kind == 'catch']) for number in numbers]


def _pieces(number: int, points: Sequence[Point], layout: Layout) -> Iterator[str]:
    if number not in layout.back:
        yield from curve(points)
        return
    bends = 2 if number in layout.labels else 0
    yield from curve(points[:bends], tip=0.0)
    yield corners(points[bends:])


def curve(points: Sequence[Point], tip: float = 5.0) -> Iterator[str]:
    """Straight through each layer, curved between two; it ends a little above the tip of the arrow."""
    for number, ((x, y), (to_x, to_y)) in enumerate(pairwise(points)):
        end = to_y - tip if number == len(points) - 2 else to_y
        middle = (y + end) / 2
        bend = f'L {to_x:.1f} {end:.1f}' if number % 2 else f'C {x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {end:.1f}'
        yield f'M {x:.1f} {y:.1f} {bend}'


def corners(points: Sequence[Point]) -> str:
    """Straight pieces with rounded corners."""
    parts = [f'M {points[0][0]:.1f} {points[0][1]:.1f}']
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        near, far = _towards(here, before), _towards(here, after)
        parts.append(f'L {near[0]:.1f} {near[1]:.1f} Q {here[0]:.1f} {here[1]:.1f} {far[0]:.1f} {far[1]:.1f}')
    return ' '.join([*parts, f'L {points[-1][0]:.1f} {points[-1][1] - 5:.1f}'])


def _towards(here: Point, other: Point) -> Point:
    length = max(abs(other[0] - here[0]), abs(other[1] - here[1]), 1e-9)
    step = min(8.0, length / 2) / length
    return here[0] + (other[0] - here[0]) * step, here[1] + (other[1] - here[1]) * step
