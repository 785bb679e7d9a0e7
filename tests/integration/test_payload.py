"""Large arguments and results through real processes: what they cost in memory, and that nobody waits behind them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
SIZE = 200_000_000
SCRIPT = f"""
import json, os, time
import relay_parsl as rp
from benchmarks import parties

def back(data, more=None):
    return data if more is None else (len(data), more[:3], type(data).__name__)

def nothing():
    pass

parties.adopt()
with rp.local(workers=2), rp.Executor('local') as executor:
    [each.result(60) for each in [executor.submit(back, os.urandom(300_000)) for _ in range(4)]]
    before = parties.memory()
    data = os.urandom({SIZE})
    large = executor.submit(back, data)
    small = [executor.submit(nothing) for _ in range(20)]
    [each.result(60) for each in small]
    waited = large.done()
    whole = large.result(100) == data
    mixed = executor.submit(back, bytearray(3_000_000), more=b'abc' * 1_000_000).result(60)
    after = parties.memory()
    end = time.monotonic() + 20
    while (spools := [path.name for path in executor.target.home.root.rglob('*.task')]) and time.monotonic() < end:
        time.sleep(0.05)
print(json.dumps([before, after, whole, waited, mixed[0], mixed[2], spools]))
"""


@pytest.fixture(scope='module')
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Peaks of memory [MB] by party before and after, and what else was seen."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    place = tmp_path_factory.mktemp('place')
    ran = subprocess.run([sys.executable, '-c', SCRIPT], capture_output=True, text=True, timeout=115, cwd=place, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    found: list[Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_whoever_passes_a_large_body_on_holds_a_few_segments_of_it(seen: list[Any]) -> None:
    before, after = seen[:2]
    for party in ('relay', 'endpoint', 'engine', 'interchange', 'manager', 'worker'):
        assert after[party] - before[party] < 100, party
        assert after[party] < 200, party


def test_whoever_uses_it_holds_it_once(seen: list[Any]) -> None:
    before, after = seen[:2]
    assert after['runner'] - before['runner'] < 1.15 * SIZE / 1e6
    assert after['client'] - before['client'] < 2.15 * SIZE / 1e6, 'the argument and the result'


def test_it_comes_back_whole_and_nothing_of_it_is_left(seen: list[Any]) -> None:
    assert seen[2]
    assert seen[4:6] == [3_000_000, 'bytearray']
    assert seen[6] == []


def test_small_tasks_do_not_wait_for_it(seen: list[Any]) -> None:
    assert seen[3] is False
