"""Copies of a store are of one moment, also when it is written to all the while; a restored one begins where the other never was."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from relay_parsl.errors import StoreError
from relay_parsl.relay.records import Progress
from relay_parsl.relay.snapshot import Snapshots, link_all
from relay_parsl.relay.sqlite import SqliteStore
from relay_parsl.relay.sqlite.copies import EPOCH, bodies, copy_file, examine, renew
from tests.contract.stores import account, finish, task


def filled(path: Path, count: int, payload: bytes = b'x' * 4000) -> SqliteStore:
    store = SqliteStore(path)
    store.begin()
    for row in (account('ann'), account('site', 'endpoint')):
        store.put_account(row)
    store.add([task(number, payload=payload) for number in range(1, count + 1)])
    store.commit()
    return store


def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    store.begin()
    store.accounts()
    return store


def test_a_copy_is_of_one_moment_while_tasks_come_in(tmp_path: Path) -> None:
    """Each turn adds one task to the store and one file to the spool: the copy has as many of one as of the other."""
    (tmp_path / 'spool').mkdir()
    store = filled(tmp_path / 'relay.db', 4000)
    said: list[Progress] = []
    snapshots = Snapshots(tmp_path, store.copy_to, said.append)
    snapshots.begin('one')
    number = 4000
    while not said or said[-1].state == 'running':
        with snapshots.turn:
            store.begin()
            number += 1
            store.add([task(number)])
            (tmp_path / 'spool' / str(number)).touch()
            store.commit()
        time.sleep(0.0005)
    assert said[-1] == Progress('one', 'done'), said[-1]
    store.close()
    made = tmp_path / 'snapshots' / 'one'
    assert 4000 < examine(made / 'relay.db').tasks < number, 'turns went on meanwhile'
    assert len(list((made / 'spool').iterdir())) == examine(made / 'relay.db').tasks - 4000
    copied = opened(made / 'relay.db')
    assert copied.queued()[0][3] == copied.last()[0]
    copied.close()
    assert (made / 'relay.db').stat().st_mode & 0o777 == 0o600


def test_a_relay_that_stops_gives_a_snapshot_up(tmp_path: Path) -> None:
    store = filled(tmp_path / 'relay.db', 3000)
    begun = threading.Event()
    said: list[Progress] = []

    def told(progress: Progress) -> None:
        said.append(progress)
        begun.set()

    snapshots = Snapshots(tmp_path, store.copy_to, told)
    snapshots.begin('one')
    assert begun.wait(20)
    snapshots.close()
    store.close()
    assert said[-1].state == 'failed'
    assert not list((tmp_path / 'snapshots').iterdir())


def test_what_a_killed_backup_has_left_goes_with_the_next_start(tmp_path: Path) -> None:
    left = tmp_path / 'snapshots' / 'one' / 'spool'
    left.mkdir(parents=True)
    (left / 'body').touch()
    Snapshots(tmp_path, lambda _target, _step: None, lambda _progress: None)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_open_is_not_copied_beside_its_relay(tmp_path: Path) -> None:
    store = filled(tmp_path / 'relay.db', 1)
    with pytest.raises(StoreError, match='by that relay'):
        copy_file(tmp_path / 'relay.db', tmp_path / 'copy', lambda _left, _total: None)
    assert not (tmp_path / 'copy').exists()
    store.close()
    copy_file(tmp_path / 'relay.db', tmp_path / 'copy', lambda _left, _total: None)
    assert examine(tmp_path / 'copy').tasks == 1


def test_a_restored_store_begins_after_every_start_there_may_have_been(tmp_path: Path) -> None:
    store = filled(tmp_path / 'relay.db', 1)
    store.begin()
    for _ in range(5):
        store.start()
    store.commit()
    assert store.restored() is None
    store.close()
    now = EPOCH + 1000.0
    for _ in range(2):  # twice in one second: those two are not the same either
        renew(tmp_path / 'relay.db', now, 7.0)
    store = opened(tmp_path / 'relay.db')
    assert store.start() == 1002
    assert store.restored() == (now, 7.0)
    store.commit()
    store.close()


def test_the_bodies_that_a_copy_needs_are_known(tmp_path: Path) -> None:
    store = filled(tmp_path / 'relay.db', 1)
    store.begin()
    store.add([task(2, body=9), task(3, body=9), task(4)])
    finish(store, 3, 1)
    finish(store, 4, 2, body=5)
    store.commit()
    store.close()
    assert bodies(tmp_path / 'relay.db') == {f'{task(2).id.hex()}.0.task', f'{task(4).id.hex()}.1.result'}


def test_what_is_no_store_or_damaged_is_told(tmp_path: Path) -> None:
    (tmp_path / 'text').write_text('hello ' * 100)
    with pytest.raises(StoreError, match='cannot be read'):
        examine(tmp_path / 'text')
    filled(tmp_path / 'relay.db', 300).close()
    data = bytearray((tmp_path / 'relay.db').read_bytes())
    data[8192 * 20 : 8192 * 40] = bytes(8192 * 20)
    (tmp_path / 'relay.db').write_bytes(data)
    with pytest.raises(StoreError, match=r'damaged|cannot be read'):
        examine(tmp_path / 'relay.db')


def test_bodies_are_linked_and_not_copied(tmp_path: Path) -> None:
    (tmp_path / 'spool').mkdir()
    (tmp_path / 'spool' / 'body').write_bytes(b'x')
    link_all(tmp_path / 'spool', tmp_path / 'linked')
    assert (tmp_path / 'linked' / 'body').stat().st_ino == (tmp_path / 'spool' / 'body').stat().st_ino
