"""What goes wrong with files, whatever store they are in, under the names that Globus has for it, and what may be tried again. Pure."""

from __future__ import annotations

import errno
from dataclasses import dataclass


class Outside(PermissionError):
    """A path that leaves the collection, its allowed prefixes, or what the access list grants."""


class NotAllowed(PermissionError):
    """The access list, or the collection itself, does not let this account do that."""


class Changed(OSError):
    """The source is not what it was when the copy began."""


class Mismatch(OSError):
    """What arrived is not what was sent."""


class Stopped(Exception):
    """The action was cancelled, or its process ends: no fault."""


class Transient(OSError):
    """A connection or a server failed in a way that may pass."""


@dataclass(frozen=True)
class Fault:
    """One thing that went wrong, for people and for flows that branch on its code.

    Attributes:
        code: Globus's name: `FILE_NOT_FOUND`, `PERMISSION_DENIED`, `QUOTA_EXCEEDED`, …
        description: What it was about, and the remedy.
        tries: How often the same file may be tried: 0 stands for as long as the action lives.
        full: Whether somebody must make room: the action waits INACTIVE.
    """

    code: str
    description: str
    tries: int = 1
    full: bool = False


_CODES: dict[int, str] = {
    errno.ENOENT: 'FILE_NOT_FOUND',
    errno.EACCES: 'PERMISSION_DENIED',
    errno.EPERM: 'PERMISSION_DENIED',
    errno.EROFS: 'PERMISSION_DENIED',
    errno.ENOTDIR: 'NOT_A_DIRECTORY',
    errno.EISDIR: 'IS_A_DIRECTORY',
    errno.EEXIST: 'EXISTS',
    errno.ENOTEMPTY: 'NOT_EMPTY',
    errno.ENAMETOOLONG: 'NAME_TOO_LONG',
    errno.ELOOP: 'SYMLINK_LOOP',
    errno.EFBIG: 'FILE_TOO_LARGE',
    errno.EINVAL: 'INVALID',
    errno.EOPNOTSUPP: 'NOT_SUPPORTED',
}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NETWORK = {
    errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EPIPE,
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ESTALE, errno.EAGAIN, errno.EBUSY,
}  # fmt: skip


def fault_of(error: OSError) -> Fault:
    """What an error of a store is called, and whether trying again may help."""
    what = describe(error)
    if isinstance(error, PermissionError):
        return Fault('PERMISSION_DENIED', what)
    if isinstance(error, Changed):
        return Fault('FILE_CHANGED', what, tries=5)
    if isinstance(error, Mismatch):
        return Fault('VERIFY_CHECKSUM', what, tries=5)
    if error.errno in _FULL:
        return Fault('QUOTA_EXCEEDED', f'{what}; make room there, then resume the run', full=True)
    if isinstance(error, Transient | ConnectionError | TimeoutError) or error.errno in _NETWORK:
        return Fault('CONNECTION_FAILED', what, tries=0)
    code = _CODES.get(error.errno or 0)
    return Fault(code, what) if code else Fault('ENDPOINT_ERROR', what, tries=5)


def describe(error: OSError) -> str:
    """The error's own words, without Python's `[Errno 2]` and with the path escaped."""
    if error.errno is None or not error.strerror:
        return str(error) or type(error).__name__
    return error.strerror if error.filename is None else f'{error.strerror}: {error.filename!r}'
