"""What real processes hold in memory when somebody is slower than somebody else: their windows, and no more; the rest is on disk."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from relay_parsl.wire.messages import Id
from tests.faults.rig import PATIENCE, Running, Site, Work, until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

COUNT, SIZE = 16_000, 20_000
"""Tasks, and the bytes of an argument or a result: 320 MB."""
BOUND = 160 << 20
"""Bytes by which a process may grow that has to do with them."""
WAITING = 100_000
FLAT = 64 << 20
"""Bytes by which a relay may grow before which so many wait: the first 20,000, 16 MiB at most (`relay/heads.py`), and what Python needs for them."""


class Peak:
    """The most memory that a process has had since this began, beyond what it had then."""

    def __init__(self, running: Running) -> None:
        """Looks twenty times a second."""
        self._process = psutil.Process(running.pid)
        self.base = self.most = self._process.memory_info().rss
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self.most = max(self.most, self._process.memory_info().rss)

    def end(self) -> int:
        """Bytes."""
        self._over.set()
        self._thread.join()
        return self.most - self.base


@contextmanager
def bounded(site: Site, *names: str) -> Iterator[None]:
    """None of these parties grows beyond the bound meanwhile."""
    peaks = {name: Peak(site.running[name]) for name in names}
    try:
        yield
    finally:
        grown = {name: peak.end() for name, peak in peaks.items()}
        sys.stdout.write(f'grown: { {name: f"{size / 1e6:.0f} MB" for name, size in grown.items()} }\n')
    assert {name: size for name, size in grown.items() if size > BOUND} == {}, f'of {COUNT * SIZE} bytes'


def waiting() -> Callable[[str, bytes], int]:
    """A function that waits for a file; sent by value."""

    def wait(path: str, data: bytes) -> int:
        import os
        import time

        while not os.path.exists(path):
            time.sleep(0.05)
        return len(data)

    return wait


@pytest.mark.fault(29)
def test_a_fast_client_and_a_slow_endpoint(site: Site, work: Callable[..., Work]) -> None:
    site.whole('one')
    mine = work()
    mine.submit([0])
    mine.done()
    gate, data, wait = site.cli.cwd / 'gate', b'x' * SIZE, waiting()
    with bounded(site, 'relay', 'one'):
        futures = [mine.executor.submit(wait, str(gate), data) for _ in range(COUNT)]
        mine.executor.flush(2 * PATIENCE)
        until(lambda: futures[900].state() == 'waiting-for-nodes')  # the endpoint has its window
        assert futures[-1].state() == 'waiting-for-ep', 'and no more'
        gate.touch()
        assert {future.result(2 * PATIENCE) for future in futures} == {SIZE}
    site.check([*mine.ids, *[future.task_id for future in futures]])


SLEEPER = """
import sys
import relay_parsl as rp
gate, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def make(path, size):
    import os, time
    while not os.path.exists(path):
        time.sleep(0.05)
    return b'y' * size
with rp.Executor('one') as executor:
    futures = [executor.submit(make, gate, size) for _ in range(count)]
    executor.flush(120)
    print(executor.task_group_id, flush=True)
    print(sum(len(future.result(120)) for future in futures), flush=True)
"""


@pytest.mark.fault(30)
def test_a_client_that_does_not_take_its_results(site: Site, work: Callable[..., Work]) -> None:
    site.whole('one')
    other = work()
    other.submit([0])
    other.done()
    gate = site.cli.cwd / 'gate'
    words = [sys.executable, '-c', SLEEPER, str(gate), str(COUNT), str(SIZE)]
    with subprocess.Popen(words, env=site.cli.environment, stdout=subprocess.PIPE, text=True) as sleeper:
        try:
            assert sleeper.stdout is not None
            group = sleeper.stdout.readline().strip()
            sleeper.send_signal(signal.SIGSTOP)
            with bounded(site, 'relay', 'one'):
                gate.touch()
                other.submit(range(1, 101))  # behind all of it
                other.done(2 * PATIENCE)
                time.sleep(16)  # time enough to send it the same thrice
            rows = other.executor.session.list('tasks', {'group': Id(uuid.UUID(group).bytes)})
            assert [row['state'] for row in rows] == ['success'] * COUNT, 'they wait for it'
            sleeper.send_signal(signal.SIGCONT)
            assert sleeper.stdout.readline().strip() == str(COUNT * SIZE)
        finally:
            sleeper.kill()
    site.check([*other.ids, *[bytes(row['id']).hex() for row in rows]])


@pytest.mark.fault(34)
def test_a_hundred_thousand_wait_while_the_relay_is_killed(site: Site, work: Callable[..., Work]) -> None:
    relay = site.start('relay')
    site.configure('one', 'two')
    site.start('two')
    mine, other = work('one'), work('two')
    first = Peak(relay)
    mine.submit(range(1, WAITING + 1))
    mine.executor.flush(120)
    filled = first.end()
    relay.kill()
    begun = time.monotonic()
    relay = site.start('relay')
    second = Peak(relay)
    other.submit([0])
    other.done()
    took = time.monotonic() - begun
    back = second.most - first.base
    site.start('one')
    mine.done(250)
    emptied = second.end() + second.base - first.base
    sys.stdout.write(f'serves after {took:.1f} s; grown by {filled / 1e6:.0f} MB, {back / 1e6:.0f} MB, {emptied / 1e6:.0f} MB\n')
    assert took < 10
    assert max(filled, back, emptied) < FLAT
    mine.once()
    site.check([*mine.ids, *other.ids])
