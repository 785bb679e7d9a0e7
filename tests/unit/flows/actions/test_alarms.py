from __future__ import annotations

import threading
import time

from relay_parsl.flows.actions.alarms import Alarms


def test_they_ring_in_order_and_one_that_fails_stops_no_other() -> None:
    rung: list[str] = []
    through = threading.Event()

    def ring(name: str) -> None:
        rung.append(name)
        if name == 'bad':
            raise ValueError(name)
        if name == 'last':
            through.set()

    alarms, now = Alarms(ring, time.time), time.time()
    for name, after in (('last', 0.06), ('bad', 0.02), ('first', -1.0)):
        alarms.set(name, now + after)
    assert through.wait(10)
    alarms.close()
    assert rung == ['first', 'bad', 'last']


def test_an_earlier_one_overtakes() -> None:
    rung = threading.Event()
    alarms = Alarms(lambda name: rung.set() if name == 'soon' else None, time.time)
    alarms.set('late', time.time() + 1000)
    alarms.set('soon', time.time() + 0.01)
    assert rung.wait(10)
    alarms.close()


def test_nothing_rings_after_the_end() -> None:
    rung: list[str] = []
    alarms = Alarms(rung.append, time.time)
    alarms.close()
    alarms.set('never', 0.0)
    assert not rung
