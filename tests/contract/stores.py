"""Rows for the tests of stores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from relay_parsl.relay.records import AccountRow, Ended, Stage, TaskInfo, TaskRow
from relay_parsl.relay.store import Store
from relay_parsl.wire.messages import Id, Status


def an_id(name: str) -> Id:
    return Id(name.encode().ljust(16, b'.'))


ANN, BOB, SITE, FAR, GROUP, OTHER = map(an_id, ('ann', 'bob', 'site', 'far', 'group', 'other group'))


def account(name: str, role: str = 'user', **more: Any) -> AccountRow:
    return AccountRow(an_id(name), name, role, b'card', name.encode().ljust(32), 4e9, **more)


def task(number: int, **more: Any) -> TaskRow:
    row = TaskRow(
        number, an_id(f'task {number}'), ANN, GROUP, SITE, '', False, 5.0, 0, 0, Stage.QUEUED, 1, expires=1000.0 + number,
        header=b'header %d' % number, payload=b'call',
    )  # fmt: skip
    row = replace(row, **more)
    return replace(row, size=len(row.header) + len(row.payload) + row.body)


def find(store: Store, number: int) -> TaskInfo:
    [info] = store.find([an_id(f'task {number}')])
    return info


def finish(store: Store, number: int, done: int, **more: Any) -> None:
    header, payload = more.pop('header', b'result header'), more.pop('payload', b'outcome')
    store.finish([Ended(find(store, number), Status.SUCCESS, done, header, payload, attempt=1, **more)])


def lease(store: Store, *numbers: int, session: int = 1, serial: int = 1, epoch: int = 1) -> None:
    infos = [find(store, number) for number in numbers]
    store.lease([replace(info, stage=Stage.LEASED, session=session, serial=serial, epoch=epoch) for info in infos])
