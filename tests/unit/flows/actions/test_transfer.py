"""Transfers between directories of this machine: what arrives, what the task document says, what is refused."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.flows.actions.base import ActionUnableToRun
from relay_parsl.flows.actions.delete import DeleteAction
from relay_parsl.flows.actions.transfer import TransferAction
from relay_parsl.flows.storage.local import LocalStore
from tests.unit.flows.storage.desk import Desk, desk, ended, one, parts_left, tree, wait_for


@pytest.fixture
def transfer(tmp_path: Path) -> Iterator[Desk]:
    there = {'root': str(tmp_path / 'there'), 'uuid': '74DEFD5B-5F61-42FC-BCC4-834C9F376A4F', 'title': 'Far away'}
    with desk(TransferAction, tmp_path, here=tmp_path / 'here', there=there) as made:
        yield made


def test_a_file_arrives_and_the_document_says_so(transfer: Desk, tmp_path: Path) -> None:
    (tmp_path / 'here/a.dat').write_bytes(b'x' * 3_000_000)
    status = transfer.do(one('/a.dat', '/deep/er/b.dat', label='scan 7'))
    found = ended(status)
    assert tree(tmp_path / 'there') == {'deep': None, 'deep/er': None, 'deep/er/b.dat': b'x' * 3_000_000}
    assert (found['files'], found['files_transferred'], found['bytes_transferred'], found['faults']) == (1, 1, 3_000_000, 0)
    assert found['task_id'] == status.action_id
    assert found['source_endpoint_id'] == 'here'
    assert found['destination_endpoint_id'] == '74defd5b-5f61-42fc-bcc4-834c9f376a4f'
    assert (found['status'], found['label'], found['is_ok'], found['fatal_error']) == ('SUCCEEDED', 'scan 7', None, None)
    assert found['effective_bytes_per_second'] > 0
    assert status.completion_time is not None


def test_the_form_of_2020_does_the_same(transfer: Desk, tmp_path: Path) -> None:
    (tmp_path / 'here/a').write_text('a')
    items = [{'source_path': '/a', 'destination_path': '/b', 'recursive': False}]
    body = {'source_endpoint_id': 'here', 'destination_endpoint_id': '74defd5b-5f61-42fc-bcc4-834c9f376a4f', 'transfer_items': items}
    assert ended(transfer.do(body))['files_transferred'] == 1
    assert tree(tmp_path / 'there') == {'b': b'a'}


def test_a_directory_is_copied_into_the_destination_and_not_beneath_it(transfer: Desk, tmp_path: Path) -> None:
    (tmp_path / 'here/d/sub/empty').mkdir(parents=True)
    (tmp_path / 'here/d/sub/f').write_text('f')
    for source, target in (('/d', '/one'), ('/d/', '/two/'), ('/d', '/three/'), ('d/', 'four')):
        assert ended(transfer.do(one(source, target, recursive=True)))['directories'] == 3
        assert tree(tmp_path / 'there' / target.strip('/')) == {'sub': None, 'sub/empty': None, 'sub/f': b'f'}


def test_the_same_request_is_done_once(transfer: Desk, tmp_path: Path) -> None:
    (tmp_path / 'here/a').write_text('a')
    first = transfer.do(one('/a', '/b'), request_id='run:Copy:1')
    (tmp_path / 'there/b').unlink()
    again = transfer.run(one('/a', '/b'), request_id='run:Copy:1')
    assert (again.action_id, again.status) == (first.action_id, 'SUCCEEDED')
    assert not (tmp_path / 'there/b').exists()
    with pytest.raises(ActionUnableToRun, match='another body'):
        transfer.run(one('/a', '/c'), request_id='run:Copy:1')


def test_what_is_there_already_is_skipped(transfer: Desk, tmp_path: Path) -> None:
    (tmp_path / 'here/a').write_text('same')
    transfer.do(one('/a', '/b'))
    inode = (tmp_path / 'there/b').stat().st_ino
    found = ended(transfer.do(one('/a', '/b')))
    assert (found['files_skipped'], found['files_transferred'], found['bytes_transferred']) == (1, 0, 0)
    assert (tmp_path / 'there/b').stat().st_ino == inode


def test_a_directory_is_one_whether_recursive_says_so_or_not_but_not_against_it(transfer: Desk, tmp_path: Path) -> None:
    (tmp_path / 'here/d').mkdir()
    (tmp_path / 'here/d/f').write_text('f')
    assert ended(transfer.do(one('/d/', '/e/')))['files_transferred'] == 1
    found = ended(transfer.do(one('/d', '/g', recursive=False)), 'FAILED')
    assert found['fatal_error']['code'] == found['nice_status'] == found['code'] == 'IS_A_DIRECTORY'
    assert '"recursive": true' in found['fatal_error']['description']
    assert tree(tmp_path / 'there') == {'e': None, 'e/f': b'f'}


def test_a_file_is_no_directory(transfer: Desk, tmp_path: Path) -> None:
    (tmp_path / 'here/f').write_text('f')
    assert ended(transfer.do(one('/f', '/e', recursive=True)), 'FAILED')['code'] == 'NOT_A_DIRECTORY'
    assert ended(transfer.do(one('/f/', '/e')), 'FAILED')['code'] == 'NOT_A_DIRECTORY'


def test_the_destination_of_a_file_is_a_file(transfer: Desk, tmp_path: Path) -> None:
    (tmp_path / 'here/f').write_text('f')
    (tmp_path / 'there/into').mkdir()
    for path in ('/into', '/into/', '/new/'):
        found = ended(transfer.do(one('/f', path)), 'FAILED')
        assert found['code'] == 'IS_A_DIRECTORY'
    assert "'/new/f'" in found['fatal_error']['description']
    assert tree(tmp_path / 'there') == {'into': None}


def test_missing_sources_are_an_error_or_passed_over(transfer: Desk, tmp_path: Path) -> None:
    (tmp_path / 'here/a').write_text('a')
    body = one('/missing', '/x')
    assert ended(transfer.do(body), 'FAILED')['code'] == 'FILE_NOT_FOUND'
    body = one('/missing', '/x', skip_source_errors=True)
    body['DATA'].append({'source_path': '/a', 'destination_path': '/a'})
    assert ended(transfer.do(body))['files_transferred'] == 1


@pytest.mark.parametrize(
    ('change', 'word'),
    [
        ({'DATA': []}, 'nothing to transfer'),
        ({'source_endpoint': 'nowhere'}, 'known are here, there'),
        ({'delete_destination_extra': True}, 'delete_destination_extra'),
        ({'recursive_symlinks': 'keep'}, 'recursive_symlinks'),
        ({'sync_level': 7}, 'sync_level'),
        ({'DATA': [{'source_path': '/../x', 'destination_path': '/y'}]}, r'"\.\."'),
        ({'DATA': [{'source_path': '/x'}]}, 'destination_path'),
    ],
)
def test_bodies_that_cannot_be_done_are_refused(transfer: Desk, change: dict[str, Any], word: str) -> None:
    with pytest.raises(ActionUnableToRun, match=word):
        transfer.run(one('/a', '/b') | change)
    assert not transfer.rows.rows


def test_options_without_an_effect_are_named(transfer: Desk, tmp_path: Path) -> None:
    (tmp_path / 'here/a').write_text('a')
    found = ended(transfer.do(one('/a', '/b', notify_on_failed=True, notify_on_inactive=False, frobnicate=3)))
    assert [warning.split(':')[0] for warning in found['warnings']] == ['notify_on_failed', 'frobnicate']


def test_timestamps_are_kept_on_request(transfer: Desk, tmp_path: Path) -> None:
    (tmp_path / 'here/a').write_text('a')
    os.utime(tmp_path / 'here/a', (1e9, 1e9))
    transfer.do(one('/a', '/kept', preserve_timestamp=True))
    transfer.do(one('/a', '/new'))
    assert (tmp_path / 'there/kept').stat().st_mtime == 1e9
    assert (tmp_path / 'there/new').stat().st_mtime > time.time() - 100


def test_cancel_stops_within_a_second_and_removes_the_part(transfer: Desk, tmp_path: Path) -> None:
    with open(tmp_path / 'here/big', 'wb') as file:
        file.truncate(20 << 30)
    started = transfer.run(one('/big', '/big'))
    wait_for(lambda: transfer.action.status(started.action_id).details['bytes_transferred'] > 0)
    assert parts_left(tmp_path / 'there')
    begun = time.monotonic()
    status = transfer.end(transfer.action.cancel(started.action_id))
    assert time.monotonic() - begun < 5  # a second, on a machine that has nothing else to do
    assert ended(status, 'FAILED')['code'] == 'CANCELED'
    assert tree(tmp_path / 'there') == {}
    assert transfer.reports.count(started.action_id) >= 1


def test_the_document_stays_small(transfer: Desk, tmp_path: Path) -> None:
    """A run's state is bounded, whatever goes wrong how often."""
    name = 'x' * 250
    items = [{'source_path': f'/{name}/{number}/{name}', 'destination_path': f'/{number}'} for number in range(200)]
    status = transfer.do({**one('/', '/'), 'DATA': items, 'skip_source_errors': True})
    found = ended(status)
    assert len(found['event_list']) == 20
    assert len(json.dumps(found)) < 20_000
    assert len(json.dumps(transfer.rows.get(f'transfer/{status.action_id}')['planned'])) < 10


def test_an_end_is_written_before_anybody_hears_of_it(transfer: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'here/a').write_text('a')
    put, heard = transfer.rows.put, []

    def slow(key: str, row: Any) -> None:
        if isinstance(row, dict) and row.get('status') == 'SUCCEEDED':
            heard.append(transfer.action.status(key.rpartition('/')[2]).status)
        put(key, row)

    monkeypatch.setattr(transfer.rows, 'put', slow)
    ended(transfer.do(one('/a', '/b')))
    assert heard == ['ACTIVE']


def test_who_waits_its_turn_is_cancelled_at_once(transfer: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'here/a').write_text('a')
    monkeypatch.setattr(transfer.action._pool, 'submit', lambda work: None)  # type: ignore[attr-defined]
    begun = transfer.run(one('/a', '/b'))
    assert begun.status == 'ACTIVE'
    assert ended(transfer.action.cancel(begun.action_id), 'FAILED')['code'] == 'CANCELED'
    transfer.action.release(begun.action_id)
    with pytest.raises(KeyError):
        transfer.action.status(begun.action_id)


def test_no_more_files_are_copied_at_once_than_a_collection_bears(tmp_path: Path) -> None:
    """However many transfers there are; and who waits for a server holds up nobody."""
    bounded = {'root': str(tmp_path / 'there'), 'parallel': 2}
    busy, most, lock = [0], [0], threading.Lock()
    real = LocalStore.write

    def write(store: LocalStore, parts: Any, part: str) -> Any:
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        writer = real(store, parts, part)
        close = writer.close

        def closed() -> None:
            with lock:
                busy[0] -= 1
            close()

        writer.close = closed
        return writer

    with desk(TransferAction, tmp_path, here=tmp_path / 'here', there=bounded) as made, pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalStore, 'write', write)
        for number in range(40):
            (tmp_path / f'here/{number}').write_bytes(b'x' * 500_000)
        begun = [made.run(one(f'/{number}', f'/{number}')) for number in range(20)] + [made.run(one('/', '/all'))]
        assert {made.end(each).status for each in begun} == {'SUCCEEDED'}
    assert most[0] == 2


def test_the_document_has_every_field_of_globus(transfer: Desk, tmp_path: Path) -> None:
    """Of the example in its documentation; a flow may read any."""
    names = """DATA_TYPE bytes_checksummed bytes_transferred canceled_by_admin canceled_by_admin_message command completion_time
        deadline delete_destination_extra destination_endpoint destination_endpoint_display_name destination_endpoint_id
        directories effective_bytes_per_second encrypt_data event_list fail_on_quota_errors fatal_error faults files
        files_skipped files_transferred filter_rules history_deleted is_ok is_paused label nice_status nice_status_details
        nice_status_expires_in nice_status_short_description owner_id preserve_timestamp recursive_symlinks request_time
        skip_source_errors source_endpoint source_endpoint_display_name source_endpoint_id status subtasks_canceled
        subtasks_expired subtasks_failed subtasks_pending subtasks_retrying subtasks_skipped_errors subtasks_succeeded
        subtasks_total sync_level task_id type"""
    (tmp_path / 'here/a').write_text('a')
    assert set(names.split()) <= set(ended(transfer.do(one('/a', '/b'))))
    with desk(DeleteAction, tmp_path, here=tmp_path / 'here') as made:
        assert set(names.split()) <= set(ended(made.do({'endpoint': 'here', 'DATA': [{'path': 'a'}]})))
