"""`ls`, `stat`, `mkdir` and `collection_info`: what they answer."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.flows.actions.base import Action, ActionUnableToRun
from relay_parsl.flows.actions.collection_info import CollectionInfoAction
from relay_parsl.flows.actions.listing import LsAction, StatAction
from relay_parsl.flows.actions.mkdir import MkdirAction
from tests.unit.flows.storage.desk import desk

UUID = '74defd5b-5f61-42fc-bcc4-834c9f376a4f'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / 'root'
    (root / 'd').mkdir(parents=True)
    (root / 'b.txt').write_text('bb')
    (root / 'a.dat').write_text('a')
    (root / '.hidden').write_text('')
    (root / 'to-d').symlink_to('d')
    (root / 'nowhere').symlink_to('missing')
    (root / 'out').symlink_to('/etc/passwd')
    os.utime(root / 'a.dat', (0, 0))
    return root


@pytest.fixture
def ask(tmp_path: Path, root: Path) -> Iterator[Any]:
    def asked(kind: type[Action], expected: str = 'SUCCEEDED', **body: Any) -> dict[str, Any]:
        collection = {'root': str(root), 'uuid': UUID, 'title': 'The files', 'home': '/d', 'owner': 'ada@example.org'}
        with desk(kind, tmp_path, files=collection) as made:
            context = {'username': 'ada@example.org'}
            status = made.run({'endpoint_id': UUID, **body}, request_id=f'{uuid.uuid4()}:S:1', context=context)
            assert status.status == expected, status
            return dict(status.details)

    return asked


def names(found: dict[str, Any]) -> list[str]:
    return [each['name'] for each in found['DATA']]


def test_a_listing_has_the_shape_of_globus(ask: Any) -> None:
    found = ask(LsAction, path='/')
    assert (found['DATA_TYPE'], found['endpoint'], found['path'], found['total'], found['length']) == ('file_list', UUID, '/', 7, 7)
    by_name = {each['name']: each for each in found['DATA']}
    file = by_name['a.dat']
    assert (file['type'], file['size'], file['is_folder'], file['last_modified']) == ('file', 1, False, '1970-01-01 00:00:00+00:00')
    assert file['permissions'] in ('0644', '0664', '0600')
    assert (by_name['d']['type'], by_name['d']['is_folder']) == ('dir', True)


def test_links_are_shown_as_what_they_lead_to(ask: Any) -> None:
    by_name = {each['name']: each for each in ask(LsAction, path='/')['DATA']}
    assert (by_name['to-d']['type'], by_name['to-d']['is_folder'], by_name['to-d']['link_target']) == ('dir', True, 'd')
    assert by_name['nowhere']['type'] == by_name['out']['type'] == 'invalid_symlink'
    assert by_name['out']['size'] != Path('/etc/passwd').stat().st_size


@pytest.mark.parametrize(
    ('said', 'expected'),
    [
        ({'limit': 2}, ['.hidden', 'a.dat']),
        ({'limit': 2, 'offset': 5}, ['out', 'to-d']),
        ({'show_hidden': False, 'filter': 'type:file'}, ['a.dat', 'b.txt']),
        ({'filter': 'name:~*.txt'}, ['b.txt']),
        ({'filter': 'name:!~*.txt/type:file'}, ['.hidden', 'a.dat']),
        ({'filter': ['type:file', 'size:>=1']}, ['a.dat', 'b.txt']),
        ({'filter': 'type:file', 'orderby': 'size DESC,name'}, ['b.txt', 'a.dat', '.hidden']),
        ({'filter': 'name:a.dat,b.txt', 'orderby': ['name DESC']}, ['b.txt', 'a.dat']),
        ({'path_only': True}, ['files']),
        ({'path': '/b.txt'}, ['b.txt']),
    ],
)
def test_what_is_listed(ask: Any, said: dict[str, Any], expected: list[str]) -> None:
    found = ask(LsAction, **{'path': '/', **said})
    assert names(found) == expected
    assert found['length'] == len(expected)


def test_path_only_tells_of_the_path_itself(ask: Any) -> None:
    found = ask(LsAction, path='/d/', path_only=True)
    assert [(each['name'], each['is_folder']) for each in found['DATA']] == [('d', True)]


def test_without_a_path_the_home_is_listed(ask: Any) -> None:
    assert ask(LsAction)['path'] == '/d/'
    assert ask(LsAction, path='/~/')['path'] == '/d/'


def test_stat_tells_file_from_directory_and_from_nothing(ask: Any) -> None:
    assert ask(StatAction, path='/b.txt')['type'] == 'file'
    found = ask(StatAction, path='/d/')
    assert (found['DATA_TYPE'], found['name'], found['type'], found['link_target']) == ('file', 'd', 'dir', None)
    assert ask(StatAction, 'FAILED', path='/missing')['code'] == 'NotFound'
    assert ask(StatAction, 'FAILED', path='/b.txt/')['code'] == 'NotDirectory'
    assert ask(StatAction, 'FAILED', path='/out')['code'] == 'PermissionDenied'


def test_mkdir_makes_one(ask: Any, root: Path) -> None:
    found = ask(MkdirAction, path='/~/new folder/')
    assert (root / 'd/new folder').is_dir()
    assert (found['DATA_TYPE'], found['code'], found['resource']) == ('mkdir_result', 'DirectoryCreated', f'/operation/endpoint/{UUID}/mkdir')
    assert ask(MkdirAction, 'FAILED', path='/d/new folder')['code'] == 'ExternalError.MkdirFailed.Exists'
    assert ask(MkdirAction, 'FAILED', path='/x/y')['code'] == 'ExternalError.MkdirFailed.NotFound'
    assert ask(MkdirAction, 'FAILED', path='/out/x')['code'] == 'PermissionDenied'


def test_a_directory_that_the_same_request_made_is_its_own(tmp_path: Path) -> None:
    """The process died between the directory and the row of its end."""
    body = {'endpoint_id': 'files', 'path': '/new'}
    with desk(MkdirAction, tmp_path, files=tmp_path / 'root') as made:
        made.run(body, request_id='run:Make:1')
        row = made.rows.get('mkdir/action/run:Make:1')
        del row['ended']
        made.rows.put('mkdir/action/run:Make:1', row)
        assert made.run(body, request_id='run:Make:1').status == 'SUCCEEDED'
        assert made.run(body, request_id='run:Make:2').status == 'FAILED'


def test_a_collection_describes_itself_and_not_its_root(ask: Any, root: Path) -> None:
    found = ask(CollectionInfoAction)
    assert (found['id'], found['display_name'], found['default_directory'], found['writable']) == (UUID, 'The files', '/d/', True)
    assert str(root) not in str(found)


def test_an_unknown_collection_names_the_known_ones(tmp_path: Path) -> None:
    with desk(LsAction, tmp_path, files=tmp_path / 'root') as made, pytest.raises(ActionUnableToRun, match="'other': known are files; add it"):
        made.run({'endpoint_id': 'other'})
