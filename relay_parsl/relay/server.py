"""The relay's loop: poll, drain, begin, decide, commit, and only then speak. One thread, and a few more that sync and delete large bodies."""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from relay_parsl.daemon import alive, settle, terminated_by
from relay_parsl.errors import ProtocolError, SealError, StoreError, StoreFailed
from relay_parsl.home import Credentials, Home
from relay_parsl.home.audit import AuditLog
from relay_parsl.home.recorder import Recorder
from relay_parsl.metrics import Publisher
from relay_parsl.relay.descriptors import UNREAD, outside, raise_open_files
from relay_parsl.relay.effects import Audit, Effect, Key, Send, Snapshot, SpoolDelete, SpoolSend, SpoolSync, SpoolWrite, Stop
from relay_parsl.relay.keyring import Keyring
from relay_parsl.relay.meter import Meter
from relay_parsl.relay.reactor import Enrolment, RelayReactor, RelaySettings
from relay_parsl.relay.records import AccountRow, Progress, Stage
from relay_parsl.relay.restoring import refuse_cold_start, restored
from relay_parsl.relay.snapshot import Snapshots
from relay_parsl.relay.sqlite import SqliteStore
from relay_parsl.spool import Helper, Spool
from relay_parsl.spool import Key as SpoolKey
from relay_parsl.transport import Peer, Router
from relay_parsl.transport.memory import keep_buffers
from relay_parsl.version import VERSION
from relay_parsl.wire.messages import NO_ID, Body, Enrol, Id, Message, Objects, Segment, Submit
from relay_parsl.wire.seal import Card, read_card

log = logging.getLogger(__name__)

TICK = 1.0
DRAIN = 64
"""Messages in one turn, at most: full ones are some 13,000 tasks, a quarter of a second in which others wait."""
RESERVE = 64 << 20
"""Bytes that are kept free on the disk, or a tenth of it if that is less: below, new tasks are refused and results still find room."""
LOOK_AT_DISK = 5.0
AFTER_ERROR = 0.2
"""Seconds to wait after a store error, so that a full disk is not asked a thousand times a second."""
LIFETIME = 10 * 365 * 86400.0
"""Seconds that the card of a relay's own keys is valid."""

Founder = tuple[str, str, Card, Id | None]
"""Name, role, card and owner of an account that is there from the start."""


class RelayServer:
    """One relay: a port, a store, a spool and an audit log under one home."""

    _reactor: RelayReactor

    def __init__(
        self, home: Home, bind: str, *, bootstrap: Sequence[Founder] = (), settings: RelaySettings | None = None, publisher: Publisher | None = None
    ) -> None:
        """`bind`: `tcp://address:port`; `bootstrap`: accounts that are put into the store if they are not there; `publisher`: of metrics."""
        self._meter, self._publisher = Meter(), publisher or Publisher()
        self._home, self._bind, self._bootstrap = home, bind, bootstrap
        self._settings = settings or RelaySettings(versions={'relay-parsl': VERSION})
        self._stopping = False
        self._running = False
        self._open: list[Callable[[], None]] = []
        self._events: deque[Callable[[float], None]] = deque()
        self._wake: Callable[[], None] = lambda: None
        self._offset = time.time() - time.monotonic()
        self._ticked = self._looked = 0.0
        self._lives = 0
        self._acts: dict[type, Callable[[Any], None]] = {
            Send: self._send, SpoolWrite: self._spool_write, SpoolSync: self._spool_sync, SpoolSend: self._spool_send,
            SpoolDelete: self._spool_delete, Snapshot: lambda effect: self._snapshots.begin(effect.name), Stop: lambda _effect: self.stop(),
        }  # fmt: skip

    # -- From outside -----------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The TCP port, once started."""
        return self._router.port

    def start(self) -> None:
        """Open everything; `port` is known afterwards, and messages wait for `run`.

        Raises:
            ConfigError: the address cannot be had.
            HomeError: keys or directories are not as they should be.
            StoreError: the store is in use, newer, damaged, or the disk refuses.
        """
        try:
            self._start()
        except BaseException:
            self._close()
            raise

    def run(self) -> None:
        """Serve until `stop`, SIGTERM or SIGINT. Raises StoreFailed when the disk fails: nothing more may be acknowledged then."""
        self._running = True
        settle()
        main = threading.current_thread() is threading.main_thread()
        with terminated_by(self.stop) if main else nullcontext():
            try:
                while not self._stopping:
                    self._turn()
            except StoreError as error:
                raise StoreFailed(str(error)) from error
            finally:
                self._close()

    def stop(self) -> None:
        """End `run` after its turn; from any thread."""
        self._stopping = True
        self._wake()
        if not self._running:
            self._close()

    # -- Opening and closing ----------------------------------------------------------------------------------------

    def _start(self) -> None:
        keep_buffers()
        self._settings = replace(self._settings, connections=min(self._settings.connections, raise_open_files()))
        directory = self._home.directory('relay')
        path = directory / 'relay.key'
        if not path.exists():
            Credentials.create('relay', 'relay', now=time.time(), lifetime=LIFETIME).save(path)
        self._keyring = Keyring(directory, self._now())
        keys = self._keyring.current.keys
        refuse_cold_start(directory)
        self._store = SqliteStore(directory / 'relay.db')
        self._open.append(self._store.close)
        self._spool = Spool(self._home.directory('relay', 'spool'))
        self._audit = Recorder(AuditLog(directory / 'audit.log', keys), self._settings.audit)
        self._open += [self._audit.close, lambda: self._log('stop')]
        self._snapshots = Snapshots(directory, self._store.copy_to, self._snapshot_went)
        self._open.append(self._snapshots.close)
        self._found()
        self._listen(self._bind)
        self._open.append(self._hang_up)
        self._helper = Helper(self._spool, self._synced)
        self._open.append(self._helper.close)
        self._log('start', version=VERSION, port=self.port, **({'store': self._settings.restored} if self._settings.restored else {}))
        self._reactor.unrecorded = self._audit.halted

    def _log(self, event: str, **fields: object) -> None:
        self._audit.note(self._now(), event, fields)
        self._audit.commit(self._now())

    def _listen(self, bind: str) -> None:
        room = outside(self._settings.connections)
        self._router = Router(bind, self._keyring.current.keys.curve, self._admits, outside=room, inside=self._inside, unread=UNREAD)
        self._wake = self._router.wake

    def _hang_up(self) -> None:
        self._wake = lambda: None
        self._router.close()

    def _found(self) -> None:
        """The store's first turn: founders, the reactor, and a spool without what nobody refers to."""
        self._store.begin()
        self._settings = replace(self._settings, restored=restored(self._store.restored()))
        self._base = self._store.start() << 32
        known = {row.id: row for row in self._store.accounts()}
        for name, role, card, owner in self._bootstrap:
            row = known.get(card.id) or AccountRow(card.id, name, role, card.data, card.curve, card.not_after, owner or NO_ID)
            if card.id not in known or (row.card != card.data and card.serial > row.serial):
                self._store.put_account(replace(row, card=card.data, curve=card.curve, not_after=card.not_after, serial=card.serial))
        self._new_reactor()
        orphans = self._orphans()
        self._store.commit()
        for key in orphans:
            self._spool.delete(key)

    def _orphans(self) -> list[Key]:
        """What a crash has left in the spool."""
        keys = [(Id(task_id), attempt, direction) for task_id, attempt, direction in list(self._spool.keys())]
        stages = {info.id: info.stage for info in self._store.find({key[0] for key in keys})}
        results = {(row.id, row.attempt) for row in self._store.results({key[0] for key in keys}) if row.body}
        return [key for key in keys if not (key[:2] in results if key[2] == 'result' else stages.get(key[0], Stage.DONE) != Stage.DONE)]

    def _new_reactor(self) -> None:
        """Inside a turn."""
        self._lives += 1
        full = self._lives > 1 and self._reactor.full
        self._reactor = RelayReactor(self._store, self._now(), settings=self._settings, first_session=self._base + (self._lives << 24))
        self._reactor.full, self._reactor.unrecorded = full, self._audit.halted
        self._reactor.announce(self._keyring.succession)

    def _admits(self, key: bytes) -> bool:
        return self._reactor.admits(key, self._now())

    def _inside(self, routing: bytes) -> bool:
        return self._reactor.inside(routing)

    def _close(self) -> None:
        """Whatever is open, the last first."""
        self._wake = lambda: None
        while self._open:
            self._open.pop()()

    def _now(self) -> float:
        """Seconds since 1970 as they were at the start, and steady from then on: a clock that jumps expires nothing."""
        return time.monotonic() + self._offset

    # -- The loop ---------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        now = self._now()
        waiting = self._events or self._reactor.busy
        self._router.wait(0 if waiting else max(0.0, self._ticked + TICK - now))
        heard = self._router.receive(1 if self._reactor.full else DRAIN)  # what a turn writes must fit into the reserve
        now, start = self._now(), time.perf_counter()
        self._brace(heard)
        try:
            with self._snapshots.turn:
                self._decide(heard, now)
        except StoreError as error:
            self._start_over(error)
            return
        for effect in self._reactor.take():
            self._act(effect)
        if now - self._looked >= LOOK_AT_DISK:
            self._looked = now
            self._look_at_disk()
        self._look_at_keys(now)
        self._meter.turn(time.perf_counter() - start)
        alive()
        if self._publisher.due():
            self._publish(now)

    def _look_at_keys(self, now: float) -> None:
        """What is announced of the next key is told to everybody; at its time the port has it, and sessions begin anew."""
        if self._keyring.due(now):
            self._keyring.advance()
            log.info('the relay has its next key; who knows the one of before alone is not served any more')
            self._hang_up()
            self._listen(f'{self._bind.rpartition(":")[0]}:{self.port}')
            self._renew()
        elif self._ticked == now and self._keyring.look():
            self._reactor.announce(self._keyring.succession)
        else:
            return
        heir = self._keyring.heir
        self._audit.note(now, 'keys', {'serial': self._keyring.current.card.serial, **({'since': heir.since} if heir else {})})

    def _decide(self, heard: Sequence[tuple[Peer, Message | ProtocolError]], now: float) -> None:
        self._store.begin()
        for peer, message in heard:
            self._hear(peer, message, now)
        while self._events:
            self._events.popleft()(now)
        if self._reactor.busy or now - self._ticked >= TICK:
            self._ticked = now
            self._reactor.tick(now)
        self._reactor.flush(now)
        self._record(now)
        self._commit()

    def _commit(self) -> None:
        start = time.perf_counter()
        self._store.commit()
        self._meter.commit(time.perf_counter() - start)

    def _record(self, now: float) -> None:
        """The lines of a turn are written before it is committed. The first that cannot be undoes its turn; later ones, of sessions, wait."""
        for each in self._reactor.records():
            self._note(each, now)
        if not self._audit.commit(now) and not self._reactor.unrecorded:
            self._audit.take_back()
            raise StoreError('what is not on record must not happen')
        self._reactor.unrecorded = self._audit.halted

    def _hear(self, peer: Peer, message: Message | ProtocolError, now: float) -> None:
        """What needs hashing or a signature is checked here: the reactor is pure."""
        self._meter.heard(message)
        if isinstance(message, ProtocolError):
            self._reactor.junk(peer, f'{type(message).__name__}: {message}')
        elif isinstance(message, Enrol):
            self._enrol(peer, message, now)
        elif isinstance(message, Objects):
            whole = tuple([each for each in message.objects if hashlib.sha256(each.data).digest() == each.hash])
            self._reactor.receive(peer, Objects(whole), now)
        else:
            self._reactor.receive(peer, message, now)

    def _enrol(self, peer: Peer, message: Enrol, now: float) -> None:
        try:
            card = read_card(message.card, now=now)
        except SealError as error:
            self._reactor.junk(peer, f'the card: {error}')
            return
        about = hashlib.sha256(message.token).digest(), card.id, card.kind, card.curve, card.not_after
        self._reactor.enrol(peer, Enrolment(*about, message.card, message.mac, card.serial, message.overlap, peer.address), now)

    def _start_over(self, error: StoreError) -> None:
        """Nothing of the turn leaves. The reactor is made anew from what is stored, and sessions say Hello again."""
        log.error('the store refused: %s', error)
        self._meter.error()
        if self._store.broken:
            raise error
        self._reactor.full = True  # until the disk was looked at: most likely that is what it is
        self._events.clear()
        time.sleep(AFTER_ERROR)
        self._store.rollback()
        self._renew()

    def _renew(self) -> None:
        self._store.begin()
        self._new_reactor()
        self._store.commit()

    def _brace(self, heard: Sequence[tuple[Peer, Message | ProtocolError]]) -> None:
        """What one turn brings may be more than the reserve: then it is refused. Twice its size, for it goes through the log into the file."""
        coming = sum(len(task.payload) for _, message in heard if isinstance(message, Submit) for task in message.tasks)
        if coming and not self._reactor.full and self._crowded(2 * coming):
            self._look_at_disk(2 * coming)

    def _look_at_disk(self, coming: int = 0) -> None:
        full = self._crowded(coming)
        if full != self._reactor.full:
            log.warning('the disk is full: new tasks are refused' if full else 'the disk has room again')
        self._reactor.full = self._reactor.tight = full

    def _crowded(self, coming: int) -> bool:
        """Whether these bytes would go into the reserve. What was given up in the store has room for others."""
        usage = shutil.disk_usage(self._home.root)
        short = min(RESERVE, usage.total // 10) + coming - usage.free
        return short > 0 and short > self._store.spare()

    def _publish(self, now: float) -> None:
        sizes = {'store': self._store.size(), 'spool': self._helper.bytes, 'free': shutil.disk_usage(self._home.root).free}
        self._helper.measure()
        self._publisher.publish(self._meter.families(self._reactor.census(now), sizes, self._audit.halted))

    # -- Effects ----------------------------------------------------------------------------------------------------

    def _act(self, effect: Effect) -> None:
        self._acts[type(effect)](effect)

    def _send(self, effect: Send) -> None:
        try:
            sent = self._router.send(effect.routing, effect.message)
            self._meter.sent(effect.message)
        except ProtocolError:
            log.exception('could not be sent: %s', type(effect.message).__name__)
            sent = False
        if not sent:
            self._reactor.unreachable(effect.routing, self._now())

    def _spool_write(self, effect: SpoolWrite) -> None:
        self._helper.spare(effect.key)
        try:
            self._spool.write(effect.key, effect.offset, effect.data)
        except OSError:
            log.exception('the spool refused')
            self._spool_failed(effect.key)

    def _spool_sync(self, effect: SpoolSync) -> None:
        self._helper.sync(effect.key)

    def _spool_send(self, effect: SpoolSend) -> None:
        fetch = effect.fetch
        try:
            total, data = self._spool.piece(effect.key, fetch.offset, fetch.length)
        except OSError as error:  # no descriptors left, a bad sector: who fetches asks again
            log.error('the spool cannot be read: %s', error)
            return
        self._send(Send(effect.routing, Segment(fetch.task_id, fetch.attempt, fetch.direction, fetch.offset, total, Body(data))))

    def _spool_delete(self, effect: SpoolDelete) -> None:
        self._helper.delete(effect.key)

    def _note(self, effect: Audit, now: float) -> None:
        if effect.event == 'crowded':
            log.warning('refused a session of account %s: %s', effect.account.hex(), effect.fields['why'])
        self._audit.note(now, effect.event, {'account': effect.account.hex(), **effect.fields})

    def _synced(self, name: SpoolKey, error: OSError | None) -> None:
        """In a helper's thread: a large body's fsync stalls nobody."""
        key = (Id(name[0]), name[1], name[2])
        if error is not None:
            log.error('the spool could not be synced: %s', error)
            self._spool_failed(key)
        else:
            self._events.append(lambda now: self._reactor.spooled(key, now))
        self._wake()

    def _snapshot_went(self, progress: Progress) -> None:
        """In the snapshot's thread."""
        self._events.append(lambda _now: self._reactor.snapshot(progress))
        self._wake()

    def _spool_failed(self, key: Key) -> None:
        self._events.append(lambda _now: self._reactor.spool_failed(key))
