"""The socket of who listens: the relay's, or an engine's for its workers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import zmq
from zmq.utils import z85

from relay_parsl.errors import ConfigError, ProtocolError
from relay_parsl.transport.address import bind_failure, is_address, source
from relay_parsl.transport.doorway import Doorway
from relay_parsl.transport.sockets import (
    LAST_WORDS,
    MAX_FRAME,
    READABLE,
    Frame,
    Socket,
    arrived,
    check_library,
    check_size,
    check_threads,
    contents,
    happened,
    make_socket,
    public_key,
    send,
)
from relay_parsl.transport.waker import Waker
from relay_parsl.wire import codec
from relay_parsl.wire.messages import Enrol, Hello, Message

log = logging.getLogger(__name__)

_ZAP = 'inproc://zeromq.zap.01'
_ZAP_DOMAIN = b'relay-parsl'
_SELF_TEST = 5.0
_LOOK = 250
"""Milliseconds between two looks at memory while nothing comes: a message that never ends is nothing."""


class Peer(NamedTuple):
    """Where a message came from: the routing id that libzmq chose, and the CURVE public key (32 raw bytes) that the handshake proved."""

    routing: bytes
    key: bytes
    address: str = ''
    """Of who says `Hello` or would join, as `address.source` has it; with other messages nobody asks for it."""


class Router:
    """The relay's socket, or an engine's for its workers. One thread uses it; `wake` alone may be called from any."""

    def __init__(
        self,
        bind: str,
        curve: bytes,
        admit: Callable[[bytes], bool],
        *,
        most: int = 1 << 30,
        largest: int = MAX_FRAME,
        outside: int = 1 << 30,
        inside: Callable[[bytes], bool] = lambda _routing: False,
        unread: int = 0,
    ) -> None:
        """Listen.

        Args:
            bind: `tcp://address:port`; port 0 or `*` is any free one.
            curve: the private key of who listens, 32 raw bytes.
            admit: says by its public key who may connect.
            most: connections at once; those beyond are refused.
            largest: bytes of a frame; a longer one cuts the connection that it came by.
            outside: connections without a session; those beyond are cut.
            inside: says by its routing id who has a session.
            unread: bytes that one connection may have brought of which nothing was read; who brings more is cut. 0: no bound.

        Raises:
            ConfigError: the address cannot be had, or the self-test finds that strangers get in.
        """
        check_library()
        check_threads()
        if not is_address(bind):
            raise ConfigError(f'cannot listen on {bind!r}: --bind takes tcp://ADDRESS:PORT of this machine')
        self._admit = admit
        self._most = most
        self._read = 0
        self._context = zmq.Context()
        self._context.setsockopt(zmq.MAX_SOCKETS, 8192)
        self._waker = Waker()
        self._zap: Socket = self._context.socket(zmq.REP)
        self._socket = make_socket(self._context, zmq.ROUTER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, largest)
        try:
            self._doorway = Doorway(self._context, self._socket, outside, inside, unread)
        except BaseException:
            self._waker.close()
            self._context.destroy(linger=0)
            raise
        try:
            self._zap.bind(_ZAP)
            self._listen(bind, curve)
            self._refuses_strangers(public_key(curve))
        except BaseException:
            self.close()
            raise

    @property
    def connections(self) -> int:
        """How many there are, those in their handshake included."""
        self._doorway.look()
        return len(self._doorway)

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        return int(self._address.rsplit(':', 1)[1])

    def wait(self, timeout: float) -> None:
        """Until a message, a handshake, a `wake`, or `timeout` seconds."""
        left = max(0, int(timeout * 1000))
        while not (found := self._poller.poll(min(left, _LOOK))) and left > _LOOK:
            left -= _LOOK
            self._doorway.weigh()
        for ready, _ in found:
            if ready is self._zap:
                self._authenticate()
            elif ready == self._waker.reader.fileno():
                self._waker.drain()
            elif ready is self._doorway.events:
                self._doorway.look()

    def receive(self, limit: int = 256) -> list[tuple[Peer, Message | ProtocolError]]:
        """What has arrived, up to `limit` messages, each with its sender; an error in the place of what is no message."""
        self._authenticate()
        got: list[tuple[Peer, Message | ProtocolError]] = []
        heads: list[Frame] = []
        for first, *frames in arrived(self._socket, limit):
            peer = Peer(first.bytes, bytes.fromhex(first.get('User-Id')))
            heads.append(first)
            try:
                message = codec.decode(contents(frames))
                if isinstance(message, (Hello, Enrol)):
                    self._doorway.asked(first, peer.routing)
                    peer = peer._replace(address=source(first.get('Peer-Address')))
                got.append((peer, message))
            except ProtocolError as error:
                got.append((peer, error))
        self._doorway.heard(heads)
        self._read += len(got)
        if self._read >= 2 * len(self._doorway) or not self._socket.getsockopt(zmq.EVENTS) & READABLE:  # libzmq serves all in turn
            self._read = 0
            self._doorway.weigh()
        return got

    def send(self, routing: bytes, message: Message) -> bool:
        """Hand a message to the wire. False: there is no such peer any more, or it does not read and its queue is full."""
        frames = codec.encode(message)
        check_size(frames)
        try:
            send(self._socket, [routing, *frames])
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
        self._doorway.close()
        self._zap.close(0)
        self._socket.close(LAST_WORDS)
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
        for readable in (self._socket, self._zap, self._waker.reader, self._doorway.events):
            self._poller.register(readable, zmq.POLLIN)

    def _authenticate(self) -> None:
        """Answer every handshake that waits; ZAP runs in this thread, so that `admit` may read what the loop reads."""
        while self._zap.getsockopt(zmq.EVENTS) & READABLE:
            request = self._zap.recv_multipart()
            known = len(request) == 7 and request[2] == _ZAP_DOMAIN and request[5] == b'CURVE' and self._admit(request[6])
            known = known and self.connections <= self._most
            if not known:
                log.info('refused a connection from %s', request[3].decode('ascii', 'replace') if len(request) > 3 else 'somewhere')
            verdict = [b'200', b'OK', request[6].hex().encode()] if known else [b'400', b'unknown key', b'']
            self._zap.send_multipart([b'1.0', request[1], *verdict, b''])

    def _refuses_strangers(self, key: bytes) -> None:
        """A server whose ZAP handler is not asked admits everybody in silence (measured): so a random key must fail before the relay opens."""
        stranger = make_socket(self._context, zmq.DEALER)
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
            refused = bool(monitor.poll(0)) and happened(monitor)[0] == zmq.EVENT_HANDSHAKE_FAILED_AUTH
        finally:
            stranger.disable_monitor()
            monitor.close(0)
            stranger.close(0)
        if not refused:
            raise ConfigError('the self-test failed: a key that nobody enrolled was not refused, so this relay will not open its port')
