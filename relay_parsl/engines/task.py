"""One attempt, from its bytes to its outcome: what a runner process and a thread of `ThreadPoolEngine` have in common."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from relay_parsl.engines.base import Work
from relay_parsl.engines.frames import End, result_name
from relay_parsl.engines.interrupts import CANCEL, Guard
from relay_parsl.errors import ProtocolError, TaskError
from relay_parsl.wire import payload
from relay_parsl.wire.messages import INLINE

MASKS = ('CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES', 'HIP_VISIBLE_DEVICES', 'ZE_AFFINITY_MASK')
"""Environment variables that say which accelerators a worker may see."""
SEAL_ROOM = 64
"""Bytes that sealing adds to an outcome, rounded up."""


class Functions:
    """Unpacked functions by the hash of their blob: a function with a large closure is loaded once in each runner."""

    def __init__(self, limit: int = 256) -> None:
        """Keeps the `limit` functions that were used last."""
        self._limit = limit
        self._known: OrderedDict[bytes, Callable[..., Any]] = OrderedDict()
        self._last: tuple[bytes, Callable[..., Any] | None] = b'', None

    def load(self, blob: bytes) -> Callable[..., Any]:
        """The function of a blob. Raises VersionMismatch, SerializationError, or whatever its import raises."""
        last, function = self._last
        if function is None or blob != last:  # a hash takes longer than many a task
            function = self._look_up(blob)
            self._last = blob, function
        return function

    def _look_up(self, blob: bytes) -> Callable[..., Any]:
        digest = hashlib.sha256(blob).digest()
        function = self._known.get(digest)
        if function is None:
            function = payload.load_function(blob)
        self._known[digest] = function
        self._known.move_to_end(digest)
        while len(self._known) > self._limit:
            self._known.popitem(last=False)
        return function


def run(
    work: Work, functions: Functions, prepare: Callable[[], None] = lambda: None, guard: Guard | None = None, site: dict[str, Any] | None = None
) -> End:
    """Run an attempt to its end. Whatever goes wrong in it, in its code, its arguments or its result, is the outcome; nothing is raised.

    Args:
        work: the attempt.
        functions: the cache of this process or thread.
        prepare: called first; what it raises is the task's failure.
        guard: stands around user code, and raises in it what shall end it; by default nothing does.
        site: what `where` said, if it was asked before.
    """
    meta, guard = {**(site or where()), 'started': time.time()}, guard or Guard()
    try:
        with guard:
            prepare()
            value = _call(work, functions, meta, guard)
            parts, ok = payload.value_parts(value, tuple(work.options.get('result_serializers') or ('cloudpickle',))), True
    except BaseException as error:  # noqa: BLE001  user code may raise anything, SystemExit and KeyboardInterrupt too
        parts, ok = [payload.dump_failure(guard.judge(error))], False
    meta['ended'] = time.time()
    end = _end(work, ok, parts, meta)
    return replace(end, cancelled=True) if not ok and guard.raised == CANCEL else end


def ended(error: TaskError, started: float, *, cancelled: bool) -> End:
    """The end of an attempt whose runner had to be killed, or never got it. `started` is when it was handed over, in seconds since 1970."""
    meta = {**where(), 'started': started, 'ended': time.time()}
    outcome = payload.encode_outcome(payload.Outcome(False, payload.dump_failure(error), meta=meta))
    return End(False, outcome, seconds=_seconds(meta), cancelled=cancelled)


def where() -> dict[str, Any]:
    """Where this process runs tasks: the first of what is known about an attempt. User code may change the environment that says so."""
    masks = (os.environ.get(name) for name in MASKS)
    return {
        'host': socket.gethostname(),
        'pid': os.getpid(),
        'worker': os.environ.get('PARSL_WORKER_RANK'),
        'block': os.environ.get('PARSL_WORKER_BLOCK_ID'),
        'accelerator': next((mask for mask in masks if mask is not None), None),
        'python': payload.PYTHON,
    }


def _call(work: Work, functions: Functions, meta: dict[str, Any], guard: Guard) -> Any:
    """Arguments are unpacked for each try: the last one may have changed them. What was told to end is not tried again."""
    for again in range(int(work.options.get('retries') or 0), -1, -1):
        function = functions.load(work.function)
        args, kwargs = _arguments(work)
        meta['tries'] = meta.get('tries', 0) + 1
        if meta['tries'] == 1:
            guard.begin()
        try:
            return function(*args, **kwargs)
        except Exception:
            if not again or guard.raised:
                raise
    raise TaskError('retries must not be negative')


def _arguments(work: Work) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Large ones are read from the spool to where they stay."""
    allowed = work.options.get('allowed_serializers')
    if work.arguments is not None:
        return payload.load_arguments(work.arguments, allowed)
    from relay_parsl.wire import seal  # noqa: PLC0415  cryptography costs each runner 50 ms, and few tasks are large

    if work.body is None:
        raise ProtocolError('an attempt without arguments')
    with open(work.body.path, 'rb', buffering=0) as source:
        return payload.load_arguments(seal.open_stream(work.body.key, work.body.length, source), allowed)


def _end(work: Work, ok: bool, parts: list[payload.Part], meta: dict[str, Any]) -> End:
    seconds, size = _seconds(meta), sum([len(part) if type(part) is bytes else memoryview(part).nbytes for part in parts])
    if size + SEAL_ROOM <= INLINE:
        outcome = payload.encode_outcome(payload.Outcome(ok, b''.join(parts), meta=meta))
        if len(outcome) + SEAL_ROOM <= INLINE:
            return End(ok, outcome, seconds=seconds)
    try:
        return _spooled(work, ok, parts, meta)
    except OSError as error:
        failure = payload.dump_failure(TaskError(f'the result of {size} bytes could not be written to {work.spool!r}: {error}'))
        return End(False, payload.encode_outcome(payload.Outcome(False, failure, meta=meta)), seconds=seconds)


def _spooled(work: Work, ok: bool, parts: list[payload.Part], meta: dict[str, Any]) -> End:
    """Large results never travel through HTEX: they jam its node when a worker dies. The file appears whole or not at all."""
    from relay_parsl.wire import seal  # noqa: PLC0415  as above

    key = seal.new_body_key()
    path = Path(work.spool, result_name(work))
    partial = path.with_suffix(f'.{os.getpid()}.partial')
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'wb') as target:
            length = seal.seal_parts(key, parts, target)
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    outcome = payload.encode_outcome(payload.Outcome(ok, b'', key, length, meta))
    return End(ok, outcome, path.name, path.stat().st_size, _seconds(meta))


def _seconds(meta: dict[str, Any]) -> float:
    return max(0.0, float(meta['ended'] - meta['started']))  # the clock may have been set back
