"""Directory listings as Globus writes them: documents of files, `filter` and `orderby`. Pure but for `document`, which follows links."""

from __future__ import annotations

import fnmatch
import operator
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Any

from relay_parsl.flows.storage.base import Entry
from relay_parsl.flows.storage.place import Place

FIELDS = ('name', 'type', 'size', 'user', 'group', 'permissions', 'last_modified', 'link_target')
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {'<=': operator.le, '>=': operator.ge, '<': operator.lt, '>': operator.gt}


def moment(seconds: float | None, between: str = ' ') -> str | None:
    """`2022-01-06 16:23:33+00:00`, as Globus writes it in documents of files; task documents have `T` in between."""
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat(sep=between, timespec='seconds')


def document(entry: Entry, place: Place, follow: Callable[[], Entry] | None = None) -> dict[str, Any]:
    """A file document.

    Args:
        entry: What is there.
        place: Where that was found.
        follow: Says what a link leads to; raises OSError where it leads nowhere, or where nobody may go.
    """
    target = entry
    if entry.type == 'link':
        try:
            target = follow() if follow is not None else entry
        except OSError:
            target = entry
    link = entry if entry.type == 'link' else None
    kind = 'invalid_symlink' if target.type == 'link' else target.type
    return {
        'DATA_TYPE': 'file',
        'name': entry.name or place.collection.name,
        'type': 'chr' if kind == 'other' else kind,
        'is_folder': target.type == 'dir',
        'size': target.size,
        'user': target.user or None,
        'group': target.group or None,
        'permissions': target.permissions or None,
        'last_modified': moment(target.mtime),
        'link_target': link.link_target if link else None,
        'link_size': link.size if link else None,
        'link_user': link.user or None if link else None,
        'link_group': link.group or None if link else None,
        'link_last_modified': moment(link.mtime) if link else None,
    }


def fault_in_filter(text: str) -> str | None:
    """What is wrong with a `filter`; None where nothing is."""
    for clause in text.split('/'):
        field, colon, _ = clause.partition(':')
        if not colon or field not in FIELDS:
            return f'{clause!r}: a filter is FIELD:VALUE, several with "/" between them; fields are {", ".join(FIELDS)}'
    return None


def matches(found: dict[str, Any], text: str) -> bool:
    """Whether a file document passes a filter: every clause must hold. `~` matches a pattern, `!` turns it round, `<` and the like compare."""
    return all(_holds(found, *clause.partition(':')[::2]) for clause in text.split('/'))


def _holds(found: dict[str, Any], field: str, wanted: str) -> bool:
    value = found[field]
    if wanted.startswith('!'):
        return not _holds(found, field, wanted[1:])
    for sign, holds in _ORDERS.items():
        if wanted.startswith(sign):
            return _compare(value, wanted[len(sign) :], holds)
    if wanted.startswith('~'):
        return fnmatch.fnmatchcase(str(value), wanted[1:])
    return str(value) in wanted.removeprefix('=').split(',')


def _compare(value: Any, wanted: str, holds: Callable[[Any, Any], bool]) -> bool:
    if value is None:
        return False
    if isinstance(value, int):
        return wanted.lstrip('-').isdigit() and holds(value, int(wanted))
    return holds(str(value), wanted)


def fault_in_order(words: Sequence[str]) -> str | None:
    """What is wrong with an `orderby`; None where nothing is."""
    for word in words:
        field, _, way = word.strip().partition(' ')
        if field not in FIELDS or way.strip().upper() not in ('', 'ASC', 'DESC'):
            return f'{word!r}: an order is FIELD, "FIELD ASC" or "FIELD DESC"; fields are {", ".join(FIELDS)}'
    return None


def ordered(found: list[dict[str, Any]], words: Sequence[str]) -> list[dict[str, Any]]:
    """Sorted by the first word, and where that is the same by the second, and so on."""
    result = list(found)
    for word in reversed(words):
        field, _, way = word.strip().partition(' ')
        result.sort(key=partial(_rank, field), reverse=way.strip().upper() == 'DESC')
    return result


def _rank(field: str, found: dict[str, Any]) -> tuple[bool, Any]:
    """What is not known comes first."""
    return found[field] is not None, found[field] if found[field] is not None else ''
