"""A party's one socket to the relay."""

from __future__ import annotations

import logging
import time

import zmq
from zmq.utils import z85

from relay_parsl.errors import ConfigError, ProtocolError
from relay_parsl.transport.address import is_address
from relay_parsl.transport.sockets import (
    HANDSHAKE,
    LAST_WORDS,
    READABLE,
    Frame,
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
from relay_parsl.wire.messages import Message

log = logging.getLogger(__name__)

AGAIN = 3_000
"""Milliseconds, at most, between two tries to connect: so everybody is back within five seconds of a relay that was away, however long that was."""
STRANGE = 3
"""Handshakes in a row that end at once until it is told that the relay has another key: one or two are cut off by a line, or by a restart."""


class Dealer:
    """A party's socket to the relay. One thread uses it; `wake` alone may be called from any."""

    def __init__(self, url: str, server_key: bytes, curve: bytes) -> None:
        """`url`: `tcp://host:port`; `server_key`: the relay's CURVE public key; `curve`: one's own private key, both 32 raw bytes.

        Raises:
            ConfigError: the URL is none.
        """
        check_library()
        check_threads()
        if not is_address(url):
            raise ConfigError(f'{url!r} is no address of a relay, such as tcp://host:7400')
        self._url, self._server_key, self._curve = url, server_key, curve
        self._context = zmq.Context()
        self._waker = Waker()
        self._failure = ''
        self._junk = self._hung_up = 0
        self.handshakes = 0
        """Connections so far. One more than before: what was on its way may be lost, and greeting again finds out sooner than silence does."""
        try:
            self._open()
        except BaseException as error:
            self._waker.close()
            self._context.destroy(linger=0)
            if isinstance(error, zmq.ZMQError):
                raise ConfigError(f'{url!r} is no address of a relay, such as tcp://host:7400: {error}') from None
            raise

    @property
    def failure(self) -> str:
        """Why there is no connection.

        '' (there is one, or none was tried yet), 'unreachable' (nobody is there, or no handshake in time), 'unknown-key' (the relay
        refuses ours), 'handshake' (it is no relay, or has another key than ours says).
        """
        self._watch()
        return self._failure

    def send(self, message: Message) -> bool:
        """Hand a message to the wire. False: the queue is full, nothing of it was sent.

        Raises:
            ProtocolError: a frame of it would be too long for the wire.
        """
        frames = codec.encode(message)
        check_size(frames)
        try:
            send(self._socket, frames)
        except zmq.Again:
            return False
        return True

    def receive(self, limit: int = 256) -> list[Message]:
        """What has arrived, up to `limit` messages; what is no message is logged and dropped."""
        self._watch()
        return [message for message in map(self._read, arrived(self._socket, limit)) if message is not None]

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

    def reconnect(self, curve: bytes = b'', server_key: bytes = b'') -> None:
        """A fresh socket, and so a fresh connection: what was queued in the old one is gone. With other keys, one's own or the relay's, if given."""
        self._curve = curve or self._curve
        if server_key:
            self._server_key, self._failure, self._hung_up = server_key, '', 0
        self._drop()
        self._open()

    def close(self, *, last_words: bool = False) -> None:
        """Drop the connection and what is queued; nothing else may be called afterwards but `wake`. `last_words` have a moment to leave."""
        self._drop(LAST_WORDS if last_words else 0)
        self._waker.close()
        self._context.destroy()

    def _open(self) -> None:
        self._socket = make_socket(self._context, zmq.DEALER)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 100)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, AGAIN)
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
        self._connected, self._since = False, 0.0
        self._socket.connect(self._url)

    def _drop(self, linger: int = 0) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(linger)

    def _watch(self) -> None:
        """For words to the user only: nothing is decided by a monitor's events. It must be drained, for a full one stops libzmq."""
        while self._monitor.getsockopt(zmq.EVENTS) & READABLE:
            event = happened(self._monitor)[0]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._failure, self._hung_up = '', 0
                self.handshakes += 1
            elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._failure = 'unknown-key'
            elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                self._failure = 'handshake'
            elif event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                self._cut_off()
            elif event == zmq.EVENT_CLOSED and not self._connected:
                self._failure, self._hung_up = 'unreachable', 0
            if event == zmq.EVENT_CONNECTED:
                self._since = time.monotonic()
            self._connected = event == zmq.EVENT_CONNECTED or (self._connected and event != zmq.EVENT_DISCONNECTED)

    def _cut_off(self) -> None:
        """A handshake was cut off. A relay with another key does it at once, and each time; a bad line takes all its time, or is cut now and then."""
        if time.monotonic() - self._since > 0.8 * HANDSHAKE:
            self._failure, self._hung_up = 'unreachable', 0
            return
        self._hung_up += 1
        if self._hung_up >= STRANGE:
            self._failure = 'handshake'

    def _read(self, frames: list[Frame]) -> Message | None:
        try:
            return codec.decode(contents(frames))
        except ProtocolError as error:
            self._junk += 1
            if not self._junk & (self._junk - 1):  # 1, 2, 4, 8, …: a relay that sends nothing else may not fill the disk of who listens
                log.warning('dropped what is no message of the relay (%d so far): %s', self._junk, str(error)[:200])
            return None
