"""The suite `sessions`."""

from __future__ import annotations

import pytest

from benchmarks.aims import OURS
from benchmarks.run import Run
from benchmarks.suites import run_suite


@pytest.mark.timeout(400)
def test_sessions(run: Run) -> None:
    """It measures ours."""
    run_suite('sessions', run)
    assert run.report.value('sessions', '100', OURS, 'relay_cpu')
