"""How an endpoint begins and ends, as its file says it: commands before and after, and when it ends by itself."""

from __future__ import annotations

from dataclasses import dataclass

from relay_parsl.config import Located, Report
from relay_parsl.endpoint.rules import YEAR, apply, lines, number, whole

KEYS = ('endpoint_setup', 'endpoint_teardown', 'heartbeat_period', 'idle_heartbeats_soft', 'idle_heartbeats_hard')
HEARTBEAT = 30.0
"""Seconds of one heartbeat of `idle_heartbeats_*`, as in Globus Compute's files."""


@dataclass(frozen=True)
class Life:
    """What surrounds the work of an endpoint.

    Attributes:
        setup: Shell text for the start, before engines; '' for none.
        teardown: Shell text for the end, after engines; '' for none.
        idle_soft: Seconds without a task after which it ends; 0 is never.
        idle_hard: Seconds in which no task comes or ends after which it ends, though tasks run; 0 is never.
    """

    setup: str = ''
    teardown: str = ''
    idle_soft: float = 0.0
    idle_hard: float = 0.0


def read_life(root: Located, report: Report) -> Life:
    """The values of these keys."""
    values = {
        key: apply(rule, node, report)
        for key, rule in zip(KEYS, (lines, lines, number(above=0, high=YEAR), whole(0, YEAR), whole(0, YEAR)))
        if (node := root.get(key)) is not None
    }
    period, soft, hard = values.get('heartbeat_period') or HEARTBEAT, values.get('idle_heartbeats_soft') or 0, values.get('idle_heartbeats_hard') or 0
    if soft and hard and hard <= soft:
        report.warn(root.value['idle_heartbeats_hard'], f'counts as {soft + 1}: it is the longer of the two, and `idle_heartbeats_soft` is {soft}')
        hard = soft + 1
    if 'heartbeat_period' in root.value and not soft and not hard:
        report.warn(
            root.value['heartbeat_period'], 'counts for `idle_heartbeats_soft` and `idle_heartbeats_hard` only; that of nodes is under `engine`'
        )
    return Life(values.get('endpoint_setup') or '', values.get('endpoint_teardown') or '', soft * period, hard * period)
