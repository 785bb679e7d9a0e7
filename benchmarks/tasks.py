"""What the workers run."""

from __future__ import annotations

import time


def nothing() -> None:
    """The no-op task."""


def nap(seconds: float) -> None:
    """A task that takes its time and no processor."""
    time.sleep(seconds)


def ignore(_data: bytes) -> None:
    """An argument that goes one way."""


def echo(data: bytes) -> bytes:
    """An argument that comes back."""
    return data


def checksum(data: bytearray) -> tuple[int, int]:
    """What arrived: bytes, and their CRC-32."""
    import zlib

    return len(data), zlib.crc32(data)


def stamp(seconds: float) -> tuple[str, float, float]:
    """Use the worker's accelerator for a while: a sleep. Its name, and when (Unix time [s]) it was taken and left."""
    import os

    begin = time.time()
    time.sleep(seconds)
    return os.environ.get('CUDA_VISIBLE_DEVICES', ''), begin, time.time()


def stamp_kernel(seconds: float) -> tuple[str, float, float]:
    """As `stamp`, with a kernel that keeps a real GPU busy as long; the first call in a process finds out the clock's pace."""
    import os

    from benchmarks import kernels

    begin = time.time()
    kernels.spin(seconds)
    return os.environ.get('CUDA_VISIBLE_DEVICES', ''), begin, time.time()
