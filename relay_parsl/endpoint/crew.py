"""The engines of an endpoint, one a pool, and the way from their threads into its loop."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from relay_parsl.endpoint.reporting import fitted
from relay_parsl.engines.base import Changed, Engine, EngineStatus, Event
from relay_parsl.errors import RelayError

log = logging.getLogger(__name__)

AT_ONCE = 2000
"""Events that one turn takes, at most."""
FLEETING = ('outstanding',)
"""What of a status changes with each task and is no news."""


class Crew:
    """Every engine, by pool."""

    def __init__(self, engines: dict[str, Engine], wake: Callable[[], None]) -> None:
        """`wake` ends the loop's wait; it may be called from any thread."""
        self.engines = engines
        self._wake = wake
        self._events: deque[tuple[str, Event]] = deque()
        self._status: dict[str, EngineStatus] = {}

    def start(self, runs: Path, label: Callable[[str], str]) -> None:
        """Start every engine in a directory of its own under `runs`. Raises ConfigError; then those that had started are stopped."""
        runs.mkdir(mode=0o700, exist_ok=True)
        try:
            for pool, engine in self.engines.items():
                directory = runs / (pool or 'default')
                directory.mkdir(mode=0o700, exist_ok=True)
                engine.start(partial(self._deliver, pool), directory, label(pool))
                self._status[pool] = engine.status()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every engine, and whatever one of them raises, the others too."""
        for pool, engine in self.engines.items():
            try:
                engine.stop()
            except (RelayError, OSError, RuntimeError):  # noqa: PERF203 - a few engines, once
                log.exception('the engine of pool %r did not stop cleanly', pool)

    def events(self) -> Iterator[tuple[str, Event]]:
        """What came since the last turn; statuses are noted on the way."""
        for _ in range(min(len(self._events), AT_ONCE)):
            pool, event = self._events.popleft()
            if isinstance(event, Changed):
                self._status[pool] = event.status
            yield pool, event

    @property
    def pending(self) -> bool:
        """Whether there are more events."""
        return bool(self._events)

    def refusal(self, pool: str, options: dict[str, Any]) -> str:
        """Why a pool cannot honour what a task asks of its endpoint; '' when it can."""
        named = options.get('user_endpoint_config')
        if not named or getattr(self.engines[pool], 'fills_in', False):
            return ''
        return f'user_endpoint_config.{next(iter(named))}: this endpoint fills in no template, so it takes no user_endpoint_config'

    def flush(self, pools: Iterable[str]) -> None:
        """Have engines start what they were given; what one of them stumbles over ends neither the others nor the loop."""
        for pool in pools:
            try:
                self.engines[pool].flush()
            except Exception:  # noqa: PERF203  an engine may be anybody's
                log.exception('the engine of pool %r does not start what it was given', pool)

    def statuses(self) -> dict[str, EngineStatus]:
        """How each engine is, by pool; the one pool of a file with `engine` is `default`."""
        return {pool or 'default': status for pool, status in self._status.items()}

    def python(self, pool: str) -> str | None:
        """The Python version of a pool's workers, once it is known."""
        return self._status[pool].python

    def report(self) -> dict[str, Any]:
        """How the engines are, for `Report`: `python` is that of all workers, '' while it is not known or not one."""
        pools = {pool: {key: value for key, value in asdict(status).items() if key not in FLEETING} for pool, status in self._status.items()}
        pythons = {status.python or '' for status in self._status.values()}
        return {'python': pythons.pop() if len(pythons) == 1 else '', 'pools': fitted(pools)}

    def _deliver(self, pool: str, event: Event) -> None:
        self._events.append((pool, event))
        self._wake()
