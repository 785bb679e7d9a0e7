"""The storm: a relay that is killed every second, at random, and endpoints that are killed at random, while clients push tasks through all of it.

```
python -m tests.faults.storm --seed 7 --tasks 100000 --clients 10 --endpoints 3
```

In the end each future must have been settled once, with the right value; each task must have run, and twice only where a kill fell between; the
relay's store must hold exactly these tasks, each with one end (`rig.Site.check`). The seed decides when what is killed; the machine does the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import relay_parsl as rp
from tests.faults.rig import Site, site

ROOT = Path(__file__).parents[2]
LIFE = 'STORM_LIFE'
"""The environment variable that says which life of an endpoint a task runs in."""
ENGINES = {
    'threads': 'engine:\n  type: ThreadPoolEngine\n  max_workers: 2\n',
    'processes': 'engine:\n  type: ProcessPoolEngine\n  max_workers: 1\n',
    'htex': """
engine:
  type: HtexEngine
  max_workers_per_node: 1
  cores_per_worker: 0.1
  provider: {type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1}
""",
}


@dataclass(frozen=True)
class Plan:
    """What is to happen.

    Attributes:
        seed: Of all that is left to chance here.
        tasks: In all.
        clients: Processes that share the tasks out.
        endpoints: Each client uses all of them in turn.
        every: Seconds of a relay's life, on average, its start included; with `kills` from when it serves.
        endpoint_every: Likewise of an endpoint's.
        kills: Of a party, at most; 0: without end.
        probe: Seconds for which the relay asks whether an endpoint's old process still lives, when there is a new one.
        window: Tasks that a client has open at once.
        seconds: That a task takes.
        engine: Of the endpoints, one of `ENGINES`.
        limit: Seconds after which the storm is given up.
    """

    seed: int = 1
    tasks: int = 100_000
    clients: int = 10
    endpoints: int = 3
    every: float = 1.0
    endpoint_every: float = 8.0
    kills: int = 0
    probe: float = 5.0
    window: int = 2000
    seconds: float = 0.0
    engine: str = 'threads'
    limit: float = 3600.0

    @property
    def settings(self) -> list[str]:
        """Of the relay, as `failpoints.py` takes them."""
        return [f'relay:probe={self.probe}'] if self.probe != Plan.probe else []

    @property
    def names(self) -> list[str]:
        """Of the endpoints."""
        return [f'site{number}' for number in range(self.endpoints)]

    def share(self, client: int) -> range:
        """The numbers of a client's tasks."""
        return range(client * self.tasks // self.clients, (client + 1) * self.tasks // self.clients)


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        lost: Tasks whose client got nothing.
        wrong: Futures with another value than theirs, or with an error.
        doubled: Futures that were settled more than once.
        unrun: Tasks that never ran.
        rerun_alive: Executions of a task in one life of an endpoint beyond the first: no kill fell between them.
        executions: In all.
        kills: Of whom, how many.
        seconds: From the first start to the last result.
    """

    lost: int
    wrong: int
    doubled: int
    unrun: int
    rerun_alive: int
    executions: int
    kills: Counter[str]
    seconds: float

    @property
    def good(self) -> bool:
        """Whether the promises were kept."""
        return not (self.lost or self.wrong or self.doubled or self.unrun or self.rerun_alive)

    def line(self, plan: Plan) -> str:
        """For people."""
        relay, endpoints = self.kills['relay'], self.kills.total() - self.kills['relay']
        return (
            f'seed {plan.seed}: {plan.tasks} tasks, {plan.clients} clients, {plan.endpoints} endpoints ({plan.engine}): {self.lost} lost, '
            f'{self.doubled} double results, {self.wrong} wrong, {self.unrun} never run, {self.rerun_alive} run twice without a kill; '
            f'relay killed {relay} times, endpoints {endpoints} times; {self.executions} executions, '
            f'{self.executions - plan.tasks} of them again after a kill; {self.seconds:.0f} s'
        )


@dataclass
class Mortal:
    """A party that is killed and started again until the storm is over."""

    at: Site
    name: str
    mean: float
    dice: random.Random
    over: threading.Event
    most: int
    """Kills, at most; 0: without end."""
    settings: Sequence[str]
    kills: int = 0
    error: BaseException | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name=f'mortal {self.name}', daemon=True)

    def _run(self) -> None:
        try:
            while self.most and not self.at.record.exists() and not self.over.wait(0.05):
                pass  # the few kills that there are fall among work
            while self._lives() and not self.over.wait(self.dice.uniform(0, 2 * self.mean)):
                code = self.at.running[self.name].kill()
                assert code == -signal.SIGKILL, f'{self.name} ended by itself with {code}: {self.at.running[self.name].log.read_text()[-2000:]}'
                self.kills += 1
                self.at.launch(self.name, settings=self.settings, environment={LIFE: f'{self.name}-{self.kills}'})
            if not self.at.running[self.name].ready():  # it lost a race for its port or its files with the one that was killed
                self.at.start(self.name)
        except BaseException as error:  # noqa: BLE001  the thread's edge: told by whoever waits for it
            self.error = error

    def _lives(self) -> bool:
        """Whether it is to be killed once more: where kills are counted, each life serves first, however busy the machine is."""
        return not self.most or (self.kills < self.most and self.at.running[self.name].ready())


def tracing() -> Callable[..., Any]:
    """A function that notes its number and the life it ran in, and returns what only that number gives."""

    def trace(path: str, number: int, seconds: float) -> int:
        import os
        import time

        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, f'{number} {os.environ.get("STORM_LIFE", "first")}\n'.encode())
        os.close(handle)
        if seconds:
            time.sleep(seconds)
        return 3 * number + 1

    return trace


# -- A client, in a process of its own ---------------------------------------------------------------------------------


def client(plan: Plan, me: int, record: str, told: Path) -> None:
    """Push one share of the tasks through, and write down what came of each."""
    mine, trace = plan.share(me), tracing()
    executors = [rp.Executor(name) for name in plan.names]
    settled: Counter[int] = Counter()
    wrong: list[str] = []
    room = threading.Semaphore(plan.window)

    def settle(number: int, future: rp.TaskFuture) -> None:
        settled[number] += 1
        error = future.exception()
        if error is not None or future.result() != 3 * number + 1:
            wrong.append(f'{number}: {error!r}')
        room.release()

    ids: list[str] = []
    over = threading.Event()
    reporter = threading.Thread(target=_report, args=(over, told, settled, wrong))
    reporter.start()
    for number in mine:
        room.acquire()
        future = executors[number % len(executors)].submit(trace, record, number, plan.seconds)
        ids.append(future.task_id)
        future.add_done_callback(lambda each, number=number: settle(number, each))
    for _ in range(plan.window):
        room.acquire()
    for each in executors:
        each.shutdown(wait=False)
    over.set()
    reporter.join()
    _tell(told, settled, wrong, ids)


def _report(over: threading.Event, told: Path, settled: Counter[int], wrong: list[str]) -> None:
    while not over.wait(1.0):
        _tell(told, settled, wrong, [])


def _tell(told: Path, settled: Counter[int], wrong: list[str], ids: list[str]) -> None:
    """Whole, or not at all: the storm reads it meanwhile."""
    doubled = sum(count > 1 for count in dict(settled).values())
    told.with_suffix('.new').write_text(json.dumps({'done': len(settled), 'doubled': doubled, 'wrong': wrong, 'ids': ids}))
    told.with_suffix('.new').replace(told)


def _read(told: Path) -> dict[str, Any]:
    if not told.exists():
        return {'done': 0, 'doubled': 0, 'wrong': [], 'ids': []}
    found: dict[str, Any] = json.loads(told.read_text())
    return found


# -- The storm ---------------------------------------------------------------------------------------------------------


def run(plan: Plan, at: Site, say: Callable[[str], None]) -> Outcome:
    """Let it rage in a site of which nothing was started yet."""
    at.start('relay', settings=plan.settings)
    at.configure(*plan.names, config='display_name: storm\n' + ENGINES[plan.engine])
    for name in plan.names:
        at.start(name)
    begun = time.monotonic()
    with _mortals(plan, at) as mortals, _clients(plan, at) as (clients, papers):
        _watch(plan, clients, papers, mortals, say)
        seconds = time.monotonic() - begun
    found = [_read(paper) for paper in papers]
    for each in found:
        for line in each['wrong'][:5]:
            say(f'wrong: {line}')
    kills = Counter({mortal.name: mortal.kills for mortal in mortals})
    lives = _lives(at.record)
    ids = [task_id for each in found for task_id in each['ids']]
    done = sum(each['done'] for each in found)
    if done == plan.tasks:
        at.check(ids)
    return Outcome(
        lost=plan.tasks - done,
        wrong=sum(len(each['wrong']) for each in found),
        doubled=sum(each['doubled'] for each in found),
        unrun=plan.tasks - len(lives),
        rerun_alive=sum(count - 1 for runs in lives.values() for count in runs.values()),
        executions=sum(runs.total() for runs in lives.values()),
        kills=kills,
        seconds=seconds,
    )


def _lives(record: Path) -> dict[int, Counter[str]]:
    """How often each task ran in each life."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for line in record.read_text().splitlines() if record.exists() else ():
        number, life = line.split()
        found[int(number)][life] += 1
    return found


@contextmanager
def _mortals(plan: Plan, at: Site) -> Iterator[list[Mortal]]:
    over = threading.Event()
    means = {'relay': plan.every, **dict.fromkeys(plan.names, plan.endpoint_every)}
    mortals = [
        Mortal(at, name, mean, random.Random(f'{plan.seed} {name}'), over, plan.kills, plan.settings if name == 'relay' else ())
        for name, mean in means.items()
    ]
    for each in mortals:
        each.thread.start()
    try:
        yield mortals
    finally:
        over.set()
        for each in mortals:
            each.thread.join(120)
    for each in mortals:
        if each.error is not None:
            raise each.error


@contextmanager
def _clients(plan: Plan, at: Site) -> Iterator[tuple[list[subprocess.Popen[bytes]], list[Path]]]:
    papers = [at.cli.cwd / f'client{number}.json' for number in range(plan.clients)]
    shared = json.dumps(plan.__dict__)
    clients = [
        subprocess.Popen(
            [sys.executable, '-m', 'tests.faults.storm', '--client', str(number), shared, str(at.record), str(paper)],
            cwd=ROOT,
            env=at.cli.environment,
        )
        for number, paper in enumerate(papers)
    ]
    try:
        yield clients, papers
    finally:
        for each in clients:
            each.kill()
            each.wait()


def _watch(plan: Plan, clients: list[subprocess.Popen[bytes]], papers: list[Path], mortals: list[Mortal], say: Callable[[str], None]) -> None:
    """Until all clients have ended, or the time is over."""
    begun = told = time.monotonic()
    while any(each.poll() is None for each in clients) and time.monotonic() - begun < plan.limit:
        time.sleep(0.1)
        if time.monotonic() - told >= 5:
            told = time.monotonic()
            done = sum(_read(paper)['done'] for paper in papers)
            kills = ', '.join(f'{each.name} {each.kills}' for each in mortals)
            say(f'{told - begun:6.0f} s: {done} of {plan.tasks} done; killed: {kills}')
            errors = [each.error for each in mortals if each.error is not None]
            if errors:
                raise errors[0]


def main(arguments: list[str]) -> int:
    """What the module's docstring says."""
    if arguments[:1] == ['--client']:
        number, shared, record, paper = arguments[1:]
        client(Plan(**json.loads(shared)), int(number), record, Path(paper))
        return 0
    parser = argparse.ArgumentParser(description='Kill a relay and its endpoints at random while clients push tasks through them.')
    for name, value in Plan().__dict__.items():
        parser.add_argument('--' + name.replace('_', '-'), type=type(value), default=value, choices=list(ENGINES) if name == 'engine' else None)
    plan = Plan(**vars(parser.parse_args(arguments)))
    say(f'seed {plan.seed}')
    with tempfile.TemporaryDirectory(prefix='storm-') as directory, site(Path(directory) / 'home') as at:
        os.environ['RELAY_PARSL_HOME'] = str(at.home.root)
        outcome = run(plan, at, say)
    say(outcome.line(plan))
    return 0 if outcome.good else 1


def say(line: str) -> None:
    """A line for who reads along."""
    sys.stdout.write(line + '\n')
    sys.stdout.flush()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
