"""The suite `per_accelerator`."""

from __future__ import annotations

import pytest

from benchmarks.aims import OURS
from benchmarks.run import Run
from benchmarks.suites import run_suite


@pytest.mark.timeout(400)
def test_per_accelerator(run: Run) -> None:
    """It measures ours."""
    run_suite('per_accelerator', run)
    assert run.report.value('per_accelerator', '4 x 1, 100 ms', OURS, 'tasks_per_s_each')
