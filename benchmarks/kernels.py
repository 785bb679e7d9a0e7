"""A kernel that keeps a GPU busy for a given time, by torch or cupy, where one of them and a GPU are there. Workers import this."""

from __future__ import annotations

import importlib.util
import subprocess
import time
from collections.abc import Callable
from functools import cache

CALIBRATION = 20_000_000
"""Clock ticks of the kernel that finds out the pace."""
SOURCE = 'extern "C" __global__ void spin(long long ticks) { long long end = clock64() + ticks; while (clock64() < end) { } }'


def devices() -> list[str]:
    """The GPUs of this machine by ordinal; none without torch or cupy. Asked of the driver's own program, so that no context is made here."""
    if not any(importlib.util.find_spec(name) for name in ('torch', 'cupy')):
        return []
    try:
        listed = subprocess.run(['nvidia-smi', '--list-gpus'], capture_output=True, text=True, check=True)  # noqa: S607  where the driver puts it
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(number) for number, line in enumerate(listed.stdout.splitlines()) if line.startswith('GPU')]


def spin(seconds: float) -> None:
    """Keep the GPU that this process sees busy, and wait for it."""
    run, pace = _kernel()
    run(int(seconds * pace))


@cache
def _kernel() -> tuple[Callable[[int], None], float]:
    """What runs so many ticks, and ticks a second."""
    run = _torch() if importlib.util.find_spec('torch') else _cupy()
    run(CALIBRATION)
    begin = time.perf_counter()
    run(CALIBRATION)
    return run, CALIBRATION / (time.perf_counter() - begin)


def _torch() -> Callable[[int], None]:
    import torch

    def run(ticks: int) -> None:
        torch.cuda._sleep(ticks)
        torch.cuda.synchronize()

    return run


def _cupy() -> Callable[[int], None]:
    import cupy

    kernel = cupy.RawKernel(SOURCE, 'spin')

    def run(ticks: int) -> None:
        kernel((1,), (1,), (cupy.int64(ticks),))
        cupy.cuda.Device().synchronize()

    return run
