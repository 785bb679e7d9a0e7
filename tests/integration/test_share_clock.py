"""A share ends when its owner has said, by the clock of the endpoint's host: the relay's word about the time counts for nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from relay_parsl.wire.codec import result_header
from relay_parsl.wire.messages import Attempt, Held, Hello, Recorded, Status, Welcome, Window
from relay_parsl.wire.seal import Guest, Keys, issue_share
from tests.integration.commands import until
from tests.integration.hand_relay import site_in
from tests.unit.endpoint.sender import Sender

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
DAY = 86400.0


def test_a_share_ends_by_the_endpoints_own_clock(tmp_path: Path) -> None:
    with site_in(tmp_path / 'home') as site:
        bob = Keys.generate()

        def welcome(serial: int, seconds: float) -> Welcome:
            """From a relay that says it is yesterday still."""
            guest = Guest(bob.identity_public, not_after=time.time() + seconds)
            return Welcome(1, time.time() - DAY, share=issue_share(site.owner.keys, site.credentials.id, serial, [guest]).data)

        site.begin()
        site.relay.until(Hello)
        site.relay.session = 1
        site.relay.say(welcome(1, 3600))
        site.relay.until(Held)
        site.relay.until(Window)
        site.sender = Sender(bob, site.credentials.card, time.time())
        site.give(abs, -1)
        site.engine.finish(site.engine.work(), 1)
        first = result_header(site.relay.result().header)
        assert first.status is Status.SUCCESS
        site.relay.say(Recorded((Attempt(first.task_id, 1),)), welcome(2, 1.0))
        record = site.place / 'audit.log'
        until(lambda: '"lapsed"' in record.read_text(), 30)
        site.relay.say(welcome(2, 1.0))
        site.relay.heard.clear()
        site.give(abs, -2)
        second = result_header(site.relay.result().header)
        assert second.task_id != first.task_id
        assert second.status is Status.FAILED
        assert len(site.engine.works) == 1
        assert 'is not shared with it' in second.reason
