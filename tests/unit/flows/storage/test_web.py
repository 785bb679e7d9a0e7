"""Collections on a real HTTPS server on loopback, and where it may not send us."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web as web_api

from relay_parsl.flows.actions.base import ActionUnableToRun
from relay_parsl.flows.actions.listing import LsAction, StatAction
from relay_parsl.flows.actions.transfer import TransferAction
from tests.unit.flows.storage.desk import desk, one, tree
from tests.unit.flows.storage.servers import web

BIG = os.urandom(3_000_001)


class Pages:
    """What the server has, and what it was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {'/pub/big': BIG, '/pub/a b%2Fc?': b'odd', '/secret': b'secret', '/pub2/x': b'secret'}
        self.redirects: dict[str, str] = {}
        self.failures: dict[str, list[int]] = {}
        self.asked: list[str] = []
        self.head = True

    async def answer(self, request: web_api.Request) -> web_api.StreamResponse:
        self.asked.append(f'{request.method} {request.raw_path}')
        if request.path in self.redirects:
            return web_api.Response(status=302, headers={'Location': self.redirects[request.path]})
        if request.method == 'HEAD' and not self.head:
            return web_api.Response(status=405)
        if self.failures.get(request.path):
            return web_api.Response(status=self.failures[request.path].pop(0))
        if request.path not in self.files:
            return web_api.Response(status=404)
        body = self.files[request.path]
        if 'Range' in request.headers:
            return web_api.Response(status=206, body=body[:1], headers={'Content-Range': f'bytes 0-0/{len(body)}'})
        return web_api.Response(body=body, headers={'Last-Modified': 'Thu, 01 Jan 2026 00:00:00 GMT', 'ETag': '"1"'})


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def server(tmp_path: Path, pages: Pages) -> Iterator[dict[str, Any]]:
    with web(tmp_path / 'web', pages.answer) as place:
        yield place


def fetch(tmp_path: Path, place: dict[str, Any], path: str, expected: str = 'SUCCEEDED', **fields: Any) -> dict[str, Any]:
    with desk(TransferAction, tmp_path, here=place, there=tmp_path / 'there') as made:
        status = made.do(one(path, '/got', **fields))
        assert status.status == expected, status.details
        return dict(status.details)


def test_a_file_is_fetched(tmp_path: Path, server: dict[str, Any], pages: Pages) -> None:
    found = fetch(tmp_path, server, '/big', preserve_timestamp=True)
    assert tree(tmp_path / 'there') == {'got': BIG}
    assert found['bytes_transferred'] == len(BIG)
    assert (tmp_path / 'there/got').stat().st_mtime == 1767225600
    assert fetch(tmp_path, server, '/big')['files_skipped'] == 1


def test_names_mean_themselves(tmp_path: Path, server: dict[str, Any], pages: Pages) -> None:
    fetch(tmp_path, server, '/a b%2Fc?')
    assert tree(tmp_path / 'there') == {'got': b'odd'}
    assert pages.asked[0] == 'HEAD /pub/a%20b%252Fc%3F'


def test_a_server_without_head_is_asked_for_a_byte(tmp_path: Path, server: dict[str, Any], pages: Pages) -> None:
    pages.head = False
    fetch(tmp_path, server, '/big')
    assert tree(tmp_path / 'there') == {'got': BIG}


def test_plain_http_is_spoken_with_this_machine(tmp_path: Path, pages: Pages) -> None:
    with web(tmp_path / 'web', pages.answer, secure=False) as place:
        fetch(tmp_path, place, '/big')
    assert tree(tmp_path / 'there') == {'got': BIG}


@pytest.mark.parametrize('path', ['/pub/one', '/pub/deep/two', 'one', './one'])
def test_redirects_beneath_the_root_are_followed(tmp_path: Path, server: dict[str, Any], pages: Pages, path: str) -> None:
    pages.redirects['/pub/moved'] = path
    pages.files |= {'/pub/one': b'moved', '/pub/deep/two': b'moved'}
    fetch(tmp_path, server, '/moved')
    assert tree(tmp_path / 'there') == {'got': b'moved'}


@pytest.mark.attack(40)
@pytest.mark.parametrize(
    'target',
    [
        '/secret',
        '/pub2/x',
        '../secret',
        '/pub/../secret',
        '/pub/%2e%2e/secret',
        '/pub/..%2fsecret',
        'file:///etc/passwd',
        'http://169.254.169.254/latest/meta-data/',
        'http://127.0.0.1/pub/big',
        'https://127.0.0.1:1/pub/big',
        'https://localhost/pub/big',
        'https://example.org/pub/big',
        '//example.org/pub/big',
        'https://me:secret@127.0.0.1/pub/big',
        'gopher://127.0.0.1/',
        '',
    ],
)
def test_redirects_to_elsewhere_are_refused(tmp_path: Path, server: dict[str, Any], pages: Pages, target: str) -> None:
    pages.redirects['/pub/moved'] = target
    found = fetch(tmp_path, server, '/moved', 'FAILED')
    assert found['code'] in ('PERMISSION_DENIED', 'SYMLINK_LOOP')
    assert tree(tmp_path / 'there') == {}
    assert not [asked for asked in pages.asked if 'moved' not in asked]


@pytest.mark.attack(40)
def test_a_redirect_that_comes_between_is_refused(tmp_path: Path, server: dict[str, Any], pages: Pages) -> None:
    """HEAD is answered, GET is sent away."""
    real = pages.answer

    async def answer(request: web_api.Request) -> web_api.StreamResponse:
        if request.method == 'GET':
            return web_api.Response(status=302, headers={'Location': 'http://169.254.169.254/'})
        return await real(request)

    with web(tmp_path / 'other', answer) as place:
        assert fetch(tmp_path, place, '/big', 'FAILED')['code'] == 'PERMISSION_DENIED'


def test_errors_that_pass_are_waited_out(tmp_path: Path, server: dict[str, Any], pages: Pages) -> None:
    pages.failures['/pub/big'] = [503, 429]
    found = fetch(tmp_path, server, '/big')
    assert found['faults'] == 2
    assert tree(tmp_path / 'there') == {'got': BIG}


@pytest.mark.parametrize(('status', 'code'), [(404, 'FILE_NOT_FOUND'), (403, 'PERMISSION_DENIED'), (401, 'PERMISSION_DENIED')])
def test_errors_that_stay_end_it(tmp_path: Path, server: dict[str, Any], pages: Pages, status: int, code: str) -> None:
    pages.failures['/pub/big'] = [status] * 9
    assert fetch(tmp_path, server, '/big', 'FAILED')['code'] == code


def test_a_certificate_must_be_trusted(tmp_path: Path, server: dict[str, Any]) -> None:
    found = fetch(tmp_path, {'root': server['root']}, '/big', 'FAILED')
    assert found['code'] == 'PERMISSION_DENIED'
    assert 'ca_file' in found['fatal_error']['description']


def test_it_cannot_be_written_or_listed(tmp_path: Path, server: dict[str, Any]) -> None:
    with desk(TransferAction, tmp_path, here=tmp_path / 'there', there=server) as made, pytest.raises(ActionUnableToRun, match='only be read'):
        made.run(one('/x', '/y'))
    with desk(LsAction, tmp_path, far=server) as made:
        found = made.run({'endpoint_id': 'far', 'path': '/'})
        assert 'name each file' in found.details['description']
    with desk(StatAction, tmp_path, far=server) as made:
        assert made.run({'endpoint_id': 'far', 'path': '/big'}).details['size'] == len(BIG)
