"""Blocks and managers as people see them: a row each, for `EngineStatus.detail`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parsl.jobs.states import JobStatus

from relay_parsl.engines.base import EngineStatus

ENDED = 5
"""Blocks that have ended and are still shown."""
WORDS = 500
"""Characters of the scheduler's words in a row."""
COUNTS_EVERY = 10.0
"""Seconds between two statuses that differ in the number of tasks alone."""
_REGISTERED = re.compile(rb"Registration info for manager b'([^']+)': .*?'hostname': '([^']*)'")


def status(facts: Mapping[str, Any], capacity: int, outstanding: int, state: str, reason: str) -> EngineStatus:
    """How an engine stands, by what its process has last said."""
    counts = {name: int(facts.get(name, 0)) for name in ('workers', 'managers', 'blocks')}
    detail = {'blocks': facts.get('blocks_detail', []), 'managers': facts.get('managers_detail', [])}
    return EngineStatus(capacity, **counts, python=facts.get('python'), outstanding=outstanding, state=state, reason=reason, detail=detail)


class Hosts:
    """On which host each manager runs. The interchange tells nobody but its log."""

    def __init__(self, log: Path) -> None:
        """`log` is the interchange's, which need not exist yet."""
        self._log, self._offset = log, 0
        self._hosts: dict[str, str] = {}

    def of(self, managers: Sequence[str]) -> dict[str, str]:
        """The hosts of those managers whose host is known; the log is read on only for others. Those that are not asked for are forgotten."""
        if any(manager not in self._hosts for manager in managers):
            self._read()
        self._hosts = {manager: self._hosts[manager] for manager in managers if manager in self._hosts}
        return self._hosts

    def _read(self) -> None:
        """Whole lines only."""
        try:
            with open(self._log, 'rb') as log:
                log.seek(self._offset)
                data = log.read()
        except OSError:
            return
        whole = data[: data.rfind(b'\n') + 1]
        self._offset += len(whole)
        self._hosts |= {name.decode(): host.decode(errors='replace') for name, host in _REGISTERED.findall(whole)}


def block_rows(status: Mapping[str, JobStatus], jobs: Mapping[str, Any], kept: int = ENDED) -> list[dict[str, Any]]:
    """A row for each block, oldest first: of those that have ended the last `kept` only.

    Args:
        status: by block, as the executor's `status_facade`.
        jobs: by block, the scheduler's job id; a block that could not be submitted has none.
        kept: how many.
    """
    blocks = sorted(status, key=int)
    ended = [block for block in blocks if status[block].terminal]
    shown = set(blocks) - set(ended[: max(0, len(ended) - kept)])
    return [
        {
            'block': block,
            'job': str(jobs.get(block) or ''),
            'state': status[block].state.name,
            'reason': _reason(status[block]),
        }
        for block in blocks
        if block in shown
    ]


def _reason(status: JobStatus) -> str:
    """The scheduler's words, or where there are none how the job ended, if it did not end well."""
    said = str(status.message or '').strip()
    return said[:WORDS] if said or not status.exit_code else f'exit code {status.exit_code}'


def manager_rows(managers: Sequence[Mapping[str, Any]], hosts: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row for each manager, from the interchange's answer to MANAGERS. Its `tasks` are HTEX's: workers that are in a shift (`engines.shifts`)."""
    return [
        {
            'manager': row['manager'],
            'host': hosts.get(row['manager'], ''),
            'block': str(row['block_id']),
            'workers': row['worker_count'],
            'tasks': row['tasks'],
        }
        for row in managers
    ]


def without_counts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A status without what changes with each task."""
    managers = [{key: value for key, value in row.items() if key != 'tasks'} for row in facts.get('managers_detail', ())]
    return {**facts, 'managers_detail': managers}
