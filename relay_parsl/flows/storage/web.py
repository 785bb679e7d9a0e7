"""Files of an HTTPS server, to be read.

The server is the one that the owner of the collection named: a redirect may stay beneath the root of the collection and leads nowhere else, neither
to another host, port or scheme nor to addresses that only this machine can see. There are no directories: a flow names each file.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urljoin

import aiohttp
from fsspec.asyn import get_loop
from yarl import URL

from relay_parsl.flows.storage.base import BLOCK, Entry, Reader, Store
from relay_parsl.flows.storage.collections import Collection
from relay_parsl.flows.storage.faults import Outside, Transient
from relay_parsl.flows.storage.paths import Parts, text

T = TypeVar('T')
PATIENCE = 60.0
"""Seconds without a byte."""
REDIRECTS = 5
_HEADERS = {'Accept-Encoding': 'identity', 'User-Agent': 'relay-parsl'}
_ENDS = {401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT, 410: errno.ENOENT}
_LATER = {408, 425, 429, 500, 502, 503, 504}


class WebStore(Store):
    """What lies beneath one URL."""

    writable = False

    def __init__(self, collection: Collection) -> None:
        self.root = URL(collection.root.rstrip('/') + '/')
        self._ca_file = collection.ca_file
        self.loop: asyncio.AbstractEventLoop = get_loop()
        self._lock = threading.Lock()
        self._session: aiohttp.ClientSession | None = None

    # --- the conversation ----------------------------------------------------------------------------------------------------------------------

    def call(self, step: Coroutine[Any, Any, T], shown: str) -> T:
        """What the step comes to, in the loop. Errors become the OSErrors that they stand for."""
        future = asyncio.run_coroutine_threadsafe(step, self.loop)
        try:
            return future.result(2 * PATIENCE)
        except FutureTimeout:
            future.cancel()
            raise Transient(f'{self.root.host} does not answer') from None
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise PermissionError(f'{self.root.host}: its certificate is not trusted: {error}; name the right ones with `ca_file`') from None
        except aiohttp.ClientError as error:
            raise Transient(f'{shown}: {self.root.host}: {error}') from None

    async def session(self) -> aiohttp.ClientSession:
        """One for all threads."""
        if self._session is None or self._session.closed:
            context = ssl.create_default_context(cafile=str(Path(self._ca_file).expanduser()) if self._ca_file else None)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=PATIENCE)
            connector = aiohttp.TCPConnector(ssl=context, limit=64)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, headers=_HEADERS, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    def url(self, parts: Parts) -> URL:
        """Where a path is; every name is quoted whole, so that none can mean anything but itself."""
        names = '/'.join(quote(part, safe='', errors='surrogateescape') for part in parts)
        return URL(f'{self.root}{names}', encoded=True)

    async def ask(self, method: str, parts: Parts, headers: dict[str, str] | None = None) -> aiohttp.ClientResponse:
        """The answer, with redirects followed as far as they may be. The caller releases it."""
        session, url = await self.session(), self.url(parts)
        for _ in range(REDIRECTS):
            response = await session.request(method, url, allow_redirects=False, headers=headers)
            if response.status not in (301, 302, 303, 307, 308):
                return self._judged(response, parts)
            response.release()
            url = self._redirected(url, response.headers.get('Location', ''), parts)
        raise OSError(errno.ELOOP, f'more than {REDIRECTS} redirects', text(parts))

    def _redirected(self, url: URL, location: str, parts: Parts) -> URL:
        try:
            target = URL(urljoin(str(url), location), encoded=True)
            elsewhere = target.origin() != self.root.origin() or bool(target.user or target.password)
        except ValueError:  # no address of a server
            elsewhere, target = True, URL()
        if elsewhere:
            raise Outside(f'{text(parts)}: the server sends us to {location[:100]!r}; if that is wanted, make it a collection of its own')
        path = target.raw_path
        if not path.startswith(self.root.raw_path) or any(step in ('.', '..') for step in target.path.replace('\\', '/').split('/')):
            raise Outside(f'{text(parts)}: the server sends us out of the root of the collection')
        return target

    def _judged(self, response: aiohttp.ClientResponse, parts: Parts) -> aiohttp.ClientResponse:
        if response.status in (200, 206):
            return response
        response.release()
        said = f'{self.root.host} says: {response.status} {response.reason}'
        if response.status in _LATER:
            raise Transient(f'{text(parts)}: {said}')
        raise OSError(_ENDS.get(response.status, errno.EINVAL), said, text(parts))

    # --- the store -----------------------------------------------------------------------------------------------------------------------------

    def resolve(self, parts: Parts) -> Parts:
        """There are no links that we could see."""
        return parts

    def entry(self, parts: Parts) -> Entry:
        """What the server says of a file; the root is a directory."""
        if not parts:
            return Entry('', 'dir')
        return self.call(self._entry(parts), text(parts))

    async def _entry(self, parts: Parts) -> Entry:
        try:
            response = await self.ask('HEAD', parts)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            response = await self.ask('GET', parts, {'Range': 'bytes=0-0'})  # a server that knows no HEAD
        async with response:
            if response.url.raw_path.endswith('/'):
                return Entry(parts[-1], 'dir')
            return _entry(parts, response)

    def entries(self, parts: Parts) -> Iterator[Entry]:
        """Nobody can say."""
        raise OSError(errno.EOPNOTSUPP, 'an HTTPS server lists no directories; name each file', text(parts))

    def read(self, parts: Parts) -> Reader:
        """Open a file."""
        return _WebReader(self, parts)

    def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            with suppress(FutureTimeout, OSError, RuntimeError):
                asyncio.run_coroutine_threadsafe(session.close(), self.loop).result(2.0)


def _entry(parts: Parts, response: aiohttp.ClientResponse) -> Entry:
    headers = response.headers
    size = headers.get('Content-Range', '').rpartition('/')[2] if response.status == 206 else headers.get('Content-Length', '')
    if not size.isdigit():
        raise OSError(errno.EOPNOTSUPP, 'the server does not say how long the file is', text(parts))
    mtime = None
    with suppress(TypeError, ValueError):
        mtime = parsedate_to_datetime(headers.get('Last-Modified', '')).timestamp()
    mark = ':'.join((headers.get('ETag', ''), headers.get('Last-Modified', ''), size))
    return Entry(parts[-1], 'file', int(size), mtime, mark=mark)


class _WebReader(Reader):
    """One answer, read with a block on its way while the other is worked on."""

    def __init__(self, store: WebStore, parts: Parts) -> None:
        self.store, self.parts, self.shown = store, parts, text(parts)
        self._open()

    def _open(self) -> None:
        self.response = self.store.call(self.store.ask('GET', self.parts), self.shown)
        self._buffer = b''

    def rewind(self) -> None:
        self.close()
        self._open()

    def read(self, most: int = BLOCK) -> bytes:
        if not self._buffer:
            self._buffer = self.store.call(self._block(), self.shown)
        data, self._buffer = self._buffer[:most], self._buffer[most:]
        return data

    async def _block(self) -> bytes:
        """What is there, up to a block: a slow server's bytes are not waited for together."""
        found = [await self.response.content.read(BLOCK)]
        while found[-1] and sum(map(len, found)) < BLOCK and not self.response.content.at_eof():
            found.append(await self.response.content.read(BLOCK - sum(map(len, found))))
        return b''.join(found)

    def close(self) -> None:
        """A connection with the rest of a file in it is of no more use."""
        self.store.loop.call_soon_threadsafe(self.response.close)


def open_store(collection: Collection) -> Store:
    """The store of an `https:` collection; connects when it is first used."""
    return WebStore(collection)
