"""The same reactors with small bounds, so that a hundred tasks fill pages, batches and segments as a million would."""

from __future__ import annotations

from relay_parsl.client import outbox as client_outbox
from relay_parsl.client import pulls as client_pulls
from relay_parsl.client import reactor as client_reactor
from relay_parsl.endpoint import announce, outcomes
from relay_parsl.endpoint import outbox as endpoint_outbox
from relay_parsl.endpoint import pulls as endpoint_pulls
from relay_parsl.relay import calendar, core, delivery, heads, leases
from relay_parsl.relay import pulls as relay_pulls

SEGMENT, BATCH, PAGE = 256, 25, 20
SMALL = (
    (client_outbox, 'BATCH_TASKS', BATCH), (client_outbox, 'FLIGHT_TASKS', 60), (client_pulls, 'SEGMENT', SEGMENT), (client_pulls, 'IN_FLIGHT', 3),
    (client_reactor, 'PAGE', PAGE), (endpoint_outbox, 'BATCH_TASKS', BATCH), (announce, 'STATES_AT_ONCE', 10), (outcomes, 'SEGMENT', SEGMENT),
    (outcomes, 'SLACK', 0), (endpoint_pulls, 'SEGMENT', SEGMENT), (endpoint_pulls, 'AT_ONCE', 3), (calendar, 'SLICE', 7),
    (core, 'BATCH_TASKS', BATCH), (delivery, 'BATCH_TASKS', BATCH), (leases, 'BATCH_TASKS', BATCH),
    (leases, 'TURN_TASKS', 30), (relay_pulls, 'SEGMENT', SEGMENT),
    (relay_pulls, 'AT_ONCE', 2), (heads, 'ROWS', 40), (heads, 'PAGE', 7),
)  # fmt: skip
"""Module, name, value."""
