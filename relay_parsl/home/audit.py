"""Who did what at a relay or an endpoint: JSON lines, each chained to the one before by its hash, readable by the owner alone, without payloads."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FIRST = '0' * 64
"""What the first line is chained to."""
_TAIL = 64 * 1024


class AuditLog:
    """Appends to one file. Control characters in names are escaped, as JSON does."""

    def __init__(self, path: Path) -> None:
        """Go on with the chain in `path`. Raises OSError."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.fchmod(self._fd, 0o600)
        self._number, self._hash = self._last()

    def write(self, time: float, event: str, fields: Mapping[str, Any]) -> None:
        """One line: `time` in seconds since 1970. Raises OSError."""
        self._number += 1
        body = {'number': self._number, 'time': round(time, 3), 'event': event, **fields, 'previous': self._hash}
        text = json.dumps(body, default=str)
        self._hash = hashlib.sha256(text.encode()).hexdigest()
        os.write(self._fd, f'{text[:-1]}, "hash": "{self._hash}"}}\n'.encode())

    def close(self) -> None:
        """No line after this."""
        os.close(self._fd)

    def _last(self) -> tuple[int, str]:
        """A line that a crash has cut off is ended, so that the next one stands alone; `verify` names it."""
        size = os.fstat(self._fd).st_size
        tail = os.pread(self._fd, _TAIL, max(0, size - _TAIL))
        if tail and not tail.endswith(b'\n'):
            os.write(self._fd, b'\n')
        for line in reversed(tail.splitlines()):
            found = _number_and_hash(line)
            if found is not None:
                return found
        return 0, FIRST


def _number_and_hash(line: bytes) -> tuple[int, str] | None:
    try:
        last = json.loads(line)
        return int(last['number']), str(last['hash'])
    except (ValueError, TypeError, KeyError):
        return None


def verify(path: Path) -> int:
    """The number of the first line [from 1] that was changed, or whose predecessor was taken away; 0 when all of the log is whole. Raises OSError."""
    before = FIRST
    with path.open('rb') as lines:
        for number, line in enumerate(lines, 1):
            try:
                body = json.loads(line)
                claimed = body.pop('hash')
                text = json.dumps(body)
            except (ValueError, TypeError, KeyError, AttributeError):
                return number
            if body.get('previous') != before or hashlib.sha256(text.encode()).hexdigest() != claimed:
                return number
            before = claimed
    return 0
