"""One file from one store to another: part, SHA-256 on the way, read back, fsync, rename.

A part that an earlier try left is believed only as far as its SHA-256 is that of the same first bytes of the source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

from relay_parsl.flows.storage.base import BLOCK, Entry, Reader, Store, Writer
from relay_parsl.flows.storage.faults import Changed, Mismatch
from relay_parsl.flows.storage.paths import Parts, text

TIMES = 2.0
"""Seconds within which two modification times are the same: some file systems and servers keep no more."""


class AtSource(Exception):
    """An error that came from the source: `skip_source_errors` may pass over it. `args[0]` is the OSError."""


@dataclass(frozen=True)
class File:
    """One file to copy. `checksum`, where it is given, is what the content must have: `md5:0123…`."""

    source: Parts
    destination: Parts
    size: int = 0
    checksum: str = ''


@dataclass(frozen=True)
class Options:
    """What a transfer says of all its files."""

    sync_level: int | None = None
    verify_checksum: bool = True
    preserve_timestamp: bool = False


@dataclass(frozen=True)
class Copied:
    """How it went: `skipped` where the destination had it already."""

    size: int
    sha256: str
    skipped: bool = False


class Sums:
    """The SHA-256 of what went by, and the checksum that the flow named, if any."""

    def __init__(self, checksum: str) -> None:
        self.algorithm = checksum.partition(':')[0]
        self.restart()

    def restart(self) -> None:
        """Nothing went by."""
        self._sha256 = hashlib.sha256()
        self._other = hashlib.new(self.algorithm) if self.algorithm else None

    def update(self, data: bytes) -> None:
        """This went by."""
        self._sha256.update(data)
        if self._other is not None:
            self._other.update(data)

    @property
    def sha256(self) -> str:
        """In hexadecimal."""
        return self._sha256.hexdigest()

    @property
    def wanted(self) -> str:
        """As the flow writes it: `md5:0123…`."""
        return '' if self._other is None else f'{self.algorithm}:{self._other.hexdigest()}'


class Copier:
    """Copies files of one transfer; several threads may use it.

    Args:
        tag: Marks the parts of this transfer: `.NAME.TAG.part`.
        moved: Told of bytes as they arrive; negative when a part was dropped.
        check: Called between any two blocks; raises Stopped where it is to end.
    """

    def __init__(
        self, source: Store, destination: Store, options: Options, tag: str, moved: Callable[[int], None], check: Callable[[], None]
    ) -> None:
        self.source, self.destination, self.options, self.tag = source, destination, options, tag
        self.moved, self._check = moved, check

    def copy(self, file: File) -> Copied:
        """Copy it, or find that it is there.

        Raises:
            AtSource: the source could not be read, or changed.
            OSError: the destination could not be written, or is not what was sent. The part stays where it may serve the next try.
            Stopped: the transfer is stopped.
        """
        entry = self._at_source(lambda: self.source.entry(file.source))
        if entry.type != 'file':
            raise AtSource(OSError(21 if entry.type == 'dir' else 22, f'no regular file, but of type {entry.type}', text(file.source)))
        there = self._there(file.destination)
        if there is not None and self._current(file, entry, there):
            return Copied(entry.size, '', skipped=True)
        with closing(self.destination.write(file.destination, part_name(file.destination[-1], self.tag))) as writer:
            return self._fill(file, entry, writer)

    def _at_source(self, ask: Callable[[], Entry]) -> Entry:
        try:
            return ask()
        except OSError as error:
            raise AtSource(error) from error

    def _there(self, parts: Parts) -> Entry | None:
        try:
            found = self.destination.entry(parts)
        except FileNotFoundError:
            return None
        if found.type == 'dir':
            raise IsADirectoryError(21, 'a directory; the destination of a file must name the file', text(parts))
        return found if found.type == 'file' else None

    def _current(self, file: File, entry: Entry, there: Entry) -> bool:
        """Whether the destination needs no copy; where no `sync_level` says otherwise, its content must be the same."""
        level = self.options.sync_level
        if level == 0:
            return True
        if there.size != entry.size:
            return False
        if level == 2:
            return entry.mtime is not None and there.mtime is not None and entry.mtime <= there.mtime + TIMES
        return level == 1 or self._digest(self.source, file.source) == self._digest(self.destination, file.destination)

    def _digest(self, store: Store, parts: Parts) -> str:
        return store.digest(parts, self._check)

    def _fill(self, file: File, before: Entry, writer: Writer) -> Copied:
        done = 0
        try:
            with closing(self._open(file)) as reader:
                sums = Sums(file.checksum)
                self._resume(reader, writer, sums)
                done = writer.size
                while data := self._read(reader):
                    sums.update(data)
                    writer.write(data)
                    done += len(data)
                    self.moved(len(data))
            self._unchanged(file, before, done)
            self._finish(file, sums, writer, before)
        except BaseException as error:
            self.moved(-done)
            if isinstance(error.args[0] if isinstance(error, AtSource) else error, Changed | Mismatch):
                writer.discard()
            raise
        return Copied(done, sums.sha256)

    def _open(self, file: File) -> Reader:
        try:
            return self.source.read(file.source)
        except OSError as error:
            raise AtSource(error) from error

    def _read(self, reader: Reader, most: int = BLOCK) -> bytes:
        self._check()
        try:
            return reader.read(most)
        except OSError as error:
            raise AtSource(error) from error

    def _resume(self, reader: Reader, writer: Writer, sums: Sums) -> None:
        """Read as much of the source as the part holds; where that is not what the part holds, begin again."""
        left = writer.size
        if not left:
            return
        while left and (data := self._read(reader, min(left, BLOCK))):
            sums.update(data)
            left -= len(data)
        if left == 0 and writer.digest(self._check) == sums.sha256:
            self.moved(writer.size)
            return
        writer.restart()
        reader.rewind()
        sums.restart()

    def _unchanged(self, file: File, before: Entry, done: int) -> None:
        after = self._at_source(lambda: self.source.entry(file.source))
        if (after.mark, after.size) != (before.mark, before.size) or done != before.size:
            raise AtSource(Changed(f'{text(file.source)}: it changed while it was copied; copy it when nothing writes to it any more'))

    def _finish(self, file: File, sums: Sums, writer: Writer, before: Entry) -> None:
        if file.checksum and file.checksum != sums.wanted:
            raise Mismatch(f'{text(file.source)}: its checksum is {sums.wanted}, not the external_checksum {file.checksum}')
        writer.sync()
        if self.options.verify_checksum and writer.digest(self._check) != sums.sha256:
            raise Mismatch(f'{text(file.destination)}: what arrived is not what was sent: the SHA-256 differs')
        writer.publish(before.mtime if self.options.preserve_timestamp else None)

    def sweep(self, directories: set[Parts]) -> None:
        """Remove the parts that this transfer left in these directories, as far as they can be reached."""
        for parts in directories:
            with suppress(OSError):
                left = [entry.name for entry in self.destination.entries(parts) if entry.name.endswith(f'.{self.tag}.part')]
                for name in left:
                    self.destination.remove((*parts, name))


def part_name(name: str, tag: str) -> str:
    """The working name of a file: `.NAME.TAG.part`; of a long one, what fits and a hash of the whole."""
    raw = name.encode(errors='surrogateescape')
    if len(raw) + len(tag) + 7 <= 255:
        return f'.{name}.{tag}.part'
    return f'.{hashlib.sha256(raw).hexdigest()}.{tag}.part'
