"""The sums over rows of the relay's store: SQLite does not see flipped bits, and what has changed on the disk must be used by nobody.

A task's `sum` is two. The upper half is over what tells which task it is, whose, and how it stands: it is written when that changes, and read
with every row. The lower half is over its bytes: header and payload, or its result and what is said of it. Of other rows it is over all columns.
"""

from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

KEYS = 'n, id, account, grp, endpoint, pool, priority, once, body, size, done, status, submitted, attempt, cancel, due'
"""The columns of the upper half; when a task is over, `attempt` and `cancel` say nothing any more."""
BOOKED = {
    'marks': 'name, value',
    'accounts': 'n, id, data',
    'invites': 'curve, data',
    'usage': 'account, tasks, bytes',
    'queue': 'endpoint, pool, account, priority, first, last',
    'dates': 'due, first, last',
    'leases': 'session, serial, endpoint, epoch, tasks',
    'ends': 'account, grp, done, last, n',
}
"""The tables whose rows have one sum over all of their columns."""
RECEIVED = '(account * 1000003 + n) % 4294967291'
"""The sum of a row of `received`, of which there is one for each task, in SQL: it costs nothing. The divisor is a prime."""
DATED = '(row_sum(CAST({until} AS REAL)) >> 1) << 32'
"""The upper half of the sum of an object, in SQL: its date, which moves while its bytes stay, has one of its own."""
HALF, CONTENT = 32, 0xFFFF_FFFF
_NUMBERS, _FIVE = struct.Struct('<9q2d').pack, struct.Struct('<5q').pack


def checksum(first: bytes, second: bytes) -> int:
    """A CRC: against accidents, not against people, for whom there are seals. SHA-256 would take a tenth of the relay's time (measured).

    -1 for what are no bytes: a flipped bit may make a number of them.
    """
    try:
        return crc32(second, crc32(first))
    except TypeError:
        return -1


def row_sum(*values: object) -> int:
    """Over values as SQLite gives them back: of any type."""
    return crc32(repr(values).encode())


def joined(found: int, *values: object) -> int:
    """A sum that covers these values too."""
    return found ^ row_sum(*values)


def key_sum(*keys: Any) -> int:
    """The upper half, of the values of `KEYS`. Written to be fast: it is made for every row of tasks that is read."""
    try:
        n, task_id, account, group, endpoint, pool, priority, once, body, size, done, status, submitted, attempt, cancel, due = keys
        tried = 0 if done else attempt << 1 | cancel
        numbers = _NUMBERS(n, account, endpoint, priority, once, body, size, done, tried, submitted, due)
        return crc32(numbers, crc32(task_id + group + f'{pool} {status}'.encode())) >> 1
    except (TypeError, AttributeError, struct.error):  # a flipped bit may make another type of it
        return -1


def end_sum(n: Any, task_id: Any, account: Any, done: Any, status: Any, spooled: Any, tried: Any, reason: Any) -> int:
    """What the lower half of a task that is over covers beside its result. Likewise."""
    try:
        return crc32(_FIVE(n, account, done, spooled, tried), crc32(task_id + f'{status} {reason}'.encode()))
    except (TypeError, AttributeError, struct.error):
        return -1


def both(keys: int, content: int) -> int:
    """The sum of a row of tasks, of its halves."""
    return keys << HALF | content


def is_upper(keys: int, found: object) -> bool:
    """Whether this is the upper half of a sum."""
    return type(found) is int and found >> HALF == keys


def is_lower(content: int, found: object) -> bool:
    """Whether this is the lower one."""
    return type(found) is int and found & CONTENT == content
