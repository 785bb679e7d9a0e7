"""Idle sessions on one relay: what they cost it."""

from __future__ import annotations

import time
from contextlib import ExitStack

from benchmarks.aims import OURS
from benchmarks.lone import LoneRelay
from benchmarks.run import Run
from benchmarks.visit import VisitError

NAME = 'sessions'
LEVELS = (10, 100, 1000)
EACH = 250
"""Sessions for each client process."""
PERIOD = 11.0
"""Seconds in which each idle session has said something: it does every 10."""


def run(run: Run) -> None:
    """Open more and more; each level is measured when every session was answered."""
    opened = 0
    with LoneRelay() as relay, ExitStack() as clients:
        for level in LEVELS[:2] if run.quick else LEVELS:
            if level > LEVELS[0] and time.monotonic() > run.end:
                run.report.note(f'{NAME}: {level} left out: the time is up')
                return
            try:
                opened += sit(relay, clients, level - opened)
            except VisitError as error:
                run.report.note(f'{NAME}: {level}: {error}')
                return
            share = relay.cpu_share(PERIOD)
            run.report.add(NAME, str(level), OURS, relay_cpu=(share, 'cores'), relay_memory=(relay.memory(), 'MB'))


def sit(relay: LoneRelay, clients: ExitStack, count: int) -> int:
    """So many more sessions."""
    left = count
    while left:
        client = clients.enter_context(relay.client())
        client.order('sit', count=min(EACH, left))
        left -= min(EACH, left)
    return count
