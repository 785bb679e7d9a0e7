"""Endpoints on the real Slurm: nodes, GPUs, scaling, refusals."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from relay_parsl import errors
from tests.slurm import cluster
from tests.slurm.site import PERIOD, Site, where

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group('slurm'), pytest.mark.timeout(180)]
PATIENCE = 90.0


def test_a_block_of_two_nodes_has_eight_workers_with_a_gpu_each_and_goes_when_it_is_idle(site: Callable[..., Site]) -> None:
    perlmutter = site(provider={'nodes_per_block': 2}, job_status_kwargs={'strategy_period': PERIOD, 'max_idletime': 3})
    done = [future.result(PATIENCE) for future in [perlmutter.executor.submit(where, '', 0.5) for _ in range(32)]]
    (job,) = perlmutter.running()
    assert cluster.field(job, 'NumNodes') == '2'
    assert len({host for host, _, _ in done}) == 2
    assert {(gpu, str(worker)) for _, gpu, worker in done} == {(str(number), str(number)) for number in range(4)}, 'each worker has its own'
    assert len(set(done)) == 8
    cluster.until(lambda: job not in perlmutter.jobs(), 30, 'scaling in')
    assert perlmutter.executor.submit(where).result(PATIENCE)[1] in '0123', 'scaled out again'
    (again,) = perlmutter.running()
    assert again != job


def test_five_hundred_tasks_over_three_blocks(site: Callable[..., Site], tmp_path: Path) -> None:
    perlmutter = site(provider={'init_blocks': 3, 'max_blocks': 3})
    jobs = perlmutter.running(3)
    done = [future.result(PATIENCE) for future in [perlmutter.executor.submit(where, str(tmp_path / 'note'), 0.1) for _ in range(500)]]
    assert len(done) == 500
    ran = Counter(line.split()[1] for line in (tmp_path / 'note').read_text().splitlines())
    assert sum(ran.values()) == 500, 'each of them once'
    assert set(ran) == set(jobs)
    assert len({host for host, _, _ in done}) == 3
    assert len(perlmutter.submitted()) == 3


def test_what_sbatch_says_of_a_wrong_account_reaches_the_task(site: Callable[..., Site]) -> None:
    perlmutter = site(provider={'account': 'nosuch'})
    with pytest.raises(errors.BlocksFailed, match='Invalid account or account/partition combination specified'):
        perlmutter.executor.submit(where).result(PATIENCE)


def test_a_broken_worker_init_costs_three_jobs_and_its_words_reach_the_waiting_client(site: Callable[..., Site]) -> None:
    perlmutter = site(provider={'worker_init': 'echo "the module conda/2026 is gone" >&2; exit 9', 'max_blocks': 5})
    tasks = [perlmutter.executor.submit(where) for _ in range(50)]
    for task in tasks:
        with pytest.raises(errors.BlocksFailed, match=r'the module conda/2026 is gone'):
            task.result(PATIENCE)
    with pytest.raises(errors.BlocksFailed, match='exit code 9'):
        perlmutter.executor.submit(where).result(PATIENCE)
    assert len(perlmutter.submitted()) == 3
    assert perlmutter.jobs() == {}


def test_with_a_broken_worker_init_tasks_wait_where_the_file_says_so(site: Callable[..., Site]) -> None:
    perlmutter = site(provider={'worker_init': 'exit 9', 'max_blocks': 5}, block_error_handler=False)
    task = perlmutter.executor.submit(where)
    cluster.until(lambda: len(perlmutter.submitted()) == 3 and not perlmutter.jobs(), PATIENCE)
    time.sleep(20 * PERIOD)  # as many looks of the strategy
    assert len(perlmutter.submitted()) == 3
    assert not task.done()
    perlmutter.executor.shutdown(wait=False, cancel_futures=True)


def test_a_job_cancelled_from_outside_is_replaced_and_its_task_runs_again(site: Callable[..., Site], tmp_path: Path) -> None:
    perlmutter = site(heartbeat_period=2, heartbeat_threshold=10)
    task = perlmutter.executor.submit(where, str(tmp_path / 'note'), 3.0)
    cluster.until((tmp_path / 'note').exists)
    (job,) = perlmutter.running()
    cluster.run('scancel', job)
    task.result(PATIENCE)
    ran = [line.split()[1] for line in (tmp_path / 'note').read_text().splitlines()]
    assert ran[0] == job
    assert ran[1] != job
    assert len(ran) == 2
