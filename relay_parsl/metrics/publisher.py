"""Where metrics go: a file that is replaced atomically, and, for a relay that is asked to, GET /metrics."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from relay_parsl.errors import ConfigError
from relay_parsl.metrics.text import Family, render

if TYPE_CHECKING:
    from http.server import HTTPServer

log = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds between two censuses."""
PATIENCE = 5.0
"""Seconds that a reader over HTTP has. One is served at a time: a scrape takes a millisecond."""
FILE, BIND = 'RELAY_PARSL_METRICS', 'RELAY_PARSL_METRICS_BIND'
"""Variables that hand `--metrics` and `--metrics-bind` to a process that is started detached; taken out of the environment before tasks run in it."""


class Publisher:
    """Renders what it is given, every `INTERVAL` at most."""

    def __init__(self, file: Path | None = None, bind: str = '') -> None:
        """`file` is replaced at each census; `bind`: `HOST:PORT` for HTTP. Nothing is written or bound where both are missing.

        Raises:
            ConfigError: the address cannot be had, or the file has no directory.
        """
        self._file, self._text, self._next, self._failed = file, '', 0.0, False
        self._server = _serve(bind, lambda: self._text) if bind else None
        self.wanted = bool(file or bind)
        if file and not file.parent.is_dir():
            raise ConfigError(f'--metrics {file}: there is no directory {file.parent}')

    @property
    def port(self) -> int:
        """Of HTTP; 0 when there is none."""
        return int(self._server.server_address[1]) if self._server else 0

    def due(self) -> bool:
        """Whether it is time for a census."""
        return self.wanted and time.monotonic() >= self._next

    def publish(self, families: Iterable[Family]) -> None:
        """Render and hand out. A disk that refuses is told once."""
        self._next = time.monotonic() + INTERVAL
        self._text = render(families)
        if self._file is None:
            return
        try:
            self._replace(self._file)
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning('%s: %s; metrics are not written', self._file, error.strerror)
            self._failed = True

    def close(self) -> None:
        """No more HTTP; the file stays, for its age tells that nobody writes it."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    def _replace(self, file: Path) -> None:
        """Readable by others, for the collector is another user; the name ends in another suffix until it is whole."""
        fresh = file.with_name(f'.{file.name}.{os.getpid()}')
        with suppress(FileNotFoundError):
            fresh.unlink()
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            with os.fdopen(fd, 'w') as out:
                os.fchmod(fd, 0o644)
                out.write(self._text)
            os.replace(fresh, file)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise


@contextmanager
def published() -> Iterator[Publisher]:
    """The publisher that the command line asked for, closed at the end. Raises ConfigError."""
    file, bind = os.environ.pop(FILE, ''), os.environ.pop(BIND, '')
    publisher = Publisher(Path(file) if file else None, bind)
    try:
        yield publisher
    finally:
        publisher.close()


def is_loopback(bind: str) -> bool:
    """Whether `HOST:PORT` is for this machine alone."""
    host = bind.rpartition(':')[0].strip('[]')
    try:
        return host == 'localhost' or ip_address(host).is_loopback
    except ValueError:
        return False


def _serve(bind: str, text: Callable[[], str]) -> HTTPServer:
    from http.server import BaseHTTPRequestHandler, HTTPServer  # noqa: PLC0415  few ask for it, and it loads half of email

    host, _, port = bind.rpartition(':')

    class Handler(BaseHTTPRequestHandler):
        timeout: ClassVar[float | None] = PATIENCE
        server_version, sys_version = 'relay-parsl', ''

        def do_GET(self) -> None:
            """The last census, at /metrics alone."""
            found = self.path == '/metrics'
            body = text().encode() if found else b'GET /metrics\n'
            self.send_response(200 if found else 404)
            self.send_header('Content-Type', 'text/plain; version=0.0.4; charset=utf-8')
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: Any) -> None:
            """Scrapes are no news."""

    try:
        server = HTTPServer((host.strip('[]'), int(port)), Handler)
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(f'--metrics-bind {bind}: {error}') from None
    threading.Thread(target=server.serve_forever, name='relay-parsl metrics', daemon=True).start()
    return server
