"""The suite `payload`."""

from __future__ import annotations

import pytest

from benchmarks.aims import OURS
from benchmarks.run import Run
from benchmarks.suites import run_suite


@pytest.mark.timeout(400)
def test_payload(run: Run) -> None:
    """It measures ours."""
    run_suite('payload', run)
    assert run.report.value('payload', '10 MB', OURS, 'rate')
