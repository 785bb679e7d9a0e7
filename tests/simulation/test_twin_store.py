"""The store on disk does what the one in memory does, statement by statement, in the midst of a simulation with all its faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.relay.records import Stage, TaskInfo
from relay_parsl.relay.sqlite import SqliteStore
from relay_parsl.relay.store import MemoryStore, Store
from tests.simulation.watched_store import WatchedStore
from tests.simulation.world import World

INEXACT = {'size', 'due', 'unfinished', 'start'}
"""What may differ: which of many are named first, and how large a file is. `start` is counted by the simulation's bootstrap too."""
ORDERED = {'waiting', 'ended_after', 'tasks'}


class TwinStore(WatchedStore):
    """Both stores; an answer that differs is an error."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.other = SqliteStore(path)

    def rollback(self) -> None:
        super().rollback()
        self.other.rollback()


def twin(name: str) -> Callable[..., Any]:
    """A method that asks both."""

    def method(self: TwinStore, *args: Any, **more: Any) -> Any:
        mine = getattr(MemoryStore, name)(self, *args, **more)
        theirs = getattr(self.other, name)(*args, **more)
        if name not in INEXACT:
            assert normal(name, mine) == normal(name, theirs), f'{name}{args}'
        return mine

    return method


def normal(name: str, value: Any) -> Any:
    """Without the order where there is none, and without the lease of what is not leased."""
    if isinstance(value, TaskInfo) and value.stage != Stage.LEASED:
        return repr(replace(value, session=0, serial=0, epoch=0, cancel=False))
    if isinstance(value, (set, list, tuple)):
        items = [normal(name, each) for each in value]
        return items if name in ORDERED or isinstance(value, tuple) else sorted(map(repr, items))
    return value


def counted(store: MemoryStore) -> dict[bytes, tuple[int, int]]:
    """What each account has, counted anew: tasks that are not over, and bytes."""
    found: dict[bytes, tuple[int, int]] = {}
    for kept in store._tasks.values():
        tasks, size = found.get(kept.row.account, (0, 0))
        ended = kept.ended
        size += len(ended.header) + len(ended.payload) + ended.body if ended else kept.row.size
        found[kept.row.account] = (tasks + (ended is None), size)
    return {account: each for account, each in found.items() if any(each)}


for _name in vars(Store):
    if not _name.startswith('_') and _name != 'rollback':
        setattr(TwinStore, _name, twin(_name))


@pytest.mark.parametrize('number', range(5001, 5009))
def test_both_stores_agree_under_every_fault(number: int, tmp_path: Path) -> None:
    store = TwinStore(tmp_path / 'relay.db')
    try:
        World(number, store=store).run()
        assert counted(store) == {account: (row.tasks, row.bytes) for account, row in store._usage.items() if row.tasks or row.bytes}
    finally:
        store.other.close()
