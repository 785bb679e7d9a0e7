"""Runs a module of Parsl whose processes are forked off one that has imported Parsl, where Parsl would have each import it again.

    python -m relay_parsl.engines.forkserver parsl.executors.high_throughput.process_worker_pool [arguments]

A manager starts one process for what its workers share, then the workers, all by `spawn`: half a second of a processor for each, one after the other
for the first result. Python's forkserver has one thread and nothing of the manager in it; it imports while the manager itself does.
"""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

from relay_parsl.engines import leash

PRELOAD = ['relay_parsl.engines.tied', 'parsl.multiprocessing', 'relay_parsl.engines.worker']
"""What the server imports, besides the module itself. It dies with the manager and workers with it: what they do runs elsewhere by then."""


def start(module: str) -> BaseContext:
    """Start the server, which imports the module; what is made with the returned context comes from it."""
    forkserver.set_forkserver_preload([*PRELOAD, module])
    forkserver.ensure_running()
    return multiprocessing.get_context('forkserver')


def main() -> None:
    """Run the command line."""
    context = start(sys.argv[1])

    import parsl.multiprocessing  # noqa: PLC0415  while the server imports it, too

    parsl.multiprocessing.SpawnContext = context  # type: ignore[assignment]  # the manager takes it from there
    leash.run(sys.argv[1:])


if __name__ == '__main__':
    main()
