"""What happens to blocks, on the real Slurm: walltimes, dead nodes, accounting that goes away. All of it at once, on nodes of their own."""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.endpoint import hands
from tests.slurm import cluster
from tests.slurm.site import Site, serving

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group('slurm'), pytest.mark.timeout(330)]
PATIENCE = 240.0
SHARED = {'exclusive': False, 'gpus_per_node': 0}
ON_CPU_NODE = {**SHARED, 'constraint': 'cpu'}
_numbers = itertools.count(1)


def stay(note: str, end: str, seconds: float) -> int:
    """Begins, and stays until the file `end` is there, or so long; when it has begun before, it does not stay. Returns how often it began."""
    import os
    import socket
    import time

    with open(note, 'a') as begun:
        begun.write(f'{time.time()} {socket.gethostname()} {os.environ["SLURM_JOB_ID"]}\n')
    with open(note) as begun:
        times = len(begun.readlines())
    deadline = time.monotonic() + seconds
    while times == 1 and not os.path.exists(end) and time.monotonic() < deadline:
        time.sleep(0.2)
    return times


class Losses(logging.Handler):
    """When the endpoint, a thread of this process, says that it has lost an attempt."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.seen: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if 'lost with' in record.msg and isinstance(record.args, tuple):
            self.seen.setdefault(str(record.args[0]), record.created)

    def latest(self, tasks: Sequence[Future[int]]) -> float:
        """When the last of these was lost for the first time."""
        return max(self.seen[task.id.hex()] for task in tasks)  # type: ignore[attr-defined]  # those of our executor


LOSSES = Losses()


@dataclass
class Note:
    """One begin of a task."""

    at: float
    host: str
    job: str


class Scene:
    """A site with tasks that note when and where they began."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site, self.directory = site, directory
        self.end = directory / 'end'

    def begun(self, number: int) -> list[Note]:
        """All begins of a task so far."""
        path = self.directory / f'task{number}'
        rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [Note(float(at), host, job) for at, host, job in rows]

    def submit(self, numbers: range, seconds: float = 300.0) -> list[Future[int]]:
        """Tasks that have begun when this returns."""
        tasks = [self.site.executor.submit(stay, str(self.directory / f'task{number}'), str(self.end), seconds) for number in numbers]
        cluster.until(lambda: all(self.begun(number) for number in numbers), 90, f'the begin of {numbers}')
        return tasks


Play = Callable[[Scene], dict[str, Any]]


def staged(directory: Path, play: Play, **options: Any) -> dict[str, Any]:
    directory.mkdir()
    settings = {'max_workers_per_node': 2, 'available_accelerators': 2, **options}
    with serving(directory / 'site', f'l{os.getpid()}-{next(_numbers)}', **settings) as site:
        scene = Scene(site, directory)
        try:
            return play(scene)
        finally:
            scene.end.touch()


def a_walltime_is_over(scene: Scene) -> dict[str, Any]:
    """The job ends after a minute; no task is given to it in its second half, and the one that it takes with it runs again in another."""
    (long,) = scene.submit(range(1))
    (job,) = scene.site.running()
    cluster.until(lambda: cluster.field(job, 'RunTime') >= '00:00:35', 60)
    (late,) = scene.submit(range(1, 2), 0.0)
    at_that_time = cluster.field(job, 'JobState')
    assert [long.result(PATIENCE), late.result(PATIENCE)] == [2, 1]
    return {'job': job, 'then': at_that_time, 'late': scene.begun(1), 'long': scene.begun(0), 'state': cluster.field(job, 'JobState')}


def accounting_is_away_for_a_minute(scene: Scene) -> dict[str, Any]:
    """Blocks are asked for, live, and are known to live, without slurmdbd."""
    first = scene.submit(range(2))
    cluster.stop_database()
    try:
        back = time.monotonic() + 60.0
        more = scene.submit(range(2, 4))
        jobs = scene.site.running(2)
        while time.monotonic() < back:
            assert scene.site.running(2) == jobs
            time.sleep(2.0)
    finally:
        cluster.start_database()
    scene.end.touch()
    return {'results': [task.result(PATIENCE) for task in (*first, *more)], 'submitted': scene.site.submitted()}


def one_node_of_two_dies(scene: Scene) -> dict[str, Any]:
    """Its tasks run elsewhere; those of the other node stay where they are."""
    tasks = scene.submit(range(4))
    (job,) = scene.site.running()
    hosts = {number: scene.begun(number)[0].host for number in range(4)}
    (dead,) = set(hosts.values()) - {cluster.field(job, 'BatchHost')}
    died = time.time()
    cluster.node('fail', dead)
    try:
        lost = [number for number, host in hosts.items() if host == dead]
        cluster.until(lambda: all(len(scene.begun(number)) == 2 for number in lost), 120, 'another begin of the lost tasks')
        scene.end.touch()
        results = [task.result(PATIENCE) for task in tasks]
    finally:
        cluster.node('up', dead)
    noticed = LOSSES.latest([tasks[number] for number in lost]) - died
    return {'results': results, 'lost': lost, 'noticed': noticed, 'seconds': max(scene.begun(number)[1].at for number in lost) - died}


def the_only_node_dies(scene: Scene) -> dict[str, Any]:
    """Slurm does not start the job again behind the endpoint's back: the endpoint asks for another."""
    tasks = scene.submit(range(2))
    (job,) = scene.site.running()
    host, died = scene.begun(0)[0].host, time.time()
    cluster.node('fail', host)
    try:
        cluster.until(lambda: cluster.field(job, 'JobState') == 'NODE_FAIL', 60, 'the end of the job')
    finally:
        cluster.node('up', host)
    results = [task.result(PATIENCE) for task in tasks]
    again = [scene.begun(number)[1] for number in range(2)]
    times = {'noticed': LOSSES.latest(tasks) - died, 'seconds': max(note.at for note in again) - died}
    return {'results': results, 'job': job, 'again': again, **times, 'state': cluster.field(job, 'JobState')}


@pytest.fixture(scope='module', name='scenes')
def _scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[dict[str, Any]]]]:
    root = tmp_path_factory.mktemp('losses')
    plays: dict[str, tuple[Play, dict[str, Any]]] = {
        'walltime': (
            a_walltime_is_over,
            {'provider': {**ON_CPU_NODE, 'walltime': '00:01:00', 'max_blocks': 3}, 'drain_period': 25, 'heartbeat_threshold': 20},
        ),
        'accounting': (accounting_is_away_for_a_minute, {'provider': {**ON_CPU_NODE, 'max_blocks': 4}}),
        'node': (
            one_node_of_two_dies,
            {'provider': {**SHARED, 'nodes_per_block': 2, 'max_blocks': 2, 'scheduler_options': '#SBATCH --exclude=c1,n1'}},
        ),
        'only': (the_only_node_dies, {'provider': {**SHARED, 'scheduler_options': '#SBATCH --nodelist=n1'}}),
    }
    endpoint = logging.getLogger(hands.__name__)
    before = endpoint.level
    endpoint.addHandler(LOSSES)
    endpoint.setLevel(logging.INFO)
    try:
        with ThreadPoolExecutor(len(plays)) as pool:
            yield {name: pool.submit(staged, root / name, play, **options) for name, (play, options) in plays.items()}
    finally:
        endpoint.removeHandler(LOSSES)
        endpoint.setLevel(before)


Scenes = dict[str, 'Future[dict[str, Any]]']


@pytest.mark.fault(15)
def test_a_job_over_its_walltime_takes_no_new_tasks_before_and_its_task_runs_again(scenes: Scenes) -> None:
    seen = scenes['walltime'].result(PATIENCE)
    assert seen['then'] == 'RUNNING'
    assert seen['late'][0].job != seen['job'], 'it drains'
    assert seen['state'] == 'TIMEOUT'
    assert seen['long'][1].job != seen['job']


def test_a_minute_without_accounting_costs_nothing(scenes: Scenes) -> None:
    seen = scenes['accounting'].result(PATIENCE)
    assert seen['results'] == [1, 1, 1, 1], 'no task began twice'
    assert len(seen['submitted']) == 2, 'no block was taken for dead'


def test_the_tasks_of_a_dead_node_run_again_and_the_others_go_on(scenes: Scenes) -> None:
    seen = scenes['node'].result(PATIENCE)
    assert sorted(seen['results']) == [1, 1, 2, 2]
    assert all(seen['results'][number] == 2 for number in seen['lost'])
    assert 0 < seen['noticed'] <= 70, 'this is when the attempts are lost'
    assert seen['seconds'] < 90, 'and begin again'


def test_a_block_whose_node_died_is_replaced_and_not_started_again(scenes: Scenes) -> None:
    seen = scenes['only'].result(PATIENCE)
    assert seen['results'] == [2, 2]
    assert seen['state'] == 'NODE_FAIL'
    assert seen['job'] not in {note.job for note in seen['again']}
    assert 0 < seen['noticed'] <= 70
    assert seen['seconds'] < 90, 'with the wait for a new block'
