"""An engine of ours that was started by itself, and everything it said."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from relay_parsl.engines import leash
from relay_parsl.engines.base import Event, Finished, Lost, Work
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.wire import payload

PATIENCE = 60.0
_ids = itertools.count(1)


class Rig:
    """An engine that was started, and everything it said."""

    def __init__(self, directory: Path, engine: HtexEngine) -> None:
        self.engine = engine
        self.spool, self.run_dir = directory / 'spool', directory / 'run'
        self.spool.mkdir()
        self.events: list[Event] = []
        self.changed = threading.Condition()
        self.engine.start(self.deliver, self.run_dir, 'test engine/1')

    def deliver(self, event: Event) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def submit(self, fn: Callable[..., Any], *args: Any, account: bytes = b'\x01' * 16, **options: Any) -> bytes:
        task_id = next(_ids).to_bytes(16, 'big')
        blob = payload.dump_arguments(args, {})
        self.engine.submit(Work(task_id, 1, account, payload.dump_function(fn), blob, None, options, str(self.spool)))
        self.engine.flush()
        return task_id

    def wait(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        with self.changed:
            assert self.changed.wait_for(condition, seconds), f'not in {seconds} s; said so far: {self.events}; {self.engine.status()}'
            return condition()

    def end(self, task_id: bytes) -> Finished | Lost:
        def ends() -> list[Finished | Lost]:
            return [event for event in self.events if isinstance(event, (Finished, Lost)) and event.task_id == task_id]

        return self.wait(ends)[0]  # type: ignore[no-any-return]

    def lost(self, task_id: bytes) -> Lost:
        end = self.end(task_id)
        assert isinstance(end, Lost), payload.load_outcome(payload.decode_outcome(end.outcome).data)
        return end

    def outcome(self, task_id: bytes) -> payload.Outcome:
        end = self.end(task_id)
        assert isinstance(end, Finished), end
        return payload.decode_outcome(end.outcome)

    def call(self, fn: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return payload.load_outcome(self.outcome(self.submit(fn, *args, **options)).data)

    @property
    def token(self) -> str:
        """The mark of the engine that lives now."""
        build = eventually(lambda: self.engine._build)
        return str(build.token)

    def pid_of(self, word: str) -> int:
        """The process of this engine whose command line holds `word`."""
        return eventually(lambda: [pid for pid in leash.marked(self.token) if word in command(pid)])[0]  # type: ignore[no-any-return]


def eventually(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, 'it did not come about'
        time.sleep(0.02)
    return value


def command(pid: int) -> str:
    try:
        return ' '.join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ''
