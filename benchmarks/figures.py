"""What is made of measured times: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Span = tuple[float, float]
"""When something began and ended [s]."""
OVERSHOOT = 0.05
"""A task may take so much longer than asked for (a share, of the median task): beyond it the machine, not the system, is measured."""


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which `share` (0 to 1) of them lie, between two neighbours in proportion. Raises ValueError when there is none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError('no values: there is nothing to take a quantile of')
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def covered(spans: Iterable[Span]) -> float:
    """The length of the union [s]: what two spans share counts once."""
    total, end = 0.0, float('-inf')
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def busy_share(spans: Sequence[Span]) -> float:
    """Of one accelerator: the union of its tasks' spans, of the time from the first start to the last end. Raises ValueError without spans."""
    if not spans:
        raise ValueError('no spans: the accelerator was never used')
    length = max(stop for _, stop in spans) - min(start for start, _ in spans)
    return covered(spans) / length if length > 0 else 1.0


def least_busy(stamps: Iterable[tuple[str, float, float]]) -> float:
    """The share of the least busy accelerator; each stamp is an accelerator's name, start and end [s]."""
    by_name: dict[str, list[Span]] = {}
    for name, start, stop in stamps:
        by_name.setdefault(name, []).append((start, stop))
    return min(busy_share(spans) for spans in by_name.values())


def overshoot(spans: Iterable[Span], nominal: float) -> float:
    """How much longer than nominal [s] the median task took, as a share of nominal."""
    return quantile((stop - start for start, stop in spans), 0.5) / nominal - 1.0


def batch_size(pace: float, seconds: float, most: int, least: int = 1) -> int:
    """How many tasks take about `seconds` at `pace` [1/s]."""
    return max(least, min(most, int(pace * seconds)))


def ratio(values: Mapping[str, float], ours: str, theirs: str) -> float | None:
    """Ours by theirs; None where one is missing or theirs is 0."""
    if ours not in values or not values.get(theirs):
        return None
    return values[ours] / values[theirs]
