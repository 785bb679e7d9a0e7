"""How far a transfer is, and the document that says so, in the shape of Globus's task document."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from relay_parsl.flows.storage.collections import Collection
from relay_parsl.flows.storage.faults import Fault
from relay_parsl.flows.storage.listing import moment
from relay_parsl.flows.storage.request import TransferRequest

EVENTS, WORDS = 20, 300
"""Faults that are kept with their words, and characters of each; all are counted. A run's state is bounded."""


@dataclass
class Progress:
    """Counts of one transfer; threads add to it under its lock.

    Attributes:
        files: To be copied, as far as is known.
        bytes_total: What they hold, as the source said.
        moved: Bytes that arrived, those of unfinished parts too.
        faults: All that went wrong so far, what was mended by trying again too.
        nice: The code of what it is waiting for; `OK` when all is well.
    """

    files: int = 0
    directories: int = 0
    symlinks: int = 0
    bytes_total: int = 0
    transferred: int = 0
    skipped: int = 0
    passed: int = 0
    moved: int = 0
    checksummed: int = 0
    faults: int = 0
    nice: str = 'OK'
    nice_details: str = ''
    events: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **counts: int) -> None:
        """Add to the counts of these names."""
        with self.lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def fault(self, path: str, fault: Fault, now: float) -> None:
        """Note what went wrong with a file."""
        with self.lock:
            self.faults += 1
            self.nice, self.nice_details = fault.code, short(fault.description)
            self._event(path, fault.code, fault.description, now)

    def passed_over(self, sentences: Iterable[str], now: float) -> None:
        """Note what is not transferred, and is no fault."""
        with self.lock:
            for words in sentences:
                self._event('', 'PASSED_OVER', words, now)

    def _event(self, path: str, code: str, words: str, now: float) -> None:
        if len(self.events) < EVENTS:
            self.events.append({'time': moment(now, 'T'), 'path': short(path), 'code': code, 'description': short(words)})

    def well(self) -> None:
        """Something worked again."""
        with self.lock:
            self.nice, self.nice_details = 'OK', ''

    def counts(self) -> dict[str, Any]:
        """All of it as JSON, to go on from."""
        with self.lock:
            return {name: value for name, value in vars(self).items() if name != 'lock'}


def short(words: str) -> str:
    """The beginning of it."""
    return words if len(words) <= WORDS else f'{words[: WORDS - 1]}…'


@dataclass(frozen=True)
class Standing:
    """What a task document needs beside the counts."""

    task_id: str
    status: str
    label: str
    request_time: float
    deadline: float
    completion_time: float | None
    fatal: Mapping[str, str] | None = None
    owner: str = ''


def transfer_document(
    request: TransferRequest, ends: tuple[Collection, Collection], counts: Mapping[str, Any], at: Standing, now: float
) -> dict[str, Any]:
    """The details of a transfer."""
    elapsed = max((at.completion_time or now) - at.request_time, 0.001)
    ended = at.completion_time is not None
    open_files = counts['files'] - counts['transferred'] - counts['skipped'] - counts['passed']
    return {
        **_head(at, counts, 'TRANSFER'),
        'source_endpoint': ends[0].name,
        'source_endpoint_id': ends[0].id,
        'source_endpoint_display_name': ends[0].title or ends[0].name,
        'destination_endpoint': ends[1].name,
        'destination_endpoint_id': ends[1].id,
        'destination_endpoint_display_name': ends[1].title or ends[1].name,
        'files': counts['files'],
        'files_transferred': counts['transferred'],
        'files_skipped': counts['skipped'],
        'directories': counts['directories'],
        'symlinks': counts['symlinks'],
        'bytes_total': counts['bytes_total'],
        'bytes_transferred': counts['moved'],
        'bytes_checksummed': counts['checksummed'],
        'effective_bytes_per_second': int(counts['moved'] / elapsed),
        'subtasks_total': counts['files'],
        'subtasks_succeeded': counts['transferred'] + counts['skipped'],
        'subtasks_pending': 0 if ended else open_files,
        'subtasks_failed': open_files if ended and at.status == 'FAILED' else 0,
        'subtasks_retrying': 0 if ended or counts['nice'] == 'OK' else 1,
        'subtasks_skipped_errors': counts['passed'],
        'sync_level': request.sync_level,
        'verify_checksum': request.verify_checksum,
        'encrypt_data': request.encrypt_data,
        'preserve_timestamp': request.preserve_timestamp,
        'recursive_symlinks': request.recursive_symlinks,
        'skip_source_errors': request.skip_source_errors,
        'fail_on_quota_errors': request.fail_on_quota_errors,
        'filter_rules': [{'DATA_TYPE': 'filter_rule', **asdict(rule), 'type': rule.type or None} for rule in request.filter_rules] or None,
        'warnings': list(request.warnings),
    }


def _head(at: Standing, counts: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What the documents of transfers and deletes have in common: every field that Globus has, whatever it is worth here."""
    code = at.fatal['code'] if at.fatal else counts['nice']
    words = at.fatal['description'] if at.fatal else counts['nice_details']
    document: dict[str, Any] = {
        **_NOTHING,
        'type': kind,
        'task_id': at.task_id,
        'status': at.status,
        'label': at.label or None,
        'request_time': moment(at.request_time, 'T'),
        'deadline': moment(at.deadline, 'T') if at.deadline else None,
        'completion_time': moment(at.completion_time, 'T'),
        'owner_id': at.owner or None,
        'owner_string': at.owner or None,
        'username': at.owner or None,
        'is_ok': None if at.completion_time is not None else code == 'OK',
        'faults': counts['faults'],
        'event_list': list(counts['events']),
        'nice_status': code if at.status != 'SUCCEEDED' else None,
        'nice_status_short_description': code if at.status != 'SUCCEEDED' else None,
        'nice_status_details': words or None,
        'fatal_error': dict(at.fatal) if at.fatal else None,
    }
    return document | ({'code': code, 'description': words} if at.status in ('INACTIVE', 'FAILED') else {})


_NOTHING: Mapping[str, Any] = {
    'DATA_TYPE': 'task',
    'command': 'relay-parsl',
    'canceled_by_admin': None,
    'canceled_by_admin_message': None,
    'is_paused': False,
    'history_deleted': False,
    'nice_status_expires_in': -1,
    **dict.fromkeys(('bytes_transferred', 'bytes_checksummed', 'effective_bytes_per_second', 'files_transferred', 'files_skipped'), 0),
    **{f'subtasks_{name}': 0 for name in ('canceled', 'expired', 'failed', 'pending', 'retrying', 'skipped_errors')},
    **dict.fromkeys(('destination_endpoint', 'destination_endpoint_id', 'destination_endpoint_display_name')),
    **dict.fromkeys(('delete_destination_extra', 'encrypt_data', 'fail_on_quota_errors', 'preserve_timestamp', 'skip_source_errors'), False),
    **dict.fromkeys(('filter_rules', 'recursive_symlinks', 'sync_level'), None),
}
"""Fields of a task document, as those that say nothing have them."""


def delete_document(endpoint: Collection, counts: Mapping[str, Any], at: Standing, warnings: tuple[str, ...]) -> dict[str, Any]:
    """The details of a delete."""
    return {
        **_head(at, counts, 'DELETE'),
        'source_endpoint': endpoint.name,
        'source_endpoint_id': endpoint.id,
        'source_endpoint_display_name': endpoint.title or endpoint.name,
        'files': counts['files'],
        'directories': counts['directories'],
        'subtasks_total': counts['files'],
        'subtasks_succeeded': counts['transferred'],
        'warnings': list(warnings),
    }
