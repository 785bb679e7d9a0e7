"""Files that nobody else can read or could have written, and their encoding as JSON with base64."""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from relay_parsl.errors import ConfigError, HomeError, SealError

HOME = 'RELAY_PARSL_HOME'
"""The variable that names the directory to use instead of `~/.relay_parsl`."""
LARGEST = 1 << 20
"""Bytes. No file that is read here is larger."""

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._@-]{0,63}')


def check_name(name: str) -> str:
    """The name itself, if it may be that of an account, relay or endpoint, and so of a file. Raises ConfigError."""
    if not is_name(name):
        raise ConfigError(f'{name[:80]!r} is no name: 1 to 64 letters, digits, ".", "_", "@" or "-", the first a letter or digit')
    return name


def is_name(name: str) -> bool:
    """Whether `check_name` would let it pass."""
    return _NAME.fullmatch(name) is not None


def read_private(path: Path | str) -> bytes:
    """The content of a file that nobody else could read or have written.

    Raises:
        HomeError: it is missing, a symbolic link, another user's, or its mode lets others in; the text names the remedy.
    """
    fd = _open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in its place is refused, not waited for
    try:
        _refuse(Path(path), os.fstat(fd), 'a regular file', stat.S_ISREG, '600')
        with os.fdopen(fd, 'rb', closefd=False) as file:
            data = file.read(LARGEST + 1)
    finally:
        os.close(fd)
    if len(data) > LARGEST:
        raise HomeError(f'{path} is too large to be what it should be')
    return data


def version_of(path: Path) -> tuple[int, int, int]:
    """What is another once the file is another: time [ns], size and inode; zeros of one that cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return found.st_mtime_ns, found.st_size, found.st_ino


def write_private(path: Path | str, data: bytes) -> None:
    """Write a file of mode 0600, whatever the umask; a reader or a crash sees the old content or the new. Raises HomeError."""
    path = Path(path)
    temporary = path.with_name(f'.{path.name}.{secrets.token_hex(8)}')
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, 'wb') as file:
                os.fchmod(fd, 0o600)
                file.write(data)
                file.flush()
                os.fsync(fd)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise HomeError(f'{path} cannot be written: {error.strerror}') from error


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _open(path: Path | str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise HomeError(f'{path} does not exist') from None
    except OSError as error:
        if Path(path).is_symlink():
            raise HomeError(f'{path} is a symbolic link: put the file itself there') from None
        raise HomeError(f'{path} cannot be read: {error.strerror}') from None


def _refuse(path: Path, found: os.stat_result, what: str, right: Callable[[int], bool], mode: str) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise HomeError(f'{path} is a symbolic link: put {what} itself there')
    if not right(found.st_mode):
        raise HomeError(f'{path} is not {what}')
    if found.st_uid != os.geteuid():
        raise HomeError(f'{path} belongs to another user (uid {found.st_uid}): chown it, or set ${HOME} to a directory of your own')
    if found.st_mode & 0o077:
        raise HomeError(f'{path} is open to others (mode {stat.S_IMODE(found.st_mode):04o}): chmod {mode} {path}')


def check_directory(path: Path, *, parents: bool = False) -> Path:
    """Make `path` with mode 0700 unless it is there. Raises HomeError for looser modes, other owners, symbolic links."""
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    except OSError as error:
        raise HomeError(f'{path} cannot be made: {error.strerror}; set ${HOME} to a directory of your own') from error
    _refuse(path, found, 'a directory', stat.S_ISDIR, '700')
    return path


# -- JSON --------------------------------------------------------------------------------------------------------------


def to_json(values: Mapping[str, Any]) -> bytes:
    """For people to read."""
    return json.dumps(values, indent=1).encode() + b'\n'


def from_json(where: Path | str, data: bytes) -> dict[str, Any]:
    """The object in `data`. Raises HomeError."""
    with damaged(where):
        values = json.loads(data)
        if not isinstance(values, dict):
            raise TypeError
        return values


def to_text(data: bytes) -> str:
    """Base64."""
    return b64encode(data).decode()


def to_bytes(text: Any) -> bytes:
    """What `to_text` wrote. Raises ValueError, TypeError."""
    return b64decode(text, validate=True)


@contextmanager
def damaged(where: Path | str) -> Iterator[None]:
    """Whatever goes wrong with the content of a file inside is one HomeError that names the file."""
    try:
        yield
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, SealError, ConfigError) as error:
        raise HomeError(f'{where} is damaged: {type(error).__name__}: {error}'.rstrip(': ')) from None
