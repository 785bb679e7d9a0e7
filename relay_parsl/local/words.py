"""What the processes of a private relay say to each other, a JSON object a line, and the times that they agree on."""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from collections.abc import Iterator
from typing import Any

NAME = 'local'
START, GRACE = 60.0, 10.0
"""Seconds until all parties must serve, and that each has to end by itself."""


def said(fd: int, end: float) -> Iterator[dict[str, Any]]:
    """What comes down a pipe until it closes or `end` (monotonic) has come."""
    data = b''
    while select.select([fd], [], [], max(0.0, end - time.monotonic()))[0]:
        chunk = os.read(fd, 65536)
        if not chunk:
            return
        *lines, data = (data + chunk).split(b'\n')
        yield from map(json.loads, lines)


def say(**words: Any) -> None:
    """To whoever started this process. Nobody may listen any more."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(words).encode() + b'\n')
