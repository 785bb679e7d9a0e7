"""The suite `throughput`."""

from __future__ import annotations

import pytest

from benchmarks.aims import OURS
from benchmarks.run import Run
from benchmarks.suites import run_suite


@pytest.mark.timeout(400)
def test_throughput(run: Run) -> None:
    """It measures ours."""
    run_suite('throughput', run)
    assert run.report.value('throughput', 'no-op', OURS, 'tasks_per_s')
