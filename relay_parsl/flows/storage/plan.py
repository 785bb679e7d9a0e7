"""Which files a transfer copies: its items, walked through at the source before the first byte moves."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from relay_parsl.flows.storage.base import Entry
from relay_parsl.flows.storage.copying import AtSource, File
from relay_parsl.flows.storage.faults import Outside
from relay_parsl.flows.storage.paths import Parts, name_of, text
from relay_parsl.flows.storage.place import Place, Storage
from relay_parsl.flows.storage.request import Item, TransferRequest, wanted

DEEPEST = 200
"""Directories in one another. A path of 4,096 bytes holds more; nobody has them."""
MOST = 2_000_000
"""Files in one transfer: links that are followed may multiply them."""


@dataclass
class Plan:
    """What is to be done.

    Attributes:
        directories: To be made at the destination, parents first.
        symlinks: Links that were passed over.
        passed: What `skip_source_errors` passed over, and what is no data: sentences.
    """

    files: list[File] = field(default_factory=list)
    directories: list[Parts] = field(default_factory=list)
    symlinks: int = 0
    passed: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes, as the source says now."""
        return sum(file.size for file in self.files)


class Planner:
    """Walks through the items of one transfer.

    Args:
        context: The run's `_context`.
        check: Called for each directory; may raise to end the walk.
    """

    def __init__(self, storage: Storage, request: TransferRequest, context: Mapping[str, Any], check: Callable[[], None]) -> None:
        self.storage, self.request, self.context, self.check = storage, request, context, check
        self.plan = Plan()
        self._targets: dict[Parts, Parts] = {}

    def run(self) -> Plan:
        """The plan.

        Raises:
            LookupError: a collection is not known.
            AtSource: a source cannot be read.
            OSError: a destination may not be written, or two sources are to become one file.
        """
        for item in self.request.items:
            destination = self.storage.place(self.request.destination, item.destination, self.context, write=True)
            try:
                self._item(item, destination)
            except AtSource as error:
                if not self.request.skip_source_errors:
                    raise
                self.plan.passed.append(str(error.args[0]))
        return self.plan

    def _item(self, item: Item, destination: Place) -> None:
        try:
            source = self.storage.place(self.request.source, item.source, self.context)
            entry = source.store.entry(source.parts)
        except OSError as error:
            raise AtSource(error) from error
        if entry.type == 'dir':
            self._directory(item, source, destination)
        elif item.recursive or item.source.endswith('/'):
            raise AtSource(NotADirectoryError(errno.ENOTDIR, 'a file, where a directory was to be transferred', item.source))
        else:
            if item.destination.endswith('/') or not destination.parts:
                named = text((*destination.parts, source.parts[-1]))
                raise IsADirectoryError(errno.EISDIR, f'a directory; the destination of a file names the file: {named!r}', item.destination)
            self._file(source.parts, destination.parts, entry, item.checksum)

    def _directory(self, item: Item, source: Place, destination: Place) -> None:
        if item.recursive is False:
            raise AtSource(IsADirectoryError(errno.EISDIR, 'a directory; transfer it with "recursive": true', item.source))
        todo: list[tuple[Parts, Parts, tuple[Parts, ...]]] = [(source.parts, destination.parts, ())]
        while todo:
            here, there, above = todo.pop()
            self.check()
            self.plan.directories.append(there)
            if len(there) > DEEPEST:
                raise AtSource(OSError(errno.ELOOP, f'more than {DEEPEST} directories in one another', text(here)))
            for name, parts, entry in self._listed(source, here, above):
                if entry.type == 'dir':
                    todo.append((parts, (*there, name), (*above, here)))
                else:
                    self._file(parts, (*there, name), entry)

    def _listed(self, source: Place, here: Parts, above: tuple[Parts, ...]) -> list[tuple[str, Parts, Entry]]:
        """What of a directory is to be transferred, in the order of the names."""
        found = []
        try:
            for entry in sorted(source.store.entries(here), key=lambda each: each.name):
                target = (name_of(entry.name), (*here, entry.name), entry)
                if entry.type == 'link':
                    followed = self._link(source, target, (*above, here))
                    if followed is None:
                        continue
                    target = followed
                if self._kept(*target):
                    found.append(target)
        except OSError as error:
            if not self.request.skip_source_errors:
                raise AtSource(error) from error
            self.plan.passed.append(str(error))
        return found

    def _kept(self, name: str, parts: Parts, entry: Entry) -> bool:
        if not wanted(self.request.filter_rules, name, entry.type == 'dir'):
            return False
        if entry.type == 'other':
            self.plan.passed.append(f'{text(parts)}: no regular file: a pipe, a socket or a device')
            return False
        return True

    def _link(self, source: Place, target: tuple[str, Parts, Entry], above: tuple[Parts, ...]) -> tuple[str, Parts, Entry] | None:
        """What a link in a directory stands for; None where it is passed over."""
        name, parts, _ = target
        if self.request.recursive_symlinks == 'ignore':
            self.plan.symlinks += 1
            return None
        place = self.storage.follow(source.collection, parts, self.context)
        entry = source.store.entry(place.parts)
        if place.parts in above:
            raise Outside(f'{text(parts)}: a link to a directory that it lies in')
        return name, place.parts, entry

    def _file(self, source: Parts, destination: Parts, entry: Entry, checksum: str = '') -> None:
        known = self._targets.get(destination)
        if known == source:
            return
        if known is not None:
            raise FileExistsError(errno.EEXIST, f'{text(known)} and {text(source)} were both to become this file', text(destination))
        if len(self._targets) == MOST:
            raise AtSource(OSError(errno.EFBIG, f'more than {MOST} files in one transfer; split it', text(source)))
        self._targets[destination] = source
        self.plan.files.append(File(source, destination, entry.size, checksum))
