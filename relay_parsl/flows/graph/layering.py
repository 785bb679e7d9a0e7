"""Where boxes and lines of a graph go: in layers from top to bottom, few crossings, no box over another. Pure, and the same for the same graph.

The steps are Sugiyama's: edges that close a loop are set aside, states get layers by the longest way to them, long edges become chains of waypoints,
layers are ordered by the mean of their neighbours, and places are pulled to their neighbours by isotonic regression, which keeps order and distance.
Long edges to one target share their waypoints: a handler that every state may fall to gets one line that others join.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

GAP_X, GAP_Y = 26.0, 38.0
"""Pixels between boxes of a layer, and between layers."""
LANE = 16.0
"""Pixels between lines that go back up."""
SWEEPS = 8
WAYPOINTS = 2_000
"""Waypoints that a graph may have; edges beyond go straight, for a graph so full can be read by nobody."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Link:
    """An edge to be laid: between keys of boxes; `label` is (width, height) of a text that wants a place on it; edges of one `style` may join."""

    source: str
    target: str
    label: tuple[float, float] | None = None
    style: str = ''


@dataclass(frozen=True)
class Rect:
    """A box: its middle and its size, in pixels; y grows downwards."""

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> float:
        """The upper edge."""
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.y + self.height / 2

    @property
    def left(self) -> float:
        """The left edge."""
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        """The right edge."""
        return self.x + self.width / 2


@dataclass(frozen=True)
class Layout:
    """The result.

    Attributes:
        boxes: By the keys that were given.
        labels: By the number of the link.
        routes: By the number of the link: points, straight between the first and second of each pair, curved to the next pair.
        back: Numbers of the links that go up; their routes have corners, after the label if they have one.
    """

    boxes: Mapping[str, Rect]
    labels: Mapping[int, Rect]
    routes: Mapping[int, Sequence[Point]]
    back: frozenset[int]
    width: float
    height: float


@dataclass
class _Net:
    """Boxes, labels and waypoints by layer, and who is beneath whom."""

    sizes: dict[Hashable, tuple[float, float]]
    layers: list[list[Hashable]] = field(default_factory=list)
    down: dict[Hashable, list[Hashable]] = field(default_factory=lambda: defaultdict(list))
    up: dict[Hashable, list[Hashable]] = field(default_factory=lambda: defaultdict(list))
    chains: dict[int, list[Hashable]] = field(default_factory=dict)

    def join(self, above: Hashable, below: Hashable) -> None:
        if below not in self.down[above]:
            self.down[above].append(below)
            self.up[below].append(above)


def lay(sizes: Mapping[str, tuple[float, float]], links: Sequence[Link]) -> Layout:
    """Lay a graph.

    Args:
        sizes: (width, height) of each box, in pixels; the first is where a reader begins.
        links: Between these keys only.
    """
    back = loops(list(sizes), links)
    depth = depths(list(sizes), [link for number, link in enumerate(links) if number not in back])
    net = _net(sizes, links, back, depth)
    order(net)
    places = _places(net)
    return _routed(net, places, sizes, links, back, depth)


# -- Layers ------------------------------------------------------------------------------------------------------------


def loops(keys: Sequence[str], links: Sequence[Link]) -> frozenset[int]:
    """The numbers of the links that lead back to a box on the way to them, in the order in which a reader goes."""
    outgoing: dict[str, list[int]] = defaultdict(list)
    for number, link in enumerate(links):
        outgoing[link.source].append(number)
    found: set[int] = set()
    done: set[str] = set()
    for root in keys:
        open_: dict[str, int] = {} if root in done else {root: 0}
        way = list(open_)
        while way:
            here, tried = way[-1], open_[way[-1]]
            if tried == len(outgoing[here]):
                done.add(way.pop())
                del open_[here]
                continue
            open_[here] += 1
            number = outgoing[here][tried]
            target = links[number].target
            if target in open_:
                found.add(number)
            elif target not in done:
                open_[target] = 0
                way.append(target)
    return frozenset(found)


def depths(keys: Sequence[str], links: Sequence[Link]) -> dict[str, int]:
    """The layer of each box: the longest way to it. A link with a label takes two layers. The links close no loop."""
    incoming = dict.fromkeys(keys, 0)
    outgoing: dict[str, list[Link]] = defaultdict(list)
    for link in links:
        incoming[link.target] += 1
        outgoing[link.source].append(link)
    depth = dict.fromkeys(keys, 0)
    ready = [key for key in keys if not incoming[key]]
    for key in ready:
        for link in outgoing[key]:
            depth[link.target] = max(depth[link.target], depth[key] + (2 if link.label else 1))
            incoming[link.target] -= 1
            if not incoming[link.target]:
                ready.append(link.target)
    return depth


def _net(sizes: Mapping[str, tuple[float, float]], links: Sequence[Link], back: frozenset[int], depth: Mapping[str, int]) -> _Net:
    net = _Net(dict(sizes.items()))
    layer_of: dict[Hashable, int] = dict(depth.items())
    for number, link in enumerate(links):
        chain: list[Hashable] = [link.source]
        at = depth[link.source] + 1
        if link.label:
            net.sizes['label', number] = link.label
            layer_of['label', number] = at
            chain.append(('label', number))
            at += 1
        if number in back:
            net.chains[number] = chain
            continue
        missing = [('waypoint', link.target, link.style, layer) for layer in range(at, depth[link.target])]
        if len(layer_of) + len(missing) < WAYPOINTS + len(sizes):
            layer_of.update({point: point[-1] for point in missing})
            net.sizes.update(dict.fromkeys(missing, (2.0, 0.0)))
            chain += missing
        net.chains[number] = [*chain, link.target]
    net.layers = [[] for _ in range(max(layer_of.values(), default=0) + 1)]
    for key, layer in layer_of.items():
        net.layers[layer].append(key)
    for chain in net.chains.values():
        for above, below in pairwise(chain):
            if layer_of[below] == layer_of[above] + 1:
                net.join(above, below)
    return net


# -- Order -------------------------------------------------------------------------------------------------------------


def order(net: _Net) -> None:
    """Order each layer so that few lines cross: sweeps down and up, the best of all is kept."""
    best, least = [list(layer) for layer in net.layers], crossings(net)
    for sweep in range(_rounds(net)):
        if not least:
            break
        down = sweep % 2 == 0
        near, rows = (net.up, net.layers) if down else (net.down, net.layers[::-1])
        for fixed, row in pairwise(rows):
            _by_mean(row, fixed, near)
        count = crossings(net)
        if count < least:
            best, least = [list(layer) for layer in net.layers], count
    net.layers = best


def _by_mean(row: list[Hashable], fixed: Sequence[Hashable], near: Mapping[Hashable, list[Hashable]]) -> None:
    place = {key: number for number, key in enumerate(fixed)}
    wanted = {}
    for number, key in enumerate(row):
        others = [place[other] for other in near.get(key, ()) if other in place]
        wanted[key] = sum(others) / len(others) if others else float(number)
    row.sort(key=wanted.__getitem__)


def crossings(net: _Net) -> int:
    """How many pairs of lines between neighbouring layers cross."""
    total = 0
    for above, below in pairwise(net.layers):
        place = {key: number for number, key in enumerate(below)}
        seen: list[int] = []
        for key in above:
            ends = sorted(place[other] for other in net.down.get(key, ()) if other in place)
            total += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


# -- Places ------------------------------------------------------------------------------------------------------------


def _places(net: _Net) -> dict[Hashable, Rect]:
    x: dict[Hashable, float] = {}
    for layer in net.layers:
        x.update(zip(layer, spread([0.0] * len(layer), [net.sizes[key][0] for key in layer], [1.0] * len(layer)), strict=True))
    rounds = _rounds(net)
    for sweep in range(4 * rounds):
        down = sweep % 2 == 0
        sides = (net.up, net.down) if sweep >= 2 * rounds else (net.up,) if down else (net.down,)
        for layer in net.layers if down else net.layers[::-1]:
            _pull(net, layer, x, sides)
    _close_up(net, x)
    places, y = {}, 0.0
    for layer in net.layers:
        height = max((net.sizes[key][1] for key in layer), default=0.0)
        for key in layer:
            width, own = net.sizes[key]
            places[key] = Rect(x[key], y + height / 2, width, own if own else height)
        y += height + GAP_Y
    return places


def _pull(net: _Net, layer: Sequence[Hashable], x: dict[Hashable, float], sides: Iterable[Mapping[Hashable, list[Hashable]]]) -> None:
    """Bring each of a layer near to its neighbours. What stands on a long line goes with the line, so that it is straight."""
    wanted, weights = [], []
    for key in layer:
        near = [(x[other], _pulls(key, other)) for side in sides for other in side.get(key, ())]
        weight = sum(each for _, each in near)
        wanted.append(sum(at * each for at, each in near) / weight if near else x[key])
        weights.append(weight or 0.01)
    x.update(zip(layer, spread(wanted, [net.sizes[key][0] for key in layer], weights), strict=True))


def _pulls(key: Hashable, other: Hashable) -> float:
    """How much a neighbour counts: a line goes on straight, and one of a style beside the main one does not draw a box out of its column."""
    here, there = (each if isinstance(each, tuple) and each[0] == 'waypoint' else None for each in (key, other))
    if here and there:
        return 8.0
    return 0.05 if there and there[2] else 1.0


def _close_up(net: _Net, x: dict[Hashable, float]) -> None:
    """Take out empty columns: what hangs on nothing stands beside the rest, not far off."""
    reach, shift = float('-inf'), 0.0
    for key in sorted(x, key=lambda each: x[each] - net.sizes[each][0] / 2):
        left, right = x[key] - net.sizes[key][0] / 2, x[key] + net.sizes[key][0] / 2
        shift += max(0.0, left - reach - GAP_X) if reach > float('-inf') else 0.0
        reach = max(reach, right)
        x[key] -= shift


def _rounds(net: _Net) -> int:
    """Fewer where there is much: nobody sees the last improvement there."""
    return SWEEPS if sum(map(len, net.layers)) < 800 else 2


def spread(wanted: Sequence[float], widths: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The places nearest to those that are wanted, in the given order and with gaps between: least squares, by pooling neighbours that collide."""
    shifts = [0.0]
    for left, right in pairwise(widths):
        shifts.append(shifts[-1] + (left + right) / 2 + GAP_X)
    pools: list[tuple[float, float, int]] = []  # sum of weight * place, sum of weights, members
    for want, weight, shift in zip(wanted, weights, shifts, strict=False):
        pools.append(((want - shift) * weight, weight, 1))
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            last = pools.pop()
            pools[-1] = (pools[-1][0] + last[0], pools[-1][1] + last[1], pools[-1][2] + last[2])
    flat = [total / weight for total, weight, members in pools for _ in range(members)]
    return [at + shift for at, shift in zip(flat, shifts, strict=False)]


# -- Routes ------------------------------------------------------------------------------------------------------------


def _routed(
    net: _Net,
    places: Mapping[Hashable, Rect],
    sizes: Mapping[str, tuple[float, float]],
    links: Sequence[Link],
    back: frozenset[int],
    depth: Mapping[str, int],
) -> Layout:
    shift = -min((rect.left for rect in places.values()), default=0.0)
    moved = {key: Rect(rect.x + shift, rect.y, rect.width, rect.height) for key, rect in places.items()}
    ports = _ports(net, moved, links)
    routes: dict[int, list[Point]] = {}
    for number, chain in net.chains.items():
        if number in back:
            continue
        points = [(ports[number], moved[chain[0]].bottom)]
        for key in chain[1:-1]:
            points += [(moved[key].x, moved[key].top), (moved[key].x, moved[key].bottom)]
        routes[number] = [*points, (moved[chain[-1]].x, moved[chain[-1]].top)]
    right = max((rect.right for rect in moved.values()), default=0.0)
    routes.update(_ways_back(net, moved, links, back, depth, ports))
    right = max([right, *(x for number in back for x, _ in routes[number])])
    bottom = max((rect.bottom for rect in moved.values()), default=0.0)
    boxes = {key: moved[key] for key in sizes}
    labels = {key[1]: rect for key, rect in moved.items() if isinstance(key, tuple) and key[0] == 'label'}
    return Layout(boxes, labels, routes, back, right, bottom + (GAP_Y / 2 if back else 0.0))


def _ports(net: _Net, places: Mapping[Hashable, Rect], links: Sequence[Link]) -> dict[int, float]:
    """Where each link leaves the lower edge of its box: side by side, in the order in which they go on; those that go back up at the right."""
    leaving: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for number, link in enumerate(links):
        after = net.chains[number][1:2]
        leaving[link.source].append((places[after[0]].x if after else float('inf'), number))
    ports = {}
    for source, ends in leaving.items():
        rect = places[source]
        step = min(24.0, 0.7 * rect.width / len(ends))
        for rank, (_, number) in enumerate(sorted(ends)):
            ports[number] = rect.x + step * (rank - (len(ends) - 1) / 2)
    return ports


def _ways_back(
    net: _Net,
    places: Mapping[Hashable, Rect],
    links: Sequence[Link],
    back: frozenset[int],
    depth: Mapping[str, int],
    ports: Mapping[int, float],
) -> dict[int, list[Point]]:
    """Beneath the source, along a lane to the right of all that is between, above the target: no box is in the way. The shortest is inmost."""
    rightmost = [max((places[key].right for key in layer), default=0.0) for layer in net.layers]
    routes: dict[int, list[Point]] = {}
    lanes: list[tuple[int, int, float]] = []
    for rank, number in enumerate(sorted(back, key=lambda each: (depth[links[each].source] - depth[links[each].target], each))):
        link = links[number]
        first, last = depth[link.target], depth[link.source] + (1 if link.label else 0)
        taken = [lane for low, high, lane in lanes if low <= last and first <= high]
        lane = max([max(rightmost[first : last + 1]) + GAP_X / 2, *(each + LANE for each in taken)])
        lanes.append((first, last, lane))
        inset = 8.0 + 5.0 * (rank % 4)
        target = places[link.target]
        floor = max(places[key].bottom for key in net.layers[last]) + inset
        ceiling = min(places[key].top for key in net.layers[first]) - inset
        entry = target.x + target.width / 4
        begin = [(ports[number], places[link.source].bottom)]
        if link.label:
            chip = places['label', number]
            begin += [(chip.x, chip.top), (chip.x, chip.bottom)]
        routes[number] = [*begin, (begin[-1][0], floor), (lane, floor), (lane, ceiling), (entry, ceiling), (entry, target.top)]
    return routes
