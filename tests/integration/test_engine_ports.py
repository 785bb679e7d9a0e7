"""Another user of the host at the ports of an engine, and at its certificates: `HtexEngine` and `MPIEngine` with real processes."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq
import zmq.auth
from zmq.utils import z85

from relay_parsl.engines import leash
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.engines.mpi import MPIEngine
from relay_parsl.transport import router
from relay_parsl.transport.sockets import make_socket
from tests.attacks.test_another_user import NOBODY, snoop
from tests.attacks.test_secrets import forms
from tests.integration.engine_rig import Rig
from tests.integration.test_mpi_engine import _rig as mpi_rig

__all__ = ['mpi_rig']

pytestmark = [pytest.mark.integration, pytest.mark.skipif(sys.platform != 'linux', reason='/proc')]

SUCCEEDED = zmq.EVENT_HANDSHAKE_SUCCEEDED
FAILED = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
PATIENCE = 30_000
"""Milliseconds for a handshake to end."""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A place that everybody may pass through, unlike pytest's own, with an umask that keeps nothing from anybody."""
    made = Path(tempfile.mkdtemp(prefix='relay-parsl-open-', dir='/tmp'))
    made.chmod(0o755)
    before = os.umask(0)
    yield made
    os.umask(before)
    shutil.rmtree(made)


@pytest.fixture(params=[HtexEngine, MPIEngine])
def engine(request: pytest.FixtureRequest) -> Rig:
    """One that has a worker, as it comes: nobody has asked for encryption."""
    if request.param is MPIEngine:
        return request.getfixturevalue('rig')  # type: ignore[no-any-return]
    return request.getfixturevalue('rigs')()  # type: ignore[no-any-return]


def ports(rig: Rig) -> dict[int, str]:
    """What the processes of the engine listen on, and whose it is."""
    found = {}
    for pid in leash.marked(rig.token):
        process = psutil.Process(pid)
        found |= {each.laddr.port: process.name() for each in process.net_connections('tcp') if each.status == psutil.CONN_LISTEN}
    return found


def handshake(context: zmq.Context[Any], port: int, mechanism: str, keys: dict[str, bytes]) -> str:
    """How a handshake ends."""
    stranger = make_socket(context, zmq.DEALER)
    if mechanism == 'plain':
        stranger.plain_username, stranger.plain_password = b'me', b'secret'
    for name, key in keys.items():
        setattr(stranger, name, key)
    monitor = stranger.get_monitor_socket(SUCCEEDED | FAILED | zmq.EVENT_DISCONNECTED)
    try:
        stranger.connect(f'tcp://127.0.0.1:{port}')
        assert monitor.poll(PATIENCE), f'port {port} says nothing to {mechanism}'
        return 'in' if router.happened(monitor)[0] == SUCCEEDED else 'out'
    finally:
        stranger.disable_monitor()
        monitor.close(0)
        stranger.close(0)


def curve(server: bytes, pair: tuple[bytes, bytes]) -> dict[str, bytes]:
    return {'curve_serverkey': server, 'curve_publickey': pair[0], 'curve_secretkey': pair[1]}


@pytest.mark.slow
@pytest.mark.attack(32)
def test_who_has_no_certificate_of_this_engine_gets_through_no_handshake_and_reads_none(engine: Rig) -> None:
    options = {'resource_specification': {'num_nodes': 1, 'ranks_per_node': 1}} if isinstance(engine.engine, MPIEngine) else {}
    assert engine.call(pow, 2, 5, **options) == 32
    [certificates] = engine.run_dir.rglob('certificates')
    server = zmq.auth.load_certificate(str(certificates / 'server.key'))[0]
    theirs = zmq.auth.load_certificate(str(certificates / 'client.key_secret'))
    secrets = {
        z85.decode(key) for name in ('client', 'server') for key in zmq.auth.load_certificate(str(certificates / f'{name}.key_secret'))[1:] if key
    }
    listening = ports(engine)
    assert len(listening) >= 5, 'the interchange for workers and commands, the engine for results and commands, the control channel'
    with zmq.Context() as context:
        strangers = {
            'null': {},
            'plain': {},
            'curve with another server': curve(zmq.curve_keypair()[0], zmq.curve_keypair()),
            'curve with the server and a key of its own': curve(server, zmq.curve_keypair()),
        }
        ends = {(port, name): handshake(context, port, name, keys) for port in listening for name, keys in strangers.items()}
        assert {each for each, end in ends.items() if end == 'in'} == set(), listening
        known = [handshake(context, port, 'curve', curve(server, theirs)) for port in listening]  # type: ignore[arg-type]
        assert known.count('in') >= 1, 'who has a certificate does: it is that which the others lack'
    assert stat.S_IMODE(certificates.stat().st_mode) == 0o700
    if os.geteuid() == 0:
        paths = [str(each) for each in (engine.run_dir, *engine.run_dir.rglob('*'))]
        reached = [each.split(' ', 1)[1] for each in snoop(NOBODY, paths, leash.marked(engine.token)) if each.startswith(('read ', 'list '))]
        assert [each for each in reached if each.startswith(str(certificates))] == []
        readable = b''.join(Path(each).read_bytes() for each in reached if Path(each).is_file())
        assert [form for secret in secrets for form in forms(secret) if form in readable] == []
    assert engine.call(pow, 2, 6, **options) == 64, 'it was not disturbed'
