"""What runs in the engine process: HTEX, its provider and its scaling, and no key but those of its own control channel.

```
main thread      reads   work · demand · cancel · stop  and what workers say; the only one that submits and that answers workers
                 writes  ended · returned · parted
result thread    HTEX's: settles futures                they are never cancelled: that would kill this thread
scaling thread   polls blocks, scales, looks at managers
sender thread    writes  ready · running · breaker · status · dead, and how what was with lost managers ended
```
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NoReturn

from parsl.executors.high_throughput.errors import CommandClientBadError, CommandClientTimeoutError, ManagerLost
from parsl.jobs.strategy import Strategy
from parsl.providers.base import ExecutionProvider

from relay_parsl.engines import launch, roster
from relay_parsl.engines.barren import Barren
from relay_parsl.engines.blocks import Htex, cause
from relay_parsl.engines.breaker import Breaker
from relay_parsl.engines.dispatcher import Dispatcher, Ways
from relay_parsl.engines.early import Early
from relay_parsl.engines.frames import Death, encode_end
from relay_parsl.engines.listener import Listener
from relay_parsl.engines.slots import Slots
from relay_parsl.wire import codec

logger = logging.getLogger(__name__)

EAGER = 0.2
"""Seconds between looks at the managers while none is connected, and between chances to scale out when work comes to an idle engine."""
COMMAND_TIMEOUT = 60.0
"""Seconds that a living interchange may take to answer."""
TICK = 5.0
"""Seconds between looks at what nobody has told."""
ANY_PORT = (49152, 65535)
"""Where workers find us when no range is given: the ports that nobody registers."""


class Service:
    """One HTEX from start to end."""

    def __init__(self, connection: Connection, plan: dict[str, Any], early: Early) -> None:
        """`plan` as in `launch.build`, with `job_status`, `journal` and `old_jobs`; `early` is the interchange that HTEX is to use."""
        self._connection, self._plan = connection, plan
        self._out: SimpleQueue[list[Any] | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._writing = threading.Lock()
        self._dying = threading.Lock()
        self._blocks: dict[str, str] = {}  # manager -> block, also of managers that are gone
        self._sender = threading.Thread(target=self._send, name='sender', daemon=True)
        self._sender.start()
        options = dict(plan['job_status'])
        self._period = float(options.pop('strategy_period', 5.0))
        self._strategy = Strategy(strategy=options.pop('strategy', 'simple'), max_idletime=float(options.pop('max_idletime', 120.0)))
        self._htex: Htex = launch.build(plan, plan['kind'], early)
        self._breaker = self._htex.breaker = Breaker(plan['max_blocks_per_minute'], plan['breaker'])
        self._told = dict(plan['breaker'])
        self._orphans: SimpleQueue[tuple[list[int], ManagerLost]] = SimpleQueue()
        self._drained: set[str] = set()
        self._slots = Slots()
        self._early = early
        self._hosts = roster.Hosts(Path(self._htex.logdir, 'interchange.log'))
        self._barren = Barren(Path(self._htex.worker_logdir), float(self._htex.heartbeat_period), self._htex.wants)
        self._journal = launch.Journal(Path(plan['journal']))
        self._provider: ExecutionProvider = plan['htex']['provider']
        self._journal.follow(self._provider)

    def run(self) -> None:
        """Start, serve, stop."""
        self._control = Listener(self._plan['htex']['address'], self._htex.worker_port_range or ANY_PORT, self._connection.fileno())
        ways = Ways(self._submit, self._say, self._runs, self._orphaned)
        nodes = max(1, self._provider.init_blocks) * self._provider.nodes_per_block
        self._first = max(1, self._plan['expected'] // nodes)  # workers of the first node: whether the others come, nobody knows
        self._dispatcher = Dispatcher(self._control, ways, self._first, fuses=self._plan['fuses'])
        self._htex.resting = lambda: self._dispatcher.resting
        self._htex.start()
        self._early.configured()
        threading.Thread(target=self._mourn, name='interchange-watch', daemon=True).start()
        self._strategy.add_executors([self._htex])
        scaling = threading.Thread(target=self._scale, name='scaling', daemon=True)
        scaling.start()
        old_jobs = threading.Thread(target=launch.cancel_old, args=(self._provider, self._plan['old_jobs']), name='old-jobs', daemon=True)
        old_jobs.start()
        self._out.put(['ready'])
        self._serve()
        self._stopping.set()
        self._wanted.set()
        self._control.close()
        scaling.join(self._period + COMMAND_TIMEOUT)
        self._htex.scale_in_facade(len(self._htex.status_facade))
        self._htex.shutdown()
        self._early.kill()
        old_jobs.join()
        self._journal.clear()

    def _serve(self) -> None:
        """Until the endpoint says stop, or is gone."""
        watch = select.poll()
        watch.register(self._connection.fileno(), select.POLLIN)
        serving = True
        while serving:
            while serving and watch.poll(0):
                serving = self._read()
            self._dispatcher.turn()
            self._control.wait(TICK if serving else 0.0)

    def _read(self) -> bool:
        """Do what the endpoint says; False: that was all."""
        try:
            verb, *values = codec.unpack(self._connection.recv_bytes())
        except (EOFError, OSError):
            return False
        if verb == 'demand':
            self._want(values[0])
        elif verb == 'cancel':
            self._dispatcher.cancel(values[0])
        elif verb == 'work':
            self._dispatcher.work(values[0])
        return bool(verb != 'stop')

    def _want(self, count: int) -> None:
        self._htex.demand = count
        if count and not self._active_blocks():
            self._wanted.set()

    def _active_blocks(self) -> int:
        return sum(not status.terminal for status in list(self._htex.status_facade.values()))

    def _submit(self, context: dict[str, Any], chunk: bytes) -> Future[Any]:
        try:
            future: Future[Any] = self._htex.submit_payload(context, chunk)
        except Exception as error:  # noqa: BLE001  after the bad state HTEX raises whatever brought it there, for every task and for ever
            self.die(str(error))
        if not self._active_blocks():
            self._wanted.set()
        return future

    def _runs(self, number: int, detail: dict[str, str]) -> None:
        """A worker has said where an attempt runs; which job that is, we know."""
        job = self._htex.blocks_to_job_id.get(detail.get('block', ''))
        self._out.put(['running', number, {**detail, **({'job': str(job)} if job is not None else {})}])

    def _orphaned(self, numbers: list[int], error: ManagerLost) -> None:
        """The scheduler knows why, and only the scaling thread asks it."""
        self._orphans.put((numbers, error))
        self._wanted.set()

    def _bury(self) -> None:
        """Say why the tasks of lost managers are lost; one that was with a manager without workers has never begun."""
        with contextlib.suppress(Empty):
            while True:
                numbers, error = self._orphans.get_nowait()
                block = self._blocks.get(error.manager_id.decode(), '')
                if self._breaker.barren_block(block):
                    self._out.put(['returned', numbers])
                    continue
                why = cause(self._htex.status_facade.get(block), drained=block in self._drained)
                self._out.put(['ended', [[number, encode_end(Death(why, f'{type(error).__name__}: {error}'))] for number in numbers]])

    def _say(self, message: list[Any]) -> None:
        """Write one message. May block for as long as the endpoint does not read; that it is gone, who reads sees."""
        with self._writing, contextlib.suppress(OSError):
            self._connection.send_bytes(codec.pack(message))

    def _send(self) -> None:
        """Write what other threads have to say, until None."""
        while (message := self._out.get()) is not None:
            self._say(message)

    def _scale(self) -> None:
        """Parsl's `JobStatusPoller`, but awake at once when work comes to an engine without blocks."""
        polled, pause = 0.0, EAGER
        while not self._stopping.is_set():
            try:
                if self._wanted.is_set() or time.monotonic() - polled >= self._period:
                    self._wanted.clear()
                    polled, pause = time.monotonic(), EAGER
                    self._poll()
                pause = self._period if self._report() else min(1.2 * pause, self._period)
            except (CommandClientTimeoutError, CommandClientBadError):
                self.die(f'the interchange did not answer for {COMMAND_TIMEOUT:.0f} s')
            except Exception:
                logger.exception('the scaling of blocks failed this time')
            if self._htex.bad_state_is_set:
                self._give_up(f'Parsl gave up: {self._htex.executor_exception}')
            if self._wanted.wait(pause):
                self._stopping.wait(max(0.0, polled + EAGER - time.monotonic()))

    def _poll(self) -> None:
        try:
            self._htex.poll_facade(now=not self._orphans.empty())
        finally:
            self._bury()
        self._htex.handle_errors(self._htex.status_facade)
        self._htex.judge()
        self._strategy.strategize([self._htex])
        self._htex.settle()
        self._htex.judge()
        self._tell()

    def _tell(self) -> None:
        """What is known of blocks outlives this process."""
        facts = self._breaker.facts()
        if facts != self._told:
            self._told = facts
            self._out.put(['breaker', facts])

    def _give_up(self, evidence: str) -> NoReturn:
        """HTEX will take no more work. If no worker came from a block yet it is that block's fault: its manager has another version of Parsl, say."""
        if blocks := self._htex.unknown():
            self._htex.condemn(blocks[0], evidence)
            self._tell()
        self.die(evidence)

    def _report(self) -> bool:
        """Tell the endpoint how the blocks stand; returns whether managers are there, and all that work waits for."""
        rows = self._htex.command_client.run('MANAGERS', timeout_s=COMMAND_TIMEOUT)
        self._htex.managers = len(rows)
        self._blocks.update({row['manager']: row['block_id'] for row in rows})
        barren = self._barren.look(rows, time.monotonic())
        workers = sum(row['worker_count'] for row in rows if row['active'] and row not in barren)
        self._htex.workers = workers
        python = {'.'.join(row['python_version'].split('.')[:2]) for row in rows}
        facts = {'workers': workers, 'managers': len(rows), 'blocks': self._active_blocks(), 'python': min(python, default=None)}
        self._out.put(['status', {**facts, 'reason': self._barren.reason, **self._rows(rows)}])
        self._htex.missing = self._slots.missing(rows, [block for block, status in self._htex.status_facade.items() if not status.terminal])
        self._drained.update(row['block_id'] for row in rows if row['draining'])
        for block in {row['block_id'] for row in rows if row['worker_count'] and row not in barren}:
            self._breaker.connected(block)
        self._avoid(barren, rows)
        self._tell()
        self._make_room(rows, barren)
        return bool(rows) and not (self._dispatcher.waiting and self._active_blocks() * self._provider.nodes_per_block > len(rows))

    def _make_room(self, rows: Sequence[Mapping[str, Any]], barren: Sequence[Mapping[str, Any]]) -> None:
        """HTEX gets a task for each worker that takes one, beside those that others have still to end."""
        taking = [row for row in rows if row['active'] and not row['draining'] and row not in barren]
        ending = sum(row['tasks'] for row in rows if row not in taking)
        self._dispatcher.room = ending + (sum(row['worker_count'] for row in taking) or self._first)
        self._control.wake()

    def _rows(self, managers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        hosts = self._hosts.of([row['manager'] for row in managers])
        blocks = roster.block_rows(dict(self._htex.status_facade), dict(self._htex.blocks_to_job_id))
        return {'blocks_detail': blocks, 'managers_detail': roster.manager_rows(managers, hosts)}

    def _avoid(self, barren: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> None:
        """A manager without workers takes tasks all the same: it gets no more, and a block of such managers ends, so that its tasks run elsewhere."""
        self._htex.hold(barren, COMMAND_TIMEOUT)
        fine = {row['block_id'] for row in rows if row not in barren}
        for block in sorted({row['block_id'] for row in barren} - fine, key=int):
            if not self._breaker.barren_block(block):
                self._htex.condemn(block, self._barren.evidence)
                self._htex.dismiss([block])

    def _mourn(self) -> None:
        """Wait for the interchange's end without reaping it: `shutdown` does that."""
        if launch.uses(self._htex, self._early):
            self._early.wait()
        elif self._htex.interchange_proc is not None:
            with contextlib.suppress(ChildProcessError):  # `shutdown` was quicker
                os.waitid(os.P_PID, self._htex.interchange_proc.pid, os.WEXITED | os.WNOWAIT)
        if not self._stopping.is_set():
            self.die(f'the interchange ended by itself; its log ends with:\n{launch.tail(Path(self._htex.logdir, "interchange.log"))}')

    def die(self, evidence: str) -> NoReturn:
        """Say why and end, whatever hangs: the endpoint kills what is left and builds a new engine."""
        with self._dying:  # once; whoever comes second waits for the end
            logger.error('%s', evidence)
            self._out.put(['dead', evidence])
            self.finish()
            os._exit(3)

    def finish(self) -> None:
        """Write what is queued."""
        self._out.put(None)
        self._sender.join(5)


def serve(connection: Connection, plan: dict[str, Any]) -> NoReturn:
    """Run one engine by `plan` until the endpoint says stop; the process ends with it."""
    with open(Path(plan['directory'], 'engine.log'), 'ab') as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    early = Early(closed=[connection.fileno()])  # before there are threads, and a log that it would write into
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(name)s [%(levelname)s] %(message)s')
    try:
        service = Service(connection, plan, early)
    except Exception as error:
        logger.exception('the engine cannot be built')
        connection.send_bytes(codec.pack(['dead', f'{type(error).__name__}: {error}']))
        os._exit(3)
    try:
        service.run()
    except Exception as error:
        logger.exception('the engine failed')
        service.die(f'{type(error).__name__}: {error}')
    service.finish()
    os._exit(0)  # Parsl's threads have nothing more to say
