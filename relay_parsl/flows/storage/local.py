"""A directory of this machine.

Every step is taken from the directory above it and follows no link, so that nobody can move a path out of the root between its check and its use.
"""

from __future__ import annotations

import errno
import grp
import hashlib
import os
import pwd
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from relay_parsl.flows.storage.base import BLOCK, Entry, Reader, Store, Writer
from relay_parsl.flows.storage.faults import Outside
from relay_parsl.flows.storage.paths import Parts, text

_STEP = getattr(os, 'O_PATH', os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_PLAIN = os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS = 40  # as Linux has it


class LocalStore(Store):
    """A root directory of this machine.

    Args:
        root: Its absolute path. Links in the root's own path are its owner's business.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    @contextmanager
    def _directory(self, parts: Parts) -> Iterator[int]:
        fd = self._root()
        try:
            for done, part in enumerate(parts):
                with _named(parts[: done + 1]):
                    deeper = _descend(part, fd)
                os.close(fd)
                fd = deeper
            yield fd
        finally:
            os.close(fd)

    def _root(self) -> int:
        try:
            return os.open(self.root, _STEP)
        except OSError as error:
            raise OSError(
                error.errno, f'{error.strerror}; the root of this collection must be a directory: make it or mend `root`', self.root
            ) from None

    def resolve(self, parts: Parts) -> Parts:
        """Where the path leads when every link in it is followed."""
        with ExitStack() as stack:
            walk = _Walk(self.root, self._root(), stack)
            walk.todo = list(reversed(parts))
            return walk.go(parts)

    def entry(self, parts: Parts) -> Entry:
        """What is there; a link is a `link`."""
        with self._directory(parts[:-1]) as fd, _named(parts):
            return _entry(parts[-1] if parts else '', os.stat(parts[-1] if parts else '.', dir_fd=fd, follow_symlinks=False), fd)

    def entries(self, parts: Parts) -> Iterator[Entry]:
        """What a directory holds."""
        with self._directory(parts) as step, _named(parts):
            fd = os.open('.', os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=step)
            try:
                for name in os.listdir(fd):
                    with suppress(FileNotFoundError):  # it went while we looked
                        yield _entry(name, os.stat(name, dir_fd=fd, follow_symlinks=False), fd)
            finally:
                os.close(fd)

    def read(self, parts: Parts) -> Reader:
        """Open a file."""
        with self._directory(parts[:-1]) as step, _named(parts):
            fd = os.open(parts[-1] if parts else '.', os.O_RDONLY | os.O_NONBLOCK | _PLAIN, dir_fd=step)  # a pipe is refused, not waited for
        try:
            with _named(parts):
                return _LocalReader(fd)
        except BaseException:
            os.close(fd)
            raise

    def write(self, parts: Parts, part: str) -> Writer:
        """Open a part."""
        with ExitStack() as stack:
            step = stack.enter_context(self._directory(parts[:-1]))
            stack.enter_context(_named(parts))
            directory = os.open('.', os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=step)
            try:
                return _LocalWriter(directory, parts[-1], part)
            except BaseException:
                os.close(directory)
                raise

    def make(self, parts: Parts) -> bool:
        """Make a directory whose parent exists."""
        if not parts:
            with self._directory(()):
                return False
        with self._directory(parts[:-1]) as fd, _named(parts):
            try:
                os.mkdir(parts[-1], dir_fd=fd)
            except FileExistsError:
                if not stat.S_ISDIR(os.stat(parts[-1], dir_fd=fd, follow_symlinks=False).st_mode):
                    raise NotADirectoryError(errno.ENOTDIR, 'it exists and is no directory') from None
                return False
        return True

    def remove(self, parts: Parts, directory: bool = False) -> None:
        """Remove a file or a link, or an empty directory."""
        if not parts:
            raise PermissionError(errno.EPERM, 'the root of a collection cannot be deleted', '/')
        with self._directory(parts[:-1]) as fd, _named(parts):
            if directory:
                os.rmdir(parts[-1], dir_fd=fd)
            else:
                os.unlink(parts[-1], dir_fd=fd)

    def settle(self, directories: Iterable[Parts]) -> None:
        """The names in these directories are on the disk when this returns."""
        for parts in directories:
            with suppress(FileNotFoundError), self._directory(parts) as step:
                _sync(step)


def _sync(step: int) -> None:
    """Where we may not even look, we have made nothing."""
    with suppress(PermissionError):
        fd = os.open('.', os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=step)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class _Walk:
    """Follows links by hand, with an open directory for every name, so that `..` in a link's target means what it meant when we came by."""

    def __init__(self, root: str, fd: int, stack: ExitStack) -> None:
        self.root, self.fds, self.stack = root, [fd], stack
        stack.callback(os.close, fd)
        self.names: list[str] = []
        self.todo: list[str] = []  # the next one last
        self.links = 0

    def go(self, asked: Parts) -> Parts:
        """The names that the path comes to."""
        while self.todo:
            part = self.todo.pop()
            try:
                self._step(part, asked)
            except FileNotFoundError:
                rest = [part, *reversed(self.todo)]
                if '..' in rest:
                    raise Outside(f'{text(asked)}: a link leads through a directory that does not exist') from None
                return (*self.names, *rest)
        return tuple(self.names)

    def _step(self, part: str, asked: Parts) -> None:
        if part == '..':
            if not self.names:
                raise Outside(f'{text(asked)}: a link leads out of the collection')
            self.names.pop()
            self.fds.pop()
            return
        target = _target(part, self.fds[-1])
        if target is not None:
            self._link(target, asked)
            return
        mode = os.stat(part, dir_fd=self.fds[-1], follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            with _named(asked):
                fd = _descend(part, self.fds[-1])
            self.stack.callback(os.close, fd)
            self.fds.append(fd)
        elif self.todo:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), text((*self.names, part)))
        self.names.append(part)

    def _link(self, target: str, asked: Parts) -> None:
        self.links += 1
        if self.links > _LINKS:
            raise OSError(errno.ELOOP, 'links that lead to one another', text(asked))
        names = [name for name in target.split('/') if name not in ('', '.')]
        if target.startswith('/'):
            real = [name for name in os.path.realpath(self.root).split('/') if name]
            if names[: len(real)] != real:
                raise Outside(f'{text(asked)}: a link leads out of the collection')
            names = names[len(real) :]
            del self.fds[1:], self.names[:]
        self.todo.extend(reversed(names))


def _target(part: str, directory: int) -> str | None:
    try:
        return os.readlink(part, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def _descend(part: str, directory: int) -> int:
    try:
        return os.open(part, _STEP | _PLAIN, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP) and _target(part, directory) is not None:
            raise Outside('a link, where a directory was a moment ago') from None
        raise


@contextmanager
def _named(parts: Parts) -> Iterator[None]:
    """Errors speak of the path in the collection, not of the last name alone."""
    try:
        yield
    except Outside as error:
        raise Outside(f'{text(parts)}: {error}') if not str(error).startswith('/') else error from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Outside(f'{text(parts)}: a link, which is followed only where it is written in the path itself') from None
        raise OSError(error.errno, error.strerror, text(parts)) from None


@lru_cache(maxsize=1024)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@lru_cache(maxsize=1024)
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _entry(name: str, found: os.stat_result, directory: int | None = None) -> Entry:
    mode = found.st_mode
    kind = 'dir' if stat.S_ISDIR(mode) else 'file' if stat.S_ISREG(mode) else 'link' if stat.S_ISLNK(mode) else 'other'
    target = None
    if kind == 'link' and directory is not None:
        with suppress(OSError):
            target = os.readlink(name, dir_fd=directory)
    mark = f'{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}'
    permissions = f'{stat.S_IMODE(mode):04o}'
    return Entry(name, kind, found.st_size, found.st_mtime, _user(found.st_uid), _group(found.st_gid), permissions, target, mark)


class _LocalReader(Reader):
    def __init__(self, fd: int) -> None:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            code = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
            raise OSError(code, 'a directory' if code == errno.EISDIR else 'no regular file: a pipe, a socket or a device')
        self.fd = fd

    def read(self, most: int = BLOCK) -> bytes:
        return os.read(self.fd, most)

    def rewind(self) -> None:
        os.lseek(self.fd, 0, os.SEEK_SET)

    def close(self) -> None:
        os.close(self.fd)


class _LocalWriter(Writer):
    def __init__(self, directory: int, name: str, part: str) -> None:
        self.directory, self.name, self.part = directory, name, part
        self.fd = self._open()
        self.size = os.lseek(self.fd, 0, os.SEEK_END)

    def _open(self) -> int:
        """A file of ours: one that somebody else laid there, or that has a second name, is not written to."""
        flags = os.O_RDWR | _PLAIN
        with suppress(FileExistsError):
            return os.open(self.part, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=self.directory)
        with suppress(OSError):
            fd = os.open(self.part, flags | os.O_NONBLOCK, dir_fd=self.directory)
            found = os.fstat(fd)
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid():
                return fd
            os.close(fd)
        os.unlink(self.part, dir_fd=self.directory)
        return os.open(self.part, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=self.directory)

    def digest(self, check: Callable[[], None]) -> str:
        self._forget()
        sha, at = hashlib.sha256(), 0
        while data := os.pread(self.fd, BLOCK, at):
            check()
            sha.update(data)
            at += len(data)
        return sha.hexdigest()

    def _forget(self) -> None:
        """So that the disk is read, and not the memory of what was written: the pages are clean after `sync`."""
        if hasattr(os, 'posix_fadvise'):
            with suppress(OSError):
                os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def restart(self) -> None:
        os.ftruncate(self.fd, 0)
        os.lseek(self.fd, 0, os.SEEK_SET)
        self.size = 0

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.write(self.fd, view)
            self.size += written
            view = view[written:]

    def sync(self) -> None:
        os.fsync(self.fd)

    def publish(self, mtime: float | None) -> None:
        with suppress(FileNotFoundError):
            old = os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
            if stat.S_ISDIR(old.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if stat.S_ISREG(old.st_mode):  # who replaces a file keeps its mode
                with suppress(OSError):
                    os.fchmod(self.fd, stat.S_IMODE(old.st_mode) & 0o777)
        if mtime is not None:
            os.utime(self.fd, (mtime, mtime))
        os.rename(self.part, self.name, src_dir_fd=self.directory, dst_dir_fd=self.directory)

    def discard(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self.part, dir_fd=self.directory)

    def close(self) -> None:
        os.close(self.fd)
        os.close(self.directory)


def root_of(url: str) -> str:
    """The absolute path that `/path`, `~/path` or `file:///path` names."""
    path = url.removeprefix('file://') if url.startswith('file://') else url.removeprefix('file:')
    return str(Path(path).expanduser())
