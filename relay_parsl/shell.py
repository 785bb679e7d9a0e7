"""Shell commands as functions, with the interface of `globus_compute_sdk`: standard library only, for it is imported on compute nodes.

Where it differs from `globus_compute_sdk` 4.19: a command that reaches its walltime is killed with all that it started; shell text keeps
its own braces (`awk '{print $1}'`, `${HOME}`); values never stand in the text, so that each is one word of the shell, whatever is in it; `cwd` and
`env`; snippets hold this run's output only, are bounded in bytes too, and take any bytes; the working directory of the process is left alone;
nothing is added to stderr.
"""

from __future__ import annotations

import keyword
import os
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from relay_parsl.shelltext import fill

SNIPPET = 256 * 1024
"""Bytes of stdout and of stderr that come back, at most: the last ones. The files on the endpoint hold all."""
TIMED_OUT = 124
"""The return code of `timeout(1)`, and of a command that reached its walltime."""
MPI_PREFIX = 'PARSL_MPI_PREFIX'
"""Set for each task by an MPI engine: the launcher's command with the nodes that the task may use."""

MARK = 'RELAY_PARSL_COMMAND'
"""Set for each command: what carries it was started by that command, wherever it has gone since."""


@dataclass(repr=False)
class ShellResult:
    """What a command gave: its text, the ends of its output, its return code, and the name of an exception or None."""

    cmd: str
    stdout: str
    stderr: str
    returncode: int
    exception_name: str | None = None

    def __str__(self) -> str:
        """For people: the last lines. stderr only of a command that failed."""
        shown = f'exit code: {self.returncode}\n   stdout:\n{_last(self.stdout, "stdout")}'
        if self.returncode:
            shown += f'\n\n   stderr:\n{_last(self.stderr, "stderr")}'
            shown += f'\n\nexception: {self.exception_name}' if self.exception_name else ''
        return shown

    def __repr__(self) -> str:
        shown = {name: value for name, value in asdict(self).items() if value is not None}
        return f'{type(self).__name__}({", ".join(f"{name}={value!r}" for name, value in shown.items())})'


class ShellFunction:
    """A command line for `/bin/bash` that is called like a function: `ShellFunction('wc -l {path}')(path='a file')`.

    A value is one word, whatever is in it, and never code, unless the text says `{name!s}`. Values that are no plain words are assigned to variables
    before the text, which names those. Where bash would read a value once more, or the place cannot be told, only plain values are taken, others are
    refused with a ValueError: backticks, `${…}`, arithmetic, subscripts, here-documents with a quoted delimiter, `[[ ]]` that compares numbers,
    `eval`, `trap`, `let`, the script of `bash -c`. What else a program makes of its words is its own affair, and not seen from here: `ssh host {x}`,
    `awk "{x}"`, `python -c`, `declare {x}`, `read {x}`, or a shell that is started by a name of its own (`$SHELL -c`, `su -c`) read the value as a
    text of theirs. Give it to them as an argument or in `env`: `bash -c 'echo "$1"' bash {x}`.
    """

    _first = ''
    """What is put before the text."""

    def __init__(  # noqa: PLR0913  those of the model, and two more
        self,
        cmd: str,
        stdout: str | None = None,
        stderr: str | None = None,
        walltime: float | None = None,
        snippet_lines: int = 1000,
        name: str | None = None,
        return_dict: bool = False,
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the text; nothing is run before the call.

        Args:
            cmd: the text. `{name}` stands for a keyword argument of the call, in the format language of `str.format`, as a word of the shell: outside
                of quotes, within them or in a here-document. A list or a tuple is as many words. `{name!s}` is the value as it is, for text that the
                shell shall read. `${name}` is the variable that the value names. `{{` and `}}` stand for braces where a text uses them. Other braces
                are the shell's own.
            stdout: file that output is appended to, on the endpoint; a new one in the working directory by default.
            stderr: likewise.
            walltime: seconds after which the command, and all that it started, is killed; the return code is 124 then.
            snippet_lines: the last lines of each output that come back, within `SNIPPET` bytes.
            name: an identifier; the class's by default.
            return_dict: whether a call gives a dict that JSON can carry instead of a ShellResult.
            cwd: directory on the endpoint, made if it is not there; relative to where the task runs, which it is by default.
            env: variables for the command, beside those of the worker.

        Raises:
            TypeError: names or values of `env` that are no strings.
            ValueError: a walltime that is not positive, a name that is no identifier.
        """
        name = name or type(self).__name__
        if walltime is not None and not walltime > 0:
            raise ValueError(f'a walltime is a positive number of seconds, not {walltime!r}')
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(f'the name of a function is an identifier, not {name!r}')
        self.cmd, self.stdout, self.stderr, self.walltime = cmd, stdout, stderr, walltime
        self.snippet_lines, self.return_dict = snippet_lines, return_dict
        self.cwd, self.env = None if cwd is None else os.fspath(cwd), dict(env or {})
        if not all(type(each) is str for pair in self.env.items() for each in pair):
            raise TypeError('env maps names to strings')
        self.__name__ = name

    def __repr__(self) -> str:
        shown = {'walltime': self.walltime, 'stdout': self.stdout, 'stderr': self.stderr, 'snippet_lines': self.snippet_lines, 'cmd': self.cmd}
        return f'{self.__name__}({", ".join(f"{key}={value!r}" for key, value in shown.items() if value is not None)})'

    def __call__(self, **kwargs: Any) -> ShellResult | dict[str, Any]:
        """Run the command here, with these values in its text. A return code that is not 0 raises nothing."""
        return self.execute_cmd_line(self.command(kwargs))

    def command(self, kwargs: dict[str, Any]) -> str:
        """The text that is run. Raises TypeError for an argument that is not given, ValueError for one that cannot stand in its place."""
        return fill(self.cmd, kwargs, self._first)

    def execute_cmd_line(self, cmd: str) -> ShellResult | dict[str, Any]:
        """Run `cmd` as it is."""
        directory = Path(os.environ.get('GC_TASK_SANDBOX_DIR') or Path.cwd(), self.cwd or '')
        directory.mkdir(parents=True, exist_ok=True)
        with _output(directory, self.stdout, '.stdout') as stdout, _output(directory, self.stderr, '.stderr') as stderr:
            starts = stdout.tell(), stderr.tell()
            returncode, exception = _run(cmd, directory, self.env, self.walltime, (stdout, stderr))
            out, err = (_snippet(file, start, self.snippet_lines) for file, start in zip((stdout, stderr), starts))
        result = ShellResult(cmd, out, err, returncode, exception)
        return asdict(result) if self.return_dict else result


class MPIFunction(ShellFunction):
    """A ShellFunction whose first command is started by the engine's MPI launcher, on the nodes of `resource_specification`.

    Later commands of the text run once, on the first node; put `$PARSL_MPI_PREFIX` before those that should be launched too.
    """

    _first = f'${MPI_PREFIX} '

    def command(self, kwargs: dict[str, Any]) -> str:
        """The text that is run. Raises RuntimeError where no MPI engine has set the launcher: it would run as one process, unnoticed."""
        if not os.environ.get(MPI_PREFIX):
            raise RuntimeError(f'${MPI_PREFIX} is not set: an MPIFunction needs an MPIEngine, and a resource_specification in the executor')
        return super().command(kwargs)


def _output(directory: Path, name: str | None, suffix: str) -> BinaryIO:
    if name is None:
        prefix = os.environ.get('GC_TASK_UUID') or uuid.uuid4().hex[-10:]
        return os.fdopen(tempfile.mkstemp(suffix, f'{prefix}.', directory)[0], 'a+b')
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open('a+b')
    file.seek(0, os.SEEK_END)
    return file


def _run(cmd: str, directory: Path, env: Mapping[str, str], walltime: float | None, output: tuple[BinaryIO, BinaryIO]) -> tuple[int, str | None]:
    """Return code and name of the exception. Whatever ends the wait, a cancelled task's exception too, ends the command."""
    mark = uuid.uuid4().hex
    process = subprocess.Popen(  # noqa: S603 - what it is for
        ['/bin/bash', '-c', cmd],
        cwd=directory,
        env={**os.environ, **env, MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=output[0],
        stderr=output[1],
    )
    try:
        returncode = process.wait(walltime)
    except subprocess.TimeoutExpired:
        return TIMED_OUT, 'subprocess.TimeoutExpired'
    finally:
        if process.returncode is None:
            _kill(process, f'{MARK}={mark}')
    return returncode, 'subprocess.CalledProcessError' if returncode else None


def _kill(process: subprocess.Popen[bytes], mark: str) -> None:
    """They stay in our process group on purpose: whoever kills the group of this process (its engine) reaches them too."""
    kill_tree(process.pid, mark)
    process.wait()


def kill_tree(root: int, mark: str) -> None:
    """Kill a process and what it started: stopped first, so that none starts another in between.

    Args:
        root: the process; its descendants are found though they left its process group.
        mark: `NAME=value`; whose environment holds it is found too, though its parent has ended. This process itself is spared.
    """
    seen: set[int] = set()
    while fresh := (_descendants(root) | _marked(mark.encode())) - seen:
        for pid in fresh:
            _signal(pid, signal.SIGSTOP)
        seen |= fresh
    for pid in seen:
        _signal(pid, signal.SIGKILL)


def _descendants(root: int) -> set[int]:
    """The process and all below it, as /proc has them; where there is none, the process alone."""
    children: dict[int, list[int]] = {}
    for entry in Path('/proc').glob('[0-9]*/stat'):
        with suppress(OSError, ValueError, IndexError):
            parent = int(entry.read_bytes().rpartition(b')')[2].split()[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    found, todo = set(), [root]
    while todo:
        pid = todo.pop()
        found.add(pid)
        todo += children.get(pid, [])
    return found


def _marked(mark: bytes) -> set[int]:
    found = set()
    for entry in Path('/proc').glob('[0-9]*/environ'):
        with suppress(OSError):
            if mark in entry.read_bytes().split(b'\0'):
                found.add(int(entry.parent.name))
    return found - {os.getpid()}


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _snippet(file: BinaryIO, start: int, lines: int) -> str:
    """The last lines of what was written since `start`; bytes that are no UTF-8 stand there by their numbers."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(start, end - SNIPPET))
    kept = file.read(SNIPPET).splitlines(keepends=True)[-lines:] if lines > 0 else []
    return b''.join(kept).decode(errors='backslashreplace')


def _last(text: str, name: str) -> str:
    whole = text.lstrip('\n').rstrip()
    shown = '\n'.join(whole[-1024:].splitlines()[-10:])
    return shown if shown == whole else f'[... truncated; see .{name} for full output ...]\n{shown}'
