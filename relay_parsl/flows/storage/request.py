"""What a transfer's or a delete's body asks for, in the old and the new form. Pure: bodies in, frozen requests out."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relay_parsl.flows.actions.base import ActionUnableToRun

ALGORITHMS = ('md5', 'sha1', 'sha256', 'sha512')
SYNC_LEVELS = {'exists': 0, 'size': 1, 'mtime': 2, 'checksum': 3}


@dataclass(frozen=True)
class FilterRule:
    """`exclude` or `include` names that match: the first rule that matches decides."""

    method: str
    name: str
    type: str

    def matches(self, name: str, directory: bool) -> bool:
        """Whether it is about this name."""
        return self.type in ('', 'dir' if directory else 'file') and fnmatch.fnmatchcase(name, self.name)


def wanted(rules: tuple[FilterRule, ...], name: str, directory: bool) -> bool:
    """Whether the rules let a name through; what none speaks of is let through."""
    return next((rule.method == 'include' for rule in rules if rule.matches(name, directory)), True)


@dataclass(frozen=True)
class Item:
    """One line of `DATA` or `transfer_items`.

    Attributes:
        recursive: None where it was not said: then the source says whether it is a directory, as Globus does since 2023.
        checksum: What the content must have, `md5:0123…`; '' for anything.
    """

    source: str
    destination: str
    recursive: bool | None = None
    checksum: str = ''


@dataclass(frozen=True)
class TransferRequest:
    """A transfer's body.

    Attributes:
        sync_level: 0 to 3, as Globus counts: skip what exists, is as large, is as new, has the same checksum; None copies everything.
        recursive_symlinks: `ignore` or `copy`.
        warnings: Options that were accepted and do nothing here, each with the reason.
    """

    source: str
    destination: str
    items: tuple[Item, ...]
    label: str = ''
    sync_level: int | None = None
    verify_checksum: bool = True
    preserve_timestamp: bool = False
    encrypt_data: bool = False
    recursive_symlinks: str = 'ignore'
    skip_source_errors: bool = False
    fail_on_quota_errors: bool = False
    filter_rules: tuple[FilterRule, ...] = ()
    warnings: tuple[str, ...] = ()


_DONE = {
    'source_endpoint', 'destination_endpoint', 'source_endpoint_id', 'destination_endpoint_id', 'DATA', 'transfer_items', 'label', 'sync_level',
    'verify_checksum', 'preserve_timestamp', 'encrypt_data', 'recursive_symlinks', 'skip_source_errors', 'fail_on_quota_errors', 'filter_rules',
    'DATA_TYPE', 'submission_id', 'delete_destination_extra',
}  # fmt: skip
_NOTHING = {
    'notify_on_succeeded': 'no e-mail is sent; a flow tells by an action `notify`',
    'notify_on_failed': 'no e-mail is sent; a flow tells by an action `notify`',
    'notify_on_inactive': 'no e-mail is sent; a flow tells by an action `notify`',
    'deadline': "the state's WaitTime is what ends a transfer",
}


def transfer_request(body: Mapping[str, Any]) -> TransferRequest:
    """Read a transfer's body.

    Raises:
        ActionUnableToRun: it asks for what cannot be done here, or is no such body.
    """
    items = tuple(map(_item, _first(body, 'DATA', 'transfer_items', kind=list)))
    if not items:
        raise ActionUnableToRun('nothing to transfer: DATA is empty')
    if body.get('delete_destination_extra'):
        raise ActionUnableToRun('delete_destination_extra is not done here; delete by a state of its own, before or after')
    symlinks = body.get('recursive_symlinks') or 'ignore'
    if symlinks not in ('ignore', 'copy'):
        raise ActionUnableToRun(f'recursive_symlinks: {symlinks!r}: "ignore" and "copy" are known here')
    flags = ('preserve_timestamp', 'encrypt_data', 'skip_source_errors', 'fail_on_quota_errors')
    return TransferRequest(
        source=_first(body, 'source_endpoint', 'source_endpoint_id'),
        destination=_first(body, 'destination_endpoint', 'destination_endpoint_id'),
        items=items,
        label=str(body.get('label') or ''),
        sync_level=_sync_level(body.get('sync_level')),
        verify_checksum=_flag(body, 'verify_checksum', True),
        recursive_symlinks=symlinks,
        filter_rules=tuple(map(_filter, _first(body, 'filter_rules', kind=list) if body.get('filter_rules') else ())),
        warnings=_warnings(body, _DONE),
        **{flag: _flag(body, flag) for flag in flags},
    )


def _first(body: Mapping[str, Any], *keys: str, kind: type = str) -> Any:
    for key in keys:
        if body.get(key) is not None:
            if not isinstance(body[key], kind):
                raise ActionUnableToRun(f'{key} must be a {"list" if kind is list else "text"}')
            return body[key]
    raise ActionUnableToRun(f'{" or ".join(keys)} is missing')


def _flag(body: Mapping[str, Any], key: str, default: bool = False) -> bool:
    value = body.get(key)
    if not isinstance(value, bool | None):
        raise ActionUnableToRun(f'{key} must be true or false')
    return default if value is None else value


def _item(given: Any) -> Item:
    if not isinstance(given, Mapping):
        raise ActionUnableToRun('each of DATA must be an object with source_path and destination_path')
    if given.get('DATA_TYPE') not in (None, 'transfer_item'):
        raise ActionUnableToRun(f'DATA_TYPE {given["DATA_TYPE"]!r}: only "transfer_item" is known here')
    recursive = given.get('recursive')
    if not isinstance(recursive, bool | None):
        raise ActionUnableToRun('recursive must be true or false')
    algorithm = str(given.get('checksum_algorithm') or 'MD5').lower().replace('-', '')
    checksum = given.get('external_checksum')
    if checksum and algorithm not in ALGORITHMS:
        raise ActionUnableToRun(f'checksum_algorithm {algorithm!r}: known are {", ".join(ALGORITHMS)}')
    wanted_sum = f'{algorithm}:{str(checksum).lower()}' if checksum else ''
    return Item(_first(given, 'source_path'), _first(given, 'destination_path'), recursive, wanted_sum)


def _sync_level(given: Any) -> int | None:
    level = SYNC_LEVELS.get(given, given) if isinstance(given, str) else given
    if level is not None and (isinstance(level, bool) or level not in (0, 1, 2, 3)):
        raise ActionUnableToRun(f'sync_level {given!r}: 0 (exists), 1 (size), 2 (mtime) or 3 (checksum)')
    return level


def _filter(given: Any) -> FilterRule:
    rule = given if isinstance(given, Mapping) else {}
    method, name, kind = rule.get('method', 'exclude'), rule.get('name'), rule.get('type') or ''
    if method not in ('exclude', 'include') or not isinstance(name, str) or kind not in ('', 'file', 'dir'):
        raise ActionUnableToRun(f'filter_rules: {given!r}: needs a name, a method (exclude, include), and takes a type (file, dir)')
    return FilterRule(method, name, kind)


def _warnings(body: Mapping[str, Any], done: set[str]) -> tuple[str, ...]:
    """False or null asks for nothing."""
    asked = [key for key, value in body.items() if key not in done and value not in (None, False) and not key.startswith('_')]
    return tuple(f'{key}: {_NOTHING.get(key, "unknown here, and passed over")}' for key in asked)


@dataclass(frozen=True)
class DeleteRequest:
    """A delete's body; `paths` as they were written."""

    endpoint: str
    paths: tuple[str, ...]
    label: str = ''
    recursive: bool = False
    ignore_missing: bool = False
    interpret_globs: bool = False
    warnings: tuple[str, ...] = ()


def delete_request(body: Mapping[str, Any]) -> DeleteRequest:
    """Read a delete's body. Raises ActionUnableToRun."""
    paths = tuple(_first(each if isinstance(each, Mapping) else {'path': each}, 'path') for each in _first(body, 'DATA', 'items', kind=list))
    if not paths:
        raise ActionUnableToRun('nothing to delete: DATA is empty')
    flags = ('recursive', 'ignore_missing', 'interpret_globs')
    done = {'endpoint', 'endpoint_id', 'DATA', 'items', 'label', 'DATA_TYPE', 'submission_id', *flags}
    return DeleteRequest(
        endpoint=_first(body, 'endpoint', 'endpoint_id'),
        paths=paths,
        label=str(body.get('label') or ''),
        warnings=_warnings(body, done),
        **{flag: _flag(body, flag) for flag in flags},
    )
