"""A process that carries out one compute action over the journal's rows, and may die at a given moment of it.

    python -m tests.integration.flow_compute_child BODY [WHEN PUT SECONDS]

WHEN: `before` or `after` the row is written for the PUT-th time, and SECONDS after that, it kills itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any

from relay_parsl.flows.actions.base import Call, Surroundings
from relay_parsl.flows.actions.compute import Compute
from relay_parsl.flows.journal import Journal

REQUEST = '9e3f0d58-2b5b-4c3f-9f7e-6f2f5a0b9c11:Corr:1'


class Deadly:
    """Rows that kill."""

    def __init__(self, rows: Any, when: str, put: int, seconds: float) -> None:
        self._rows, self._when, self._put, self._seconds = rows, when, put, seconds
        self._count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    def put(self, key: str, value: Any) -> None:
        self._count += 1
        if self._count == self._put and self._when == 'before':
            self._die()
        self._rows.put(key, value)
        if self._count == self._put and self._when == 'after':
            self._die()

    def _die(self) -> None:
        if self._seconds:
            threading.Timer(self._seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
        else:
            os.kill(os.getpid(), signal.SIGKILL)


def main(body: str, when: str = 'never', put: str = '0', seconds: str = '0') -> None:
    changed = threading.Event()
    journal = Journal.open()
    rows: Any = journal.records('compute')
    rows = Deadly(rows, when, int(put), float(seconds)) if when != 'never' else rows
    asked = rows.get('asked') or time.time()
    journal.records('compute').put('asked', asked)
    action = Compute(Surroundings(rows, {'relay': 'testing'}, lambda _: changed.set(), time.time))
    status = action.run(Call(REQUEST, json.loads(body), time=asked))
    while status.status == 'ACTIVE':
        assert changed.wait(60), status
        changed.clear()
        status = action.status(status.action_id)
    sys.stdout.write(json.dumps([status.status, status.details]))
    action.close()


if __name__ == '__main__':
    main(*sys.argv[1:])
