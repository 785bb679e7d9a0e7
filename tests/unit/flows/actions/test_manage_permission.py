"""Access lists: who may edit them, and that every action obeys them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.flows.actions.base import Action, ActionUnableToRun
from relay_parsl.flows.actions.delete import DeleteAction
from relay_parsl.flows.actions.listing import LsAction, StatAction
from relay_parsl.flows.actions.manage_permission import ManagePermissionAction
from relay_parsl.flows.actions.mkdir import MkdirAction
from relay_parsl.flows.actions.transfer import TransferAction
from tests.unit.flows.storage.desk import Desk, desk

ADA = {'username': 'ada@example.org', 'user_id': 'urn:globus:auth:identity:11111111-2222-3333-4444-555555555555'}
BOB = {'username': 'bob@example.org', 'identities': [{'username': 'Robert@Work.example.org'}]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / 'root/shared/in').mkdir(parents=True)
    (tmp_path / 'root/secret').mkdir()
    (tmp_path / 'root/shared/f').write_text('f')
    (tmp_path / 'root/secret/s').write_text('s')
    (tmp_path / 'root/shared/sly').symlink_to('../secret')
    return tmp_path / 'root'


@pytest.fixture
def rules(tmp_path: Path, root: Path) -> Iterator[Desk]:
    files = {'root': str(root), 'owner': 'Ada@example.org', 'groups': {'Beamline': ['bob@example.org']}}
    with desk(ManagePermissionAction, tmp_path, files=files) as made:
        yield made


def edit(desk: Desk, operation: str, **fields: Any) -> dict[str, Any]:
    status = desk.run({'operation': operation, 'endpoint_id': 'files', **fields}, context=ADA)
    assert status.status == 'SUCCEEDED', status
    return dict(status.details)


def allow(desk: Desk, kind: str = 'all_authenticated_users', principal: str = '', path: str = '/shared/', permissions: str = 'r') -> str:
    found = edit(desk, 'CREATE', principal_type=kind, principal=principal, path=path, permissions=permissions)
    assert found['code'] == 'Created'
    return str(found['access_id'])


def may(rules: Desk, kind: type[Action], body: Any, who: Any = BOB) -> bool:
    """Whether this account gets through, at the text of its path or where that really leads."""
    other = Desk(kind, rules.action.surroundings.settings, rules.rows)
    try:
        status = other.run(body, context=who)
        status = other.end(status)
        denied = status.status == 'FAILED' and status.details['code'] in ('PermissionDenied', 'PERMISSION_DENIED')
        return not denied
    except ActionUnableToRun as error:
        return 'access list' not in str(error)
    finally:
        other.action.close()


def stat(path: str) -> dict[str, str]:
    return {'endpoint_id': 'files', 'path': path}


def move(source: str, destination: str) -> dict[str, Any]:
    return {'source_endpoint': 'files', 'destination_endpoint': 'files', 'DATA': [{'source_path': source, 'destination_path': destination}]}


def test_nobody_but_the_owner_gets_in_without_a_rule(rules: Desk) -> None:
    assert not may(rules, StatAction, stat('/shared/f'))
    assert not may(rules, StatAction, stat('/shared/f'), {})
    assert may(rules, StatAction, stat('/shared/f'), ADA)


@pytest.mark.parametrize(
    ('kind', 'principal', 'who', 'expected'),
    [
        ('anonymous', '', {}, True),
        ('all_authenticated_users', '', {}, False),
        ('all_authenticated_users', '', BOB, True),
        ('identity', 'BOB@example.org', BOB, True),
        ('identity', 'robert@work.example.org', BOB, True),
        ('identity', '99999999-2222-3333-4444-555555555555', {'user_id': 'urn:globus:auth:identity:99999999-2222-3333-4444-555555555555'}, True),
        ('identity', 'urn:globus:auth:identity:99999999-2222-3333-4444-555555555555', {'user_id': '99999999-2222-3333-4444-555555555555'}, True),
        ('identity', 'carl@example.org', BOB, False),
        ('group', 'beamline', BOB, True),
        ('group', 'Beamline', {'username': 'carl@example.org'}, False),
        ('group', 'unknown', BOB, False),
    ],
)
def test_whom_a_rule_means(rules: Desk, kind: str, principal: str, who: Any, expected: bool) -> None:
    allow(rules, kind, principal)
    assert may(rules, StatAction, stat('/shared/f'), who) is expected


def test_a_rule_holds_beneath_its_path_only(rules: Desk, root: Path) -> None:
    (root / 'shared2').write_text('x')
    allow(rules)
    assert may(rules, LsAction, stat('/shared'))
    for path in ('/', '/secret/s', '/shared2', '/shared/sly/s'):
        assert not may(rules, StatAction, stat(path)), path


def test_writing_needs_its_own_grant(rules: Desk, root: Path) -> None:
    writing = [
        (MkdirAction, stat('/shared/new')),
        (TransferAction, move('/shared/f', '/shared/g')),
        (DeleteAction, {'endpoint': 'files', 'DATA': [{'path': '/shared/f'}]}),
    ]
    rule_id = allow(rules)
    assert [may(rules, kind, body) for kind, body in writing] == [False] * 3
    assert edit(rules, 'UPDATE', rule_id=rule_id, permissions='rw')['code'] == 'Updated'
    assert [may(rules, kind, body) for kind, body in writing] == [True] * 3
    assert not (root / 'shared/f').exists()
    assert edit(rules, 'DELETE', rule_id=rule_id)['code'] == 'Deleted'
    assert not may(rules, StatAction, stat('/shared/g'))


def test_a_transfer_neither_reads_nor_writes_beyond_the_rules(rules: Desk, root: Path) -> None:
    allow(rules, permissions='rw')
    assert not may(rules, TransferAction, move('/secret/s', '/shared/in/s'))
    assert not may(rules, TransferAction, move('/shared/sly/s', '/shared/in/s'))
    assert not may(rules, TransferAction, move('/shared/f', '/secret/f'))
    assert not may(rules, TransferAction, move('/shared/f', '/shared/sly/f'))
    followed = move('/shared', '/shared/in/all') | {'recursive_symlinks': 'copy'}
    assert not may(rules, TransferAction, followed)
    assert not (root / 'shared/in/s').exists()
    assert not (root / 'secret/f').exists()
    assert not (root / 'shared/in/all/sly').exists()


def test_only_the_owner_edits(rules: Desk) -> None:
    body = {'operation': 'CREATE', 'endpoint_id': 'files', 'path': '/', 'principal_type': 'all_authenticated_users', 'permissions': 'rw'}
    for who in (BOB, {}):
        with pytest.raises(ActionUnableToRun, match='only the owner'):
            rules.run(body, context=who)


def test_without_an_owner_the_account_of_the_home_is_it(tmp_path: Path) -> None:
    (tmp_path / 'root').mkdir()
    with desk(StatAction, tmp_path, account='ada@example.org', files=tmp_path / 'root') as made:
        assert made.run(stat('/'), context=ADA).status == 'SUCCEEDED'
        with pytest.raises(ActionUnableToRun, match='access list'):
            made.run(stat('/'), context=BOB)


def test_the_same_rule_is_not_made_twice(rules: Desk) -> None:
    rule_id = allow(rules)
    body = {'operation': 'CREATE', 'endpoint_id': 'files', 'path': '/shared', 'principal_type': 'all_authenticated_users', 'permissions': 'rw'}
    status = rules.run(body, context=ADA)
    assert (status.status, status.details['code'], status.details['access_id']) == ('FAILED', 'Exists', rule_id)


def test_a_rule_is_known_by_its_id(rules: Desk) -> None:
    status = rules.run({'operation': 'delete', 'endpoint_id': 'files', 'rule_id': 'none'}, context=ADA)
    assert (status.status, status.details['code']) == ('FAILED', 'AccessRuleNotFound')
