"""Every action on files, held to the contract of all actions."""

import errno
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.flows.actions.base import Action, Surroundings
from relay_parsl.flows.actions.collection_info import CollectionInfoAction
from relay_parsl.flows.actions.delete import DeleteAction
from relay_parsl.flows.actions.listing import LsAction, StatAction
from relay_parsl.flows.actions.manage_permission import ManagePermissionAction
from relay_parsl.flows.actions.mkdir import MkdirAction
from relay_parsl.flows.actions.transfer import TransferAction
from relay_parsl.flows.storage.local import LocalStore
from relay_parsl.testing import ActionContract


class OfFiles(ActionContract):
    """A collection with a few files in it."""

    kind: type[Action]
    root: Path

    @pytest.fixture(autouse=True)
    def _root(self, tmp_path: Path) -> None:
        self.root = tmp_path / 'root'
        (self.root / 'tree/deep').mkdir(parents=True)
        (self.root / 'a').write_bytes(b'a' * 1000)
        (self.root / 'tree/deep/b').write_text('b')

    def make(self, surroundings: Surroundings) -> Action:
        return self.kind(surroundings)

    def settings(self) -> Mapping[str, Any]:
        return {'home': {'root': str(self.root)}}

    def bad_bodies(self) -> Mapping[str, Any]:
        return {
            'endpoint_id': {'path': '/a'},
            'nowhere': {'endpoint_id': 'nowhere', 'path': '/a'},
            'path': {'endpoint_id': 'home', 'path': '/../etc/passwd'},
        }


class TestTransfer(OfFiles):
    kind = TransferAction

    def body(self) -> Any:
        return {'source_endpoint': 'home', 'destination_endpoint': 'home', 'DATA': [{'source_path': '/tree', 'destination_path': '/copy'}]}

    def other_body(self) -> Any:
        return {**self.body(), 'DATA': [{'source_path': '/a', 'destination_path': '/c'}]}

    def bad_bodies(self) -> Mapping[str, Any]:
        return {
            'source_endpoint': {'destination_endpoint': 'home', 'DATA': [{'source_path': '/a', 'destination_path': '/b'}]},
            'destination_path': {**self.body(), 'DATA': [{'source_path': '/a'}]},
            '..': {**self.body(), 'DATA': [{'source_path': '/../a', 'destination_path': '/b'}]},
            'sync_level': {**self.body(), 'sync_level': 'often'},
            'filter_rules': {**self.body(), 'filter_rules': 7},
        }

    def long_body(self) -> Any:
        with (self.root / 'endless').open('wb') as file:
            file.truncate(1 << 40)
        return {**self.body(), 'DATA': [{'source_path': '/endless', 'destination_path': '/never'}]}

    def failing_body(self) -> Any:
        return {**self.body(), 'DATA': [{'source_path': '/missing', 'destination_path': '/b'}]}


class TestTransferToAFullDisk(TestTransfer):
    """A store without room, until somebody makes some."""

    @pytest.fixture(autouse=True)
    def _full(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        real = LocalStore.write

        def write(store: LocalStore, parts: Any, part: str) -> Any:
            writer = real(store, parts, part)
            if self.full:
                writer.close()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), '/'.join(parts))
            return writer

        monkeypatch.setattr(LocalStore, 'write', write)

    def inactive_body(self) -> Any:
        self.full = True
        return self.other_body()

    def mend(self) -> None:
        self.full = False


class TestDelete(OfFiles):
    kind = DeleteAction

    def body(self) -> Any:
        return {'endpoint': 'home', 'DATA': [{'path': '/tree'}], 'recursive': True, 'ignore_missing': True}

    def other_body(self) -> Any:
        return {'endpoint_id': 'home', 'items': ['/a']}

    def bad_bodies(self) -> Mapping[str, Any]:
        return {
            'endpoint': {'DATA': [{'path': '/a'}]},
            'DATA': {'endpoint': 'home', 'DATA': []},
            '..': {'endpoint': 'home', 'DATA': [{'path': '/tree/../../x'}]},
            'recursive': {'endpoint': 'home', 'DATA': [{'path': '/tree'}], 'recursive': 'yes'},
            'path': {'endpoint': 'home', 'DATA': [None], 'ignore_missing': True},
        }

    def failing_body(self) -> Any:
        return {'endpoint': 'home', 'DATA': [{'path': '/missing'}]}


class TestLs(OfFiles):
    kind = LsAction

    def body(self) -> Any:
        return {'endpoint_id': 'home', 'path': '/'}

    def other_body(self) -> Any:
        return {'endpoint_id': 'home'}

    def bad_bodies(self) -> Mapping[str, Any]:
        body = self.body()
        return {
            'endpoint_id': {'path': '/'},
            'limit': {**body, 'limit': 0},
            'filter': {**body, 'filter': 'colour:red'},
            'orderby': {**body, 'orderby': 'size SIDEWAYS'},
            '..': {**body, 'path': '/..'},
        }

    def failing_body(self) -> Any:
        return {'endpoint_id': 'home', 'path': '/missing/'}


class TestStat(OfFiles):
    kind = StatAction

    def body(self) -> Any:
        return {'endpoint_id': 'home', 'path': '/a'}

    def other_body(self) -> Any:
        return {'endpoint_id': 'home', 'path': '/tree'}

    def failing_body(self) -> Any:
        return {'endpoint_id': 'home', 'path': '/missing'}


class TestMkdir(OfFiles):
    kind = MkdirAction

    def body(self) -> Any:
        return {'endpoint_id': 'home', 'path': '/new'}

    def other_body(self) -> Any:
        return {'endpoint_id': 'home', 'path': '/other'}

    def test_threads_share_it(self, tmp_path: Path) -> None:
        """A directory is made once: of twelve at once, one makes it."""
        with self._started(tmp_path) as rig, ThreadPoolExecutor(4) as pool:
            ends = [rig.end(each) for each in pool.map(lambda number: rig.run(f'run:State{number}:1', self.body()), range(12))]
            assert sorted(end.details['code'] for end in ends) == ['DirectoryCreated', *['ExternalError.MkdirFailed.Exists'] * 11]

    def failing_body(self) -> Any:
        return {'endpoint_id': 'home', 'path': '/a/b'}


class TestCollectionInfo(OfFiles):
    kind = CollectionInfoAction

    def body(self) -> Any:
        return {'endpoint_id': 'home'}

    def other_body(self) -> Any:
        return {'endpoint_id': 'home', 'x': 1}

    def bad_bodies(self) -> Mapping[str, Any]:
        return {'endpoint_id': {}, 'nowhere': {'endpoint_id': 'nowhere'}}


class TestManagePermission(OfFiles):
    kind = ManagePermissionAction

    def test_threads_share_it(self, tmp_path: Path) -> None:
        """A second rule for the same principal and path is refused, as it is at Globus: so of twelve at once, one is made."""
        with self._started(tmp_path) as rig, ThreadPoolExecutor(4) as pool:
            ends = [rig.end(each) for each in pool.map(lambda number: rig.run(f'run:State{number}:1', self.body()), range(12))]
            assert sorted(end.details['code'] for end in ends) == ['Created', *['Exists'] * 11]
            assert len({end.details['access_id'] for end in ends}) == 1

    def body(self) -> Any:
        return {
            'operation': 'CREATE',
            'endpoint_id': 'home',
            'path': '/a/',
            'principal_type': 'all_authenticated_users',
            'principal': '',
            'permissions': 'r',
        }

    def other_body(self) -> Any:
        return {**self.body(), 'path': '/tree/'}

    def bad_bodies(self) -> Mapping[str, Any]:
        return {
            'operation': {'endpoint_id': 'home'},
            'rule_id': {'operation': 'DELETE', 'endpoint_id': 'home'},
            'principal_type': {**self.body(), 'principal_type': 'everybody'},
            'permissions': {**self.body(), 'permissions': 'x'},
            'path': {**self.body(), 'path': '/..'},
        }

    def failing_body(self) -> Any:
        return {'operation': 'DELETE', 'endpoint_id': 'home', 'rule_id': 'none'}


del OfFiles
