"""Registered functions: sealed by an account to itself, kept for it alone until it drops them. Pure."""

from __future__ import annotations

from typing import Any

from relay_parsl.errors import with_article
from relay_parsl.relay.accounts import MAY_SUBMIT, Denied
from relay_parsl.relay.core import Core
from relay_parsl.relay.records import AccountRow, FunctionRow
from relay_parsl.wire.messages import NO_ID, Id, List

PAGE = 500
"""Functions in one `Listing`."""
_ABSENT = 'this account has registered no such function'

Row = dict[str, Any]


class Functions:
    """Answers `register`, `unregister`, and the list `functions`. What an account did not register itself is absent for it."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def register(self, asker: AccountRow, args: Row, now: float) -> Row:
        """Keep it; said twice, the later bytes stand (the account may have a new sealing key)."""
        name, data = _id(args), args.get('data')
        if not isinstance(data, bytes) or not data:
            raise Denied('malformed', 'a function needs id (16 bytes) and data')
        fault = self._fault(asker, name, len(data))
        if fault:
            raise Denied(*fault)
        self._core.store.put_function(FunctionRow(asker.id, name, now, len(data), data))
        return {'id': name, 'size': len(data)}

    def _fault(self, asker: AccountRow, name: Id, size: int) -> tuple[str, str] | None:
        """Why it cannot be kept: code and reason."""
        core, settings = self._core, self._core.settings
        if asker.role not in MAY_SUBMIT:
            return 'denied', f'{with_article(asker.role)} may not register functions'
        if size > settings.object_limit:
            return 'too-large', f'the relay takes functions up to {settings.object_limit} bytes, seal included'
        if core.full:
            return 'full', "the relay's disk is full: try again later"
        if not core.may_bring(asker.id, size):
            return 'limit', f'over {settings.objects_daily} bytes of functions in a day'
        if core.store.functions_size(asker.id, name) + size > settings.functions_kept:
            return 'limit', f'over {settings.functions_kept} bytes of registered functions: delete some'
        return None

    def drop(self, asker: AccountRow, args: Row, _now: float) -> Row:
        """Forget it."""
        name = _id(args)
        if not self._core.store.drop_function(asker.id, name):
            raise Denied('not-found', _ABSENT)
        return {'id': name}

    def rows(self, asker: AccountRow, message: List) -> tuple[list[Row], str]:
        """With an `id` the one function and its data; else all of them, by id and without data."""
        if 'id' in message.filter:
            found = self._core.store.function(asker.id, _id(message.filter))
            if found is None:
                raise Denied('not-found', _ABSENT)
            return [{**_row(found), 'data': found.data}], ''
        rows = self._core.store.functions(asker.id, _after(message.page), PAGE)
        return list(map(_row, rows)), rows[-1].id.hex() if len(rows) == PAGE else ''


def _row(row: FunctionRow) -> Row:
    return {'id': row.id, 'size': row.size, 'registered': row.registered}


def _id(args: Row) -> Id:
    """Raises Denied when there is none."""
    value = args.get('id')
    if not isinstance(value, bytes) or len(value) != len(NO_ID):
        raise Denied('malformed', 'a function has an id of 16 bytes')
    return Id(value)


def _after(page: str) -> Id:
    """Where the last page ended; a page that we did not give is the first one."""
    try:
        value = bytes.fromhex(page)
    except ValueError:
        return NO_ID
    return Id(value) if len(value) == len(NO_ID) else NO_ID
