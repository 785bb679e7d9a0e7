"""Guest collections: a directory of a collection as a collection of its own, with its own access list. They live in rows, not in the settings.

The row of one is `guest/UUID`. What its parent does not allow, it does not either; a link out of it is a link out of a collection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from relay_parsl.flows.actions.base import Records
from relay_parsl.flows.storage.base import Entry, Reader, Store, Writer
from relay_parsl.flows.storage.collections import Collection
from relay_parsl.flows.storage.faults import Outside
from relay_parsl.flows.storage.paths import Parts, text, within


@dataclass(frozen=True)
class Guest:
    """The row of one.

    Attributes:
        parent: The name of the collection that it is a part of.
        base: The directory there.
        owner: The account that made it.
        created: Seconds since 1970.
    """

    uuid: str
    title: str
    parent: str
    base: Parts
    owner: str
    description: str = ''
    created: float = 0.0

    def of(self, parent: Collection) -> Collection:
        """The collection that it is. Raises Outside where its parent no longer allows that directory."""
        parent.check(self.base)
        return replace(
            parent,
            name=self.uuid,
            uuid=self.uuid,
            title=self.title,
            description=self.description,
            owner=self.owner,
            allowed=(),
            home=(),
            parent=parent.name,
            base=self.base,
        )


class Guests:
    """All of them."""

    def __init__(self, records: Records) -> None:
        self.records = records

    def get(self, key: str) -> Guest | None:
        """The one with this UUID, or the only one with this title."""
        row = self.records.get(f'guest/{key.lower()}')
        if row is not None:
            return _guest(row)
        named = [guest for guest in self.all() if guest.title == key]
        return named[0] if len(named) == 1 else None

    def all(self) -> list[Guest]:
        """Every one."""
        return [_guest(row) for _, row in self.records.scan('guest/')]

    def put(self, guest: Guest) -> None:
        """Add it."""
        self.records.put(f'guest/{guest.uuid}', asdict(guest))


def _guest(row: dict[str, Any]) -> Guest:
    return Guest(**{**row, 'base': tuple(row['base'])})


class GuestStore(Store):
    """The store of the parent, seen from a directory in it."""

    def __init__(self, store: Store, base: Parts) -> None:
        self.store, self.base, self.writable = store, base, store.writable

    def resolve(self, parts: Parts) -> Parts:
        """Where the path leads; the directory itself must be where it was when the collection was made."""
        there = self.store.resolve((*self.base, *parts))
        if not within(there, self.base):
            raise Outside(f'{text(parts)}: a link leads out of the collection')
        return there[len(self.base) :]

    def entry(self, parts: Parts) -> Entry:
        """What is there."""
        found = self.store.entry((*self.base, *parts))
        return found if parts else replace(found, name='')

    def entries(self, parts: Parts) -> Iterator[Entry]:
        """What a directory holds."""
        return self.store.entries((*self.base, *parts))

    def read(self, parts: Parts) -> Reader:
        """Open a file."""
        return self.store.read((*self.base, *parts))

    def write(self, parts: Parts, part: str) -> Writer:
        """Open a part."""
        return self.store.write((*self.base, *parts), part)

    def make(self, parts: Parts) -> bool:
        """Make a directory; the root is there or it is not."""
        if not parts:
            self.store.entry(self.base)
            return False
        return self.store.make((*self.base, *parts))

    def remove(self, parts: Parts, directory: bool = False) -> None:
        """Remove a file or an empty directory, and never the root."""
        if not parts:
            raise PermissionError('the root of a collection cannot be deleted')
        self.store.remove((*self.base, *parts), directory)

    def settle(self, directories: Iterable[Parts]) -> None:
        """The names in these directories are on the disk when this returns."""
        self.store.settle([(*self.base, *parts) for parts in directories])

    def digest(self, parts: Parts, check: Callable[[], None]) -> str:
        """The SHA-256 of a file."""
        return self.store.digest((*self.base, *parts), check)
