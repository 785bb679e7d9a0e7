"""A delete at work: first every path is looked for, then they go. Links are removed and never followed.

What was found is written down before the first file goes, so that the next process does not take what is gone for what was never there.
"""

from __future__ import annotations

import errno
import fnmatch
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from relay_parsl.flows.storage.access import who_of
from relay_parsl.flows.storage.base import Entry, Store
from relay_parsl.flows.storage.paths import Parts, name_of, parse, text
from relay_parsl.flows.storage.place import Place, Storage
from relay_parsl.flows.storage.progress import delete_document
from relay_parsl.flows.storage.request import DeleteRequest, delete_request
from relay_parsl.flows.storage.task import TICK, Head, Task, Tools

_GLOB = frozenset('*?[')


def check_delete(storage: Storage, request: DeleteRequest, context: Mapping[str, Any]) -> None:
    """Collection and paths, as far as the body alone can be judged. Raises LookupError, OSError."""
    collection = storage.find(request.endpoint)
    for path in request.paths:
        storage.check(collection, parse(path, collection.home), who_of(context), write=True)


class Deletion(Task):
    """One delete."""

    def __init__(self, head: Head, key: str, tools: Tools) -> None:
        super().__init__(head, key, tools)
        self.request: DeleteRequest = delete_request(head.body)
        self.collection = tools.storage.named(self.request.endpoint)
        self._told = 0.0

    def document(self) -> dict[str, Any]:
        """The task document."""
        return delete_document(self.collection, self.progress.counts(), self.head.standing(), self.request.warnings)

    def work(self) -> None:
        """Find everything, then remove it."""
        self.patiently('', lambda: check_delete(self.tools.storage, self.request, self.head.context))
        if self.head.planned is None:
            found: list[Parts] = []
            for path in self.request.paths:
                found += self.patiently(path, partial(self._found, path))
            self.save(planned={'paths': found})
        store = self.tools.storage.store(self.collection)
        paths: list[Parts] = [tuple(parts) for parts in (self.head.planned or {})['paths']]
        for parts in paths:
            self.patiently(text(parts), partial(self._remove, store, parts))
        self.patiently('', lambda: store.settle({parts[:-1] for parts in paths}))

    def _place(self, path: str) -> Place:
        return self.tools.storage.place(self.request.endpoint, path, self.head.context, write=True, follow=False)

    def _found(self, path: str) -> list[Parts]:
        """What a path of the body means. Raises OSError where it means nothing, unless that was allowed."""
        if self.request.interpret_globs and _GLOB & set(path):
            found = self._glob(path)
            if not found and not self.request.ignore_missing:
                raise FileNotFoundError(errno.ENOENT, 'nothing matches', path)
            return found
        place = self._place(path)
        return [place.parts] if self._exists(place, path) else []

    def _exists(self, place: Place, path: str) -> bool:
        try:
            entry = place.store.entry(place.parts)
        except FileNotFoundError:
            if self.request.ignore_missing:
                return False
            raise
        if not place.parts:
            raise PermissionError(errno.EPERM, 'the root of a collection cannot be deleted', path)
        if entry.type == 'dir' and not self.request.recursive:
            raise IsADirectoryError(errno.EISDIR, 'a directory; delete it with "recursive": true', path)
        return True

    def _glob(self, path: str) -> list[Parts]:
        """Names are matched one directory at a time; the part before the first pattern is a path like any other."""
        names = path.split('/')
        first = next(at for at, name in enumerate(names) if _GLOB & set(name))
        base = self._place('/'.join(names[:first]) or ('/' if path.startswith('/') else '~'))
        found = [base.store.resolve(base.parts)]
        patterns = [name for name in names[first:] if name]
        for at, pattern in enumerate(patterns, 1):
            found = [(*parts, each) for parts in found for each in self._matching(base.store, parts, pattern, at == len(patterns))]
        places = [self.tools.storage.follow(self.collection, parts, self.head.context, write=True, follow=False) for parts in found]
        return [place.parts for place in places if self._exists(place, text(place.parts))]

    def _matching(self, store: Store, parts: Parts, pattern: str, last: bool) -> list[str]:
        """As a shell, a pattern does not match a dot at the beginning; unlike there, it does not go through links."""
        self.check()
        names = sorted(name_of(entry.name) for entry in store.entries(parts) if last or entry.type == 'dir')
        return [name for name in names if fnmatch.fnmatchcase(name, pattern) and (pattern.startswith('.') or not name.startswith('.'))]

    def _remove(self, store: Store, parts: Parts) -> None:
        """The whole tree, the deepest first. What is gone already is no fault."""
        try:
            directory = store.entry(parts).type == 'dir'
        except FileNotFoundError:
            return
        for each, is_directory in self._tree(store, parts) if directory else iter([(parts, False)]):
            self.check()
            with suppress(FileNotFoundError):
                store.remove(each, is_directory)
            self.progress.add(files=int(not is_directory), directories=int(is_directory), transferred=int(not is_directory))
            self._tell()

    def _tree(self, store: Store, top: Parts) -> Iterator[tuple[Parts, bool]]:
        """Everything beneath and the directory itself, in an order in which it can be removed."""
        todo: list[tuple[Parts, bool]] = [(top, False)]
        while todo:
            parts, seen = todo.pop()
            if seen:
                yield parts, True
                continue
            todo.append((parts, True))
            for entry in self._left(store, parts):
                inner = (*parts, name_of(entry.name))
                if entry.type == 'dir':
                    todo.append((inner, False))
                else:
                    yield inner, False

    def _left(self, store: Store, parts: Parts) -> list[Entry]:
        """What a directory still holds: another delete may be at it, too."""
        with suppress(FileNotFoundError):
            return list(store.entries(parts))
        return []

    def _tell(self) -> None:
        now = self.tools.clock()
        if now - self._told >= TICK:
            self._told = now
            self.tools.report(self.head.task_id)

    def clean(self) -> None:
        """Nothing is left behind."""
