"""One SSH connection to a storage server, made when it is first needed and again after it broke; threads call, one loop speaks.

Keys, agents, jump hosts and aliases are those of `ssh`: `~/.ssh/config` is read. A host that `known_hosts` does not know is refused.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import asyncssh
from sshfs import SSHFileSystem

from relay_parsl.flows.storage.collections import Collection
from relay_parsl.flows.storage.faults import Transient

T = TypeVar('T')
PATIENCE = 60.0
"""Seconds for one answer."""
_KNOWN: dict[type[asyncssh.SFTPError], int] = {
    asyncssh.SFTPNoSuchFile: errno.ENOENT,
    asyncssh.SFTPNoSuchPath: errno.ENOENT,
    asyncssh.SFTPPermissionDenied: errno.EACCES,
    asyncssh.SFTPWriteProtect: errno.EROFS,
    asyncssh.SFTPFileAlreadyExists: errno.EEXIST,
    asyncssh.SFTPNoSpaceOnFilesystem: errno.ENOSPC,
    asyncssh.SFTPQuotaExceeded: errno.EDQUOT,
    asyncssh.SFTPDirNotEmpty: errno.ENOTEMPTY,
    asyncssh.SFTPNotADirectory: errno.ENOTDIR,
    asyncssh.SFTPFileIsADirectory: errno.EISDIR,
    asyncssh.SFTPLinkLoop: errno.ELOOP,
    asyncssh.SFTPInvalidFilename: errno.ENAMETOOLONG,
}
_LOST = (asyncssh.SFTPNoConnection, asyncssh.SFTPConnectionLost, asyncssh.SFTPEOFError)


class Session:
    """The connection of one collection."""

    def __init__(self, collection: Collection) -> None:
        url = urlsplit(collection.root)
        self.collection = collection
        self.host, self.path = url.hostname or '', unquote(url.path)
        known = Path(collection.known_hosts or '~/.ssh/known_hosts').expanduser()
        self._known_hosts = known
        options: dict[str, Any] = {'known_hosts': str(known), 'connect_timeout': 30, 'keepalive_interval': 15, 'keepalive_count_max': 4}
        if url.port:
            options['port'] = url.port
        if url.username:
            options['username'] = unquote(url.username)
        if collection.private_key:
            options['client_keys'] = [str(Path(collection.private_key).expanduser())]
        self._options = options
        self._lock = threading.Lock()
        self._open: tuple[SSHFileSystem, asyncssh.SFTPClient] | None = None

    def call(self, step: Callable[[asyncssh.SFTPClient], Awaitable[T]], path: str = '') -> T:
        """What the step comes to, in the loop of the connection. Errors become the OSErrors that they stand for, about this path."""
        files, client = self._connected()
        answer: T = self._awaited(files, _with(step, client), path)
        return answer

    def run(self, command: str) -> asyncssh.SSHCompletedProcess:
        """Run a command at the server. Raises OSError where it lets nobody."""
        files, _ = self._connected()
        done: asyncssh.SSHCompletedProcess = self._awaited(files, files.client.run(command, encoding=None, check=False), command[:80])
        return done

    def later(self, step: Callable[[asyncssh.SFTPClient], Awaitable[T]], path: str = '') -> Callable[[], T]:
        """Begin a step; what is returned waits for it."""
        files, client = self._connected()
        future = asyncio.run_coroutine_threadsafe(_with(step, client), files.loop)
        return lambda: self._settled(future, path)

    def _awaited(self, files: SSHFileSystem, step: Any, path: str) -> Any:
        return self._settled(asyncio.run_coroutine_threadsafe(step, files.loop), path)

    def _settled(self, future: Any, path: str) -> Any:
        try:
            return future.result(PATIENCE)
        except FutureTimeout:
            future.cancel()
            self.drop()
            raise Transient(f'{self.host} does not answer') from None
        except (asyncssh.Error, OSError) as error:
            raise self._translated(error, path) from None

    def _translated(self, error: Exception, path: str) -> OSError:
        if isinstance(error, _LOST) or (isinstance(error, asyncssh.DisconnectError) and not isinstance(error, asyncssh.PermissionDenied)):
            self.drop()
            return Transient(f'the connection to {self.host} broke: {error}')
        if isinstance(error, asyncssh.SFTPError):
            code = next((code for kind, code in _KNOWN.items() if isinstance(error, kind)), 0)
            return OSError(code, os.strerror(code), path) if code else OSError(errno.EIO, f'{self.host} says: {error.reason}', path)
        return error if isinstance(error, OSError) else OSError(errno.EIO, f'{self.host}: {error}', path)

    def _connected(self) -> tuple[SSHFileSystem, asyncssh.SFTPClient]:
        with self._lock:
            if self._open is None:
                self._open = self._connect()
            return self._open

    def _connect(self) -> tuple[SSHFileSystem, asyncssh.SFTPClient]:
        if not self._known_hosts.is_file():
            raise PermissionError(f'{self._known_hosts} does not exist, so {self.host} cannot be checked; connect once with `ssh {self.host}`')
        try:
            files = SSHFileSystem(self.host, skip_instance_cache=True, **self._options)
            start = files.client.start_sftp_client(path_encoding='utf-8', path_errors='surrogateescape')
            return files, asyncio.run_coroutine_threadsafe(_entered(start), files.loop).result(PATIENCE)
        except asyncssh.HostKeyNotVerifiable as error:
            raise PermissionError(f'the key of {self.host} is not that of {self._known_hosts}: {error}; if it is right, add it there') from None
        except (PermissionError, asyncssh.PermissionDenied, asyncssh.KeyImportError) as error:
            raise PermissionError(f'{self.host} lets nobody in: {error}; name a key with `private_key`, or load it into the agent') from None
        except (OSError, asyncssh.Error, FutureTimeout) as error:
            raise Transient(f'no connection to {self.host}: {error}') from None

    def drop(self) -> None:
        """The connection is of no more use."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None:
            with suppress(RuntimeError):
                opened[0].loop.call_soon_threadsafe(opened[0].client.abort)

    def close(self) -> None:
        """Take leave."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None:
            with suppress(RuntimeError, FutureTimeout, asyncssh.Error, OSError):
                asyncio.run_coroutine_threadsafe(_farewell(*opened), opened[0].loop).result(2.0)


async def _with(step: Callable[[asyncssh.SFTPClient], Awaitable[T]], client: asyncssh.SFTPClient) -> T:
    return await step(client)


async def _entered(start: Awaitable[asyncssh.SFTPClient]) -> asyncssh.SFTPClient:
    return await start


async def _farewell(files: SSHFileSystem, client: asyncssh.SFTPClient) -> None:
    client.exit()
    files.client.close()
    await files.client.wait_closed()
