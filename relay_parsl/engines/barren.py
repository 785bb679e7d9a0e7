"""Managers without workers: none fits on the node, or they die before they take a task, again and again.

Of the first kind Parsl says nothing, and everything waits. Dying workers it starts anew at every heartbeat and says so in its manager's log only,
while that manager takes tasks which then wait for ever (measured: `cpu_affinity` with more workers than cores, where each ends on an assertion).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relay_parsl.engines import launch

DEATHS = 3
"""Deaths of a worker that never had a task, after which it is not expected to come any more."""
PROBATION = 6
"""Heartbeat periods without such a death after which a manager's log is read no more."""
WORDS = 300
"""Characters of a worker's last words in a reason."""
_DIED_IDLE = re.compile(rb'Worker (\d+) was not busy when it died')
_DONE = b'Completed executor task'
_SIZE = 1 << 20


@dataclass
class _Manager:
    """What is known of one manager's workers."""

    logs: Path
    since: float
    offset: int = 0
    deaths: Counter[int] = field(default_factory=Counter)
    proven: bool = False
    dead: list[int] = field(default_factory=list)

    def look(self, now: float, probation: float) -> None:
        """Read on in the log. It may be seen late, or never: a node's own disk tells nothing, and nothing is concluded."""
        for number in _DIED_IDLE.findall(self._more()):
            self.deaths[int(number)] += 1
        self.dead = [worker for worker, count in self.deaths.items() if count >= DEATHS and not self._has_worked(worker)]
        self.proven = not self.deaths and now - self.since > probation

    def _more(self) -> bytes:
        """Whole lines only."""
        try:
            with open(self.logs / 'manager.log', 'rb') as log:
                log.seek(self.offset)
                data = log.read(_SIZE)
        except OSError:
            return b''
        whole = data[: data.rfind(b'\n') + 1] or (data if len(data) == _SIZE else b'')
        self.offset += len(whole)
        return whole

    def _has_worked(self, worker: int) -> bool:
        try:
            with open(self.logs / f'worker_{worker}.log', 'rb') as log:
                return _DONE in log.read(_SIZE)
        except OSError:
            return False

    def words(self) -> str:
        """The end of a dead worker's log."""
        return launch.tail(self.logs / f'worker_{self.dead[0]}.log') if self.dead else ''


class Barren:
    """Which managers have no worker that lives to take a task."""

    def __init__(self, logs: Path, heartbeat: float, wants: str = '') -> None:
        """`logs`: where managers write, as this host sees it; `heartbeat`: their period in seconds; `wants`: what a worker needs of a node."""
        self._logs, self._probation, self._wants = logs, PROBATION * heartbeat, wants
        self._managers: dict[str, _Manager] = {}
        self.reason = ''
        """What waiting users should see; '' while workers live."""
        self.evidence = ''
        """The same with the end of a worker's log."""

    def look(self, rows: Sequence[Mapping[str, Any]], now: float) -> list[Mapping[str, Any]]:
        """Those of the interchange's managers none of whose workers lives; `reason` and `evidence` speak of them all."""
        present = {str(row['manager']): row for row in rows}
        self._managers = {name: known for name, known in self._managers.items() if name in present}
        for name, row in present.items():
            if name not in self._managers:
                self._managers[name] = _Manager(self._logs / f'block-{row["block_id"]}' / name, now)
            if not self._managers[name].proven:
                self._managers[name].look(now, self._probation)
        self._speak(present)
        return [row for name, row in present.items() if len(self._managers[name].dead) >= row['worker_count']]

    def _speak(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        ill = [name for name, known in self._managers.items() if known.dead]
        small = [row for row in rows.values() if not row['worker_count']]
        self.reason = self.evidence = ''
        if small:
            where = f'a node of block {small[0]["block_id"]}'
            self.reason = self.evidence = f'no worker fits on {where}: each asks for {self._wants}, which is more than the node has; ask for less'
        elif ill:
            first, row = self._managers[ill[0]], rows[ill[0]]
            where = f'a node of block {row["block_id"]}' + (f' (and of {len(ill) - 1} more nodes)' if len(ill) > 1 else '')
            what = f'{len(first.dead)} of {row["worker_count"]} workers on {where} die before they take a task, again and again'
            words = first.words()
            self.reason = f'{what}: {words.rpartition(chr(10))[2][:WORDS]}' if words else what
            self.evidence = f"{what}; a worker's log ends with:\n{words}"
