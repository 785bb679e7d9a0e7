"""A small DataCite: `POST /dois`, `GET /dois/ID`, basic authentication, and faults on request."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote


class Datacite:
    """Use it as a context manager. `fault`: `lose` mints and answers nothing, `redirect` sends elsewhere, `html` answers no JSON."""

    def __init__(self) -> None:
        self.dois: dict[str, Any] = {}
        self.minted: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.fault = ''
        self.token = base64.b64encode(b'lab:geheim').decode()

    def __enter__(self) -> Datacite:
        self._server = ThreadingHTTPServer(('127.0.0.1', 0), type('Bound', (Handler,), {'owner': self}))
        self._server.daemon_threads = False
        self.url = f'http://127.0.0.1:{self._server.server_address[1]}'
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def mint(self, data: Any) -> None:
        self.minted.append(data['id'])
        titles = [{'lang': None, **each} for each in data['attributes'].get('titles', [])]
        self.dois[data['id']] = {'id': data['id'], 'type': 'dois', 'attributes': {'state': 'draft', **data['attributes'], 'titles': titles}}

    def create(self, data: Any, authorization: str | None) -> tuple[int, Any]:
        if authorization != f'Basic {self.token}':
            return 401, {'errors': [{'status': '401', 'title': 'Bad credentials.'}]}
        if self.fault in ('redirect', 'html'):
            return (302 if self.fault == 'redirect' else 500), None
        if data['id'] in self.dois:
            return 422, {'errors': [{'source': 'doi', 'title': 'This DOI has already been taken'}]}
        self.mint(data)
        return (0 if self.fault == 'lose' else 201), {'data': self.dois[data['id']]}


class Handler(BaseHTTPRequestHandler):
    owner: Datacite

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.owner.asked.append(('GET', self.path))
        found = self.owner.dois.get(unquote(self.path).removeprefix('/dois/'))
        self.answer(200, {'data': found}) if found else self.answer(404, {'errors': [{'title': 'not here'}]})

    def do_POST(self) -> None:
        self.owner.asked.append(('POST', self.path))
        data = json.loads(self.rfile.read(int(self.headers['Content-Length'])))['data']
        self.answer(*self.owner.create(data, self.headers['Authorization']))

    def answer(self, status: int, document: Any) -> None:
        """0: nothing is said."""
        if not status:
            return
        text = b'<html>' if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(text)))
        if status == 302:
            self.send_header('Location', 'http://127.0.0.1:1/')
        self.end_headers()
        self.wfile.write(text)
