"""Sockets: the only importer of zmq. CURVE on every one, identity from the key alone, nothing that blocks for ever.

```
 Dealer ══ CURVE ══► Router       a party's one socket to the relay; the relay's one socket
                       └─ ZAP     asks `admit(key)` at each handshake, in the router's own thread
```

ZeroMQ is taken for a fast wire that may lose, double or cut anything at a reconnect (measured): what matters is resent by the
reactors until it is acknowledged. Full queues are answered with False and never waited for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from relay_parsl.errors import ConfigError, ProtocolError
from relay_parsl.transport.address import bind_failure, is_address
from relay_parsl.transport.memory import LARGE
from relay_parsl.transport.waker import Waker
from relay_parsl.wire import codec
from relay_parsl.wire.messages import SEGMENT, Message

log = logging.getLogger(__name__)

MAX_FRAME = 16 * SEGMENT
"""Bytes. A longer frame cuts the connection, so that senders check before they send."""
DRAIN = 32 * SEGMENT
"""Bytes that one `receive` hands over at most, give or take a message: what bounds a turn's memory."""
OLDEST_ZMQ = (4, 3, 5)
"""Older ones have holes that CURVE does not close (CVE-2019-13132, CVE-2020-15166)."""
_ZAP = 'inproc://zeromq.zap.01'
_ZAP_DOMAIN = b'relay-parsl'
_SELF_TEST = 5.0
_LAST_WORDS = 3000  # ms; on a busy machine a goodbye needed more than 300, and its session was counted for half a minute

Socket = Any  # zmq.Socket[bytes]: the stubs of pyzmq differ between its versions


@dataclass(frozen=True)
class Peer:
    """Where a message came from: the routing id that libzmq chose, and the CURVE public key (32 raw bytes) that the handshake proved."""

    routing: bytes
    key: bytes


def check_library() -> None:
    """Raises ConfigError when libzmq is too old to be let near a network, or was built without CURVE."""
    if zmq.zmq_version_info() < OLDEST_ZMQ or not zmq.has('curve'):
        wanted = '.'.join(map(str, OLDEST_ZMQ))
        raise ConfigError(f'libzmq {zmq.zmq_version()} is older than {wanted} or lacks CURVE: pip install --upgrade pyzmq')


def new_key() -> bytes:
    """A fresh private CURVE key, 32 bytes."""
    return z85.decode(zmq.curve_keypair()[1])


def public_key(curve: bytes) -> bytes:
    """The public half of a raw private CURVE key, 32 bytes."""
    return z85.decode(zmq.curve_public(z85.encode(curve)))


def _socket(context: Any, kind: int) -> Socket:
    """The settings that every socket of ours has; the reasons stand in the options' names."""
    made = context.socket(kind)
    options = {
        zmq.LINGER: 0,
        zmq.MAXMSGSIZE: MAX_FRAME,
        zmq.HANDSHAKE_IVL: 5_000,
        zmq.HEARTBEAT_IVL: 10_000,
        zmq.HEARTBEAT_TIMEOUT: 30_000,
        zmq.HEARTBEAT_TTL: 40_000,
        zmq.TCP_KEEPALIVE: 1,
        zmq.TCP_KEEPALIVE_IDLE: 60,
        zmq.IPV6: 1,
    }
    for option, value in options.items():
        made.setsockopt(option, value)
    return made


def _frames(waiting: Socket, most: int) -> list[bytes | memoryview]:
    """The rest of a message whose first frame was read; frames past `most` are read and dropped."""
    frames: list[bytes | memoryview] = []
    while waiting.getsockopt(zmq.RCVMORE):
        frame = waiting.recv(zmq.NOBLOCK, copy=False)
        if len(frames) <= most:
            frames.append(frame.bytes if len(frame) < LARGE else frame.buffer)
    return frames


class Dealer:
    """A party's socket to the relay. One thread uses it; `wake` alone may be called from any."""

    def __init__(self, url: str, server_key: bytes, curve: bytes) -> None:
        """`url`: `tcp://host:port`; `server_key`: the relay's CURVE public key; `curve`: one's own private key, both 32 raw bytes.

        Raises:
            ConfigError: the URL is none.
        """
        check_library()
        if not is_address(url):
            raise ConfigError(f'{url!r} is no address of a relay, such as tcp://host:7400')
        self._url, self._server_key, self._curve = url, server_key, curve
        self._context = zmq.Context()
        self._waker = Waker()
        self._failure = ''
        self.handshakes = 0
        """Connections so far. One more than before: what was on its way may be lost, and greeting again finds out sooner than silence does."""
        try:
            self._open()
        except zmq.ZMQError as error:
            self._waker.close()
            self._context.destroy(linger=0)
            raise ConfigError(f'{url!r} is no address of a relay, such as tcp://host:7400: {error}') from None

    @property
    def failure(self) -> str:
        """Why there is no connection.

        '' (there is one, or none was tried yet), 'unreachable', 'unknown-key' (the relay refuses ours), 'handshake' (it is no relay,
        or has another key than ours says).
        """
        self._watch()
        return self._failure

    def send(self, message: Message) -> bool:
        """Hand a message to the wire. False: the queue is full, nothing of it was sent.

        Raises:
            ProtocolError: a frame of it would be too long for the wire.
        """
        frames = codec.encode(message)
        _check_size(frames)
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self, limit: int = 256) -> list[Message]:
        """What has arrived, up to `limit` messages; what is no message is logged and dropped."""
        self._watch()
        got: list[Message] = []
        size = 0
        while len(got) < limit and size < DRAIN:
            try:
                first = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            frames = [first, *_frames(self._socket, 2)]
            size += sum(map(len, frames))
            try:
                got.append(codec.decode(frames))
            except ProtocolError as error:
                log.warning('dropped what is no message of the relay: %s', error)
        return got

    def wait(self, timeout: float) -> bool:
        """Until a message, a `wake`, or `timeout` seconds; whether there is a message."""
        arrived = False
        for ready, _ in self._poller.poll(max(0, int(timeout * 1000))):
            if ready is self._socket:
                arrived = True
            elif ready is self._monitor:
                self._watch()
            else:
                self._waker.drain()
        return arrived

    def wake(self) -> None:
        """End a `wait`, from any thread."""
        self._waker.wake()

    def reconnect(self) -> None:
        """A fresh socket, and so a fresh connection: what was queued in the old one is gone."""
        self._drop()
        self._open()

    def close(self, *, last_words: bool = False) -> None:
        """Drop the connection and what is queued; nothing else may be called afterwards but `wake`. `last_words` have a moment to leave."""
        self._drop(_LAST_WORDS if last_words else 0)
        self._waker.close()
        self._context.destroy()

    def _open(self) -> None:
        self._socket = _socket(self._context, zmq.DEALER)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 100)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 10_000)
        self._socket.curve_serverkey = z85.encode(self._server_key)
        self._socket.curve_secretkey = z85.encode(self._curve)
        self._socket.curve_publickey = z85.encode(public_key(self._curve))
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | zmq.EVENT_CONNECTED
            | zmq.EVENT_DISCONNECTED
            | zmq.EVENT_CLOSED
        )
        self._poller = zmq.Poller()
        for readable in (self._socket, self._monitor, self._waker.reader):
            self._poller.register(readable, zmq.POLLIN)
        self._connected = False
        self._socket.connect(self._url)

    def _drop(self, linger: int = 0) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(linger)

    def _watch(self) -> None:
        """For words to the user only: nothing is decided by a monitor's events. It must be drained, for a full one stops libzmq."""
        while self._monitor.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            event = recv_monitor_message(self._monitor)['event']
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._failure = ''
                self.handshakes += 1
            elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._failure = 'unknown-key'
            elif event in (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL):
                self._failure = 'handshake'
            elif event == zmq.EVENT_CLOSED and not self._connected:
                self._failure = 'unreachable'
            self._connected = event == zmq.EVENT_CONNECTED or (self._connected and event != zmq.EVENT_DISCONNECTED)


class Router:
    """The relay's socket, or an engine's for its workers. One thread uses it; `wake` alone may be called from any."""

    def __init__(self, bind: str, curve: bytes, admit: Callable[[bytes], bool], *, most: int | None = None, largest: int = MAX_FRAME) -> None:
        """Listen.

        Args:
            bind: `tcp://address:port`; port 0 or `*` is any free one.
            curve: the private key of who listens, 32 raw bytes.
            admit: says by its public key who may connect.
            most: connections at once; those beyond are refused. By default nobody counts.
            largest: bytes of a frame; a longer one cuts the connection that it came by.

        Raises:
            ConfigError: the address cannot be had, or the self-test finds that strangers get in.
        """
        check_library()
        if not is_address(bind):
            raise ConfigError(f'cannot listen on {bind!r}: --bind takes tcp://ADDRESS:PORT of this machine')
        self._admit = admit
        self._most, self._open = most, set[int]()
        self._context = zmq.Context()
        self._context.setsockopt(zmq.MAX_SOCKETS, 8192)
        self._waker = Waker()
        self._zap: Socket = self._context.socket(zmq.REP)
        self._socket = _socket(self._context, zmq.ROUTER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, largest)
        self._doings: Socket | None = None
        if most is not None:
            self._doings = self._socket.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        try:
            self._zap.bind(_ZAP)
            self._listen(bind, curve)
            self._refuses_strangers(public_key(curve))
        except BaseException:
            self.close()
            raise

    @property
    def connections(self) -> int:
        """How many there are, those in their handshake included; counted only where there is a `most`."""
        while self._doings is not None and self._doings.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            seen: Any = recv_monitor_message(self._doings)
            (self._open.add if seen['event'] == zmq.EVENT_ACCEPTED else self._open.discard)(seen['value'])
        return len(self._open)

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        return int(self._address.rsplit(':', 1)[1])

    def wait(self, timeout: float) -> None:
        """Until a message, a handshake, a `wake`, or `timeout` seconds."""
        for ready, _ in self._poller.poll(max(0, int(timeout * 1000))):
            if ready is self._zap:
                self._authenticate()
            elif ready == self._waker.reader.fileno():
                self._waker.drain()
            elif ready is self._doings:
                log.debug('%d connections', self.connections)

    def receive(self, limit: int = 256) -> list[tuple[Peer, Message | ProtocolError]]:
        """What has arrived, up to `limit` messages, each with its sender; an error in the place of what is no message."""
        self._authenticate()
        got: list[tuple[Peer, Message | ProtocolError]] = []
        size = 0
        while len(got) < limit and size < DRAIN:
            try:
                routing = self._socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            peer = Peer(routing.bytes, bytes.fromhex(routing.get('User-Id')))
            frames = _frames(self._socket, 2)
            size += sum(map(len, frames))
            try:
                got.append((peer, codec.decode(frames)))
            except ProtocolError as error:
                got.append((peer, error))
        return got

    def send(self, routing: bytes, message: Message) -> bool:
        """Hand a message to the wire. False: there is no such peer any more, or it does not read and its queue is full."""
        frames = codec.encode(message)
        _check_size(frames)
        try:
            self._socket.send_multipart([routing, *frames], zmq.NOBLOCK)
        except (zmq.Again, zmq.ZMQError) as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            return False
        return True

    def watch(self, descriptor: int) -> None:
        """Let `wait` end when this is readable, too."""
        self._poller.register(descriptor, zmq.POLLIN)

    def wake(self) -> None:
        """End a `wait`, from any thread."""
        self._waker.wake()

    def close(self) -> None:
        """Drop every connection; last words have a moment to leave."""
        if self._doings is not None:
            self._socket.disable_monitor()
            self._doings.close(0)
        self._zap.close(0)
        self._socket.close(_LAST_WORDS)
        self._waker.close()
        self._context.term()

    def _listen(self, bind: str, curve: bytes) -> None:
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.BACKLOG, 1024)
        self._socket.curve_server = True
        self._socket.curve_secretkey = z85.encode(curve)
        self._socket.zap_domain = _ZAP_DOMAIN
        try:
            self._socket.bind(bind)
        except zmq.ZMQError as error:
            raise ConfigError(bind_failure(bind, error.errno, error)) from None
        self._address = self._socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b'\0').decode()
        self._poller = zmq.Poller()
        for readable in (self._socket, self._zap, self._waker.reader, *filter(None, [self._doings])):
            self._poller.register(readable, zmq.POLLIN)

    def _authenticate(self) -> None:
        """Answer every handshake that waits; ZAP runs in this thread, so that `admit` may read what the loop reads."""
        while self._zap.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            request = self._zap.recv_multipart()
            known = len(request) == 7 and request[2] == _ZAP_DOMAIN and request[5] == b'CURVE' and self._admit(request[6])
            known = known and (self._most is None or self.connections <= self._most)
            if not known:
                log.info('refused a connection from %s', request[3].decode('ascii', 'replace') if len(request) > 3 else 'somewhere')
            verdict = [b'200', b'OK', request[6].hex().encode()] if known else [b'400', b'unknown key', b'']
            self._zap.send_multipart([b'1.0', request[1], *verdict, b''])

    def _refuses_strangers(self, key: bytes) -> None:
        """A server whose ZAP handler is not asked admits everybody in silence (measured): so a random key must fail before the relay opens."""
        stranger = _socket(self._context, zmq.DEALER)
        stranger.curve_serverkey = z85.encode(key)
        stranger.curve_publickey, stranger.curve_secretkey = zmq.curve_keypair()
        monitor = stranger.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        poller = zmq.Poller()
        poller.register(monitor, zmq.POLLIN)
        poller.register(self._zap, zmq.POLLIN)
        try:
            stranger.connect(self._address.replace('[::]', '[::1]').replace('0.0.0.0', '127.0.0.1'))  # noqa: S104  read, not bound
            for _ in range(int(_SELF_TEST / 0.05)):
                poller.poll(50)
                self._authenticate()
                if monitor.poll(0):
                    break
            refused = bool(monitor.poll(0)) and recv_monitor_message(monitor)['event'] == zmq.EVENT_HANDSHAKE_FAILED_AUTH
        finally:
            stranger.disable_monitor()
            monitor.close(0)
            stranger.close(0)
        if not refused:
            raise ConfigError('the self-test failed: a key that nobody enrolled was not refused, so this relay will not open its port')


def _check_size(frames: list[bytes]) -> None:
    if any(len(frame) > MAX_FRAME for frame in frames):
        raise ProtocolError(f'a message is over {MAX_FRAME} bytes')
