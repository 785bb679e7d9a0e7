"""What the relay keeps of each connection."""

from __future__ import annotations

from relay_parsl.relay.sessions import ClientSession
from relay_parsl.wire.messages import Hello
from tests.unit.relay.stage import an_id


def test_sets_of_sessions_have_one_order() -> None:
    """By their numbers: by their addresses two runs of one simulation would tell two clients in another order."""
    hello = Hello('client', an_id('instance'))
    sessions = [ClientSession(b'', b'', an_id('ann'), number, hello, 0.0) for number in reversed(range(16))]
    assert [each.number for each in set(sessions)] == list(range(16))
