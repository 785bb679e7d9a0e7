"""Threads for calls that take long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from relay_parsl.flows.pool import Pool

PATIENCE = 60.0


def holding(begun: SimpleQueue[str], gate: threading.Event) -> Callable[[], None]:
    def work() -> None:
        begun.put(threading.current_thread().name)
        gate.wait(PATIENCE)

    return work


def test_as_much_goes_on_at_once_as_there_are_threads_and_the_rest_after_it() -> None:
    pool, begun, gate = Pool(3, 'mine'), SimpleQueue[str](), threading.Event()
    for _ in range(7):
        pool.submit(holding(begun, gate))
    assert [begun.get(timeout=PATIENCE) for _ in range(3)] == ['mine'] * 3
    assert begun.empty()
    gate.set()
    assert [begun.get(timeout=PATIENCE) for _ in range(4)] == ['mine'] * 4
    pool.close(PATIENCE)


def test_work_of_many_threads_is_done_once_each() -> None:
    pool, done = Pool(4, 'mine'), SimpleQueue[int]()
    askers = [threading.Thread(target=lambda at=at: [pool.submit(lambda n=n: done.put(n)) for n in range(at, 1_000, 5)]) for at in range(5)]  # type: ignore[misc]
    for asker in askers:
        asker.start()
    assert sorted(done.get(timeout=PATIENCE) for _ in range(1_000)) == list(range(1_000))
    pool.close(PATIENCE)
    assert done.empty()


def test_what_hangs_holds_nobody_up_and_what_waits_is_dropped() -> None:
    pool, begun, gate = Pool(1, 'mine'), SimpleQueue[str](), threading.Event()
    pool.submit(holding(begun, gate))
    begun.get(timeout=PATIENCE)
    pool.submit(holding(begun, gate))
    at = time.monotonic()
    pool.close(0.05)
    assert time.monotonic() - at < PATIENCE / 2
    gate.set()
    pool.close(PATIENCE)
    assert begun.empty()
