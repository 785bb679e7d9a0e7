"""What is done about rows of the relay's store that have changed on the disk: looked for when it is opened, and made anew from what is whole.

```
 accounts, marks   cannot be made anew: the store is not opened
 invites           dropped: they are made again
 usage             counted again
 dates, ends       made anew from the tasks
 queue, leases     an open task that is in neither may have been sent out: it is leased, to whoever of its endpoint's processes has it
```
Tasks, results, and which of them were received, are judged when they are read: there may be millions.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator

from relay_parsl.errors import StoreError
from relay_parsl.relay.schema import COUNT, SUM
from relay_parsl.relay.sums import BOOKED

NOBODY = 0
"""The session and the epoch of leases of which nobody knows: older than any, so that the next `Held` of the endpoint judges them."""
LOST = {'accounts': 'the row of an account', 'marks': 'a count of what has been, which tells new from old,'}
PLACES = ('queue', 'leases')
ANEW = {
    'usage': COUNT,
    'dates': 'INSERT INTO dates (due, first, last) SELECT due, n, n FROM tasks;',
    'ends': 'INSERT INTO ends (account, grp, done, last, n) SELECT account, grp, done, done, n FROM tasks WHERE done > 0;',
}


def mend(db: sqlite3.Connection) -> Iterator[str]:
    """Within a transaction; what it found, in words. Raises StoreError for what cannot be mended, and sqlite3.Error."""
    damaged = {table: count for table in BOOKED if (count := _damaged(db, table))}
    if lost := damaged.keys() & LOST.keys():
        raise StoreError(f'{LOST[min(lost)]} has changed on the disk: restore a backup (`relay-parsl relay restore FILE`)')
    for table, count in damaged.items():
        _drop(db, table)
        if table in ANEW:
            db.execute(f'DELETE FROM {table}')  # noqa: S608  a name of ours, as below
            db.execute(ANEW[table])
            db.execute(SUM.format(table=table, columns=BOOKED[table]))
        yield f'{count} rows of `{table}` had changed on the disk and are ' + ('made anew' if table in (*ANEW, *PLACES) else 'gone')
    if damaged.keys() & set(PLACES):
        yield f'{_lease_lost(db)} tasks of which it is not known whether they were sent out are judged when their endpoints say what they hold'


def _damaged(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f'SELECT count(*) FROM {table} WHERE row_sum({BOOKED[table]}) IS NOT sum').fetchone()[0])  # noqa: S608


def _drop(db: sqlite3.Connection, table: str) -> None:
    """Not row by row: one whose key has changed is not found by it."""
    whole = db.execute(f'SELECT {BOOKED[table]}, sum FROM {table} WHERE row_sum({BOOKED[table]}) IS sum').fetchall()  # noqa: S608
    db.execute(f'DELETE FROM {table}')  # noqa: S608
    db.executemany(f'INSERT INTO {table} VALUES ({",".join("?" * (BOOKED[table].count(",") + 2))})', whole)  # noqa: S608


def _lease_lost(db: sqlite3.Connection) -> int:
    """Lease the open tasks that are in no place; how many there were."""
    lost: dict[int, list[int]] = defaultdict(list)
    db.execute('DELETE FROM leases WHERE session = ?', (NOBODY,))
    placed = _placed(db)
    for number, endpoint in db.execute('SELECT n, endpoint FROM tasks WHERE done = 0'):
        if number not in placed:
            lost[endpoint].append(number)
    rows = [(NOBODY, endpoint, endpoint, NOBODY, ','.join(map(str, numbers))) for endpoint, numbers in lost.items()]
    db.executemany('INSERT INTO leases (session, serial, endpoint, epoch, tasks) VALUES (?, ?, ?, ?, ?)', rows)
    db.execute(SUM.format(table='leases', columns=BOOKED['leases']))
    return sum(map(len, lost.values()))


def _placed(db: sqlite3.Connection) -> Collection[int]:
    """The tasks that wait, and those that are leased."""
    found = {int(number) for (text,) in db.execute('SELECT tasks FROM leases') for number in text.split(',')}
    for first, last in db.execute('SELECT first, last FROM queue'):
        found.update(range(first, last + 1))
    return found
