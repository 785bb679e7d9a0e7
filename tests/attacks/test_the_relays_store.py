"""Rows of the relay's store, written by hand, with the right sums and in all the tables: what was not sealed for it does not run."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.client.futures import TaskFuture
from relay_parsl.errors import TaskLost
from relay_parsl.home import Credentials
from relay_parsl.relay.sums import KEYS, both, checksum, key_sum, row_sum
from relay_parsl.transport import Dealer
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Id
from tests.attacks.hostile_relay import Canary, until
from tests.attacks.stolen import Stolen, failure, lines, note, stolen_in

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
def stolen(tmp_path: Path) -> Iterator[Stolen]:
    with stolen_in(tmp_path) as made:
        yield made


def queued(stolen: Stolen, *words: str) -> tuple[list[TaskFuture], Path]:
    """Tasks that wait in the store, for their endpoint does not run yet; and where they would leave their traces."""
    trace = stolen.trace()
    futures = [stolen.executor().submit(note, str(trace), word) for word in words]
    for each in futures:
        each.accepted(40)
    return futures, trace


def row_of(store: sqlite3.Connection, task_id: Id) -> dict[str, Any]:
    cursor = store.execute('SELECT * FROM tasks WHERE id = ?', (task_id,))
    return dict(zip([column[0] for column in cursor.description], cursor.fetchone()))


def put(store: sqlite3.Connection, row: dict[str, Any]) -> None:
    """The row in all the tables, as if it had come by itself: its sum is right, and it waits."""
    keys = key_sum(*(row[name] for name in KEYS.split(', ')))
    row = {**row, 'sum': both(keys, checksum(row['header'], row['payload']))}
    names = ', '.join(row)
    store.execute(f'INSERT OR REPLACE INTO tasks ({names}) VALUES ({", ".join("?" * len(row))})', list(row.values()))  # noqa: S608  columns of our own
    store.execute('DELETE FROM queue WHERE first <= ? AND last >= ?', (row['n'], row['n']))
    place = (row['endpoint'], row['pool'], row['account'], row['priority'], row['n'], row['n'])
    store.execute('INSERT INTO queue (endpoint, pool, account, priority, first, last, sum) VALUES (?, ?, ?, ?, ?, ?, ?)', (*place, row_sum(*place)))
    date = (row['due'], row['n'], row['n'])
    store.execute('INSERT OR IGNORE INTO dates (due, first, last, sum) VALUES (?, ?, ?, ?)', (*date, row_sum(*date)))


def number_of(store: sqlite3.Connection, account: Id) -> int:
    return int(store.execute('SELECT n FROM accounts WHERE id = ?', (account,)).fetchone()[0])


@pytest.mark.attack(43)
@pytest.mark.parametrize(
    'how',
    [
        'his own call',
        pytest.param('the call of another task', marks=pytest.mark.slow),
        pytest.param('the whole of another task', marks=pytest.mark.slow),
    ],
)
def test_a_task_that_is_written_into_the_store_does_not_run(stolen: Stolen, how: str, tmp_path: Path) -> None:
    canary, new = Canary(tmp_path / 'canary'), Id(os.urandom(16))
    [first], trace = queued(stolen, 'once')

    def forge(store: sqlite3.Connection) -> None:
        row = row_of(store, Id(first.id))
        header = codec.task_header(row['header'])
        if how != 'the whole of another task':
            header = header._replace(task_id=new, sequence=header.sequence + 1000)
        payload = bytes(canary.pickled) if how == 'his own call' else row['payload']
        put(store, {**row, 'n': row['n'] + 1000, 'id': new, 'header': codec.encode_header(header), 'payload': payload})

    stolen.relay.write(forge)
    refused = stolen.refuses(stolen.start) if how != 'the whole of another task' else stolen.start()
    assert first.result(40) == 'once'
    if refused:
        assert refused['task'] == new.hex()
        assert refused['reason'].startswith('denied')
    assert stolen.executor().submit(pow, 2, 10).result(40) == 1024
    assert lines(trace) == ['once']
    assert not canary.sings


@pytest.mark.attack(43)
def test_a_task_that_is_moved_to_another_endpoint_in_the_store_does_not_run_there(stolen: Stolen) -> None:
    [first], trace = queued(stolen, 'once')
    other = stolen.credentials('other').id
    stolen.relay.write(lambda store: put(store, {**row_of(store, Id(first.id)), 'endpoint': number_of(store, other)}))
    assert 'denied' in stolen.refuses(lambda: stolen.start('other'), 'other')['reason']
    assert 'denied' in str(failure(first))
    assert lines(trace) == []


@pytest.mark.attack(43)
def test_a_task_that_is_given_to_another_account_in_the_store_tells_it_nothing(stolen: Stolen) -> None:
    """It runs as what it is, a task of the user, and its result is hers to read alone."""
    mallory = Credentials.create('mallory', 'user', now=time.time(), lifetime=1e6)
    stolen.relay.founders.append(('mallory', 'user', mallory.card, None))
    [first], trace = queued(stolen, 'a secret word')
    stolen.relay.restart()
    stolen.relay.write(lambda store: put(store, {**row_of(store, Id(first.id)), 'account': number_of(store, mallory.id)}))
    dealer = Dealer(stolen.relay.entry.url, stolen.relay.entry.key, mallory.keys.curve)
    try:
        dealer.send(m.Hello('client', Id(os.urandom(16))))
        stolen.start()
        until(lambda: lines(trace), 'the task')
        got: list[m.Delivered] = []

        def delivered() -> bool:
            dealer.send(m.Follow((), (Id(first.id),)))
            dealer.wait(0.2)
            got.extend(each for message in dealer.receive() if isinstance(message, m.Deliver) for each in message.results)
            return bool(got)

        until(delivered, 'what mallory gets')
    finally:
        dealer.close()
    assert lines(trace) == ['a secret word']
    assert b'secret' not in got[0].payload + got[0].header
    assert isinstance(failure(first), TaskLost)


@pytest.mark.attack(43)
@pytest.mark.parametrize('column', ['payload', *(pytest.param(each, marks=pytest.mark.slow) for each in ('header', 'sum'))])
def test_a_damaged_row_ends_its_task_and_no_other(stolen: Stolen, column: str) -> None:
    (first, second), trace = queued(stolen, 'damaged', 'whole')

    def damage(store: sqlite3.Connection) -> None:
        value = row_of(store, Id(first.id))[column]
        changed = value ^ 1 if column == 'sum' else value[:-1] + bytes([value[-1] ^ 1])
        store.execute(f'UPDATE tasks SET {column} = ? WHERE id = ?', (changed, first.id))  # noqa: S608  a column of our own

    stolen.relay.write(damage)
    stolen.start()
    error = failure(first)
    assert isinstance(error, TaskLost)
    assert 'the relay says' in str(error)
    assert 'damaged' in str(error)
    assert second.result(40) == 'whole'
    assert lines(trace) == ['whole']
