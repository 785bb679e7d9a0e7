"""The engine: what runs the flows of a journal, for as long as it holds its lease; one at a time, the next one goes on where it was."""

from __future__ import annotations

import getpass
import logging
import threading
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from queue import SimpleQueue
from typing import Any

from relay_parsl.errors import StoreError
from relay_parsl.flows.actions import OURS
from relay_parsl.flows.actions.base import Action
from relay_parsl.flows.catalogue import GROUP, load
from relay_parsl.flows.definition import Json
from relay_parsl.flows.engine.loop import Loop
from relay_parsl.flows.engine.meter import Meter
from relay_parsl.flows.engine.providers import Find, Providers
from relay_parsl.flows.journal import Journal
from relay_parsl.flows.journal.book import Book
from relay_parsl.flows.journal.file import JournalFile, StoreWaits
from relay_parsl.flows.journal.lease import LENGTH, Lease, LeaseLost
from relay_parsl.flows.settings import Settings
from relay_parsl.flows.terms import TERMS
from relay_parsl.metrics import Publisher
from relay_parsl.supervisor import alive

log = logging.getLogger(__name__)

STANDBY = 0.5
"""Seconds between two tries to get the lease."""


class Engine:
    """Runs the flows of one journal."""

    def __init__(
        self,
        journal: Journal,
        settings: Settings | None = None,
        *,
        find: Find | None = None,
        lease: float = LENGTH,
        publisher: Publisher | None = None,
    ) -> None:
        """Nothing is opened or claimed yet.

        Args:
            journal: Whose runs; the engine opens connections of its own.
            settings: The defaults where it is None.
            find: Where the classes of actions come from, by their names in the catalogue: this package, installed plug-ins and the settings.
            lease: Seconds of silence after which another engine may take over; the same for all engines of a journal.
            publisher: Of metrics.
        """
        self._meter = Meter(publisher or Publisher())
        self._path, self._settings, self._length = journal.file.path, settings or Settings(), lease
        self._find = find or partial(find_action, self._settings)
        self.holding = threading.Event()
        """Set while this engine holds the lease."""

    def serve(self, stop: threading.Event) -> None:
        """Work until `stop`; while another engine holds the lease, stand by. The lease is given back at the end.

        Raises:
            StoreError: the journal is damaged or cannot be written.
        """
        file = JournalFile(self._path)
        try:
            while not stop.is_set():
                lease = Lease(file, length=self._length)
                if self._claim(lease, stop):
                    self._hold(file, lease, stop)
        finally:
            file.close()

    def _claim(self, lease: Lease, stop: threading.Event) -> bool:
        while not stop.is_set():
            try:
                if lease.take():
                    return True
            except StoreWaits as error:
                log.warning('%s', error)
            alive()
            if self._meter.due:
                self._meter.tell(holds=False, runs=0, waiting=0, due=0, actions=())
            stop.wait(min(STANDBY, self._length / 8))
        return False

    def _hold(self, file: JournalFile, lease: Lease, stop: threading.Event) -> None:
        beside = JournalFile(self._path)
        book = Book(file, lease, beside)
        heard: SimpleQueue[Any] = SimpleQueue()

        def report(name: str, action_id: str) -> None:
            heard.put((name, action_id))

        providers = Providers(self._find, body_check, book.records, self._settings.section, report, getpass.getuser())
        ended = _Either(stop)
        heart = threading.Thread(target=_beat, args=(book, beside, ended), name='relay-parsl lease', daemon=True)
        heart.start()
        self.holding.set()
        try:
            Loop(book, self._settings, providers, heard, TERMS, self._meter).run(ended)
        except (LeaseLost, StoreWaits) as error:  # it stands by, and may have it again
            log.warning('%s', error)
        finally:
            self.holding.clear()
            ended.set()
            heart.join()
            providers.close()
            _give(lease)
            beside.close()


class _Either(threading.Event):
    """Set, or as good as set when another is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()


def _beat(book: Book, beside: JournalFile, ended: threading.Event) -> None:
    """Keep the lease while the loop is busy with one long turn, and while there is nothing to write."""
    while not ended.is_set():
        try:
            if book.lease.due:
                with beside.turn():
                    book.lease.check(beside)
        except StoreWaits:
            pass  # the next one may pass
        except StoreError:
            ended.set()
        ended.wait(0.2)


def _give(lease: Lease) -> None:
    try:
        lease.give()
    except StoreError as error:
        log.warning('%s', error)


def find_action(settings: Settings, name: str) -> type[Action]:
    """The class of an action.

    Raises:
        KeyError: nobody brings one of this name.
        ConfigError: who does cannot be loaded.
    """
    given = settings.actions.get(name)
    place = given['type'] if given else OURS.get(name) or next((point.value for point in entry_points(group=GROUP, name=name)), None)
    if place is None:
        raise KeyError(name)
    return load(place, name)


def body_check(schema: Json) -> Callable[[Json], str]:
    """What says what is wrong with an action's body by its provider's input schema; '' for nothing."""
    from relay_parsl.flows.language.schema import checker  # noqa: PLC0415  it loads jsonschema

    check = checker(schema)
    return lambda body: '; '.join(map(str, check(body)))
