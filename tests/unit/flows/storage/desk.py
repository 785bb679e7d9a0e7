"""What the tests of storage share: rows in a file, an action with its surroundings, and waiting."""

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relay_parsl.flows.actions.base import Action, Call, Surroundings
from relay_parsl.flows.messages import ActionStatus

PATIENCE = 60.0


class Rows:
    """Records as lines of JSON in a file: what was put before a kill -9 is there after it."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock, self.puts = path, threading.Lock(), 0
        self.rows: dict[str, str] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            key, value = json.loads(line)
            self.rows[key] = value
        self.file = path.open('a')

    def get(self, key: str) -> Any:
        value = self.rows.get(key)
        return None if value is None else json.loads(value)

    def put(self, key: str, value: Any) -> None:
        with self.lock:
            self.puts += 1
            self._write(key, json.dumps(value))

    def delete(self, key: str) -> None:
        with self.lock:
            self._write(key, None)

    def _write(self, key: str, value: str | None) -> None:
        self.rows[key] = value  # type: ignore[assignment]
        self.file.write(json.dumps([key, value]) + '\n')
        self.file.flush()

    def scan(self, prefix: str = '') -> Iterator[tuple[str, Any]]:
        for key in sorted(self.rows):
            if key.startswith(prefix) and self.rows[key] is not None:
                yield key, json.loads(self.rows[key])

    def close(self) -> None:
        self.file.close()


class Desk:
    """An action at work on collections under one directory."""

    def __init__(self, kind: type[Action], settings: Mapping[str, Any], rows: Rows, account: str = '') -> None:
        self.reports: list[str] = []
        self.rows = rows
        self.action = kind(Surroundings(rows, settings, self.reports.append, time.time, account))

    def run(self, body: Any, request_id: str | None = None, **fields: Any) -> ActionStatus:
        return self.action.run(Call(request_id or f'{uuid.uuid4()}:Transfer:1', body, time=time.time(), **fields))

    def end(self, status: ActionStatus) -> ActionStatus:
        return wait_for(lambda: (now := self.action.status(status.action_id)).status != 'ACTIVE' and now)

    def do(self, body: Any, **fields: Any) -> ActionStatus:
        return self.end(self.run(body, **fields))


@contextmanager
def desk(kind: type[Action], directory: Path, account: str = '', **collections: Any) -> Iterator[Desk]:
    """An action with these collections; one that is a path is made."""
    settings = {}
    for name, given in collections.items():
        fields = {'root': str(given)} if isinstance(given, str | Path) else given
        if fields['root'].startswith('/'):
            Path(fields['root']).mkdir(parents=True, exist_ok=True)
        settings[name] = fields
    rows = Rows(directory / 'rows.jsonl')
    made = Desk(kind, settings, rows, account)
    try:
        yield made
    finally:
        made.action.close()
        rows.close()


def wait_for(ask: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """What `ask` says, as soon as it is true."""
    deadline = time.monotonic() + patience
    while not (answer := ask()):
        assert time.monotonic() < deadline, 'it did not come'
        time.sleep(0.01)
    return answer


def ended(status: ActionStatus, expected: str = 'SUCCEEDED') -> dict[str, Any]:
    """The details of an action that ended so."""
    assert status.status == expected, status.details
    assert isinstance(status.details, Mapping)
    return dict(status.details)


def tree(root: Path) -> dict[str, bytes | None]:
    """Every path beneath, and the content of files; None for a directory, the target for a link."""
    found: dict[str, bytes | None] = {}
    for here, folders, files in os.walk(os.fsencode(root)):
        for name in folders + files:
            path = os.path.join(here, name)
            relative = os.fsdecode(os.path.relpath(path, os.fsencode(root)))
            if os.path.islink(path):
                found[relative] = b'-> ' + os.readlink(path)
            elif os.path.isdir(path):
                found[relative] = None
            else:
                found[relative] = Path(os.fsdecode(path)).read_bytes()
    return found


def parts_left(root: Path) -> list[str]:
    """Working names that a transfer left behind."""
    return [path for path in tree(root) if path.endswith('.part')]


def one(source: str, destination: str, **fields: Any) -> dict[str, Any]:
    """A body of today's form with one item."""
    item = {'source_path': source, 'destination_path': destination}
    if 'recursive' in fields:
        item['recursive'] = fields.pop('recursive')
    return {'source_endpoint': 'here', 'destination_endpoint': 'there', 'DATA': [item], **fields}
