"""The engine of an endpoint whose file is a template: a pool for each distinct value of `user_endpoint_config`.

```
 attempt ─► its values ─► known pool ─► that pool's engine                    a pool without tasks retires
                     └──► new: checked (two threads) ─► room? ─► its own thread starts its engine
```
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import queue
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from relay_parsl.endpoint.templates import OPTIONS, Rendered, Template, canonical, runtime_of
from relay_parsl.endpoint.trials import Trials
from relay_parsl.endpoint.userpool import Filled, UserPool
from relay_parsl.engines.base import Changed, Deliver, EngineStatus, Event, Finished, Lost, Running, Work
from relay_parsl.engines.pool import rejection
from relay_parsl.errors import BlocksFailed, ConfigError, ProtocolError
from relay_parsl.wire import payload

log = logging.getLogger(__name__)

LIMIT = 16
"""Pools at once, where the endpoint file does not say."""
MARGIN = 20_000
"""Tasks that are taken beyond what runs: so many of one value do not hold up those of another."""
CHECKERS = 2
"""Threads that check new values; a hostile one holds up one of them for half a minute at most."""
REFUSALS = 256
"""Values whose refusal is remembered."""
LOOK = 1.0
"""Seconds between two looks for pools that may retire."""
STOP = 60.0
"""Seconds that all pools together have to stop."""
ENDLESS = 1_000_000
"""Each pool counts its own retries."""
Key = tuple[str, str]
Attempt = tuple[bytes, int]


def retiring(pools: Iterable[UserPool], now: float) -> list[UserPool]:
    """Which pools have had nothing to do for long enough. A broken one stays: begun anew, it would submit blocks that are known to fail."""
    idle = [pool for pool in pools if pool.state == 'ready' and not pool.outstanding and pool.status.state != 'broken']
    return [pool for pool in idle if now - pool.idle_since >= pool.retires_after]


def making_room(pools: Iterable[UserPool]) -> UserPool | None:
    """Which pool should end so that another may begin: of those without tasks, the one that is so for longest, and broken ones last."""
    idle = [pool for pool in pools if pool.state == 'ready' and not pool.outstanding]
    return min(idle, key=lambda pool: (pool.status.state == 'broken', pool.idle_since), default=None)


class UserPools:
    """See `engines.base.Engine`."""

    fills_in = True
    """Tasks may have a `user_endpoint_config`."""
    margin = MARGIN
    max_retries_on_system_failure = ENDLESS

    def __init__(self, template: Template, read: Callable[[Rendered], Filled], limit: int = LIMIT) -> None:
        """Nothing is started.

        Args:
            template: What values are filled into.
            read: Checks the filled-in file. Raises ConfigError.
            limit: Pools at once; tasks of more values wait.
        """
        self._template, self._read, self._limit = template, read, limit
        self._lock = threading.RLock()
        self._pools: OrderedDict[Key, UserPool] = OrderedDict()
        self._begun: dict[UserPool, None] = {}  # in this order
        self._refused: OrderedDict[Key, str] = OrderedDict()
        self._trials = Trials(limit)
        self._where: dict[Attempt, UserPool] = {}
        self._given: set[UserPool] = set()
        self._tries: Counter[Attempt] = Counter()
        self._checks: queue.SimpleQueue[UserPool | None] = queue.SimpleQueue()
        self._made = 0
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._deliver: Deliver = lambda event: None

    # -- Engine ------------------------------------------------------------------------------------------------------

    @property
    def capacity(self) -> int:
        """Tasks that may run at once in the pools that there are; one while there is none."""
        with self._lock:
            return max(1, sum(pool.status.capacity for pool in self._pools.values()))

    def start(self, deliver: Deliver, run_dir: Path, label: str) -> None:
        """See `Engine`. Pools that a crash has left behind begin again, to end their batch jobs; then they retire."""
        self._deliver, self._run_dir, self._label = deliver, run_dir.absolute(), label
        self._run_dir.mkdir(parents=True, exist_ok=True)
        self._threads = [threading.Thread(target=self._check, name=f'{label}-check', daemon=True) for _ in range(CHECKERS)]
        self._threads.append(threading.Thread(target=self._retire, name=f'{label}-retire', daemon=True))
        for thread in self._threads:
            thread.start()
        for path in sorted(self._run_dir.glob('*/values.json')):
            if any(path.parent.glob('*.journal')):
                values, runtime = json.loads(path.read_text())
                with self._lock:
                    self._pool((values, runtime))
        deliver(Changed(self.status()))

    def submit(self, work: Work) -> None:
        """See `Engine`."""
        try:
            key = canonical(work.options.get(OPTIONS)), self._runtime(work)
        except ConfigError as error:
            self._deliver(rejection(work, str(error)))
            return
        with self._lock:
            refused, failed = self._refused.get(key, ''), '' if key in self._pools else self._trials.reason(key)
            if not refused and not failed:
                pool = self._pool(key)
                pool.outstanding += 1
                self._where[work.task_id, work.attempt] = pool
        if refused or failed:
            self._deliver(rejection(work, refused) if refused else rejection(work, failed, BlocksFailed))
        else:
            pool.submit(work)
            self._given.add(pool)

    def flush(self) -> None:
        """See `Engine`."""
        while self._given:
            self._given.pop().flush()

    def cancel(self, task_id: bytes, attempt: int) -> bool:
        """See `Engine`."""
        with self._lock:
            pool = self._where.get((task_id, attempt))
        return pool is not None and pool.cancel(task_id, attempt) and self._left(pool, (task_id, attempt))

    def withdraw(self, task_id: bytes, attempt: int) -> bool:
        """See `Engine`."""
        with self._lock:
            pool = self._where.get((task_id, attempt))
        return pool is not None and pool.withdraw(task_id, attempt) and self._left(pool, (task_id, attempt))

    def demand(self, count: int) -> None:
        """See `Engine`. What waits at the relay is not known by its values; what is here is, and that is nearly all."""
        del count
        with self._lock:
            pools = list(self._pools.values())
        for pool in pools:
            pool.demand()

    def status(self) -> EngineStatus:
        """See `Engine`. A pool is told of until nothing of it is left. The rows name no values: the relay reads them."""
        with self._lock:
            ending = self._ending()
            detail = _detail([*self._pools.values(), *ending])
            waiting = [pool.status.reason for pool in self._pools.values() if pool.state == 'waiting']
            statuses = [pool.status for pool in self._pools.values()]
            blocks = sum(pool.status.blocks for pool in ending)  # not cancelled yet; the workers in them are nobody's any more
            outstanding = len(self._where)
        reason = max(waiting, default='')
        if waiting and not reason:
            reason = f'{len(waiting)} values of {OPTIONS} wait: {self._limit} pools are the limit (max_user_pools)'
        workers, managers, used = (sum(getattr(each, name) for each in statuses) for name in ('workers', 'managers', 'blocks'))
        state = 'stopped' if self._stopped.is_set() else 'ready'
        return EngineStatus(self.capacity, workers, managers, used + blocks, None, outstanding, state, reason, detail)

    def stop(self) -> None:
        """See `Engine`."""
        self._stopped.set()
        for _ in range(CHECKERS):
            self._checks.put(None)
        with self._lock:
            pools = list(self._begun)
        for pool in pools:
            pool.ended.set()
        end = time.monotonic() + STOP
        for pool in pools:
            pool.join(max(0.0, end - time.monotonic()))

    # -- Pools -------------------------------------------------------------------------------------------------------

    def _runtime(self, work: Work) -> str:
        if not self._template.uses_runtime:
            return '{}'
        try:
            python = payload.describe(work.function).python
        except ProtocolError:
            python = ''
        return json.dumps(runtime_of(python), sort_keys=True)

    def _pool(self, key: Key) -> UserPool:
        """The pool of these values; a new one is checked first. Under the lock."""
        pool = self._pools.get(key)
        if pool is None:
            self._made += 1
            pool = self._pools[key] = UserPool(key, f'user-{self._made}', self._lock)
            self._checks.put(pool)
        return pool

    def _check(self) -> None:
        """A thread: is this value right, and what file does it make?"""
        while (pool := self._checks.get()) is not None:
            try:
                pool.config = self._read(self._template.render(pool.key[0], json.loads(pool.key[1])))
            except ConfigError as error:
                self._refuse(pool, str(error))
                continue
            except Exception as error:  # a plug-in's class may be looked at
                log.exception('pool %s cannot be checked', pool.name)
                self._refuse(pool, f'{type(error).__name__}: {error}')
                continue
            with self._lock:
                pool.state = 'waiting'
                self._advance()
            self._changed()

    def _refuse(self, pool: UserPool, reason: str) -> None:
        log.warning('%s of pool %s is refused: %s', OPTIONS, pool.name, reason)
        with self._lock:
            self._refused[pool.key] = reason
            while len(self._refused) > REFUSALS:
                self._refused.popitem(last=False)
        self._drop(pool, reason)

    def _drop(self, pool: UserPool, reason: str) -> None:
        """The pool takes no more attempts; those that wait for it end."""
        with self._lock:
            if self._pools.get(pool.key) is pool:
                del self._pools[pool.key]
            lost = [attempt for attempt, other in self._where.items() if other is pool]
            waiting = pool.take_waiting()
            for attempt in lost:
                del self._where[attempt]
        for work in waiting:
            self._deliver(rejection(work, reason))
        for task_id, number in set(lost) - {(work.task_id, work.attempt) for work in waiting}:
            self._deliver(Lost(task_id, number, 'engine', reason))
        self._changed()

    def _advance(self) -> None:
        """Let pools that wait begin, as far as there is room, and have as many without tasks end as must make some. Under the lock."""
        wanting = 0
        for pool in [pool for pool in self._pools.values() if pool.state == 'waiting']:
            if self._stopped.is_set():
                return
            if any(other.key == pool.key for other in self._begun):
                continue  # the last pool of these values is ending, and its directory is the next one's
            pool.status = replace(pool.status, reason=self._trials.hold(pool.key, time.monotonic()))
            if pool.status.reason:
                continue
            if len(self._begun) < self._limit:
                self._begin(pool)
            else:
                wanting += 1
        for _ in range(wanting - sum(pool.state == 'ending' for pool in self._begun)):
            leaving = making_room(self._pools.values())
            if leaving is not None:
                self._end(leaving)

    def _begin(self, pool: UserPool) -> None:
        try:
            directory = self._directory(pool)
        except OSError as error:
            self._drop(pool, f'{OPTIONS}: its pool cannot begin: {self._run_dir}: {error.strerror}')
            return
        self._begun[pool] = None
        self._trials.begun(time.monotonic())
        pool.begin(directory, f'{self._label}-{pool.name}', partial(self._hear, pool), partial(self._over, pool))

    def _ending(self) -> list[UserPool]:
        """Pools that take nothing any more and whose processes or batch jobs may still be there. Under the lock."""
        return [pool for pool in self._begun if self._pools.get(pool.key) is not pool]

    def _directory(self, pool: UserPool) -> Path:
        """One for the same values, so that a pool finds what an earlier one left behind."""
        directory = self._run_dir / hashlib.sha256('\0'.join(pool.key).encode('utf-8', 'surrogatepass')).hexdigest()[:16]
        directory.mkdir(mode=0o700, exist_ok=True)
        with open(os.open(directory / 'values.json', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w', encoding='utf-8') as file:
            json.dump(list(pool.key), file)
        log.info('pool %s begins in %s', pool.name, directory)
        return directory

    def _end(self, pool: UserPool) -> None:
        """Under the lock: from here on its values make a new pool."""
        log.info('pool %s ends: it has nothing to do', pool.name)
        pool.state = 'ending'
        self._pools.pop(pool.key, None)
        pool.ended.set()

    def _over(self, pool: UserPool, fault: str) -> None:
        """In the pool's thread: it is gone. What could not begin is tried anew by the next task of its values."""
        with self._lock:
            self._begun.pop(pool, None)
        if not self._stopped.is_set():
            self._drop(pool, f'{OPTIONS}: its pool cannot begin: {fault}' if fault else 'its pool has ended')
            with self._lock:
                self._advance()
            self._changed()

    def _retire(self) -> None:
        """A thread: pools without tasks end, and some that were held back may begin."""
        while not self._stopped.wait(LOOK):
            with self._lock:
                leaving = retiring(self._pools.values(), time.monotonic())
                for pool in leaving:
                    self._end(pool)
                self._advance()
            if leaving:
                self._changed()

    # -- Events ------------------------------------------------------------------------------------------------------

    def _hear(self, pool: UserPool, event: Event) -> None:
        """From any thread of a pool's engine."""
        if isinstance(event, Changed):
            with self._lock:
                pool.status = event.status
                self._judge(pool)
            self._changed()
        elif isinstance(event, Running):
            self._deliver(event)
        elif self._left(pool, (event.task_id, event.attempt), lost=isinstance(event, Lost)):
            self._deliver(self._counted(pool, event))

    def _judge(self, pool: UserPool) -> None:
        """Remember for good what became of its values: the pool may have to make room."""
        if pool.status.state == 'broken':
            self._trials.broke(pool.key, pool.status.reason, time.monotonic())
        elif pool.status.workers:
            self._trials.good(pool.key)

    def _left(self, pool: UserPool, attempt: Attempt, *, lost: bool = False) -> bool:
        """An attempt is not in the pool any more; whether it was."""
        with self._lock:
            if self._where.get(attempt) is not pool:
                return False
            del self._where[attempt]
            pool.outstanding -= 1
            pool.idle_since = time.monotonic()
            if not lost:
                self._tries.pop(attempt, None)
            if not pool.outstanding:
                self._advance()  # others may wait for its room
        return True

    def _counted(self, pool: UserPool, event: Finished | Lost) -> Finished | Lost:
        """A loss counts against the retries that the pool's own file allows."""
        if isinstance(event, Finished):
            return event
        attempt = event.task_id, event.attempt
        with self._lock:
            self._tries[attempt] += 1
            final = self._tries[attempt] > pool.retries
            if final:
                del self._tries[attempt]
        return replace(event, final=final)

    def _changed(self) -> None:
        self._deliver(Changed(self.status()))


def _detail(pools: Iterable[UserPool]) -> dict[str, Any]:
    """A row for each pool, and the blocks and managers of all of them as engines tell them, each with its pool."""
    detail: dict[str, list[dict[str, Any]]] = {}
    for pool in pools:
        detail.setdefault('pools', []).append(_row(pool))
        for kind in ('blocks', 'managers'):
            for row in pool.status.detail.get(kind, ()):
                detail.setdefault(kind, []).append({'pool': pool.name, **row})
    return detail


def _row(pool: UserPool) -> dict[str, Any]:
    kind = '' if pool.config is None else next(iter(pool.config.pools.values())).kind
    status = pool.status
    state = status.state if pool.state == 'ready' else pool.state
    row = {'pool': pool.name, 'state': state, 'engine': kind, 'capacity': status.capacity, 'workers': status.workers, 'blocks': status.blocks}
    return row | ({'reason': status.reason} if status.reason else {})
