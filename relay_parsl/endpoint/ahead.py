"""What an endpoint's process does before it imports anything heavy: this module loads in a few milliseconds.

The engine process imports Parsl, as the endpoint does; on two cores the one need not wait for the other.
"""

from __future__ import annotations

import logging
from pathlib import Path

from relay_parsl.engines import spawn

log = logging.getLogger(__name__)

ON_HTEX = (b'HtexEngine', b'HighThroughput', b'GlobusComputeEngine', b'MPIEngine', b'MPIExecutor')
"""Every name of an engine that has a process of its own."""


def start_engine_process(file: Path) -> None:
    """Start the engine process that this endpoint file will want; one that nobody takes ends with this process.

    Call it in the main thread: the engine process dies with the thread that started it. The file is read properly later, and mistakes are said then.
    """
    try:
        text = file.read_bytes()
        if any(name in text for name in ON_HTEX):
            spawn.prepare()
    except OSError as error:
        log.debug('no engine process ahead of time: %s', error)
