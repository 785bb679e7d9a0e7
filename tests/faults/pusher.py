"""A client in a process of its own, to be killed: `failpoints.py … -- client ENDPOINT RECORD ARMED PAPER FIRST COUNT`.

Once a task has gone all the way (its number is `FIRST`), it writes its group to `PAPER`, arms its failpoint, and submits `COUNT` more; the id of
each that was accepted is one more line. What comes of them is somebody else's to find out.
"""

from __future__ import annotations

from pathlib import Path

import relay_parsl as rp
from tests.faults.rig import noting


def main(arguments: list[str]) -> None:
    """What the module's docstring says."""
    endpoint, record, armed, paper, number, count = arguments
    begin = int(number)
    note = noting()
    with rp.Executor(endpoint) as executor, Path(paper).open('w', buffering=1) as lines:
        first = executor.submit(note, record, begin)
        first.result(60)
        lines.write(f'{executor.task_group_id}\n{first.task_id}\n')
        Path(armed).touch()
        futures = [executor.submit(note, record, number) for number in range(begin + 1, begin + 1 + int(count))]
        for future in futures:
            future.accepted(60)
            lines.write(f'{future.task_id}\n')
        for future in futures:
            future.result(60)
        lines.write('done\n')
