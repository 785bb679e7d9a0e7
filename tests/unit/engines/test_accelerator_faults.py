"""Faults of Parsl's workers with accelerators, by their numbers in docs/parsl-faults.md: each check fails on what Parsl's worker sets in its
environment, and holds once ours has put it right. Parsl's own code runs, beside a fake `nvidia-smi`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relay_parsl.engines import accelerators

PROBE = """
import ctypes, json, multiprocessing, os, subprocess, sys
from parsl.executors.high_throughput.process_worker_pool import worker
from relay_parsl.engines.accelerators import correct

names, ours, root, before = json.loads(sys.argv[1])
gone = subprocess.Popen(['true'])
gone.wait()  # a manager that is dead: the worker ends before its first task
found = []
for rank, name in enumerate(names):
    os.environ.update(before)
    os.makedirs('block-0/pool', exist_ok=True)
    ready = multiprocessing.Value(ctypes.c_int, 0)
    worker(rank, 'pool', len(names), None, None, None, ready, {}, 'none', name, '0', 1, gone.pid, '.', None, False, 'mpiexec')
    if ours:
        correct(os.environ, root)
    found.append({key: os.environ.pop(key) for key in list(os.environ) if key.endswith(('_DEVICES', '_MASK', '_HIERARCHY'))})
print(json.dumps(found))
"""


@dataclass
class Machine:
    """A node, as Parsl and ours look at it.

    Attributes:
        place: A directory of its own.
        smi: Lines of `nvidia-smi -L`; without any it fails.
        files: What is in `/dev` and `/sys`.
        before: Environment of its workers.
    """

    place: Path
    smi: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)

    def workers(self, names: list[str], *, ours: bool) -> list[dict[str, str]]:
        """The variables that hide devices, of each worker."""
        for name, text in self.files.items():
            path = self.place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        smi = self.place / 'bin' / 'nvidia-smi'
        smi.parent.mkdir(exist_ok=True)
        smi.write_text('#!/bin/sh\n' + ''.join(f"echo '{line}'\n" for line in self.smi) if self.smi else '#!/bin/sh\nexit 9\n')
        smi.chmod(0o755)
        told = accelerators.told(names).removeprefix('env ').strip().partition('=')
        facts = json.dumps([names, ours, str(self.place), {**self.before, told[0]: told[2]}])
        environment = {'PATH': f'{smi.parent}:{os.environ["PATH"]}', 'PYTHONPATH': str(Path(accelerators.__file__).parents[2])}
        ended = subprocess.run(
            [sys.executable, '-c', PROBE, facts], cwd=self.place, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return [dict(each) for each in json.loads(ended.stdout.splitlines()[-1])]


def nvidia(place: Path, gpus: int, mig: int = 0) -> Machine:
    """A node with GPUs, the first of which are split into two by MIG."""
    lines = []
    for gpu in range(gpus):
        lines.append(f'GPU {gpu}: NVIDIA A100-SXM4-40GB (UUID: GPU-{gpu})')
        lines += [f'  MIG 3g.20gb     Device  {half}: (UUID: MIG-{gpu}-{half})' for half in range(2 if gpu < mig else 0)]
    return Machine(place, lines, {f'dev/nvidia{gpu}': '' for gpu in range(gpus)})


def numbers(count: int) -> list[str]:
    return [str(each) for each in range(count)]


def cuda(machine: Machine, names: list[str], *, ours: bool) -> list[str]:
    return [each['CUDA_VISIBLE_DEVICES'] for each in machine.workers(names, ours=ours)]


@pytest.mark.parametrize('count', [5, 6, 7])
def test_18_workers_see_gpus_that_exist(tmp_path: Path, count: int) -> None:
    machine = nvidia(tmp_path, 4)

    def check(*, ours: bool) -> None:
        assert set(cuda(machine, numbers(count), ours=ours)) == {'0', '1', '2', '3'}

    check(ours=True)
    with pytest.raises(AssertionError):
        check(ours=False)


def test_19_a_list_means_what_it_says(tmp_path: Path) -> None:
    machine = nvidia(tmp_path, 2)

    def check(*, ours: bool) -> None:
        assert cuda(machine, ['0', '0', '1', '1'], ours=ours) == ['0', '0', '1', '1']

    check(ours=True)
    with pytest.raises(AssertionError, match=r"\['0', '0', '0', '0'\]"):
        check(ours=False)


def test_20_parts_of_a_gpu_are_no_gpus(tmp_path: Path) -> None:
    machine = nvidia(tmp_path, 4, mig=2)

    def check(*, ours: bool) -> None:
        assert ' '.join(cuda(machine, numbers(8), ours=ours)) == '0 0 1 1 2 2 3 3'

    check(ours=True)
    with pytest.raises(AssertionError, match='4 5 6 7'):
        check(ours=False)


def test_21_amds_workers_have_one_mask(tmp_path: Path) -> None:
    topology = 'sys/class/kfd/kfd/topology/nodes'
    machine = Machine(tmp_path, files={'dev/kfd': '', **{f'{topology}/{number}/gpu_id': f'{number}\n' for number in range(5)}})

    def check(*, ours: bool) -> None:
        for rank, each in enumerate(machine.workers(numbers(4), ours=ours)):
            assert each == {'ROCR_VISIBLE_DEVICES': str(rank)}, 'HIP would apply the mask of CUDA to what ROCr has left'

    check(ours=True)
    with pytest.raises(AssertionError, match='HIP would apply'):
        check(ours=False)


def test_22_tiles_that_are_devices_are_counted_as_such(tmp_path: Path) -> None:
    """Six cards of two tiles, each a device: what ALCF's frameworks module sets on Aurora."""
    machine = Machine(tmp_path, before={'ZE_FLAT_DEVICE_HIERARCHY': 'FLAT', accelerators.VENDOR: 'intel:6:2'})
    tiles = [f'{card}.{tile}' for card in range(6) for tile in range(2)]

    def check(*, ours: bool) -> None:
        assert ' '.join(each['ZE_AFFINITY_MASK'] for each in machine.workers(tiles, ours=ours)) == ' '.join(numbers(12))

    check(ours=True)
    with pytest.raises(AssertionError, match=r'5\.0 5\.1'):
        check(ours=False)
