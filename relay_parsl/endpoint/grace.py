"""How long running tasks may take when an endpoint is told to stop. A signal says no number: it stands in a note beside the pid file.

A note is for one process, which it names, and for one signal: whoever finds it takes it away. One that was left for an earlier process says
nothing to the next.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from relay_parsl.daemon import Process
from relay_parsl.errors import HomeError
from relay_parsl.home import read_private, write_private

NAME = 'endpoint.grace'
LONGEST = 366 * 86400.0
"""Seconds: more is a slip of the pen, and no number that systemd is told may be endless."""


def leave(root: Path, process: Process, seconds: float) -> None:
    """Write the note for the endpoint in `root`; the signal comes after it. Raises HomeError, such as on a full disk."""
    write_private(root / NAME, json.dumps({'process': asdict(process), 'seconds': seconds}).encode())


def take(root: Path) -> float | None:
    """The seconds that were left for this very process since the last call; None when there are none, which is what a bare SIGTERM means."""
    path = root / NAME
    if not path.exists():
        return None
    try:
        note = json.loads(read_private(path))
        process, seconds = Process(**note['process']), float(note['seconds'])
    except (HomeError, ValueError, TypeError, KeyError):
        return None
    finally:
        path.unlink(missing_ok=True)
    return seconds if process.current_one and 0 <= seconds <= LONGEST else None
