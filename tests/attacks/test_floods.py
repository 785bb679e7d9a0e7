"""Frames that are too long, messages of too many, and one that never ends, from an account that is known: a real relay, in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay_parsl.errors import ProtocolError
from relay_parsl.transport import MAX_FRAME, Peer
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from tests.attacks.raw_curve import LIBRARY, RawCurve
from tests.integration.relay_site import Party, Site, an_id, leases, site_in, submit

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120), pytest.mark.skipif(LIBRARY is None, reason='there is no libsodium here')]

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
SCRIPT = """
import json, sys
from pathlib import Path
from tests.integration.relay_site import site_in, LOOPBACK
from relay_parsl.home import Credentials, Home
from relay_parsl.relay.server import RelayServer
home = Home(Path(sys.argv[1]))
founders = [(name, role, Credentials.load(Path(path)).card, None) for name, role, path in json.loads(sys.argv[2])]
site = founders[1]
owner = founders[0][2].id
server = RelayServer(home, LOOPBACK, bootstrap=[(n, r, c, owner if r == 'endpoint' else None) for n, r, c, _ in founders])
server.start()
print(server.port, flush=True)
server.run()
"""


@dataclass
class Relay:
    """The process, and who speaks with it."""

    site: Site
    port: int
    pid: int

    @property
    def peak(self) -> int:
        """The most memory that it has had, in MiB."""
        lines = Path(f'/proc/{self.pid}/status').read_text().splitlines()
        return int(next(line for line in lines if line.startswith('VmHWM')).split()[1]) >> 10

    def mallory(self) -> RawCurve:
        """An account of the relay, by hand."""
        return RawCurve(self.port, self.site.relay_key, self.site.people['root'].keys.curve)


@contextmanager
def relay_in(root: Path) -> Iterator[Relay]:
    site = site_in(root / 'home')
    people = []
    for name, each in site.people.items():
        each.save(root / f'{name}.key')
        people.append((name, each.role, str(root / f'{name}.key')))
    command = [sys.executable, '-c', SCRIPT, str(root / 'home'), json.dumps(people)]
    with (root / 'relay.log').open('wb') as log, subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log) as process:
        try:
            assert process.stdout
            yield Relay(site, int(process.stdout.readline()), process.pid)
        finally:
            process.kill()


@pytest.fixture(scope='module')
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """Nothing that was accepted before is lost after all of it."""
    root = tmp_path_factory.mktemp('relay')
    with relay_in(root) as made:
        with made.site.client('ann', made.port) as ann:
            submit(ann, [made.site.task(number) for number in range(1, 101)])
        yield made
        with made.site.endpoint(made.port) as endpoint:
            kept = [codec.task_header(each.header).task_id for each in leases(endpoint, 100)]
    assert sorted(kept) == [an_id(number) for number in range(1, 101)]
    assert 'Traceback' not in (root / 'relay.log').read_text()


@pytest.fixture
def ann(relay: Relay) -> Iterator[Party]:
    """She is served before and after."""
    with relay.site.client('ann', relay.port) as party:
        yield party
        party.say(m.Ping())
        party.one(m.Pong)


@pytest.mark.attack(36)
@pytest.mark.fault(32)
def test_a_frame_that_is_too_long_cuts_its_connection(relay: Relay, ann: Party) -> None:
    for length in (MAX_FRAME + 100, 1 << 40, (1 << 63) - 1, (1 << 64) - 1):
        mallory = relay.mallory()
        mallory.say(b'\7MESSAGE' + bytes(100), length=length)
        assert mallory.over()
        mallory.close()


@pytest.mark.attack(36)
def test_a_message_of_800_frames_is_refused_or_cut(relay: Relay, ann: Party) -> None:
    """400 MiB, in frames each of which is allowed."""
    before, mallory = relay.peak, relay.mallory()
    for number in range(800):
        mallory.send(b'', more=number < 799)
    assert relay.peak - before < 64, 'small ones are read and dropped'
    frame = bytes(MIB // 2)
    with suppress(ConnectionError):
        for number in range(800):
            mallory.send(frame, more=number < 799)
    mallory.close()
    ann.say(m.Ping())
    ann.one(m.Pong)
    assert relay.peak - before < 300


@pytest.mark.attack(36)
def test_a_message_that_never_ends_is_cut(relay: Relay, ann: Party) -> None:
    before, mallory = relay.peak, relay.mallory()
    with pytest.raises(ConnectionError):
        mallory.babble(2048, bytes(MIB))
    mallory.close()
    ann.say(m.Ping())
    ann.one(m.Pong)
    assert relay.peak - before < 400


@pytest.mark.attack(36)
def test_it_is_cut_in_the_middle_of_a_turn_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn does not end until we say so, as one that waits for the disk."""
    site, held, free = site_in(tmp_path / 'home'), threading.Event(), threading.Event()
    with site.serving() as server, site.client('ann', server.port) as ann:
        mallory, decide = RawCurve(server.port, site.relay_key, site.people['root'].keys.curve), server._decide

        def wait_and_decide(heard: Sequence[tuple[Peer, m.Message | ProtocolError]], now: float) -> None:
            held.set()
            assert free.wait(60)
            decide(heard, now)

        monkeypatch.setattr(server, '_decide', wait_and_decide)
        assert held.wait(30)
        try:
            with pytest.raises(ConnectionError):
                mallory.babble(400, bytes(MIB))
        finally:
            free.set()
        mallory.close()
        ann.say(m.Ping())
        ann.one(m.Pong)
