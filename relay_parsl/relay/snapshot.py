"""A relay's directory as it was at one moment: its store, its spooled bodies, its audit log. Taken beside the running loop, or without one.

The store is copied in steps between turns. With the last step, while no turn can run, the bodies are linked: what the copy refers to is there.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from relay_parsl.errors import StoreError
from relay_parsl.relay.records import Progress

REST = 0.002
"""Seconds between two steps, in which the relay's turn has its way."""
DIRECTORY = 'snapshots'

Copy = Callable[[Path, Callable[[int, int], None]], None]
"""Copies the store to a file; calls its second argument after each step with the pages that are left, and all of them."""


class Snapshots:
    """Takes one at a time, in a thread of its own, for a relay that serves meanwhile."""

    def __init__(self, relay: Path, copy: Copy, told: Callable[[Progress], None]) -> None:
        """`relay` is its directory; `told` is called in the thread."""
        self._relay, self._copy, self._told = relay, copy, told
        self.turn = threading.Lock()
        """Held by whoever writes to the store."""
        self._thread: threading.Thread | None = None
        self._closing = False
        drop(relay / DIRECTORY)  # a backup that was killed has left its own, as large as the store

    def begin(self, name: str) -> None:
        """Start one, if none is being taken."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, args=(name,), name='relay-parsl-snapshot')
            self._thread.start()

    def close(self) -> None:
        """Give up what is not complete."""
        self._closing = True
        if self._thread is not None:
            self._thread.join()

    def _run(self, name: str) -> None:
        def step(left: int, total: int) -> None:
            self._told(Progress(name, left=left, total=total))
            self.turn.release()
            time.sleep(REST)
            self.turn.acquire()
            if self._closing:
                raise StoreError('the relay stops')

        target = self._relay / DIRECTORY / name
        try:
            with self.turn:
                take(self._copy, self._relay, target, step)
            copy_audit(self._relay, target)
        except (OSError, StoreError) as error:
            drop(target)
            self._told(Progress(name, 'failed', why=str(error)))
        else:
            self._told(Progress(name, 'done'))


def take(copy: Copy, relay: Path, target: Path, step: Callable[[int, int], None] = lambda _left, _total: None) -> None:
    """Store and bodies, into a directory of one's own that is made anew; `step` may let others write meanwhile. Raises OSError, StoreError."""
    drop(target)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    target.mkdir(mode=0o700)

    def stepped(left: int, total: int) -> None:
        if left:
            step(left, total)
        else:
            link_all(relay / 'spool', target / 'spool')

    copy(target / 'relay.db', stepped)


def link_all(source: Path, target: Path) -> None:
    """The files of a directory in another one; copied where the file system has no links."""
    target.mkdir(mode=0o700)
    for path in source.iterdir() if source.is_dir() else ():
        with suppress(FileNotFoundError):  # an orphan that is being deleted
            try:
                os.link(path, target / path.name, follow_symlinks=False)
            except PermissionError:
                shutil.copyfile(path, target / path.name)


def copy_audit(relay: Path, target: Path) -> None:
    """The audit log as it is now, its files that ended before included. Raises OSError.

    First its head: one that is older than the log says less, one that is newer would say that the log was cut off.
    """
    for path in sorted(relay.glob('audit.*')):
        shutil.copyfile(path, target / path.name)


def drop(target: Path) -> None:
    """A snapshot that nobody needs."""
    shutil.rmtree(target, ignore_errors=True)
