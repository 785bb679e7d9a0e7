"""What a store of files is to the actions: a handful of methods, the same for a directory here, an SFTP server and an HTTPS server.

Paths are `Parts` from the root of the collection. `resolve` follows links and says where a path really leads; the caller checks that place, and hands
only such places to the other methods, which follow no link at all: what becomes a link in between is refused. All errors are `OSError`s.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from relay_parsl.flows.storage.faults import NotAllowed
from relay_parsl.flows.storage.paths import Parts, text

BLOCK = 1 << 20
"""Bytes that are read and written at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a store knows of one name.

    Attributes:
        name: The last part of its path; '' for the root.
        type: `file`, `dir`, `link` or `other`: the last is no data (a pipe, a device).
        mtime: Seconds since 1970; None where the server does not say.
        mark: What changes when the content is replaced, as far as the store can tell: compared, never shown.
    """

    name: str
    type: str
    size: int = 0
    mtime: float | None = None
    user: str = ''
    group: str = ''
    permissions: str = ''
    link_target: str | None = None
    mark: str = ''


class Reader(ABC):
    """A file that is open for reading, from its beginning."""

    @abstractmethod
    def read(self, most: int = BLOCK) -> bytes:
        """The next bytes, no more than `most`; b'' at the end."""

    @abstractmethod
    def rewind(self) -> None:
        """Go back to the beginning."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""


class Writer(ABC):
    """A part: the file under its working name, which becomes the file when it is published."""

    size: int
    """Bytes that are there already, from an earlier try; writing goes on after them."""

    @abstractmethod
    def digest(self, check: Callable[[], None]) -> str:
        """The SHA-256 of what is there, read back from the store, in hexadecimal. `check` is called now and then, and may raise to end it."""

    @abstractmethod
    def restart(self) -> None:
        """Drop what is there; `size` is 0."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Append."""

    @abstractmethod
    def sync(self) -> None:
        """All that was written is on the disk when this returns, where the store can promise that."""

    @abstractmethod
    def publish(self, mtime: float | None) -> None:
        """Give it its name, in place of what has that name; `mtime`, seconds since 1970, is set where it is given."""

    @abstractmethod
    def discard(self) -> None:
        """Remove the part."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it; the part stays."""


class Store(ABC):
    """One root and what lies beneath it."""

    writable = True

    @abstractmethod
    def resolve(self, parts: Parts) -> Parts:
        """Where the path leads when every link in it is followed; names that do not exist are kept as they are.

        Raises:
            Outside: a link leads out of the root.
        """

    @abstractmethod
    def entry(self, parts: Parts) -> Entry:
        """What is there; a link is a `link`. FileNotFoundError where nothing is."""

    @abstractmethod
    def entries(self, parts: Parts) -> Iterator[Entry]:
        """What a directory holds, in no order."""

    @abstractmethod
    def read(self, parts: Parts) -> Reader:
        """Open a file."""

    def write(self, parts: Parts, part: str) -> Writer:
        """Open the part with this name, beside the file that it is to become: a new one, or what an earlier try left."""
        raise self._refusal(parts, part)

    def make(self, parts: Parts) -> bool:
        """Make a directory whose parent exists; False where there is one already."""
        raise self._refusal(parts)

    def remove(self, parts: Parts, directory: bool = False) -> None:
        """Remove a file or a link, or an empty directory."""
        raise self._refusal(parts, directory)

    def settle(self, directories: Iterable[Parts]) -> None:  # noqa: B027  where a server promises nothing, there is nothing to do
        """The names in these directories are on the disk when this returns, where the store can promise that."""

    def digest(self, parts: Parts, check: Callable[[], None]) -> str:
        """The SHA-256 of a file, in hexadecimal. `check` is called now and then, and may raise to end it."""
        sha = hashlib.sha256()
        with closing(self.read(parts)) as reader:
            while data := reader.read():
                check()
                sha.update(data)
        return sha.hexdigest()

    def close(self) -> None:  # noqa: B027  most hold nothing
        """Let go of connections."""

    def _refusal(self, parts: Parts, *_: object) -> OSError:
        return NotAllowed(f'{text(parts)}: this collection can only be read')


def make_all(store: Store, parts: Parts, may: Callable[[Parts], None]) -> None:
    """Make a directory and what is missing above it. `may` is asked for each, and raises where it must not be made."""
    may(parts)
    try:
        store.make(parts)
    except FileNotFoundError:
        if not parts:
            raise
        make_all(store, parts[:-1], may)
        store.make(parts)
