"""The suite `depth`."""

from __future__ import annotations

import pytest

from benchmarks.aims import OURS
from benchmarks.run import Run
from benchmarks.suites import run_suite


@pytest.mark.timeout(400)
def test_depth(run: Run) -> None:
    """It measures ours."""
    run_suite('depth', run)
    assert run.report.value('depth', '10000', OURS, 'submit_rate')
