"""The suite `parsl_apps`."""

from __future__ import annotations

import pytest

from benchmarks.aims import OURS
from benchmarks.run import Run
from benchmarks.suites import run_suite


@pytest.mark.timeout(400)
def test_parsl_apps(run: Run) -> None:
    """It measures ours."""
    run_suite('parsl_apps', run)
    assert run.report.value('parsl_apps', 'no-op', OURS, 'tasks_per_s')
