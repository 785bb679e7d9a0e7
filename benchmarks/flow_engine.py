"""`python -m benchmarks.flow_engine HOME`: an engine of flows that ends when no run is left; prints what it took as JSON."""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

from relay_parsl.flows.engine import Engine
from relay_parsl.flows.journal import Journal
from relay_parsl.home import Home

STATES: dict[str, Any] = {
    'Constant': {'Type': 'Pass', 'Parameters': {'n': 1}, 'ResultPath': '$.constant', 'Next': 'Expression'},
    'Expression': {'Type': 'ExpressionEval', 'Parameters': {'n.=': 'constant.n + 1'}, 'ResultPath': '$.expression', 'Next': 'Choice'},
    'Choice': {'Type': 'Choice', 'Choices': [{'Variable': '$.expression.n', 'NumericEquals': 2, 'Next': 'Action'}], 'Default': 'Copy'},
    'Action': {
        'Type': 'Action',
        'ActionUrl': 'https://actions.globus.org/hello_world',
        'Parameters': {'echo_string': 'hello'},
        'ResultPath': '$.action',
        'Next': 'Copy',
    },
    'Copy': {'Type': 'Pass', 'Parameters': {'said.$': '$.action.details.hello'}, 'ResultPath': '$.copy', 'End': True},
}
DOCUMENT = {'StartAt': 'Constant', 'States': STATES}
"""Five states, each of another kind but for the last; the action is `hello_world`, whose rows are on the disk too."""
LEFT = 'SELECT count(*) FROM runs WHERE completion_time IS NULL'
LIMIT = 300.0
"""Seconds after which it is given up."""


def main(root: Path) -> None:
    """Serve the journal of a home directory until all of its runs have ended."""
    with Journal.open(Home(root)) as journal:
        stop, engine = threading.Event(), Engine(journal)
        thread = threading.Thread(target=engine.serve, args=(stop,))
        before, begin = time.process_time(), time.perf_counter()
        thread.start()
        while journal.file.one(LEFT)[0] and time.perf_counter() - begin < LIMIT:
            time.sleep(0.02)
        seconds, cpu = time.perf_counter() - begin, time.process_time() - before
        stop.set()
        thread.join()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        succeeded = len(journal.runs(status='SUCCEEDED'))
    print(json.dumps({'seconds': seconds, 'cpu': cpu, 'memory': memory, 'succeeded': succeeded}), flush=True)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
