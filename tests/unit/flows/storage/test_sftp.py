"""Collections on a real SFTP server on loopback."""

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from relay_parsl.flows.actions.delete import DeleteAction
from relay_parsl.flows.actions.listing import LsAction, StatAction
from relay_parsl.flows.actions.mkdir import MkdirAction
from relay_parsl.flows.actions.transfer import TransferAction
from relay_parsl.flows.storage import sftp as sftp_store
from tests.unit.flows.storage.desk import desk, ended, one, parts_left, tree, wait_for
from tests.unit.flows.storage.servers import Sftp, sftp

ODD = ('space and ünïcode', 'new\nline', "quote's", '-dash', 'star*')


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sftp]:
    with sftp(tmp_path / 'ssh') as (made, run):
        made.run = run  # type: ignore[attr-defined]
        yield made


@pytest.fixture
def far(tmp_path: Path) -> Path:
    (tmp_path / 'far').mkdir()
    return tmp_path / 'far'


def plant(root: Path) -> None:
    (root / 'd/deep/empty').mkdir(parents=True)
    for name in ODD:
        (root / 'd' / name).write_text(name)
    (root / 'd/deep/big').write_bytes(os.urandom(9_000_001))
    (root / 'd/link').symlink_to('deep')


@pytest.mark.parametrize('shell', [True, False], ids=['sha256sum', 'read back'])
def test_a_tree_goes_there_and_back(tmp_path: Path, far: Path, shell: bool) -> None:
    (tmp_path / 'here').mkdir()
    plant(tmp_path / 'here')
    with sftp(tmp_path / 'ssh', shell) as (server, _):
        collections = {'here': tmp_path / 'here', 'there': server.collection(far), 'back': tmp_path / 'back'}
        with desk(TransferAction, tmp_path, **collections) as made:
            found = ended(made.do(one('/d', '/copy/of/it')))
            again = ended(made.do(one('/d', '/copy/of/it')))
            ended(made.do(one('/copy/of/it/', '/d/') | {'source_endpoint': 'there', 'destination_endpoint': 'back'}))
            twice = ended(made.do(one('/copy', '/copy 2') | {'source_endpoint': 'there'}))
    expected = tree(tmp_path / 'here/d')
    del expected['link']
    assert tree(far / 'copy/of/it') == tree(tmp_path / 'back/d') == tree(far / 'copy 2/of/it') == expected
    assert (found['files_transferred'], again['files_skipped'], again['files_transferred'], twice['files_transferred']) == (6, 6, 0, 6)


def test_the_other_actions(tmp_path: Path, far: Path, server: Sftp) -> None:
    plant(far)
    place = {'endpoint_id': 'far', 'path': '/d'}
    with desk(LsAction, tmp_path, far=server.collection(far)) as made:
        found = {each['name']: each for each in ended(made.run(place))['DATA']}
    assert set(found) == {*ODD, 'deep', 'link'}
    assert (found['link']['type'], found['link']['link_target'], found['new\nline']['size']) == ('dir', 'deep', 8)
    with desk(StatAction, tmp_path, far=server.collection(far)) as made:
        assert ended(made.run(place))['type'] == 'dir'
        assert ended(made.run({**place, 'path': '/nothing'}), 'FAILED')['code'] == 'NotFound'
    with desk(MkdirAction, tmp_path, far=server.collection(far)) as made:
        assert ended(made.run({**place, 'path': '/new'}))['code'] == 'DirectoryCreated'
        assert ended(made.run({**place, 'path': '/new'}), 'FAILED')['code'] == 'ExternalError.MkdirFailed.Exists'
    with desk(DeleteAction, tmp_path, far=server.collection(far)) as made:
        ended(made.do({'endpoint': 'far', 'DATA': [{'path': '/d'}, {'path': '/new'}], 'recursive': True}))
    assert tree(far) == {}


@pytest.mark.attack(40)
@pytest.mark.parametrize('path', ['/out/passwd', '/up/outside', '/loop/x', '/abs', '/through/sly'])
def test_links_do_not_lead_out(tmp_path: Path, far: Path, server: Sftp, path: str) -> None:
    (tmp_path / 'outside').write_text('secret')
    (far / 'in').mkdir()
    (far / 'out').symlink_to('/etc')
    (far / 'up').symlink_to('..')
    (far / 'loop').symlink_to('loop')
    (far / 'abs').symlink_to(tmp_path / 'outside')
    (far / 'through').symlink_to('in')
    (far / 'in/sly').symlink_to('../../outside')
    with desk(TransferAction, tmp_path, here=server.collection(far), there=tmp_path / 'there') as made:
        found = ended(made.do(one(path, '/x')), 'FAILED')
    assert found['code'] in ('PERMISSION_DENIED', 'SYMLINK_LOOP')
    assert tree(tmp_path / 'there') == {}


def test_links_within_are_followed(tmp_path: Path, far: Path, server: Sftp) -> None:
    (far / 'in').mkdir()
    (far / 'in/f').write_text('f')
    (far / 'rel').symlink_to('./in/../in')
    (far / 'abs').symlink_to(far / 'in')
    with desk(TransferAction, tmp_path, here=server.collection(far), there=tmp_path / 'there') as made:
        ended(made.do(one('/rel/f', '/1')))
        ended(made.do(one('/abs/f', '/2')))
    assert tree(tmp_path / 'there') == {'1': b'f', '2': b'f'}


def test_a_link_in_the_place_of_a_part_is_not_written_through(tmp_path: Path, far: Path, server: Sftp) -> None:
    (tmp_path / 'here').mkdir()
    (tmp_path / 'here/f').write_text('new')
    (tmp_path / 'precious').write_text('precious')
    with desk(TransferAction, tmp_path, here=tmp_path / 'here', there=server.collection(far)) as made:
        from relay_parsl.flows.storage.task import task_id_of

        tag = task_id_of('run:T:1')[:8]
        (far / f'.f.{tag}.part').symlink_to(tmp_path / 'precious')
        ended(made.do(one('/f', '/f'), request_id='run:T:1'))
    assert (tmp_path / 'precious').read_text() == 'precious'
    assert tree(far) == {'f': b'new'}


def test_a_broken_connection_is_made_again(tmp_path: Path, far: Path, server: Sftp) -> None:
    (tmp_path / 'here').mkdir()
    (tmp_path / 'here/big').write_bytes(os.urandom(60_000_000))
    with desk(TransferAction, tmp_path, here=tmp_path / 'here', there=server.collection(far)) as made:
        begun = made.run(one('/big', '/big'))
        wait_for(lambda: made.action.status(begun.action_id).details['bytes_transferred'] > 0)
        server.cut(server.run)  # type: ignore[attr-defined]
        found = ended(made.end(begun))
    assert found['faults'] >= 1
    assert found['event_list'][0]['code'] == 'CONNECTION_FAILED'
    assert tree(far) == tree(tmp_path / 'here')


def test_a_server_that_is_not_there_is_waited_for(tmp_path: Path, far: Path, server: Sftp) -> None:
    (tmp_path / 'here').mkdir()
    (tmp_path / 'here/f').write_text('f')
    collection = server.collection(far) | {'root': f'sftp://me@127.0.0.1:1{far}'}
    with desk(TransferAction, tmp_path, here=tmp_path / 'here', there=collection) as made:
        begun = made.run(one('/f', '/f'))
        found = wait_for(lambda: (now := made.action.status(begun.action_id).details)['faults'] and now)
        assert (found['status'], found['nice_status'], found['is_ok']) == ('ACTIVE', 'CONNECTION_FAILED', False)
        assert ended(made.end(made.action.cancel(begun.action_id)), 'FAILED')['code'] == 'CANCELED'


def test_an_unknown_host_key_is_refused(tmp_path: Path, far: Path, server: Sftp) -> None:
    collection = server.collection(far)
    other = asyncssh.generate_private_key('ssh-ed25519').export_public_key().decode()
    Path(collection['known_hosts']).write_text(f'[127.0.0.1]:{server.port} {other}')
    with desk(StatAction, tmp_path, far=collection) as made:
        found = ended(made.run({'endpoint_id': 'far', 'path': '/'}), 'FAILED')
    assert found['code'] == 'PermissionDenied'
    assert 'add it there' in found['description']


def test_a_key_that_the_server_does_not_know_is_named(tmp_path: Path, far: Path, server: Sftp) -> None:
    collection = server.collection(far, private_key=str(tmp_path / 'other'))
    asyncssh.generate_private_key('ssh-ed25519').write_private_key(tmp_path / 'other')
    with desk(StatAction, tmp_path, far=collection) as made:
        found = ended(made.run({'endpoint_id': 'far', 'path': '/'}), 'FAILED')
    assert found['code'] == 'PermissionDenied'
    assert 'private_key' in found['description']


class Full(asyncssh.SFTPServer):
    """A disk without room, told in the words of protocol version 3: none."""

    room = threading.Event()

    def write(self, file_obj: Any, offset: int, data: bytes) -> int:
        if not self.room.is_set():
            raise asyncssh.SFTPFailure('Failure')
        return super().write(file_obj, offset, data)  # type: ignore[return-value]

    def statvfs(self, path: bytes) -> Any:
        found = os.statvfs(path)
        free = found.f_bavail if self.room.is_set() else 0
        return asyncssh.SFTPVFSAttrs(
            found.f_bsize, found.f_frsize, found.f_blocks, found.f_bfree, free, found.f_files, found.f_ffree, found.f_favail, 0, 0, 255
        )


def test_a_full_server_makes_it_wait_for_room(tmp_path: Path, far: Path) -> None:
    (tmp_path / 'here').mkdir()
    (tmp_path / 'here/f').write_text('f' * 3000)
    Full.room.clear()
    with (
        sftp(tmp_path / 'ssh', sftp_factory=Full) as (server, _),
        desk(TransferAction, tmp_path, here=tmp_path / 'here', there=server.collection(far)) as made,
    ):
        begun = made.run(one('/f', '/f'))
        found = ended(made.end(begun), 'INACTIVE')
        assert (found['code'], found['fatal_error']['code']) == ('QUOTA_EXCEEDED', 'QUOTA_EXCEEDED')
        Full.room.set()
        made.action.resume(begun.action_id)
        ended(made.end(begun))
    assert tree(far) == tree(tmp_path / 'here')
    assert not parts_left(far)


class Endless(asyncssh.SFTPServer):
    """A directory that is never through."""

    async def scandir(self, path: bytes) -> Any:
        for number in itertools.count():
            yield asyncssh.SFTPName(str(number).encode(), attrs=asyncssh.SFTPAttrs(permissions=0o100644, size=1))


def test_a_listing_without_end_is_not_waited_for(tmp_path: Path, far: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp_store, 'MOST', 1000)
    with sftp(tmp_path / 'ssh', sftp_factory=Endless) as (server, _), desk(LsAction, tmp_path, far=server.collection(far)) as made:
        found = ended(made.run({'endpoint_id': 'far', 'path': '/'}), 'FAILED')
    assert 'more than 1000 names' in found['description']
