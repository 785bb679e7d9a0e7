"""A process that runs one system and measures it: `python -m benchmarks.driver SYSTEM SHAPE`.

Orders come in and numbers go out as lines of JSON. What the system itself prints goes to stderr. The end of its input is the end of it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, TextIO

from benchmarks import parties, tasks
from benchmarks.measures import MEASURES
from benchmarks.systems import PATIENCE, STARTS, Desk, Shape


def main(name: str, shape: str) -> None:
    """Start a system, tell how long its first result took, then take orders."""
    out = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)
    parties.adopt()
    given = json.loads(shape)
    begin = time.perf_counter()
    with STARTS[name](Shape(given['workers'], tuple(given['accelerators']))) as desk:
        if desk.serves:
            desk.collect([desk.submit(tasks.nothing)], PATIENCE)
        say(out, {'cold_start': time.perf_counter() - begin})
        for line in sys.stdin:
            say(out, obey(desk, json.loads(line)))


def obey(desk: Desk, order: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked; a failure is an answer."""
    try:
        return MEASURES[order.pop('measure')](desk, **order)
    except Exception as error:  # noqa: BLE001  peers raise what they like, and the next measurement may work
        return {'error': f'{type(error).__name__}: {error}'[:500]}


def say(out: TextIO, answer: dict[str, Any]) -> None:
    """One line."""
    out.write(json.dumps(answer) + '\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
