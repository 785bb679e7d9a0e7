"""A transfer at work: plan, directories, files by several threads, and rows from which the next process goes on.

```
 KEY             the task: body, status, counts, how many rows the plan has
 KEY/plan/N      a thousand files each, in the order of the plan
 KEY/done/N      what of them is on the disk at the destination: written at most twice a second, for all files of that time
```
A file that was finished and not yet written down is found to be there by its SHA-256.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from relay_parsl.flows.storage.access import who_of
from relay_parsl.flows.storage.base import Store, make_all
from relay_parsl.flows.storage.copying import Copied, Copier, File, Options
from relay_parsl.flows.storage.faults import NotAllowed, Stopped
from relay_parsl.flows.storage.paths import Parts, parse, text
from relay_parsl.flows.storage.place import Storage
from relay_parsl.flows.storage.plan import Plan, Planner
from relay_parsl.flows.storage.progress import transfer_document
from relay_parsl.flows.storage.request import TransferRequest, transfer_request
from relay_parsl.flows.storage.task import TICK, Head, Task, Tools

ROW = 1000
"""Files in one row of the plan."""
_COUNTS = ('moved', 'transferred', 'skipped', 'checksummed', 'passed')


def check_transfer(storage: Storage, request: TransferRequest, context: Mapping[str, Any]) -> None:
    """Collections and paths, as far as the body alone can be judged. Raises LookupError, OSError."""
    who = who_of(context)
    source, destination = storage.find(request.source), storage.find(request.destination)
    if request.encrypt_data and 'http' in (source.scheme, destination.scheme):
        raise NotAllowed('encrypt_data: a collection with an "http:" root cannot be read so; give it an "https:" one')
    for item in request.items:
        storage.check(source, parse(item.source, source.home), who, write=False)
        storage.check(destination, parse(item.destination, destination.home), who, write=True)


def _above(directories: Iterable[Parts]) -> set[Parts]:
    """What must be on the disk so that these are found there."""
    return {parts[:depth] for parts in directories for depth in range(len(parts))}


class Transfer(Task):
    """One transfer."""

    def __init__(self, head: Head, key: str, tools: Tools) -> None:
        super().__init__(head, key, tools)
        self.request: TransferRequest = transfer_request(head.body)
        self.source, self.destination = tools.storage.named(self.request.source), tools.storage.named(self.request.destination)
        self.files: list[File] = []
        self._next: Iterator[int] = iter(())
        self._finished: list[tuple[int, dict[str, int]]] = []
        self._rows = 0
        self._lock = threading.Lock()
        self._given_up: list[Exception] = []
        self.fail_when_full = self.request.fail_on_quota_errors

    def document(self) -> dict[str, Any]:
        """The task document."""
        ends = (self.source, self.destination)
        return transfer_document(self.request, ends, self.progress.counts(), self.head.standing(), self.tools.clock())

    # --- the plan ------------------------------------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Plan it or read the plan, make the directories, copy the files."""
        self.patiently('', lambda: check_transfer(self.tools.storage, self.request, self.head.context))
        if self.head.planned is None:
            planner = Planner(self.tools.storage, self.request, self.head.context, self.check)
            self._write_plan(self.patiently(self.request.items[0].source, planner.run))
        self.files = self._planned()
        store = self.tools.storage.store(self.destination)
        directories: list[Parts] = [tuple(parts) for parts in (self.head.planned or {})['directories']]
        for parts in directories:
            self.check()
            self.patiently(text(parts), partial(self._make, store, parts))
        self.patiently('', lambda: store.settle(_above(directories)))
        self._copy(store)

    def _planned(self) -> list[File]:
        rows = int((self.head.planned or {}).get('rows', 0))
        return [
            File(tuple(source), tuple(target), size, checksum) for _, row in self._rows_of('plan', rows) for source, target, size, checksum in row
        ]

    def _write_plan(self, plan: Plan) -> None:
        rows = 0
        for at in range(0, len(plan.files), ROW):
            row = [[file.source, file.destination, file.size, file.checksum] for file in plan.files[at : at + ROW]]
            self.tools.records.put(f'{self.key}/plan/{rows:06}', row)
            rows += 1
        with self.progress.lock:
            self.progress.files, self.progress.directories, self.progress.symlinks = len(plan.files), len(plan.directories), plan.symlinks
            self.progress.bytes_total = plan.size
        self.progress.passed_over(plan.passed, self.tools.clock())
        self.save(planned={'rows': rows, 'directories': plan.directories, 'passed': len(plan.passed)})

    def _rows_of(self, kind: str, most: int | None = None) -> Iterator[tuple[str, Any]]:
        for count, pair in enumerate(self.tools.records.scan(f'{self.key}/{kind}/')):
            if most is not None and count >= most:
                return  # of an earlier walk that did not end
            yield pair

    def _make(self, store: Store, parts: Parts) -> None:
        who = who_of(self.head.context)
        make_all(store, parts, lambda each: self.tools.storage.check(self.destination, each, who, write=True))

    # --- the files -----------------------------------------------------------------------------------------------------------------------------

    def _copy(self, store: Store) -> None:
        done = self._recall()
        left = [at for at in range(len(self.files)) if at not in done]
        self._next = iter(left)
        copier = self.copier(store)
        count = min(self.source.parallel, self.destination.parallel, len(left))
        threads = [threading.Thread(target=self._work_off, args=(copier, store), name='flows-copy', daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(TICK)
                    self._tick(store)
        except BaseException:
            self.halt.set()
            for thread in threads:
                thread.join()
            raise
        self._tick(store)
        if self._given_up:
            raise self._given_up[0]
        self.check()

    def _recall(self) -> set[int]:
        """Which files are done, by the rows of earlier processes; the counts are theirs."""
        done: set[int] = set()
        for name in _COUNTS:
            setattr(self.progress, name, 0)
        for _, row in self._rows_of('done'):
            self._rows += 1
            done.update(row['files'])
            self.progress.add(**{name: row[name] for name in _COUNTS})
        return done

    def copier(self, store: Store) -> Copier:
        """What copies the files."""
        options = Options(self.request.sync_level, self.request.verify_checksum, self.request.preserve_timestamp)
        source = self.tools.storage.store(self.source)
        return Copier(source, store, options, self.head.task_id[:8], lambda count: self.progress.add(moved=count), self.check)

    def _work_off(self, copier: Copier, store: Store) -> None:
        """In a thread: one file after the other, until there is none or one of them is given up."""
        while not self.halt.is_set():
            with self._lock:
                at = next(self._next, None)
            if at is None:
                return
            try:
                self._one(at, copier, store)
            except Stopped:
                return
            except Exception as error:  # noqa: BLE001  it is raised by the thread that waits for this one
                self._given_up.append(error)
                self.halt.set()

    def _one(self, at: int, copier: Copier, store: Store) -> None:
        file = self.files[at]

        def copy() -> Copied:
            with self.tools.storage.turn((self.source, self.destination), self.check):
                try:
                    return copier.copy(file)
                except FileNotFoundError:
                    self._make(store, file.destination[:-1])
                    store.settle(_above([file.destination[:-1]]))
                    return copier.copy(file)

        copied: Copied | None = self.patiently(text(file.source), copy, may_pass=self.request.skip_source_errors)
        counts = dict.fromkeys(_COUNTS, 0) | {'passed' if copied is None else 'skipped' if copied.skipped else 'transferred': 1}
        if copied is not None and not copied.skipped:
            counts |= {'moved': copied.size, 'checksummed': copied.size if self.request.verify_checksum else 0}
        self.progress.add(**counts | {'moved': 0})  # that was counted as it moved
        with self._lock:
            self._finished.append((at, counts))

    def _tick(self, store: Store) -> None:
        """Write down what is done, once the directories that hold it are on the disk, and say so."""
        with self._lock:
            finished, self._finished = self._finished, []
        if finished:
            self.patiently('', lambda: store.settle({self.files[at].destination[:-1] for at, _ in finished}))
            row = {name: sum(counts[name] for _, counts in finished) for name in _COUNTS}
            self.tools.records.put(f'{self.key}/done/{self._rows:06}', {'files': [at for at, _ in finished], **row})
            self._rows += 1
        self.tools.report(self.head.task_id)

    def clean(self) -> None:
        """Remove the parts, where it did not succeed, and the rows."""
        with suppress(OSError, LookupError):
            store = self.tools.storage.store(self.destination)
            files = self.files or self._planned()
            self.copier(store).sweep({file.destination[:-1] for file in files})
        for kind in ('plan', 'done'):
            for key in [key for key, _ in self._rows_of(kind)]:
                self.tools.records.delete(key)
