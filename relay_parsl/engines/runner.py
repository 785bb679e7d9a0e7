"""The process that runs user code, and the only one: `python -m relay_parsl.engines.runner SOCKET TOKENS RINGER PARENT`.

It reads work frames from an inherited socket, as it may (see `engines.tokens`), and answers each with an end frame. It is an ordinary process in a
session of its own, so that user code may start processes, MPI or a whole Parsl workflow in it; it may also crash it, which its worker sees at once
and nobody else feels.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from relay_parsl.engines import task
from relay_parsl.engines.base import Work
from relay_parsl.engines.frames import ATTEMPT, Place, decode_work, encode_end, task_name
from relay_parsl.engines.interrupts import Interrupts, default_limit
from relay_parsl.engines.leash import die_with_parent
from relay_parsl.engines.tokens import Inlet


def serve(connection: Inlet) -> None:
    """Run what comes until the other side closes."""
    functions, here, home, site = task.Functions(), os.getpid(), os.getcwd(), task.where()
    guard, limit = Interrupts(connection.tell), default_limit()
    mask, streams = os.umask(0o077), _copies()
    given: Mapping[str, str] = {}
    while True:
        try:
            frame = connection.recv_bytes()
        except (EOFError, OSError):
            return
        work, place = decode_work(frame)
        for name in given:
            os.environ.pop(name, None)
        given = place.environment
        os.umask(mask)  # the last task may have changed it
        guard.limit(work.options.get('timeout') or limit)
        end = task.run(work, functions, lambda work=work, place=place: _settle(work, place, home), guard, site)  # type: ignore[misc]
        if os.getpid() != here:
            os._exit(0)  # user code forked and came back twice: the copy has nothing to say
        _flush(streams)
        connection.send_bytes(encode_end(end))


def _copies() -> tuple[int, ...]:
    """Copies of descriptors 0 to 2, out of which the next task gets its own, whatever the last one did to them."""
    for number in range(3):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    return tuple([os.dup(number) for number in range(3)])


def _flush(streams: tuple[int, ...]) -> None:
    """Let its output be seen with its result, and the next task find descriptors 0 to 2 where they were."""
    whole = False
    with contextlib.suppress(Exception):  # closed, for one
        whole = _ours(sys.stdout, sys.__stdout__) and _ours(sys.stderr, sys.__stderr__)
    with contextlib.suppress(OSError):  # it has closed the copies as well
        for number, copy in enumerate(streams):
            os.dup2(copy, number)  # cheaper than to look whether it is needed
    if not whole:
        _restore()


def _ours(stream: TextIO | None, first: TextIO | None) -> bool:
    """Flush it; whether it is what it was."""
    if stream is None or stream is not first:
        return False
    stream.flush()
    return True


def _restore() -> None:
    """User code has closed or replaced a stream: no reason to lose the result, or the next task's."""
    for number, name in ((1, 'stdout'), (2, 'stderr')):
        with contextlib.suppress(Exception):  # what stands there may be user code too
            getattr(sys, name).flush()
        ours = getattr(sys, f'__{name}__')
        if ours is None or ours.closed:
            ours = open(number, 'w', closefd=False, errors='backslashreplace') if _is_open(number) else None  # noqa: SIM115  for as long as the runner lives
            setattr(sys, f'__{name}__', ours)
        setattr(sys, name, ours)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _settle(work: Work, place: Place, home: str) -> None:
    """Go where the task shall run: the last one may have gone elsewhere. Names of Globus Compute are set too, for functions that read them."""
    name = task_name(work.task_id)
    os.environ['GC_TASK_UUID'] = name
    os.environ[ATTEMPT] = f'{name}.{work.attempt}'
    if place.environment:
        os.environ.update(place.environment)
    if not place.directory and not place.sandbox:
        return os.chdir(home)
    directory = Path(home, place.directory)
    if place.sandbox:
        directory = directory / name
        os.environ['GC_TASK_SANDBOX_DIR'] = str(directory)
    directory.mkdir(parents=True, exist_ok=True)
    return os.chdir(directory)


def main() -> None:
    """Run the command line: the numbers of two inherited sockets and a pipe, and the pid of the worker to die with."""
    *numbers, parent = map(int, sys.argv[1:])
    die_with_parent(parent)
    faulthandler.enable()
    for number in numbers:
        os.set_inheritable(number, False)
    connection = Inlet(socket.socket(fileno=numbers[0]), socket.socket(fileno=numbers[1]), numbers[2])
    os.register_at_fork(after_in_child=connection.close)
    # A Parsl workflow inside a task finds Parsl's own programs, whatever the batch job's PATH is.
    os.environ['PATH'] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get('PATH', os.defpath)])
    serve(connection)


if __name__ == '__main__':
    main()
