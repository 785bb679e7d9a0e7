"""What the fake launch programs share: ranks as real local processes, each of which believes to be on a node of its own.

A rank finds its node's name in FAKE_NODE, and a `hostname` on its PATH that prints it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def options(argv: list[str], valued: set[str], flags: set[str], refuse: Callable[[str], None]) -> tuple[dict[str, str], list[str]]:
    """The options before the command, by their names without dashes, and the command."""
    found: dict[str, str] = {}
    rest = list(argv)
    while rest and rest[0].startswith('-'):
        word, equals, value = rest.pop(0).partition('=')
        name = word.lstrip('-')
        if name not in valued | flags:
            refuse(name)
        found[name] = value if equals else rest.pop(0) if name in valued else ''
    return found, rest


def run(hosts: list[str], command: list[str], *, abort: bool, own: Callable[[int], dict[str, str]]) -> int:
    """Start one rank for each entry and wait for all.

    Args:
        hosts: The node of each rank.
        command: What each runs.
        abort: Whether one that ends badly ends the others.
        own: More environment for a rank.

    Returns:
        The highest exit code.
    """
    with tempfile.TemporaryDirectory() as place:
        fake = Path(place, 'hostname')
        fake.write_text('#!/bin/sh\necho "$FAKE_NODE"\n')
        fake.chmod(0o755)
        path = f'{place}:{os.environ["PATH"]}'
        facts = [{**os.environ, 'PATH': path, 'FAKE_NODE': host, **own(rank)} for rank, host in enumerate(hosts)]
        ranks = [subprocess.Popen(command, env=environment, start_new_session=True) for environment in facts]
        signal.signal(signal.SIGTERM, lambda *_: end(ranks, signal.SIGTERM))
        while any(rank.poll() is None for rank in ranks):
            if abort and any(rank.poll() for rank in ranks):
                end(ranks, signal.SIGKILL)
            time.sleep(0.01)
    return max(128 - rank.returncode if rank.returncode < 0 else rank.returncode for rank in ranks)


def end(ranks: list[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    """Send a signal to all that the ranks have started."""
    for rank in ranks:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(rank.pid, number)


def hosts_of(file: str) -> list[str]:
    """The hosts that a file names, a line each."""
    return Path(file).read_text().split()


def fail(text: str, code: int) -> None:
    """End with a word on stderr."""
    sys.stderr.write(f'{text}\n')
    sys.exit(code)
