"""When a running attempt is told to end, when its runner is killed, and when others are told that it runs. Pure."""

from __future__ import annotations

from enum import Enum
from math import inf

from relay_parsl.engines.interrupts import TIMEOUT

LONG = 2.0
"""Seconds after which an attempt is long: its worker says that it runs, and listens for a cancel."""


class Step(Enum):
    """What is due."""

    WAIT = 'wait'
    INTERRUPT = 'interrupt'
    KILL = 'kill'
    REPORT = 'report'


class Patience:
    """One attempt's. Time is handed in, in seconds of any one clock."""

    def __init__(self, now: float, limit: float, grace: float) -> None:
        """The attempt goes to its runner `now`; its function may run for `limit` seconds (0: for ever) and has `grace` to end once told."""
        self.reason = ''
        """Why it was told to end, if it was."""
        self.since, self.grace = now, grace
        self.killed = False
        """Whether it had to be killed."""
        self._limit = limit
        self._until = self._kill_at = inf
        self._report_at = now + LONG
        self._told = False

    def started(self, now: float) -> None:
        """The function itself has begun: its clock starts. Runs again after its own exceptions are on the same clock."""
        if self._limit and self._until == inf:
            self._until = now + self._limit

    def interrupt(self, reason: str) -> None:
        """It shall end. The first reason stands."""
        self.reason = self.reason or reason

    def step(self, now: float) -> Step:
        """What to do now; each but WAIT is said once."""
        if not self.reason and now >= self._until:
            self.reason = TIMEOUT
        if self.reason and not self._told:
            self._told, self._kill_at = True, now + self.grace
            return Step.INTERRUPT
        if now >= self._kill_at:
            self._kill_at, self.killed = inf, True
            return Step.KILL
        if now >= self._report_at:
            self._report_at = inf
            return Step.REPORT
        return Step.WAIT

    def pause(self, now: float) -> float | None:
        """Seconds until something is due; None: nothing will be."""
        due = min(self._report_at, self._kill_at if self._told else self._until)
        return None if due == inf else max(0.0, due - now)
