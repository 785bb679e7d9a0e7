"""Guest collections: who may make them, what they hold, and that nothing gets out of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.flows.actions.base import Action, ActionUnableToRun, Surroundings
from relay_parsl.flows.actions.collection_info import CollectionInfoAction
from relay_parsl.flows.actions.create_guest_collection import CreateGuestCollectionAction
from relay_parsl.flows.actions.delete import DeleteAction
from relay_parsl.flows.actions.listing import StatAction
from relay_parsl.flows.actions.manage_permission import ManagePermissionAction
from relay_parsl.flows.actions.mkdir import MkdirAction
from relay_parsl.flows.actions.transfer import TransferAction
from relay_parsl.testing import ActionContract
from tests.unit.flows.storage.desk import Desk, desk, tree

ADA, BOB = {'username': 'ada'}, {'username': 'bob'}


class TestCreateGuestCollection(ActionContract):
    @pytest.fixture(autouse=True)
    def _root(self, tmp_path: Path) -> None:
        self.root = tmp_path / 'root'
        (self.root / 'shared').mkdir(parents=True)

    def make(self, surroundings: Surroundings) -> Action:
        return CreateGuestCollectionAction(surroundings)

    def settings(self) -> Mapping[str, Any]:
        return {'home': {'root': str(self.root)}}

    def body(self) -> Any:
        return {'mapped_collection_id': 'home', 'collection_base_path': '/shared/', 'display_name': 'Shared'}

    def other_body(self) -> Any:
        return {'host_endpoint': 'home', 'host_path': '/shared/', 'display_name': 'Shared too'}

    def bad_bodies(self) -> Mapping[str, Any]:
        return {
            'display_name': {'mapped_collection_id': 'home', 'collection_base_path': '/shared/'},
            'mapped_collection_id': {'collection_base_path': '/shared/', 'display_name': 'x'},
            'collection_base_path': {'mapped_collection_id': 'home', 'display_name': 'x'},
            'path': {**self.body(), 'collection_base_path': '/..'},
        }

    def failing_body(self) -> Any:
        return {**self.body(), 'collection_base_path': '/missing/'}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / 'root'
    (root / 'shared/in').mkdir(parents=True)
    (root / 'shared/f').write_text('f')
    (root / 'secret').write_text('secret')
    (root / 'shared/out').symlink_to('../secret')
    (root / 'shared/good').symlink_to('in/../f')
    return root


@pytest.fixture
def maker(tmp_path: Path, root: Path) -> Iterator[Desk]:
    home = {'root': str(root), 'owner': 'ada'}
    with desk(CreateGuestCollectionAction, tmp_path, home=home) as made:
        yield made


def share(maker: Desk, path: str = '/shared/', who: Any = ADA) -> str:
    status = maker.run({'mapped_collection_id': 'home', 'collection_base_path': path, 'display_name': 'Shared'}, context=who)
    assert status.status == 'SUCCEEDED', status
    assert (status.details['collection_type'], status.details['display_name']) == ('guest', 'Shared')
    return str(status.details['id'])


def do(maker: Desk, kind: type[Action], body: Any, who: Any = ADA) -> Any:
    """By another instance over the same rows, as after a restart."""
    other = Desk(kind, maker.action.surroundings.settings, maker.rows)
    try:
        return other.end(other.run(body, context=who))
    finally:
        other.action.close()


def stat(collection: str, path: str) -> dict[str, str]:
    return {'endpoint_id': collection, 'path': path}


def test_every_action_uses_it_by_uuid_and_by_name(maker: Desk, root: Path) -> None:
    guest = share(maker)
    assert do(maker, StatAction, stat(guest, '/f')).details['size'] == 1
    assert do(maker, StatAction, stat('Shared', '/good')).details['type'] == 'file'
    assert do(maker, CollectionInfoAction, {'endpoint_id': guest.upper()}).details['display_name'] == 'Shared'
    assert do(maker, MkdirAction, stat(guest, '/new')).status == 'SUCCEEDED'
    body = {'source_endpoint': guest, 'destination_endpoint': guest, 'DATA': [{'source_path': '/f', 'destination_path': '/new/g'}]}
    found = do(maker, TransferAction, body)
    assert (found.status, found.details['source_endpoint_id']) == ('SUCCEEDED', guest)
    assert do(maker, DeleteAction, {'endpoint': guest, 'DATA': [{'path': '/f'}]}).status == 'SUCCEEDED'
    assert tree(root / 'shared/new') == {'g': b'f'}
    assert not (root / 'shared/f').exists()


def test_its_access_list_is_its_own(maker: Desk) -> None:
    guest = share(maker)
    with pytest.raises(ActionUnableToRun, match='access list'):
        do(maker, StatAction, stat(guest, '/f'), BOB)
    rule = {'operation': 'CREATE', 'endpoint_id': guest, 'path': '/', 'principal_type': 'identity', 'principal': 'bob', 'permissions': 'r'}
    assert do(maker, ManagePermissionAction, rule).status == 'SUCCEEDED'
    assert do(maker, StatAction, stat(guest, '/f'), BOB).status == 'SUCCEEDED'
    with pytest.raises(ActionUnableToRun, match='access list'):
        do(maker, StatAction, stat('home', '/shared/f'), BOB)
    with pytest.raises(ActionUnableToRun, match='only the owner'):
        do(maker, ManagePermissionAction, {**rule, 'permissions': 'rw'}, BOB)


def test_nothing_gets_out_of_it(maker: Desk, root: Path) -> None:
    guest = share(maker)
    assert do(maker, StatAction, stat(guest, '/out')).details['code'] == 'PermissionDenied'
    with pytest.raises(ActionUnableToRun, match=r'"\.\."'):
        do(maker, StatAction, stat(guest, '/../secret'))
    deleted = do(maker, DeleteAction, {'endpoint': guest, 'DATA': [{'path': '/'}], 'recursive': True})
    assert deleted.details['code'] == 'PERMISSION_DENIED'
    (root / 'shared').rename(root / 'aside')
    (root / 'shared').symlink_to('/etc')
    assert do(maker, StatAction, stat(guest, '/passwd')).details['code'] == 'PermissionDenied'


def test_only_the_owner_shares_and_no_part_of_a_part(maker: Desk) -> None:
    with pytest.raises(ActionUnableToRun, match=r'access list|only the owner'):
        share(maker, who=BOB)
    guest = share(maker)
    body = {'mapped_collection_id': guest, 'collection_base_path': '/in', 'display_name': 'x'}
    with pytest.raises(ActionUnableToRun, match='guest collection itself'):
        maker.run(body, context=ADA)


def test_what_the_parent_gives_up_the_guest_loses(maker: Desk, tmp_path: Path, root: Path) -> None:
    guest = share(maker)
    for settings, word in (({'home': {'root': str(root), 'owner': 'ada', 'allowed': ['/other']}}, 'outside of what'), ({}, 'no collection')):
        later = Desk(StatAction, settings, maker.rows)
        with pytest.raises(ActionUnableToRun, match=word):
            later.run(stat(guest, '/f'), context=ADA)
        later.action.close()
