"""A command that sees a filesystem of its own: a small disk, or one that is read-only, and nobody else notices."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import pytest

WHY = 'no mounts in a namespace of its own here: needs unshare and either root or user namespaces'


@lru_cache
def _unshare() -> tuple[str, ...] | None:
    """The command that gives a process mounts of its own, as root or as anybody."""
    for command in (('unshare', '--mount'), ('unshare', '--mount', '--map-root-user')):
        trial = [*command, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']
        if shutil.which('unshare') and subprocess.run(trial, check=False, capture_output=True).returncode == 0:
            return command
    return None


def with_mounts(*mounts: Sequence[str]) -> list[str]:
    """What goes before a command so that it has these mounts: the arguments of `mount`, each. Skips the test where that cannot be."""
    command = _unshare()
    if command is None:
        pytest.skip(WHY)
    script = ' && '.join([*(f'mount {shlex.join(each)}' for each in mounts), 'exec "$@"'])
    return [*command, 'sh', '-c', script, 'sh']


def small_disk(path: Path, size: str) -> list[str]:
    """A new, empty disk of this size at `path`."""
    path.mkdir(mode=0o700, exist_ok=True, parents=True)
    return ['-t', 'tmpfs', '-o', f'size={size},mode=0700', 'tmpfs', str(path)]


def seen_by(pid: int, path: Path) -> Path:
    """Where this process finds what `path` is for that one."""
    return Path(f'/proc/{pid}/root{path}')


def fill(directory: Path, leave: int = 0) -> Path:
    """Write until nothing goes any more, or only so many bytes are free; remove what is returned to have room again."""
    path = directory / 'ballast'
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while not leave or shutil.disk_usage(directory).free > leave + size:
                    os.write(fd, bytes(size))
    finally:
        os.close(fd)
    return path
