"""Who is confirmed of those that a relay shows under the name of an invitation."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relay_parsl.client.enrol import confirm
from relay_parsl.home import Credentials, Home, Invitation, RelayEntry
from relay_parsl.wire.seal import enrolment_mac

NOW = time.time()
ENTRY = RelayEntry('here', 'tcp://127.0.0.1:1', bytes(32), '')


@pytest.mark.parametrize('lifetime', [1e6, -5.0], ids=['of a valid card', 'of a card that is over'])
def test_an_endpoint_of_somebody_else_with_that_name_keeps_nobody_from_being_confirmed(lifetime: float, tmp_path: Path) -> None:
    """Whoever shares an endpoint with us is shown to us under whatever name it chose."""
    home, ann = Home(tmp_path), Credentials.create('ann', 'user', now=NOW, lifetime=1e6)
    link = Invitation.create(ENTRY, ann, 'site', 'endpoint', NOW + 60)
    home.add_invite(link.pending('here'))
    theirs = Credentials.create('site', 'endpoint', now=NOW, lifetime=lifetime)
    ours = Credentials.create('site', 'endpoint', now=NOW, lifetime=1e6)
    mac = enrolment_mac(link.secret, ours.card.data, 'site', 'endpoint')
    rows = [{'card': theirs.card.data, 'mac': b'guess'}, {'card': ours.card.data, 'mac': mac}]
    desk: Any = SimpleNamespace(entry=ENTRY, credentials=ann, rows=lambda _what, **_where: rows, order=lambda _verb, **_args: {})
    assert [pin.identity for pin in confirm(home, desk)] == [ours.card.identity]
    assert home.invites() == []
