"""An audit log that a loop writes once a turn, and what becomes of the loop's work while the disk takes no line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from relay_parsl.home.audit import AuditLog

log = logging.getLogger(__name__)

MODES = ('required', 'best-effort')
"""What is not on record does not happen; or it happens, and its line follows when the disk takes it."""
AGAIN = 1.0
"""Seconds between two tries while the log cannot be written."""


class Recorder:
    """Notes of a turn, and one `commit`. Recovers by itself."""

    def __init__(self, audit: AuditLog, mode: str) -> None:
        """`mode` is one of `MODES`."""
        self._audit, self.required = audit, mode == 'required'
        self._since: float | None = None
        self._tried = 0.0

    @property
    def halted(self) -> bool:
        """Whether nothing may happen that must be on record."""
        return self.required and self._since is not None

    @property
    def failing(self) -> bool:
        """Whether the log cannot be written, in either mode."""
        return self._since is not None

    def note(self, now: float, event: str, fields: Mapping[str, Any]) -> None:
        """A line of this turn."""
        self._audit.note(now, event, fields)

    def commit(self, now: float) -> bool:
        """Write the lines of this turn, on the disk where the mode is `required`; whether what they tell of may happen."""
        if self._since is not None:
            if now - self._tried < AGAIN:
                return not self.required
            self._audit.note(now, 'audit-resumed', {'since': round(self._since, 3)})
        self._tried = now
        try:
            self._audit.flush(sync=self.required)
        except OSError as error:
            self._fails(now, error)
            return not self.required
        if self._since is not None:
            log.warning('%s can be written again', self._audit.path)
            self._since = None
        return True

    def take_back(self) -> None:
        """The turn did not happen: its lines go."""
        self._audit.take_back()

    def close(self) -> None:
        """No line after this."""
        self._audit.close()

    def _fails(self, now: float, error: OSError) -> None:
        if self._since is None:
            self._since = now
            log.error('%s cannot be written: %s%s', self._audit.path, error.strerror, '; nothing new is taken until it can' if self.required else '')
        else:
            self._audit.forget('audit-resumed')
