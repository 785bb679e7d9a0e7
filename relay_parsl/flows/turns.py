"""What one event makes of a run, with what the engine must remember beside it. Pure: the engine, and who replays a run, both take this step."""

from __future__ import annotations

from dataclasses import dataclass

from relay_parsl.flows.messages import RunRecord, SetTimer


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A run between two events, as snapshots keep it.

    Attributes:
        timer: The one that is set; None where there is none.
        more: Whether the run asked to go on by itself: `Continued` is its next event.
    """

    record: RunRecord
    timer: SetTimer | None = None
    more: bool = False
