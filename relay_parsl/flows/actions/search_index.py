"""A search index as a file of JSON lines: each line says what is so from then on. Lines are only added, so a request's own are found again.

An entry: `{"subject", "id", "visible_to", "content", "time", "request_id"}`; of a subject and an id the latest counts. A deletion: `{"subject",
"deleted": true, …}`, with `id` where it is of one entry. `entries` reads what there is.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relay_parsl.flows.definition import Json

SUFFIX = '.jsonl'
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,99}')


def is_name(index: str) -> bool:
    """Whether an index can be called so: a UUID, or letters, digits and `._-`."""
    return _NAME.fullmatch(index) is not None


class Index:
    """One index. Several processes may write it: each holds its lock while it does.

    Args:
        directory: Where the files are; made where it is missing.
        name: Of which `is_name` holds.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / f'{name}{SUFFIX}'

    def add(self, request_id: str, lines: Sequence[dict[str, Json]], *, again: bool) -> int:
        """Write a request's lines, in one piece and to the disk; how many of them were not there yet.

        Args:
            request_id: Stands in each line.
            lines: What it adds, always the same.
            again: An earlier call may have written them, wholly or in part: those are not written twice.

        Raises:
            OSError: the disk is full, or the directory cannot be written.
        """
        with self._locked() as file:
            _heal(file)
            there = sum(1 for line in self._lines() if line.get('request_id') == request_id) if again else 0
            text = ''.join([json.dumps({**line, 'request_id': request_id}, allow_nan=False) + '\n' for line in lines[there:]])
            _write(file, text.encode())
            return len(lines) - there

    def entries(self) -> dict[tuple[str, str | None], dict[str, Json]]:
        """What the index holds, by subject and id."""
        found: dict[tuple[str, str | None], dict[str, Json]] = {}
        for line in self._lines():
            key = (str(line.get('subject')), line.get('id'))
            if not line.get('deleted'):
                found[key] = line
            elif 'id' in line:
                found.pop(key, None)
            else:
                found = {each: entry for each, entry in found.items() if each[0] != key[0]}
        return found

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with self.path.open('rb') as file:
            for line in file:
                if line.endswith(b'\n'):  # the last one may be torn: its process died
                    yield json.loads(line)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists()
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if new:
                _sync_directory(self.path.parent)
            yield file
        finally:
            os.close(file)


def _heal(file: int) -> None:
    """Take away a last line that has no end: it was never acknowledged, and its request will be repeated."""
    end = os.lseek(file, 0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 65_536)
        piece = os.pread(file, end - start, start)
        cut = piece.rfind(b'\n')
        if cut >= 0 or start == 0:
            os.ftruncate(file, start + cut + 1)
            return
        end = start


def _write(file: int, data: bytes) -> None:
    """All of it or nothing, as far as this process lives."""
    at = os.lseek(file, 0, os.SEEK_END)
    try:
        written = 0
        while written < len(data):
            written += os.write(file, data[written:])
        os.fsync(file)
    except OSError:
        os.ftruncate(file, at)
        raise


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
