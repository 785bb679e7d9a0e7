"""How the memory store keeps a task, and how it forgets a turn. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, TypeVar

from relay_parsl.relay.records import Ended, Forgotten, ResultRow, TaskInfo, TaskRow

T = TypeVar('T')


@dataclass
class Kept:
    """A row of the memory store; replaced, never changed, so that an old one can be put back."""

    row: TaskRow
    info: TaskInfo
    ended: Ended | None = None


def copier(kind: type[T]) -> Callable[..., T]:
    """What makes a `kind` of whatever has its fields, with changes: a store copies each row it gives, and `replace` is slow."""
    read = attrgetter(*[each.name for each in fields(kind)])  # type: ignore[arg-type]  # a dataclass, which has no type of its own

    def copied(row: Any, **changes: Any) -> T:
        new = kind(*read(row))
        for name, value in changes.items():
            setattr(new, name, value)
        return new

    return copied


task_info, task_row = copier(TaskInfo), copier(TaskRow)


def result_row(kept: Kept) -> ResultRow:
    """Of one that is done."""
    ended = kept.ended
    assert ended is not None  # noqa: S101  callers have looked
    return ResultRow(
        kept.info.number, kept.row.id, kept.row.account, ended.done, ended.status, ended.header, ended.payload, ended.body, ended.attempt,
        ended.reason,
    )  # fmt: skip


def forgotten(kept: Kept) -> Forgotten:
    """What of it is in the spool."""
    ended = kept.ended
    size = len(ended.header) + len(ended.payload) + ended.body if ended else 0
    return Forgotten(kept.row.id, bool(kept.row.body), ended.attempt if ended and ended.body else 0, kept.row.account, size)


def enough_of(rows: Sequence[T], sizes: Iterable[int], enough: int) -> Sequence[T]:
    """The first rows that have so many bytes together; all of them, if they have fewer."""
    total = 0
    for count, size in enumerate(sizes):
        if total >= enough:
            return rows[:count]
        total += size
    return rows


class Turns:
    """Tables whose changes since `begin` can be undone. `fail` may raise StoreError at any statement."""

    def __init__(self) -> None:
        """No turn is open."""
        self.fail: Callable[[str], None] = lambda _statement: None
        self._undo: list[tuple[dict[Any, Any], Any, Any]] | None = None
        self._failed = False

    def begin(self) -> None:
        """Start a turn."""
        assert self._undo is None, 'a turn is open'  # noqa: S101  a mistake of ours, not of the store
        self._undo = []
        self._statement('begin')

    def commit(self) -> None:
        """Make it true."""
        self._statement('commit')
        self._undo = None

    def rollback(self) -> None:
        """Put everything back."""
        for table, key, old in reversed(self._undo or []):
            if old is None:
                table.pop(key, None)
            else:
                table[key] = old
        self._undo = None
        self._failed = False

    def _statement(self, name: str) -> None:
        """No statement outside a turn, and none in a turn after an error."""
        assert self._undo is not None, f'{name} outside a turn'  # noqa: S101  as above
        assert not self._failed, f'{name} after an error in the same turn'  # noqa: S101  as above
        self._failed = True
        self.fail(name)
        self._failed = False

    def _put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """Set, or drop with None; remembered for `rollback`."""
        assert self._undo is not None  # noqa: S101  _statement has looked
        self._undo.append((table, key, table.get(key)))
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value
