"""A directory of an SFTP server.

The server resolves paths itself, so what was checked may change before it is used: every directory is asked for its real path right before, and a
name for whether it is a link. Who can swap directories on the server within that moment is an account of that server, and has its rights anyway.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import stat
from collections.abc import Callable, Iterator
from contextlib import aclosing, suppress
from typing import Any

import asyncssh

from relay_parsl.flows.storage.base import Entry, Reader, Store, Writer
from relay_parsl.flows.storage.collections import Collection
from relay_parsl.flows.storage.faults import Outside
from relay_parsl.flows.storage.paths import Parts, text
from relay_parsl.flows.storage.session import Session
from relay_parsl.flows.storage.sftpfiles import SftpReader, SftpWriter

MOST = 200_000
"""Names of one directory: a server may list on without end, and each takes a kilobyte."""
_LINKS = 40
_KINDS = ((stat.S_ISDIR, 'dir'), (stat.S_ISREG, 'file'), (stat.S_ISLNK, 'link'))


class SftpStore(Store):
    """A root directory at the other end of a `Session`."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._real_root: str | None = None
        self._shell = True

    def root(self) -> str:
        """Where the root really is; asked once."""
        if self._real_root is None:
            path = self.session.path or '/'
            path = path.removeprefix('/~/') if path.startswith('/~/') else '.' if path == '/~' else path
            real = self.session.call(lambda client: client.realpath(path or '.'), path)
            if not self._is_directory(str(real)):
                raise NotADirectoryError(errno.ENOTDIR, 'the root of this collection must be a directory: make it or mend `root`', path)
            self._real_root = str(real)
        return self._real_root

    def _is_directory(self, path: str) -> bool:
        try:
            return _kind(self.session.call(lambda client: client.stat(path), path)) == 'dir'
        except FileNotFoundError:
            return False

    def path(self, parts: Parts) -> str:
        """As the server writes it."""
        return '/'.join([self.root().rstrip('/'), *parts]) or '/'

    def _checked(self, parts: Parts) -> str:
        """The path, once the server says that its directory is where it should be."""
        path, parent = self.path(parts), self.path(parts[:-1])
        real = self.session.call(lambda client: client.realpath(parent), text(parts[:-1]))
        if str(real) != parent:
            self.session.call(lambda client: client.stat(parent), text(parts[:-1]))  # what does not exist has no real path either
            raise Outside(f'{text(parts)}: a link, where a directory was a moment ago')
        return path

    def resolve(self, parts: Parts) -> Parts:
        """Where the path leads when every link in it is followed."""
        root = self.root()
        return self.session.call(lambda client: _Walk(client, root, parts).go(), text(parts))

    def entry(self, parts: Parts) -> Entry:
        """What is there; a link is a `link`."""
        path = self._checked(parts)
        return _entry(parts[-1] if parts else '', self.session.call(lambda client: client.lstat(path), text(parts)))

    def entries(self, parts: Parts) -> Iterator[Entry]:
        """What a directory holds."""
        path = self._checked((*parts, '.'))[:-2] or '/'
        for found in self.session.call(lambda client: _names(client, path, text(parts)), text(parts)):
            name = found.filename if isinstance(found.filename, str) else os.fsdecode(found.filename)
            if name not in ('.', '..'):
                yield self._listed(path, name, found.attrs)

    def _listed(self, path: str, name: str, attrs: asyncssh.SFTPAttrs) -> Entry:
        target = None
        if _kind(attrs) == 'link':
            with suppress(OSError):
                target = str(self.session.call(lambda client: client.readlink(f'{path}/{name}'), name))
        return _entry(name, attrs, target)

    def read(self, parts: Parts) -> Reader:
        """Open a file."""
        path = self._checked(parts)
        kind = _kind(self.session.call(lambda client: client.lstat(path), text(parts)))
        if kind != 'file':
            raise OSError(errno.EISDIR if kind == 'dir' else errno.EINVAL, f'no regular file, but of type {kind}', text(parts))
        return SftpReader(self.session, path, text(parts))

    def write(self, parts: Parts, part: str) -> Writer:
        """Open a part."""
        path = self._checked(parts)
        return SftpWriter(self.session, path, f'{path.rpartition("/")[0]}/{part}', text(parts), self._shell_digest)

    def make(self, parts: Parts) -> bool:
        """Make a directory whose parent exists."""
        if not parts:
            return not self.root()
        path = self._checked(parts)
        with suppress(FileNotFoundError):
            if _kind(self.session.call(lambda client: client.lstat(path), text(parts))) != 'dir':
                raise NotADirectoryError(errno.ENOTDIR, 'it exists and is no directory', text(parts))
            return False
        self.session.call(lambda client: client.mkdir(path), text(parts))
        return True

    def remove(self, parts: Parts, directory: bool = False) -> None:
        """Remove a file or a link, or an empty directory."""
        if not parts:
            raise PermissionError(errno.EPERM, 'the root of a collection cannot be deleted', '/')
        path = self._checked(parts)
        self.session.call(lambda client: client.rmdir(path) if directory else client.remove(path), text(parts))

    def digest(self, parts: Parts, check: Callable[[], None]) -> str:
        """The SHA-256 of a file: by the server's own `sha256sum` where it lets us, or read back."""
        return self._shell_digest(self._checked(parts)) or super().digest(parts, check)

    def _shell_digest(self, path: str) -> str:
        """'' where there is no such command; then it is not tried again."""
        if not self._shell:
            return ''
        said: object = b''
        with suppress(OSError):
            done = self.session.run(f'sha256sum -b -- {shlex.quote(path)}')
            said = done.stdout if done.exit_status == 0 else b''
        words = re.match(rb'\\?([0-9a-f]{64}) ', said) if isinstance(said, bytes) else None
        self._shell = words is not None
        return words[1].decode() if words is not None else ''

    def close(self) -> None:
        """Let go of the connection."""
        self.session.close()


async def _names(client: asyncssh.SFTPClient, path: str, shown: str) -> list[asyncssh.SFTPName]:
    """What the server lists, which need not have an end."""
    found: list[asyncssh.SFTPName] = []
    scan: Any = client.scandir(path)  # a generator, which its type does not say
    async with aclosing(scan) as listed:
        async for each in listed:
            if len(found) == MOST:
                raise OSError(errno.EFBIG, f'more than {MOST} names in one directory; split it', shown)
            found.append(each)
    return found


class _Walk:
    """Follows links by hand, in the loop of the connection: where each leads is decided here, and not by the server."""

    def __init__(self, client: asyncssh.SFTPClient, root: str, asked: Parts) -> None:
        self.client, self.root, self.asked = client, root, asked
        self.todo = list(reversed(asked))
        self.names: list[str] = []
        self.links = 0

    async def go(self) -> Parts:
        while self.todo:
            part = self.todo.pop()
            if part == '..':
                if not self.names:
                    raise Outside(f'{text(self.asked)}: a link leads out of the collection')
                self.names.pop()
                continue
            path = '/'.join([self.root.rstrip('/'), *self.names, part])
            try:
                kind = _kind(await self.client.lstat(path))
            except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                return self._missing(part)
            if kind == 'link':
                self._link(str(await self.client.readlink(path)))
            elif kind != 'dir' and self.todo:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), text((*self.names, part)))
            else:
                self.names.append(part)
        return tuple(self.names)

    def _missing(self, part: str) -> Parts:
        rest = [part, *reversed(self.todo)]
        if '..' in rest:
            raise Outside(f'{text(self.asked)}: a link leads through a directory that does not exist')
        return (*self.names, *rest)

    def _link(self, target: str) -> None:
        self.links += 1
        if self.links > _LINKS:
            raise OSError(errno.ELOOP, 'links that lead to one another', text(self.asked))
        names = [name for name in target.split('/') if name not in ('', '.')]
        if target.startswith('/'):
            real = [name for name in self.root.split('/') if name]
            if names[: len(real)] != real:
                raise Outside(f'{text(self.asked)}: a link leads out of the collection')
            names = names[len(real) :]
            self.names.clear()
        self.todo.extend(reversed(names))


def _kind(attrs: asyncssh.SFTPAttrs) -> str:
    mode = attrs.permissions or 0
    return next((kind for test, kind in _KINDS if test(mode)), 'other')


def _entry(name: str, attrs: asyncssh.SFTPAttrs, target: str | None = None) -> Entry:
    mtime = None if attrs.mtime is None else attrs.mtime + (attrs.mtime_ns or 0) / 1e9
    mark = f'{attrs.size}:{attrs.mtime}:{attrs.mtime_ns}'
    user, group = _named(attrs.owner, attrs.uid), _named(attrs.group, attrs.gid)
    permissions = '' if attrs.permissions is None else f'{stat.S_IMODE(attrs.permissions):04o}'
    return Entry(name, _kind(attrs), attrs.size or 0, mtime, user, group, permissions, target, mark)


def _named(name: Any, number: int | None) -> str:
    return str(name) if name else '' if number is None else str(number)


def open_store(collection: Collection) -> Store:
    """The store of an `sftp:` collection; connects when it is first used."""
    return SftpStore(Session(collection))
