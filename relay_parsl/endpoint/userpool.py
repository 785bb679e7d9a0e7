"""One pool that a user's values have made: its engine, and the thread in which that lives."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from relay_parsl.endpoint import hooks
from relay_parsl.endpoint.life import Life
from relay_parsl.endpoint.spec import EngineSpec
from relay_parsl.engines.base import Engine, EngineStatus, Event, Work
from relay_parsl.errors import ConfigError

log = logging.getLogger(__name__)

RETIRE = 300.0
"""Seconds without a task after which a pool ends, where the template has no `idle_heartbeats_soft`."""


class Filled(Protocol):
    """A filled-in and checked endpoint file, with one engine: an `EndpointConfig`."""

    @property
    def life(self) -> Life:
        """What surrounds the engine's work."""

    @property
    def pools(self) -> Mapping[str, EngineSpec]:
        """Its engine, under ''."""

    def build_engine(self, pool: str = '') -> Engine:
        """Make the engine. Raises ConfigError."""


class UserPool:
    """State is shared under `lock` with the engine that owns the pool; calls into the pool's own engine come one at a time, and never under `lock`.

    States: `checking` its values, `waiting` for room, `starting`, `ready`, `ending`.
    """

    def __init__(self, key: tuple[str, str], name: str, lock: threading.RLock) -> None:
        """Nothing is started. `key`: its values and the runtime that they are for, as JSON."""
        self.key, self.name = key, name
        self.state = 'checking'
        self.outstanding = 0
        self.idle_since = time.monotonic()
        self.status = EngineStatus(0)
        self.config: Filled | None = None
        self.ended = threading.Event()
        self._lock = lock
        self._calls = threading.Lock()
        self._waiting: list[Work] = []
        self._engine: Engine | None = None
        self._thread: threading.Thread | None = None

    @property
    def retries(self) -> int:
        """How often its file has a task tried again after system failures."""
        return 0 if self.config is None else next(iter(self.config.pools.values())).max_retries_on_system_failure

    @property
    def retires_after(self) -> float:
        """Seconds without a task."""
        return (self.config.life.idle_soft if self.config is not None else 0.0) or RETIRE

    # -- Attempts ----------------------------------------------------------------------------------------------------

    def submit(self, work: Work) -> None:
        """Hand on an attempt that was counted as outstanding, or keep it until there is an engine."""
        with self._lock:
            if self.state != 'ready' or self._engine is None:
                self._waiting.append(work)
                return
        with self._calls:
            self._engine.submit(work)

    def flush(self) -> None:
        """Have its engine, if there is one yet, start what it was given."""
        with self._lock:
            engine = self._engine if self.state == 'ready' else None
        if engine is not None:
            with self._calls:
                engine.flush()

    def cancel(self, task_id: bytes, attempt: int) -> bool:
        """See `Engine`."""
        return self._took_back(task_id, attempt) or self._ask(lambda engine: engine.cancel(task_id, attempt))

    def withdraw(self, task_id: bytes, attempt: int) -> bool:
        """See `Engine`."""
        return self._took_back(task_id, attempt) or self._ask(lambda engine: engine.withdraw(task_id, attempt))

    def _took_back(self, task_id: bytes, attempt: int) -> bool:
        with self._lock:
            kept = [work for work in self._waiting if (work.task_id, work.attempt) != (task_id, attempt)]
            found, self._waiting = len(kept) < len(self._waiting), kept
        return found

    def _ask(self, question: Callable[[Engine], bool]) -> bool:
        with self._calls:
            return self._engine is not None and question(self._engine)

    def take_waiting(self) -> list[Work]:
        """What no engine has; it is not the pool's any more."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return waiting

    def demand(self) -> None:
        """Tell the engine what there is to do."""
        with self._lock:
            engine, count = self._engine if self.state == 'ready' else None, self.outstanding
        if engine is not None:
            with self._calls:
                engine.demand(count)

    # -- Life --------------------------------------------------------------------------------------------------------

    def begin(self, directory: Path, label: str, hear: Callable[[Event], None], over: Callable[[str], None]) -> None:
        """Start its engine, in a thread that lives as long as that does: processes of an engine die with the thread that started them.

        Args:
            directory: Its own.
            label: Names batch jobs.
            hear: Takes the engine's events.
            over: Called at the very end; with why, if it could not begin.
        """
        self.state = 'starting'
        self._thread = threading.Thread(target=self._live, args=(directory, label, hear, over), name=f'{label}-life', daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the end."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _live(self, directory: Path, label: str, hear: Callable[[Event], None], over: Callable[[str], None]) -> None:
        fault = ''
        assert self.config is not None, 'checked before it begins'  # noqa: S101
        try:
            self._start(self.config, directory, label, hear)
            self.ended.wait()
        except Exception as error:  # noqa: BLE001  providers and launchers may be anybody's
            log.warning('pool %s cannot begin: %s', self.name, error)
            fault = str(error) if isinstance(error, ConfigError) else f'{type(error).__name__}: {error}'
        finally:
            self.state = 'ending'
            self._stop(self.config, directory)
            over(fault)

    def _start(self, config: Filled, directory: Path, label: str, hear: Callable[[Event], None]) -> None:
        if config.life.setup and (fault := hooks.run('endpoint_setup', config.life.setup, directory, hooks.SETUP, self.ended.is_set)):
            raise ConfigError(fault)
        engine = config.build_engine()
        self._engine = engine
        with self._calls:
            engine.start(hear, directory, label)
            self.status = engine.status()
        while True:
            with self._lock:
                waiting, self._waiting = self._waiting, []
                if not waiting:
                    self.state = 'ready'
                    break
            with self._calls:
                for work in waiting:
                    engine.submit(work)
                engine.flush()
        self.demand()

    def _stop(self, config: Filled, directory: Path) -> None:
        engine = self._engine
        try:
            if engine is not None:
                with self._calls:
                    engine.stop()
        except Exception:  # as above
            log.exception('the engine of pool %s did not stop cleanly', self.name)
        if config.life.teardown and (fault := hooks.run('endpoint_teardown', config.life.teardown, directory, hooks.TEARDOWN)):
            log.error('pool %s: %s', self.name, fault)
