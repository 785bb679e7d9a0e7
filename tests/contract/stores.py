"""Rows for the tests of stores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from relay_parsl.relay.records import AccountRow, Ended, TaskInfo, TaskRow
from relay_parsl.relay.store import Store
from relay_parsl.wire.messages import Id, Status


def an_id(name: str) -> Id:
    return Id(name.encode().ljust(16, b'.'))


ANN, BOB, SITE, FAR, GROUP, OTHER = map(an_id, ('ann', 'bob', 'site', 'far', 'group', 'other group'))


def account(name: str, role: str = 'user', **more: Any) -> AccountRow:
    return AccountRow(an_id(name), name, role, b'card', name.encode().ljust(32), 4e9, **more)


def task(number: int, **more: Any) -> TaskRow:
    row = TaskRow(number, an_id(f'task {number}'), ANN, GROUP, SITE, '', 0, 1000.0 + number, False, 5.0, b'header %d' % number, b'call')
    return replace(row, **more)


def find(store: Store, number: int) -> TaskInfo:
    [info] = store.find([an_id(f'task {number}')])
    return info


def finish(store: Store, number: int, done: int, **more: Any) -> None:
    header, payload = more.pop('header', b'result header'), more.pop('payload', b'outcome')
    store.finish([Ended(find(store, number), Status.SUCCESS, done, header, payload, attempt=1, **more)])
