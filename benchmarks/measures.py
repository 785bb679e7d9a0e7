"""Measurements of a system that runs, made in its driver. Each gives plain numbers."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from benchmarks import figures, parties, tasks
from benchmarks.systems import Desk

Numbers = dict[str, Any]
LIMIT = 60.0
"""Seconds that one task may take."""
MEGA = 1_000_000
SUBMITS = 5000
"""Calls of `submit` whose rate is taken: those that come later compete with results."""
WARM = 0.3
"""Seconds of tasks before those that count."""


def burst(desk: Desk, *, task: str, arguments: list[Any], most: int, seconds: float, least: int = 1, way: str = '') -> Numbers:
    """Hand in many calls at once and wait for all.

    Args:
        desk: Where.
        task: A name in `tasks`.
        arguments: Plain values; `{'bytes': n}` stands for so many random bytes, the same for all.
        most: Tasks at most.
        seconds: How long it should take, about; fewer tasks then.
        least: Tasks at least, however long they take.
        way: One of the desk's ways.

    Returns:
        `tasks`, `tasks_per_s`, `submits_per_s` (of the first `SUBMITS` calls, at most), and `cpu`: seconds of processor time by party.
    """
    submit, fn, given = desk.ways.get(way, desk.submit), getattr(tasks, task), [_value(each) for each in arguments]
    pace = _warm_up(desk, lambda: submit(fn, *given), most)
    count = figures.batch_size(pace, seconds, most, least)
    before = parties.cpu()
    begin = time.perf_counter()
    first = min(count, SUBMITS)
    futures = [submit(fn, *given) for _ in range(first)]
    submitted = time.perf_counter()
    futures += [submit(fn, *given) for _ in range(count - first)]
    desk.collect(futures, LIMIT)
    end = time.perf_counter()
    return {
        'tasks': count,
        'tasks_per_s': count / (end - begin),
        'submits_per_s': first / (submitted - begin),
        'cpu': parties.spent(before),
    }


def _warm_up(desk: Desk, call: Callable[[], Any], most: int) -> float:
    """Tasks a second, from bursts that double until one takes long enough to say. The first does not count: processes start in it."""
    count, pace = min(4, most), 0.0
    desk.collect([call() for _ in range(count)], LIMIT)
    while True:
        begin = time.perf_counter()
        desk.collect([call() for _ in range(count)], LIMIT)
        took = time.perf_counter() - begin
        pace = max(pace, count / took)
        if took >= WARM or count >= most:
            return pace
        count = min(most, 2 * count)


def trips(desk: Desk, *, most: int, seconds: float) -> Numbers:
    """One no-op after the other: `p50`, `p95`, `p99` [ms] of the round trips."""
    for _ in range(20):
        desk.collect([desk.submit(tasks.nothing)], LIMIT)
    took: list[float] = []
    end = time.perf_counter() + seconds
    while len(took) < most and time.perf_counter() < end:
        begin = time.perf_counter()
        desk.collect([desk.submit(tasks.nothing)], LIMIT)
        took.append(time.perf_counter() - begin)
    return {name: 1000 * figures.quantile(took, share) for name, share in (('p50', 0.5), ('p95', 0.95), ('p99', 0.99))} | {'trips': len(took)}


def occupy(desk: Desk, *, task: str, nominal: float, count: int, slots: int, seconds: float) -> Numbers:
    """A backlog of tasks that each hold an accelerator for a while. What has not ended when the time is up is left.

    Args:
        desk: Where.
        task: `stamp` or `stamp_kernel`.
        nominal: How long each holds it [s].
        count: How many.
        slots: Workers, each of which is warmed up.
        seconds: How long to look, at most.

    Returns:
        `busy_share` of the least busy accelerator, `overshoot` of the median task, `tasks_per_s`, `nominal_share` (tasks x nominal / wall / slots),
        `seen`: how many accelerators, `tasks`: how many ended.
    """
    fn = getattr(tasks, task)
    desk.collect([desk.submit(fn, max(0.05, nominal)) for _ in range(2 * slots)], LIMIT)
    begin = time.perf_counter()
    futures = [desk.submit(fn, nominal) for _ in range(count)]
    ended = _ended(futures, begin + seconds)
    wall = time.perf_counter() - begin
    stamps = desk.collect(ended, LIMIT)
    for future in reversed(futures[len(ended) :] if 'cancel' in desk.ways else []):
        desk.ways['cancel'](future)
    return {
        'busy_share': figures.least_busy(stamps),
        'overshoot': figures.overshoot([(start, stop) for _, start, stop in stamps], nominal),
        'tasks': len(ended),
        'tasks_per_s': len(ended) / wall,
        'nominal_share': len(ended) * nominal / wall / slots,
        'seen': len({name for name, _, _ in stamps}),
    }


def _ended(futures: Sequence[Future[Any]], end: float) -> list[Future[Any]]:
    """Those that have ended by `end` (perf_counter)."""
    for future in futures:
        with contextlib.suppress(TimeoutError, concurrent.futures.TimeoutError):
            future.exception(timeout=max(0.0, end - time.perf_counter()))
        if time.perf_counter() >= end:
            break
    return [future for future in futures if future.done()]


def memory(_desk: Desk) -> Numbers:
    """Peak memory [MB] by party, until now."""
    return {'memory': parties.memory()}


def arrive(desk: Desk, *, size: int) -> Numbers:
    """One large argument, of bytes that do not compress: `seconds` until its checksum came back, and peak memory [MB] by party."""
    data = bytearray(os.urandom(MEGA)) * (size // MEGA)
    expected = tasks.checksum(data)
    begin = time.perf_counter()
    arrived = desk.collect([desk.submit(tasks.checksum, data)], 10 * LIMIT)[0]
    if tuple(arrived) != expected:
        raise ValueError(f'{expected} was sent, {arrived} arrived: bytes and checksum')
    return {'seconds': time.perf_counter() - begin, 'memory': parties.memory()}


def fill(desk: Desk, *, count: int) -> Numbers:
    """Queue no-ops that nobody takes: `tasks_per_s` until the relay has them all on disk."""
    begin = time.perf_counter()
    for _ in range(count):
        desk.submit(tasks.nothing)
    desk.ways['flush'](timeout=10 * LIMIT)
    return {'tasks_per_s': count / (time.perf_counter() - begin)}


def sit(desk: Desk, *, count: int) -> Numbers:
    """Open sessions, and leave them alone: `seconds` until each was answered."""
    begin = time.perf_counter()
    desk.ways['sit'](count)
    return {'seconds': time.perf_counter() - begin}


def _value(argument: Any) -> Any:
    """What does not travel to the driver as JSON is made there."""
    return os.urandom(argument['bytes']) if isinstance(argument, dict) else argument


MEASURES: dict[str, Callable[..., Numbers]] = {each.__name__: each for each in (burst, trips, occupy, memory, arrive, fill, sit)}
