"""Files of an SFTP server, read and written with one block on its way while the other is worked on."""

from __future__ import annotations

import errno
import hashlib
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import asyncssh

from relay_parsl.flows.storage.base import BLOCK, Reader, Writer
from relay_parsl.flows.storage.session import Session

AHEAD = 4 * BLOCK
"""Bytes that are asked for at once: a link of 50 ms carries 80 MB/s with that."""


class SftpReader(Reader):
    """A file that is open for reading."""

    def __init__(self, session: Session, path: str, shown: str) -> None:
        self.session, self.shown = session, shown
        self.file: asyncssh.SFTPClientFile = session.call(lambda client: _opened(client, path, asyncssh.FXF_READ), shown)
        self.rewind()

    def rewind(self) -> None:
        """Go back to the beginning."""
        self._at, self._buffer = 0, b''
        self._next = self._ask()

    def _ask(self) -> Callable[[], bytes]:
        at = self._at
        return self.session.later(lambda _: _bytes(self.file, at), self.shown)

    def read(self, most: int = BLOCK) -> bytes:
        """The next bytes."""
        if not self._buffer:
            self._buffer = self._next()
            self._at += len(self._buffer)
            if self._buffer:
                self._next = self._ask()
        data, self._buffer = self._buffer[:most], self._buffer[most:]
        return data

    def close(self) -> None:
        """Let go of it."""
        with suppress(OSError):
            self.session.call(lambda _: self.file.close(), self.shown)


async def _bytes(file: asyncssh.SFTPClientFile, at: int) -> bytes:
    data: Any = await file.read(AHEAD, at)  # opened without an encoding, it gives bytes
    return bytes(data)


async def _opened(client: asyncssh.SFTPClient, path: str, flags: int) -> asyncssh.SFTPClientFile:
    return await client.open(path, flags, encoding=None)


class SftpWriter(Writer):
    """A part on the server.

    Args:
        path: What it becomes.
        part: Its working name, with its directory.
        shown: The path, for people.
        quick: The SHA-256 of a path by the server itself; '' where it does not say.
    """

    def __init__(self, session: Session, path: str, part: str, shown: str, quick: Callable[[str], str]) -> None:
        self.session, self.path, self.part, self.shown, self.quick = session, path, part, shown, quick
        self._pending: Callable[[], Any] | None = None
        flags = asyncssh.FXF_READ | asyncssh.FXF_WRITE | asyncssh.FXF_CREAT
        if not self._usable():
            flags |= asyncssh.FXF_EXCL
        self.file: asyncssh.SFTPClientFile = self._call(lambda client: _opened(client, part, flags))
        self.size = int(self._call(lambda _: self.file.stat()).size or 0)

    def _call(self, step: Callable[[asyncssh.SFTPClient], Any]) -> Any:
        """A failure without a reason may be a full disk: protocol version 3 has no word for that."""
        try:
            return self.session.call(step, self.shown)
        except OSError as error:
            if error.errno == errno.EIO and self._full():
                raise OSError(errno.ENOSPC, 'No space left at the server', self.shown) from None
            raise

    def _full(self) -> bool:
        with suppress(OSError):
            found = self.session.call(lambda client: client.statvfs(self.path.rpartition('/')[0] or '/'), self.shown)
            return bool(found.bavail * found.frsize < BLOCK)
        return False

    def _usable(self) -> bool:
        """Whether a part is there that may be gone on with; a link or whatever else is in its place is removed."""
        try:
            found = self.session.call(lambda client: client.lstat(self.part), self.shown)
        except FileNotFoundError:
            return False
        if stat.S_ISREG(found.permissions or 0):
            return True
        self.session.call(lambda client: client.remove(self.part), self.shown)
        return False

    def digest(self, check: Callable[[], None]) -> str:
        """The SHA-256 of what is there."""
        self._flush()
        if quick := self.quick(self.part):
            return quick
        sha, at = hashlib.sha256(), 0
        while data := self._call(partial(self._bytes, at)):
            check()
            sha.update(data)
            at += len(data)
        return sha.hexdigest()

    async def _bytes(self, at: int, _: asyncssh.SFTPClient) -> bytes:
        return await _bytes(self.file, at)

    def restart(self) -> None:
        """Drop what is there."""
        self._flush()
        self._call(lambda _: self.file.truncate(0))
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append; the block before must have arrived."""
        self._flush()
        at = self.size
        self._pending = self.session.later(lambda _: self.file.write(data, at), self.shown)
        self.size += len(data)

    def _flush(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            self._call_pending(pending)

    def _call_pending(self, pending: Callable[[], Any]) -> None:
        try:
            pending()
        except OSError as error:
            if error.errno == errno.EIO and self._full():
                raise OSError(errno.ENOSPC, 'No space left at the server', self.shown) from None
            raise

    def sync(self) -> None:
        """On the disk, where the server knows fsync."""
        self._flush()
        self._call(lambda _: _optional(self.file.fsync()))

    def publish(self, mtime: float | None) -> None:
        """Give it its name."""
        old = self._old()
        if old is not None and stat.S_ISREG(old.permissions or 0):
            mode = stat.S_IMODE(old.permissions or 0) & 0o777
            with suppress(OSError):
                self.session.call(lambda client: client.chmod(self.part, mode), self.shown)
        if mtime is not None:
            self._call(lambda client: client.utime(self.part, (mtime, mtime)))
        if not self._call(lambda client: _optional(client.posix_rename(self.part, self.path))):
            if old is not None:
                self._call(lambda client: client.remove(self.path))
            self._call(lambda client: client.rename(self.part, self.path))

    def _old(self) -> asyncssh.SFTPAttrs | None:
        try:
            found: asyncssh.SFTPAttrs = self.session.call(lambda client: client.lstat(self.path), self.shown)
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(found.permissions or 0):
            raise IsADirectoryError(errno.EISDIR, 'a directory', self.shown)
        return found

    def discard(self) -> None:
        """Remove the part."""
        with suppress(FileNotFoundError):
            self.session.call(lambda client: client.remove(self.part), self.shown)

    def close(self) -> None:
        """Let go of it; the part stays."""
        with suppress(OSError):
            self._flush()
        with suppress(OSError):
            self.session.call(lambda _: self.file.close(), self.shown)


async def _optional(step: Any) -> bool:
    """Whether the server knows such a thing; what it then says counts."""
    try:
        await step
    except asyncssh.SFTPOpUnsupported:
        return False
    return True
