"""Commands with their launchers: ranks, binding, masks, and the application that is left."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.endpoint.launchline import parse


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('./app a &', {'text': './app a', 'background': True}),
        ('CUDA_VISIBLE_DEVICES=0,1 X="a b" ./app', {'text': './app', 'mask': '0,1', 'environment': {'X': 'a b'}}),
        ('env ROCR_VISIBLE_DEVICES=3 nohup ./app', {'text': './app', 'mask': '3'}),
        ('taskset -c 0-3 ./app -c 1', {'text': './app -c 1', 'cpus': '0-3'}),
        ('numactl -C 4-7 --membind=0 ./app', {'text': './app', 'cpus': '4-7'}),
        ('(./app > x) &', {'text': './app > x', 'background': True}),
        ('mpiexec -n 8 --ppn 4 --depth=8 --cpu-bind depth ./app', {'ranks': 8, 'per_node': 4, 'pals': True, 'options': '--depth=8 --cpu-bind depth'}),
        ('mpiexec -n 2 --ppn 2 --cpu-bind list:0-1:2-3 ./app', {'binding': ('0-1', '2-3'), 'is_mpi': True}),
        ('/usr/bin/srun -N2 -n8 -c 4 --gpus-per-task=1 ./app x', {'text': './app x', 'launcher': 'srun', 'nodes': 2, 'ranks': 8, 'gpus': 1}),
        ('mpirun -np 4 -x PATH --mca btl tcp,self --hostfile hosts ./app', {'text': './app', 'ranks': 4, 'options': '-x PATH --mca btl tcp,self'}),
        ('srun -n1 ./app', {'ranks': 1, 'is_mpi': False}),
        ('mpiexec ./app', {'ranks': 0, 'is_mpi': True}),
        ('mpiexec', {'text': 'mpiexec', 'launcher': ''}),
        ('X=1', {'text': 'X=1'}),
    ],
)
def test_commands(text: str, expected: dict[str, Any]) -> None:
    command = parse(1, text)
    assert {key: getattr(command, key) for key in expected} == expected
