"""A client that speaks ZMTP with CURVE by hand, and so can say what libzmq never would: frames that lie about their length, messages without an end.

After the specification (ZeroMQ RFC 23 and 26), with the libsodium that pyzmq brings along.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import socket
from itertools import count
from pathlib import Path

import zmq

_FOUND = sorted(Path(zmq.__file__).parents[1].glob('pyzmq.libs/libsodium*'))
LIBRARY = str(_FOUND[0]) if _FOUND else ctypes.util.find_library('sodium')
"""Where libsodium is; None: nowhere."""


def box(text: bytes, nonce: bytes, to: bytes, of: bytes) -> bytes:
    """Boxed for the public key `to`, with the private key `of`."""
    out = ctypes.create_string_buffer(len(text) + 16)
    assert ctypes.CDLL(LIBRARY).crypto_box_easy(out, text, ctypes.c_ulonglong(len(text)), nonce, to, of) == 0
    return out.raw


def unbox(boxed: bytes, nonce: bytes, of: bytes, to: bytes) -> bytes:
    """The other way."""
    out = ctypes.create_string_buffer(len(boxed) - 16)
    assert ctypes.CDLL(LIBRARY).crypto_box_open_easy(out, boxed, ctypes.c_ulonglong(len(boxed)), nonce, of, to) == 0
    return out.raw


def public(private: bytes) -> bytes:
    out = ctypes.create_string_buffer(32)
    ctypes.CDLL(LIBRARY).crypto_scalarmult_base(out, private)
    return out.raw


class RawCurve:
    """One connection, through its handshake."""

    def __init__(self, port: int, server: bytes, key: bytes) -> None:
        """`server`: the public key of who listens; `key`: one's own private one."""
        self.socket = socket.create_connection(('127.0.0.1', port), timeout=40)
        self._numbers = count(1)
        short = os.urandom(32)
        self.socket.sendall(b'\xff' + bytes(8) + b'\x7f\3\1' + b'CURVE'.ljust(20, b'\0') + bytes(32))
        self._read(64)
        nonce = self._nonce()
        hello = b'\1\0' + bytes(72) + public(short) + nonce + box(bytes(64), b'CurveZMQHELLO---' + nonce, server, short)
        self._command(b'\5HELLO' + hello)
        welcome = self._frame()
        assert welcome.startswith(b'\7WELCOME')
        plain = unbox(welcome[24:], b'WELCOME-' + welcome[8:24], server, short)
        self._server, cookie = plain[:32], plain[32:]
        vouch, nonce = os.urandom(16), self._nonce()
        inner = public(key) + vouch + box(public(short) + server, b'VOUCH---' + vouch, self._server, key)
        inner += b'\x0bSocket-Type' + (6).to_bytes(4, 'big') + b'DEALER' + b'\x08Identity' + bytes(4)
        self._short = short
        self._command(b'\x08INITIATE' + cookie + nonce + box(inner, b'CurveZMQINITIATE' + nonce, self._server, short))
        assert self._frame().startswith(b'\5READY')

    def send(self, data: bytes, *, more: bool = False) -> None:
        """One frame."""
        nonce = self._nonce()
        self.say(b'\7MESSAGE' + nonce + box(bytes([more]) + data, b'CurveZMQMESSAGEC' + nonce, self._server, self._short))

    def babble(self, count: int, frame: bytes) -> None:
        """The beginning of a message, of so many frames."""
        for _ in range(count):
            self.send(frame, more=True)

    def say(self, body: bytes, *, length: int | None = None) -> None:
        """A frame of the wire, which says that it has so many bytes."""
        self.socket.sendall(b'\2' + (len(body) if length is None else length).to_bytes(8, 'big') + body)

    def over(self) -> bool:
        """Whether the other side hangs up, whatever it says before."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionError:
            pass
        return True

    def close(self) -> None:
        self.socket.close()

    def _nonce(self) -> bytes:
        return next(self._numbers).to_bytes(8, 'big')

    def _command(self, body: bytes) -> None:
        self.socket.sendall((b'\4' + bytes([len(body)]) if len(body) < 256 else b'\6' + len(body).to_bytes(8, 'big')) + body)

    def _frame(self) -> bytes:
        long = self._read(1)[0] & 2
        return self._read(int.from_bytes(self._read(8 if long else 1), 'big'))

    def _read(self, size: int) -> bytes:
        data = b''
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            assert part, 'hung up'
            data += part
        return data
