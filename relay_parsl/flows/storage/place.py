"""From a collection's name and a path to a place that the asking account may use: the one door through which every action reaches files."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from relay_parsl.flows.actions.base import Surroundings
from relay_parsl.flows.storage.access import AccessList, Who, granted, who_of
from relay_parsl.flows.storage.base import Store
from relay_parsl.flows.storage.collections import Collection, Collections
from relay_parsl.flows.storage.faults import NotAllowed
from relay_parsl.flows.storage.guests import Guests, GuestStore
from relay_parsl.flows.storage.local import LocalStore, root_of
from relay_parsl.flows.storage.paths import Parts, parse, text

_REMOTE = {'sftp': 'relay_parsl.flows.storage.sftp', 'https': 'relay_parsl.flows.storage.web', 'http': 'relay_parsl.flows.storage.web'}


@dataclass(frozen=True)
class Place:
    """A path that was checked: no link in it, within what is allowed, granted to who asked."""

    collection: Collection
    store: Store
    parts: Parts

    def text(self, directory: bool = False) -> str:
        """The path, as Globus writes it."""
        return text(self.parts, directory)


class Storage:
    """All collections of one account, and their stores, which are opened when they are first used.

    Raises:
        ConfigError: the settings are wrong.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self.collections = Collections(surroundings.settings)
        self.records, self.account = surroundings.records, surroundings.account
        self.guests = Guests(surroundings.records)
        self._stores: dict[str, Store] = {}
        self._slots: dict[str, threading.BoundedSemaphore] = {}
        self._lock = threading.Lock()

    def find(self, key: object) -> Collection:
        """The collection of this name or UUID: one of the settings, or a guest collection.

        Raises:
            LookupError: there is none; names those that there are.
            Outside: a guest collection whose parent no longer allows its directory.
        """
        try:
            return self.collections.find(key)
        except LookupError:
            guest = self.guests.get(str(key))
            if guest is None:
                raise
        return guest.of(self.collections.find(guest.parent))

    def named(self, key: object) -> Collection:
        """The same for a document: one that is gone from the settings still has its name."""
        try:
            return self.find(key)
        except (LookupError, OSError):
            return Collection(str(key), '/nowhere', read_only=True)

    def store(self, collection: Collection) -> Store:
        """The store behind a collection."""
        if collection.parent:
            return GuestStore(self.store(self.collections.find(collection.parent)), collection.base)
        with self._lock:
            if collection.name not in self._stores:
                self._stores[collection.name] = _open(collection)
            return self._stores[collection.name]

    @contextmanager
    def turn(self, collections: Iterable[Collection], check: Callable[[], None]) -> Iterator[None]:
        """While one more file is copied from or to these: no more at once than each has as `parallel`, whatever transfer they are of.

        Args:
            collections: Of both ends.
            check: Called now and then while others are at it; raises where nobody waits any more.
        """
        limits = {each.parent or each.name: each.parallel for each in collections}
        with ExitStack() as stack:
            for name, limit in sorted(limits.items()):  # everybody in the same order, so that nobody waits in a circle
                with self._lock:
                    slots = self._slots.setdefault(name, threading.BoundedSemaphore(limit))
                while not slots.acquire(timeout=0.25):
                    check()
                stack.callback(slots.release)
            yield

    def owns(self, collection: Collection, who: Who) -> bool:
        """Whether this account is the collection's owner."""
        owner = (collection.owner or self.account).lower()
        return not owner or owner in who.names or owner.rpartition(':')[2] in who.names

    def check(self, collection: Collection, parts: Parts, who: Who, write: bool) -> None:
        """Raises Outside or NotAllowed."""
        collection.check(parts)
        if write and (collection.read_only or collection.scheme in ('http', 'https')):
            raise NotAllowed(f'{text(parts)}: collection {collection.name!r} can only be read')
        if self.owns(collection, who):
            return
        if not granted(AccessList(self.records, collection.name).rules(), who, parts, write, collection.groups):
            doing = 'write' if write else 'read'
            raise NotAllowed(
                f'{text(parts)}: the access list of collection {collection.name!r} does not let you {doing} this; its owner can add a rule'
            )

    def place(self, key: object, path: object, context: Mapping[str, Any], write: bool = False, follow: bool = True) -> Place:
        """The place that a flow means.

        Args:
            key: The collection's name or UUID.
            path: As the flow wrote it.
            context: The run's `_context`.
            write: Whether it is to be changed.
            follow: Whether a link at the very end stands for what it leads to; who deletes means the link.

        Raises:
            LookupError: no such collection.
            OSError: the path is none, leads out, is not allowed or cannot be looked at.
        """
        collection = self.find(key)
        return self.follow(collection, parse(path, collection.home), context, write, follow)

    def follow(self, collection: Collection, asked: Parts, context: Mapping[str, Any], write: bool = False, follow: bool = True) -> Place:
        """The same for a path that was parsed. Raises OSError."""
        who = who_of(context)
        self.check(collection, asked, who, write)
        store = self.store(collection)
        parts = store.resolve(asked) if follow or not asked else (*store.resolve(asked[:-1]), asked[-1])
        if parts != asked:
            self.check(collection, parts, who, write)
        return Place(collection, store, parts)

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            for store in self._stores.values():
                store.close()
            self._stores.clear()


def _open(collection: Collection) -> Store:
    if collection.scheme == 'file':
        return LocalStore(root_of(collection.root))
    store: Store = importlib.import_module(_REMOTE[collection.scheme]).open_store(collection)
    return store
