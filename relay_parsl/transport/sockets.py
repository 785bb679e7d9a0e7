"""What sockets have in common: their settings, their keys, and how messages are read from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct
from threading import Event, Thread
from typing import Any

import zmq
from zmq.utils import z85

from relay_parsl.errors import ConfigError, ProtocolError
from relay_parsl.transport.memory import LARGE
from relay_parsl.wire.messages import SEGMENT

MAX_FRAME = 16 * SEGMENT
"""Bytes. A longer frame cuts the connection, so that senders check before they send."""
DRAIN = 32 * SEGMENT
"""Bytes that one `receive` hands over at most, give or take a message: what bounds a turn's memory."""
HANDSHAKE = 15.0
"""Seconds for a handshake. Who needs longer, on a bad line, is cut and tries again: with a fifth of all packets lost both ways five were too few.
How many unfinished ones there may be is bounded by their number (`callers`), not by this."""
OLDEST_ZMQ = (4, 3, 5)
"""Older ones have holes that CURVE does not close (CVE-2019-13132, CVE-2020-15166)."""
LAST_WORDS = 3000
"""Milliseconds; on a busy machine a goodbye needed more than 300, and its session was counted for half a minute."""
THREADS = 2
"""Of libzmq's own, in each process."""
READABLE, _LAST, _MORE = int(zmq.POLLIN), int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)
"""Plain numbers: with pyzmq's own flags each look at a socket makes a member of an enum, which takes as long as the look (measured)."""
_EVENT = Struct('=Hi')
FRAMES = 4
"""Frames of a message that are kept: more than any has, so that one with too many is seen to be none. What is beyond is read and dropped."""

Socket = Any  # zmq.Socket[bytes]: the stubs of pyzmq differ between its versions
Frame = Any  # zmq.Frame, likewise


def check_library() -> None:
    """Raises ConfigError when libzmq is too old to be let near a network, or was built without CURVE."""
    if zmq.zmq_version_info() < OLDEST_ZMQ or not zmq.has('curve'):
        wanted = '.'.join(map(str, OLDEST_ZMQ))
        raise ConfigError(f'libzmq {zmq.zmq_version()} is older than {wanted} or lacks CURVE: pip install --upgrade pyzmq')


def check_threads() -> None:
    """Raises ConfigError when no threads can be had: libzmq ends the process where it cannot have its own, with a line that helps nobody."""
    enough = Event()
    threads = [Thread(target=enough.wait, daemon=True) for _ in range(THREADS)]
    try:
        for each in threads:
            each.start()
    except RuntimeError as error:
        raise ConfigError(f'no thread can be started here: raise the limit of processes (ulimit -u, or TasksMax of the service): {error}') from None
    finally:
        enough.set()


def libzmq() -> tuple[str, bool]:
    """Its version, and whether it knows CURVE."""
    return zmq.zmq_version(), bool(zmq.has('curve'))


def new_key() -> bytes:
    """A fresh private CURVE key, 32 bytes."""
    return z85.decode(zmq.curve_keypair()[1])


def public_key(curve: bytes) -> bytes:
    """The public half of a raw private CURVE key, 32 bytes."""
    return z85.decode(zmq.curve_public(z85.encode(curve)))


def make_socket(context: Any, kind: int) -> Socket:
    """The settings that every socket of ours has; the reasons stand in the options' names.

    Only who dials asks whether the other end lives, and says for how long that is to believe the same of it. A listener that asks as well has three
    timers for each connection, and libzmq looks through all of them to stop one: 1,000 idle sessions took 3.6 % of a core so, and take 1 % now.
    """
    made = context.socket(kind)
    options = {
        zmq.LINGER: 0,
        zmq.MAXMSGSIZE: MAX_FRAME,
        zmq.HANDSHAKE_IVL: int(HANDSHAKE * 1000),
        zmq.HEARTBEAT_IVL: 10_000 if kind == zmq.DEALER else 0,
        zmq.HEARTBEAT_TIMEOUT: 30_000,
        zmq.HEARTBEAT_TTL: 40_000,
        zmq.TCP_KEEPALIVE: 1,
        zmq.TCP_KEEPALIVE_IDLE: 60,
        zmq.IPV6: 1,
    }
    for option, value in options.items():
        made.setsockopt(option, value)
    return made


def happened(monitor: Socket) -> tuple[int, int]:
    """The next event of a monitor, and its value (libzmq: zmq_socket_monitor). The reader of pyzmq imports asyncio: every start would wait for it."""
    event, value = _EVENT.unpack(monitor.recv_multipart()[0])
    return event, value


def arrived(waiting: Socket, limit: int) -> Iterator[list[Frame]]:
    """The messages that wait, frame by frame: `limit` at most, and `DRAIN` bytes.

    Looks before it reads: that nothing is there is told by an exception, which takes as long as reading a message (measured).
    """
    size = 0
    while limit > 0 and size < DRAIN and waiting.getsockopt(zmq.EVENTS) & READABLE:
        frames = [waiting.recv(zmq.NOBLOCK, copy=False)]
        more = frames[0].more
        while more:
            frame = waiting.recv(zmq.NOBLOCK, copy=False)
            more = frame.more
            if len(frames) < FRAMES:
                frames.append(frame)
        size += sum(map(len, frames))
        limit -= 1
        yield frames


def send(socket: Socket, frames: Sequence[bytes]) -> None:
    """Send a message without waiting. Raises zmq.Again when the queue is full: then nothing of it was sent."""
    for frame in frames[:-1]:
        socket.send(frame, _MORE)
    socket.send(frames[-1], _LAST)


def contents(frames: Sequence[Frame]) -> list[bytes | memoryview]:
    """The bytes of frames; large ones are read where they lie."""
    return [frame.bytes if len(frame) < LARGE else frame.buffer for frame in frames]


def check_size(frames: list[bytes]) -> None:
    """Raises ProtocolError when a frame is too long for the wire."""
    if any(len(frame) > MAX_FRAME for frame in frames):
        raise ProtocolError(f'a message is over {MAX_FRAME} bytes')
