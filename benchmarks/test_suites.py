"""Each suite measures ours: `pytest benchmarks`, in the order of `SUITES`, the weightiest first."""

from __future__ import annotations

import pytest

from benchmarks.aims import OURS
from benchmarks.run import Run
from benchmarks.suites import SUITES, run_suite


@pytest.mark.timeout(400)
@pytest.mark.parametrize('suite', SUITES)
def test_a_suite_measures_ours(run: Run, suite: str) -> None:
    """There are figures of ours."""
    run_suite(suite, run)
    assert [row for row in run.report.rows(suite) if row.system == OURS]
