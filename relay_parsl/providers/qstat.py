"""What `qstat` prints, read job by job: JSON (`-F json`), and the plain text of `qstat -f` for when the JSON is none.

Formats: OpenPBS 23.06. Its JSON is known to break on values that a user put into the environment, and to hold only the first of several jobs
(openpbs#2672).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from parsl.jobs.states import JobState

from relay_parsl.providers.jobs import JobView

STATES = {
    'B': JobState.RUNNING,  # an array of which some jobs have begun
    'R': JobState.RUNNING,
    'E': JobState.RUNNING,  # on its way out: its nodes are not free, and how it ends is not known
    'H': JobState.HELD,
    'S': JobState.HELD,  # suspended
    'U': JobState.HELD,  # suspended for the user of a workstation
    'Q': JobState.PENDING,
    'W': JobState.PENDING,  # waits for a time
    'T': JobState.PENDING,  # on its way to another queue
    'M': JobState.PENDING,  # moved to another server
}
ENDED = ('F', 'X')
"""Finished, also as a part of an array."""

WALLTIME = -29
"""The exit status of a job that was killed at its walltime (JOB_EXEC_KILL_WALLTIME)."""

DELETED = 91
"""The substate of a finished job that somebody deleted."""


def views(printed: str) -> dict[str, JobView]:
    """The jobs of `qstat -x -f -F json`, by the ids that it prints.

    Raises:
        ValueError: It is no JSON.
    """
    answer = json.loads(printed, strict=False)
    jobs = answer.get('Jobs') if isinstance(answer, dict) else None
    return {job: view(facts) for job, facts in jobs.items() if isinstance(facts, dict)} if isinstance(jobs, dict) else {}


def text_views(printed: str) -> dict[str, JobView]:
    """The same of `qstat -x -f`: `Job Id: …`, then a line for each attribute, which goes on behind a tab."""
    found: dict[str, dict[str, Any]] = {}
    facts: dict[str, Any] = {}
    for line in re.sub(r'\n\t', '', printed).splitlines():
        if head := re.fullmatch(r'Job Id: (\S+)\s*', line):
            facts = found.setdefault(head[1], {})
        elif attribute := re.fullmatch(r'    ([\w.]+) = (.*)', line):
            facts.setdefault(attribute[1], attribute[2])
    return {job: view(facts) for job, facts in found.items()}


def view(facts: Mapping[str, Any]) -> JobView:
    """One job from its attributes, whose values may be text or numbers."""
    letter, comment = str(facts.get('job_state', '')), str(facts.get('comment', ''))
    if letter in ENDED:
        return _end(_number(facts.get('Exit_status')), _number(facts.get('substate')), comment)
    if letter in ('H', 'S', 'U') and not comment:
        comment = f'held by PBS: state {letter}, Hold_Types {facts.get("Hold_Types", "?")}'
    return JobView(STATES.get(letter, JobState.UNKNOWN), comment if letter in STATES else f'PBS says job_state {letter!r}')


def _end(code: int | None, substate: int | None, comment: str) -> JobView:
    if code == WALLTIME:
        return JobView(JobState.TIMEOUT, comment, code)
    if substate == DELETED or code is None:
        return JobView(JobState.CANCELLED, comment or 'deleted before it ran', code)
    return JobView(JobState.COMPLETED if code == 0 else JobState.FAILED, comment, code)


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def same(one: str, other: str) -> bool:
    """Whether two ids mean one job: the server's name may be there in full, in part or not at all; `12` is not the beginning of `123`."""
    (number, _, server), (number2, _, server2) = one.partition('.'), other.rstrip('*').partition('.')
    return number == number2 and (server.startswith(server2) or server2.startswith(server))


def mine(asked: Iterable[str], printed: Mapping[str, JobView]) -> dict[str, JobView]:
    """The answer by the ids that were asked for; what was not asked for is left out."""
    found = {}
    for job in asked:
        for name, each in printed.items():
            if same(job, name):
                found[job] = each
                break
    return found
