"""Deletes: what goes, what stays, what is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.flows.actions.base import ActionUnableToRun
from relay_parsl.flows.actions.delete import DeleteAction
from tests.unit.flows.storage.desk import Desk, desk, tree


@pytest.fixture
def delete(tmp_path: Path) -> Iterator[Desk]:
    root = tmp_path / 'root'
    (root / 'd/deep').mkdir(parents=True)
    (root / 'd/deep/f').write_text('f')
    (root / 'd/up').symlink_to('..')
    for name in ('a.tmp', 'b.tmp', '.c.tmp', 'keep', 'odd\nname *'):
        (root / name).write_text(name)
    (tmp_path / 'outside').mkdir()
    (tmp_path / 'outside/precious').write_text('precious')
    (root / 'link').symlink_to(tmp_path / 'outside')
    with desk(DeleteAction, tmp_path, files=root) as made:
        yield made


def body(*paths: str, **fields: Any) -> dict[str, Any]:
    return {'endpoint': 'files', 'DATA': [{'path': path} for path in paths], **fields}


def code(status: Any) -> str:
    assert status.status == 'FAILED'
    return str(status.details['code'])


def test_files_and_trees_go(delete: Desk, tmp_path: Path) -> None:
    status = delete.do(body('/d', '/a.tmp', '/odd\nname *', recursive=True))
    assert (status.status, status.details['files'], status.details['directories']) == ('SUCCEEDED', 4, 2)
    assert sorted(tree(tmp_path / 'root')) == ['.c.tmp', 'b.tmp', 'keep', 'link']


def test_the_form_of_2020_does_the_same(delete: Desk, tmp_path: Path) -> None:
    assert delete.do({'endpoint_id': 'files', 'items': [{'path': '/keep'}]}).status == 'SUCCEEDED'
    assert not (tmp_path / 'root/keep').exists()


def test_a_link_is_removed_and_not_followed(delete: Desk, tmp_path: Path) -> None:
    assert delete.do(body('/link', recursive=True)).status == 'SUCCEEDED'
    assert not (tmp_path / 'root/link').is_symlink()
    assert (tmp_path / 'outside/precious').read_text() == 'precious'


def test_nothing_is_removed_through_a_link_that_leads_out(delete: Desk, tmp_path: Path) -> None:
    assert code(delete.do(body('/link/precious'))) == 'PERMISSION_DENIED'
    assert code(delete.do(body('/link/*', interpret_globs=True))) == 'PERMISSION_DENIED'
    assert (tmp_path / 'outside/precious').exists()


def test_a_directory_needs_recursive(delete: Desk, tmp_path: Path) -> None:
    assert code(delete.do(body('/keep', '/d'))) == 'IS_A_DIRECTORY'
    assert (tmp_path / 'root/keep').exists()


def test_what_is_missing_is_a_fault_unless_it_may_be(delete: Desk) -> None:
    assert code(delete.do(body('/keep', '/missing'))) == 'FILE_NOT_FOUND'
    assert delete.do(body('/missing', '/keep', ignore_missing=True)).status == 'SUCCEEDED'


def test_patterns_are_for_who_asks_for_them(delete: Desk, tmp_path: Path) -> None:
    assert code(delete.do(body('/*.tmp'))) == 'FILE_NOT_FOUND'
    assert delete.do(body('/*.tmp', '/d/*/?', interpret_globs=True)).status == 'SUCCEEDED'
    assert sorted(tree(tmp_path / 'root')) == ['.c.tmp', 'd', 'd/deep', 'd/up', 'keep', 'link', 'odd\nname *']
    assert code(delete.do(body('/*.none', interpret_globs=True))) == 'FILE_NOT_FOUND'


@pytest.mark.parametrize('path', ['/', '/~/', '//./'])
def test_the_root_stays(delete: Desk, tmp_path: Path, path: str) -> None:
    before = tree(tmp_path / 'root')
    assert code(delete.do(body(path, recursive=True))) == 'PERMISSION_DENIED'
    assert tree(tmp_path / 'root') == before


def test_a_delete_that_was_cut_off_goes_on(delete: Desk, tmp_path: Path) -> None:
    """What is gone already was found by the process before."""
    first = delete.do(body('/d', '/keep', recursive=True), request_id='run:D:1')
    key = f'delete/{first.action_id}'
    cut = delete.rows.get(key) | {'status': 'ACTIVE', 'completion_time': None, 'planned': {'paths': [['d'], ['keep'], ['a.tmp']]}}
    delete.rows.put(key, cut)
    again = delete.end(delete.run(body('/d', '/keep', recursive=True), request_id='run:D:1'))
    assert again.status == 'SUCCEEDED'
    assert not (tmp_path / 'root/a.tmp').exists()


def test_a_read_only_collection_keeps_its_files(tmp_path: Path) -> None:
    root = tmp_path / 'root'
    with desk(DeleteAction, tmp_path, files={'root': str(root), 'read_only': True}) as made, pytest.raises(ActionUnableToRun, match='only be read'):
        made.run(body('/x'))


def test_several_deletes_of_one_tree_do_not_fail_one_another(delete: Desk, tmp_path: Path) -> None:
    for number in range(600):
        folder = tmp_path / f'root/d/{number % 60}'
        folder.mkdir(exist_ok=True)
        (folder / f'{number}').write_text('x')
    begun = [delete.run(body('/d', recursive=True, ignore_missing=True)) for _ in range(8)]
    assert {delete.end(each).status for each in begun} == {'SUCCEEDED'}
    assert not (tmp_path / 'root/d').exists()
