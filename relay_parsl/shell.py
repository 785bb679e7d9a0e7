"""Shell commands as functions, with the interface of `globus_compute_sdk`: standard library only, for it is imported on compute nodes.

Where it differs from `globus_compute_sdk` 4.19: a command that reaches its walltime is killed with all that it started; shell text keeps
its own braces (`awk '{print $1}'`, `${HOME}`); `{name!q}` quotes a value for the shell; snippets hold this run's output only, are bounded
in bytes too, and take output that is not UTF-8; the working directory of the process is left alone; nothing is added to stderr.
"""

from __future__ import annotations

import keyword
import os
import re
import shlex
import signal
import subprocess
import tempfile
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

SNIPPET = 256 * 1024
"""Bytes of stdout and of stderr that come back, at most: the last ones. The files on the endpoint hold all."""
TIMED_OUT = 124
"""The return code of `timeout(1)`, and of a command that reached its walltime."""
MPI_PREFIX = 'PARSL_MPI_PREFIX'
"""Set for each task by an MPI engine: the launcher's command with the nodes that the task may use."""

_FIELD = re.compile(r'\{\{|\}\}|(\$?)\{([A-Za-z_]\w*)((?:\.\w+|\[[^][{}]*\])*(?:![rsa])?(?::[^{}]*)?|!q)\}')


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
    """A command line for `/bin/bash` that is called like a function: `ShellFunction('wc -l {path!q}')(path='a file')`."""

    def __init__(
        self,
        cmd: str,
        stdout: str | None = None,
        stderr: str | None = None,
        walltime: float | None = None,
        snippet_lines: int = 1000,
        name: str | None = None,
        return_dict: bool = False,
    ) -> None:
        """Keep the text; nothing is run before the call.

        Args:
            cmd: the text. `{name}` stands for a keyword argument of the call, in the format language of `str.format`; `{name!q}` for its value
                quoted for the shell; `{{` and `}}` for braces where a text uses them. Other braces are the shell's own.
            stdout: file that output is appended to, on the endpoint; a new one in the working directory by default.
            stderr: likewise.
            walltime: seconds after which the command, and all that it started, is killed; the return code is 124 then.
            snippet_lines: the last lines of each output that come back, within `SNIPPET` bytes.
            name: an identifier; the class's by default.
            return_dict: whether a call gives a dict that JSON can carry instead of a ShellResult.

        Raises:
            ValueError: a walltime that is not positive, a name that is no identifier.
        """
        name = name or type(self).__name__
        if walltime is not None and not walltime > 0:
            raise ValueError(f'a walltime is a positive number of seconds, not {walltime!r}')
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(f'the name of a function is an identifier, not {name!r}')
        self.cmd, self.stdout, self.stderr, self.walltime = cmd, stdout, stderr, walltime
        self.snippet_lines, self.return_dict = snippet_lines, return_dict
        self.__name__ = name

    def __repr__(self) -> str:
        shown = {'walltime': self.walltime, 'stdout': self.stdout, 'stderr': self.stderr, 'snippet_lines': self.snippet_lines, 'cmd': self.cmd}
        return f'{self.__name__}({", ".join(f"{key}={value!r}" for key, value in shown.items() if value is not None)})'

    def __call__(self, **kwargs: Any) -> ShellResult | dict[str, Any]:
        """Run the command here, with these values in its text. A return code that is not 0 raises nothing."""
        return self.execute_cmd_line(self.command(kwargs))

    def command(self, kwargs: dict[str, Any]) -> str:
        """The text that is run. Raises TypeError when it names a keyword argument that is not given."""
        return _fill(self.cmd, kwargs)

    def execute_cmd_line(self, cmd: str) -> ShellResult | dict[str, Any]:
        """Run `cmd` as it is."""
        directory = Path(os.environ.get('GC_TASK_SANDBOX_DIR') or Path.cwd())
        directory.mkdir(parents=True, exist_ok=True)
        with _output(directory, self.stdout, '.stdout') as stdout, _output(directory, self.stderr, '.stderr') as stderr:
            starts = stdout.tell(), stderr.tell()
            returncode, exception = _run(cmd, directory, self.walltime, stdout, stderr)
            out, err = (_snippet(file, start, self.snippet_lines) for file, start in zip((stdout, stderr), starts))
        result = ShellResult(cmd, out, err, returncode, exception)
        return asdict(result) if self.return_dict else result


class MPIFunction(ShellFunction):
    """A ShellFunction whose first command is started by the engine's MPI launcher, on the nodes of `resource_specification`.

    Later commands of the text run once, on the first node; put `$PARSL_MPI_PREFIX` before those that should be launched too.
    """

    def command(self, kwargs: dict[str, Any]) -> str:
        """The text that is run. Raises RuntimeError where no MPI engine has set the launcher: it would run as one process, unnoticed."""
        if not os.environ.get(MPI_PREFIX):
            raise RuntimeError(f'${MPI_PREFIX} is not set: an MPIFunction needs an MPIEngine, and a resource_specification in the executor')
        return f'${MPI_PREFIX} {super().command(kwargs)}'


def _fill(text: str, kwargs: dict[str, Any]) -> str:
    """`str.format` that leaves the shell its braces. Where a text doubles braces, as upstream wants it, they stand for single ones."""
    doubled = '{{' in text

    def replace(found: re.Match[str]) -> str:
        dollar, name, rest = found.groups()
        if name is None:
            return found[0][0] if doubled else found[0]
        if name not in kwargs:
            if dollar or rest:
                return found[0]
            raise TypeError(f'the command names {{{name}}}, and no {name}= is given; for braces of its own write {{{{{name}}}}}')
        return dollar + (shlex.quote(str(kwargs[name])) if rest == '!q' else f'{{{name}{rest}}}'.format(**{name: kwargs[name]}))

    return _FIELD.sub(replace, text)


def _output(directory: Path, name: str | None, suffix: str) -> BinaryIO:
    if name is None:
        prefix = os.environ.get('GC_TASK_UUID') or uuid.uuid4().hex[-10:]
        return os.fdopen(tempfile.mkstemp(suffix, f'{prefix}.', directory)[0], 'a+b')
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open('a+b')
    file.seek(0, os.SEEK_END)
    return file


def _run(cmd: str, directory: Path, walltime: float | None, stdout: BinaryIO, stderr: BinaryIO) -> tuple[int, str | None]:
    """Return code and name of the exception. Whatever ends the wait, a cancelled task's exception too, ends the command."""
    process = subprocess.Popen(['/bin/bash', '-c', cmd], cwd=directory, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)  # noqa: S603 - what it is for
    try:
        returncode = process.wait(walltime)
    except subprocess.TimeoutExpired:
        return TIMED_OUT, 'subprocess.TimeoutExpired'
    finally:
        if process.returncode is None:
            _kill(process)
    return returncode, 'subprocess.CalledProcessError' if returncode else None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """They stay in our process group on purpose: whoever kills the group of this process (its engine) reaches them too."""
    kill_tree(process.pid)
    process.wait()


def kill_tree(root: int) -> None:
    """Kill a process and its descendants, also those that left its process group: stopped first, so that none starts another in between."""
    seen: set[int] = set()
    while fresh := _descendants(root) - seen:
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


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _snippet(file: BinaryIO, start: int, lines: int) -> str:
    """The last lines of what was written since `start`."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(start, end - SNIPPET))
    kept = file.read(SNIPPET).splitlines(keepends=True)[-lines:] if lines > 0 else []
    return b''.join(kept).decode(errors='replace')


def _last(text: str, name: str) -> str:
    whole = text.lstrip('\n').rstrip()
    shown = '\n'.join(whole[-1024:].splitlines()[-10:])
    return shown if shown == whole else f'[... truncated; see .{name} for full output ...]\n{shown}'
