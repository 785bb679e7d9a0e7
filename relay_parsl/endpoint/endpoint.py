"""The endpoint's loop: one thread between a socket, the journal and the engines; what it does is decided by the reactor.

```
wait → drain socket and engines → begin → reactor → commit → effects (`hands`)
```
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from relay_parsl import daemon
from relay_parsl.endpoint import effects as do
from relay_parsl.endpoint import hooks
from relay_parsl.endpoint.commits import Commits
from relay_parsl.endpoint.config import EndpointConfig
from relay_parsl.endpoint.crew import Crew
from relay_parsl.endpoint.gate import Gate
from relay_parsl.endpoint.grace import take
from relay_parsl.endpoint.hands import Hands, Tools
from relay_parsl.endpoint.journal import SqliteJournal
from relay_parsl.endpoint.meter import Meter
from relay_parsl.endpoint.place import keep_relay
from relay_parsl.endpoint.reactor import EndpointReactor, EndpointSettings
from relay_parsl.endpoint.renewal import FAILURES, Renewal
from relay_parsl.endpoint.shares import Shares
from relay_parsl.endpoint.syncer import Syncer
from relay_parsl.endpoint.trust import Trusted
from relay_parsl.engines.base import Changed, Finished, Lost, Running
from relay_parsl.errors import ConfigError, HomeError, StoreError
from relay_parsl.home import Credentials, Following, RelayEntry
from relay_parsl.home.audit import AuditLog
from relay_parsl.home.recorder import Recorder
from relay_parsl.metrics import Publisher
from relay_parsl.spool import Spool
from relay_parsl.transport import Dealer
from relay_parsl.transport.memory import keep_buffers
from relay_parsl.version import VERSION
from relay_parsl.wire import codec
from relay_parsl.wire.messages import Id, Welcome
from relay_parsl.wire.payload import PYTHON

log = logging.getLogger(__name__)

SKEW = 5.0
"""Seconds between this host's clock and the relay's from which it is reported."""
IDLE = 0.5
"""Seconds between two ticks of an idle loop."""
WINDOW_TASKS, WINDOW_BYTES = 1000, 64 << 20
"""What each pool holds at least: enough to hide the way to the relay from its workers."""
GRACE = 30.0
"""Seconds that running tasks have after a bare SIGTERM."""
ENDING = 60.0
"""Seconds more in which its workers and its `endpoint_teardown` end, or are ended."""
STRANGER = 5.0
"""Seconds after which a relay that we cannot talk to at all (wrong key, unknown key) is an error; later it is a disturbance."""
LAST_WORDS = 0.2
"""Seconds for the last messages to leave the socket."""


class Endpoint:
    """One endpoint process. `run` it once, in any thread; `stop` from any other, or by SIGTERM."""

    def __init__(
        self,
        home_dir: Path,
        config: EndpointConfig,
        relay: RelayEntry,
        credentials: Credentials,
        *,
        take_over: bool = False,
        grace: float | None = None,
        publisher: Publisher | None = None,
    ) -> None:
        """Nothing is opened or started yet.

        Args:
            home_dir: the endpoint's own directory: `trusted.json` stands there; journal, spool and runs are made there.
            config: the endpoint file, read.
            relay: where the relay is, and its key.
            credentials: the endpoint's own.
            take_over: end another process of this endpoint that the relay believes to live.
            grace: seconds that `stop` leaves to running tasks, where no note says otherwise (`grace`); None: `GRACE`.
            publisher: of metrics.
        """
        self._meter, self._publisher = Meter(), publisher or Publisher()
        self._home, self._config, self._credentials = Path(home_dir), config, credentials
        self._relay = Following(relay, partial(keep_relay, self._home))
        self._take_over, self._grace = take_over, GRACE if grace is None else grace
        self._clock = time.time() - time.monotonic()
        self._stops = self._stops_seen = 0
        self._ticked = 0.0
        self._skew = 0
        self._handshakes = 0
        self._wake: Callable[[], None] = lambda: None

    def stop(self) -> None:
        """Drain: hand back what has not started, wait for the rest up to the grace. Again, without a note: at once. From any thread, or a signal."""
        self._stops += 1
        self._wake()

    def run(self) -> int:
        """Be the endpoint until it is stopped or replaced.

        Returns:
            0 after a drain, 3 when another process took over or the account was revoked: then it must not be restarted.

        Raises:
            ConfigError: it cannot be this endpoint, or an engine cannot work as configured; the text is for the user.
            HomeError: its files cannot be used as they are.
            StoreError: its journal cannot be used; StoreFailed: the disk is full, or fails.
        """
        trusted = Trusted(self._home / 'trusted.json')
        engines = {pool: self._config.build_engine(pool) for pool in self._config.pools}
        with ExitStack() as stack:
            stack.enter_context(_signals(self.stop))
            if not self._set_up(stack):
                return 0
            self._journal = self._open_journal()
            stack.callback(self._journal.close)
            self._commits = Commits(self._journal, self._meter)
            self._audit = self._open_audit()
            stack.callback(self._audit.close)
            keep_buffers()
            self._dealer = Dealer(self._relay.entry.url, self._relay.key, self._credentials.keys.curve)
            stack.callback(self._dealer.close)
            self._wake = self._dealer.wake
            self._crew = Crew(engines, self._wake)
            return self._serve(trusted)

    # -- Life --------------------------------------------------------------------------------------------------------

    def _serve(self, trusted: Trusted) -> int:
        epoch = self._next_epoch()
        spool = self._open_spool()
        self._sync = Syncer(spool, self._wake)
        self._shares = Shares(self._credentials.id, trusted, self._journal.share())
        self._gate = Gate(self._credentials.keys, epoch, self._config.function_policy, trusted, self._shares)
        self._renewal = Renewal(self._home / 'endpoint.key', self._credentials, self._relay, self._gate, self._dealer, self._note)
        self._reactor = EndpointReactor(self._journal, Id(os.urandom(16)), epoch, self._now(), settings=self._settings())
        self._hands = Hands(
            self._reactor, Tools(self._dealer, self._crew, self._gate, spool, self._sync, self._shares, self._note, self._record), self._now
        )
        labels = {pool: spec.label for pool, spec in self._config.pools.items()}
        self._crew.start(self._home / 'runs', lambda pool: f'{labels[pool]}-{epoch}')
        try:
            for pool, engine in self._crew.engines.items():
                self._reactor.capacity(pool, engine.capacity, self._now())
            self._report()
            self._reactor.connect(self._now())
            log.info('endpoint %s (%s) begins its epoch %d', self._credentials.name, self._credentials.id.hex(), epoch)
            self._note('begin', epoch=epoch, relay=self._relay.entry.url, trusted=len(trusted()))
            daemon.settle()
            return self._verdict(self._loop())
        finally:
            self._crew.stop()
            self._sync.close()

    def _set_up(self, stack: ExitStack) -> bool:
        """Run `endpoint_setup`, and see to it that `endpoint_teardown` runs at the end; False when we were stopped meanwhile."""
        life = self._config.life
        if life.teardown:
            stack.callback(self._tear_down)
        fault = hooks.run('endpoint_setup', life.setup, self._home, hooks.SETUP, lambda: self._stops > 0) if life.setup else ''
        if fault and not self._stops:
            raise ConfigError(f'{self._config.file}: {fault}')
        return not self._stops

    def _tear_down(self) -> None:
        fault = hooks.run('endpoint_teardown', self._config.life.teardown, self._home, hooks.TEARDOWN)
        if fault:
            log.error('%s', fault)

    def _open_journal(self) -> SqliteJournal:
        """A new one only where this endpoint never ran: without its journal it would run again what it has finished."""
        journal, audit = self._home / 'journal.db', self._home / 'audit.log'
        if not journal.exists() and audit.exists() and audit.stat().st_size:
            raise StoreError(
                f'{journal} is gone, but {audit.name} beside it says that this endpoint has run: what it had finished is not known any more. '
                f'Put the journal back, or delete the endpoint and make a new one, which has new keys'
            )
        return SqliteJournal(journal)

    def _open_audit(self) -> Recorder:
        try:
            return Recorder(AuditLog(self._home / 'audit.log', self._credentials.keys), self._config.audit)
        except OSError as error:
            raise HomeError(f'{self._home / "audit.log"}: {error.strerror}: what runs here must be on record') from None

    def _next_epoch(self) -> int:
        self._journal.begin()
        epoch = self._journal.advance()
        self._journal.commit()
        return epoch

    def _settings(self) -> EndpointSettings:
        engines = self._crew.engines
        margins = {pool: int(getattr(engine, 'margin', 0)) for pool, engine in engines.items()}
        return EndpointSettings(
            pools={pool: (max(WINDOW_TASKS, 2 * margin), WINDOW_BYTES) for pool, margin in margins.items()},
            pool_margins=margins,
            pool_retries={pool: int(getattr(engine, 'max_retries_on_system_failure', 2)) for pool, engine in engines.items()},
            endpoint=self._credentials.id,
            default_pool=self._config.default_pool,
            versions={'relay_parsl': VERSION, 'python': PYTHON, 'parsl': version('parsl')},
            takeover=self._take_over,
            grace=self._grace,
            idle_soft=self._config.life.idle_soft,
            idle_hard=self._config.life.idle_hard,
        )

    def _open_spool(self) -> Spool:
        """The spool, with nothing in it but results that the journal still has."""
        directory = self._home / 'spool'
        directory.mkdir(mode=0o700, exist_ok=True)
        spool = Spool(directory)
        kept = [each for each in self._journal.results() if codec.result_header(each.header).body]
        names = {spool.path(each.task_id, each.attempt, 'result').name for each in kept}
        for path in directory.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)
        return spool

    def _loop(self) -> do.Exit:
        started, announced = self._now(), False
        while self._hands.exit is None:
            arrived = self._dealer.wait(0.0 if self._hands.again or self._crew.pending else IDLE)
            self._hands.again = False
            self._turn(arrived=arrived)
            announced = announced or self._announce(self._now() - started)
        self._dealer.wait(LAST_WORDS)
        return self._hands.exit

    def _verdict(self, end: do.Exit) -> int:
        if end.code == 2:
            raise ConfigError(end.reason)
        self._note('end', code=end.code, reason=end.reason)
        self._record()
        log.log(logging.ERROR if end.code else logging.INFO, 'endpoint %s ends: %s', self._credentials.name, end.reason)
        return end.code

    def _announce(self, waited: float) -> bool:
        """Tell whoever started us that we serve, or why we never will; whether there was anything to tell."""
        name, url, failure = self._credentials.name, self._relay.entry.url, self._dealer.failure
        if self._reactor.live:
            daemon.ready(f'endpoint {name!r} serves, connected to {url}')
        elif waited < STRANGER:
            return False
        elif failure in FAILURES:
            self._hands.exit = do.Exit(2, FAILURES[failure].format(url=url))
        elif failure == 'unreachable':
            log.warning('nobody answers at %s; trying for as long as it takes', url)
            daemon.ready(f'endpoint {name!r} runs; nobody answers at {url} yet')
        else:
            return False
        return True

    def _now(self) -> float:
        """Seconds since 1970 at the start, and from then on what has really passed: a clock that is set expires nothing."""
        return self._clock + time.monotonic()

    # -- A turn ------------------------------------------------------------------------------------------------------

    def _turn(self, *, arrived: bool) -> None:
        now, start = self._now(), time.perf_counter()
        if not self._commits.stuck:
            self._take_in(now, arrived=arrived)
        if self._commits.commit(self._reactor.flush, now, stopping=self._stops != self._stops_seen):
            self._hands.act(self._reactor.take())
            self._record()
        self._meter.turn(time.perf_counter() - start)
        daemon.alive()
        if self._publisher.due():
            self._publish()

    def _publish(self) -> None:
        sizes = [path.stat().st_size for path in self._home.glob('journal.db*')]
        facts = {'handshakes': self._dealer.handshakes, 'journal': sum(sizes), 'free': shutil.disk_usage(self._home).free}
        self._publisher.publish(self._meter.families(self._reactor.census(), self._crew.statuses(), facts))

    def _take_in(self, now: float, *, arrived: bool) -> None:
        self._greet_again(now)
        for message in self._dealer.receive() if arrived else ():
            self._reactor.receive(message, now)
            if isinstance(message, Welcome):
                self._compare_clocks(message.time)
                self._relay.told(message.succession)
        for pool, event in self._crew.events():
            if isinstance(event, Changed):
                self._reactor.capacity(pool, event.status.capacity, now)
                self._report()
            else:
                self._count(event)
                self._hands.hear(event, now)
        for key in self._sync.done():
            self._reactor.spooled(key, now)
        if now - self._ticked >= IDLE:
            self._ticked = now
            self._look_at_rights(now)
            self._reactor.tick(now)
        if self._stops != self._stops_seen:
            self._drain(now)

    def _greet_again(self, now: float) -> None:
        """The wire has connected anew by itself: the relay may be another process now. Without this, ten seconds of silence would tell."""
        if self._dealer.handshakes != self._handshakes:
            if self._handshakes:
                self._reactor.connect(now)
            self._handshakes = self._dealer.handshakes

    def _look_at_rights(self, now: float) -> None:
        """Whose trust or share has ended: what of theirs has not begun does not begin. A new statement may say that what runs is ended."""
        if self._renewal.look():
            self._reactor.connect(now)
        gone, out = self._gate.lapsed(now), self._gate.expelled(now)
        if gone:
            self._note('lapsed', grants=[each.hex() for each in gone])
            self._reactor.revoked(gone - out, cancel=False)
        if out:
            self._reactor.revoked(out, cancel=True)
        if self._reported_share != self._shares.serial:
            self._report()

    def _drain(self, now: float) -> None:
        noted, again = take(self._home), self._stops_seen or self._stops > 1
        grace = noted if noted is not None else 0.0 if again else self._grace
        self._stops_seen = self._stops
        log.info('stopping: %d tasks are held; running ones have %g s', len(self._reactor.held()), grace)
        daemon.ends_within(grace + ENDING)
        self._reactor.drain(now, grace)

    def _note(self, event: str, **fields: Any) -> None:
        self._meter.noted(event, fields)
        self._audit.note(self._now(), event, fields)

    def _count(self, event: Running | Finished | Lost) -> None:
        if isinstance(event, Finished):
            self._meter.finished(ok=event.ok, cancelled=event.cancelled)
        elif isinstance(event, Lost):
            self._meter.lost(event.cause)

    def _record(self) -> bool:
        """Put on record what was noted; whether it may happen. While nothing may, no task is asked for."""
        failing, may = self._audit.failing, self._audit.commit(self._now())
        if self._audit.failing != failing:
            self._reactor.pause(paused=self._audit.halted)
            self._report()
        return may

    def _compare_clocks(self, theirs: float) -> None:
        """Grants have times in them: this host's clock is what the relay's is held to, not that of a process that runs for days."""
        apart = theirs - time.time()
        self._skew = round(apart) if abs(apart) >= SKEW else 0
        if self._skew:
            log.warning("this host's clock and the relay's are %d s apart: set the wrong one (timedatectl, chronyc)", abs(self._skew))
        self._report()

    def _report(self) -> None:
        about = {'host': platform.node(), 'display_name': self._config.display_name, 'relay_parsl': VERSION}
        trouble = {'audit': 'cannot be written' + ('; no new tasks are taken' if self._audit.halted else '')} if self._audit.failing else {}
        trouble |= {'clock': f'{abs(self._skew)} s {"behind" if self._skew > 0 else "ahead of"} that of the relay'} if self._skew else {}
        self._reported_share = self._shares.serial
        shares = {'share': self._reported_share} if self._reported_share else {}
        self._reactor.report({**about, 'function_policy': self._config.function_policy.kind, **trouble, **shares, **self._crew.report()})


def _signals(stop: Callable[[], None]) -> AbstractContextManager[None]:
    """SIGTERM and SIGINT mean stop, where this thread may say so."""
    main = threading.current_thread() is threading.main_thread()
    return daemon.terminated_by(stop) if main else nullcontext()
