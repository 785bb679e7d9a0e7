"""An engine as a process of its own, over the home directory of its environment: `python -m tests.unit.flows.engine_process LEASE`."""

from __future__ import annotations

import sys
import threading

from relay_parsl.daemon import terminated_by
from relay_parsl.flows.engine import Engine
from relay_parsl.flows.journal import Journal
from tests.unit.flows.providers import find


def main() -> None:
    """Serve until SIGTERM."""
    stop = threading.Event()
    with Journal.open() as journal, terminated_by(stop.set):
        Engine(journal, find=find, lease=float(sys.argv[1])).serve(stop)


if __name__ == '__main__':
    main()
