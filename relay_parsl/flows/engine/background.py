"""The engine that a process runs beside its own work, so that a script needs no `flow serve`; it stands by while another engine works.

It ends with the process, and gives the lease back; runs that have not ended stay in the journal, and go on with the next engine.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from pathlib import Path

from relay_parsl.errors import StoreError
from relay_parsl.flows.engine import Engine
from relay_parsl.flows.journal import Journal
from relay_parsl.flows.settings import load_settings
from relay_parsl.home import Home

log = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds that the end of the process waits for the engine."""
AGAIN = 5.0
"""Seconds until an engine that the journal stopped tries again."""

_running: dict[Path, _Background] = {}
_lock = threading.RLock()


class _Background:
    def __init__(self, home: Home) -> None:
        self._home, self._stop = home, threading.Event()
        self._settings = load_settings(home)
        self._thread = threading.Thread(target=self._serve, name='relay-parsl flows', daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                with Journal.open(self._home) as journal:
                    Engine(journal, self._settings).serve(self._stop)
            except StoreError as error:  # noqa: PERF203  it may be mended while the process lives
                log.error('the engine of flows stopped: %s', error)
                self._stop.wait(AGAIN)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(GRACE)


def ensure(home: Home) -> None:
    """Have an engine in this process for the journal of a home directory. Raises ConfigError for wrong settings."""
    with _lock:
        if home.root not in _running:
            if not _running:
                atexit.register(stop)
            _running[home.root] = _Background(home)


def stop() -> None:
    """End the engines of this process."""
    with _lock:
        ending = list(_running.values())
        _running.clear()
    for each in ending:
        each.stop()
    atexit.unregister(stop)


def _forked() -> None:
    """The child of a fork has no engine: threads stay with the parent."""
    global _lock  # noqa: PLW0603  the parent's may be held by a thread that is not here
    _lock = threading.RLock()
    _running.clear()


os.register_at_fork(after_in_child=_forked)
