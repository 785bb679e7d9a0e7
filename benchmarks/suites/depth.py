"""Queued tasks without an endpoint online: how fast they come in, what the relay holds, how long it takes to start again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from benchmarks.aims import OURS
from benchmarks.lone import LoneRelay
from benchmarks.run import Run
from benchmarks.visit import VisitError

NAME = 'depth'
LEVELS = (10_000, 100_000, 1_000_000)
CHUNK = 2_500
"""Tasks that are timed together."""
LAST = 4
"""Chunks whose median is the rate at a level: one client fills them in."""
CLIENTS, EACH = 2, 100_000
"""Clients that fill in what is before, at once, and tasks for each: it keeps a future of every one."""
AGAIN = 10.0
"""Seconds, at most, for the first level on the other relay."""
LATE = 10.0
"""Seconds over time for the chunks that are timed."""
TURNS = 6
"""Chunks for each of two relays beside one another."""


def run(run: Run) -> None:
    """As deep as the budget allows; then that relay beside a fresh one, for the machine may have changed in the meantime."""
    end = time.monotonic() + run.budget(80.0, 30.0)
    try:
        with LoneRelay() as relay:
            reached = deeper(run, relay, LEVELS[:1] if run.quick else LEVELS, end)
            if reached > LEVELS[0]:
                beside(run, relay, reached)
    except VisitError as error:
        run.report.note(f'{NAME}: {error}')


def deeper(run: Run, relay: LoneRelay, levels: Sequence[int], end: float) -> int:
    """Measure at each level, until `end` (monotonic). Returns how deep it went."""
    reached = 0
    for level in levels:
        before = relay.cpu()
        added, rates = fill(relay, level - reached, end)
        reached += added
        report(run, relay, reached, rates, 1e6 * (relay.cpu() - before) / max(1, added))
        if reached < level:
            run.report.note(f'{NAME}: cut by the time at {reached:,} of {level:,} tasks')
            break
    return reached


def beside(run: Run, deep: LoneRelay, depth: int) -> None:
    """Chunks for a relay with little in it and for a deep one, in turns."""
    with LoneRelay() as shallow:
        deeper(run, shallow, LEVELS[:1], time.monotonic() + AGAIN)
        with shallow.client() as here, deep.client() as there:
            for client in (here, there):
                client.order('fill', count=1)
            for _ in range(TURNS):
                for client, case in ((here, LEVELS[0]), (there, depth)):
                    rate = client.order('fill', count=CHUNK)['tasks_per_s']
                    run.report.add(NAME, str(case), OURS, submit_rate=(rate, '1/s'))


def fill(relay: LoneRelay, count: int, end: float) -> tuple[int, list[float]]:
    """Queue so many tasks, or as many as go until `end` (monotonic): how many, and the rates of the last chunks [1/s]."""
    added = 0
    with ThreadPoolExecutor(CLIENTS) as clients:
        while added < count - LAST * CHUNK and time.monotonic() < end:
            each = min(EACH, (count - LAST * CHUNK - added) // CLIENTS)
            added += sum(clients.map(lambda _, some=each: _one(relay, some, end)[0], range(CLIENTS)))
    last, rates = _one(relay, min(LAST * CHUNK, count - added), end + LATE)
    return added + last, rates


def _one(relay: LoneRelay, count: int, end: float) -> tuple[int, list[float]]:
    """One client's part."""
    added, rates = 0, []
    with relay.client() as client:
        client.order('fill', count=1)  # its session is open, its grant is known
        added += 1
        while added < count and time.monotonic() < end:
            some = min(CHUNK, count - added)
            rates.append(client.order('fill', count=some)['tasks_per_s'])
            added += some
    return added, rates or [0.0]


def report(run: Run, relay: LoneRelay, reached: int, rates: list[float], cost: float) -> None:
    """What it costs at this depth; `cost` is the relay's processor time for each task since the last level [us]."""
    held = relay.memory()
    restart = relay.restart()
    run.report.add(
        NAME,
        str(reached),
        OURS,
        submit_rate=(median(rates), '1/s'),
        relay_cpu=(cost, 'us/task'),
        relay_memory=(held, 'MB'),
        restart=(restart, 's'),
        relay_memory_after_restart=(relay.memory(), 'MB'),
    )
