"""An endpoint whose host has another time than the relay says so."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from relay_parsl.wire.messages import Hello, Report, Welcome
from tests.integration.hand_relay import site_in

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


def test_a_clock_that_is_wrong_is_reported_and_one_that_was_set_is_not(tmp_path: Path) -> None:
    with site_in(tmp_path / 'home') as site:
        party = site.begin()
        site.relay.until(Hello)
        site.relay.say(Welcome(1, time.time() + 60))
        assert site.relay.until(Report, lambda report: 'clock' in report.status).status['clock'] == '60 s behind that of the relay'
        site.relay.say(Welcome(2, time.time()))
        assert site.relay.until(Report, lambda report: 'clock' not in report.status)
        party.close()
