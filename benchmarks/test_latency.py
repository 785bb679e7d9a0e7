"""The suite `latency`."""

from __future__ import annotations

import pytest

from benchmarks.aims import OURS
from benchmarks.run import Run
from benchmarks.suites import run_suite


@pytest.mark.timeout(400)
def test_latency(run: Run) -> None:
    """It measures ours."""
    run_suite('latency', run)
    assert run.report.value('latency', 'round-trip', OURS, 'p50')
