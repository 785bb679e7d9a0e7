"""How a process that passes large messages on keeps memory: glibc gives each megabyte back when it is freed, and the system must clear it anew.

That, and not the encryption, was the largest part of what a large body cost a relay (measured). And whether a process has grown.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

_TRIM, _TOP_PAD, _MAP = -1, -2, -3  # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD of mallopt(3)
LARGE = 256 * 1024
"""Bytes from which a frame is read where it lies instead of being copied."""
KEPT = 32 << 20
"""Bytes of freed memory that are kept for the next message, at most."""
MAPPED = 32 << 20
"""Bytes from which memory is asked of the system for one use; the largest that glibc takes."""
AHEAD = 4 << 20
GROWTH = 32 << 20
"""Bytes by which this process must have grown before anybody is looked at for it."""


def keep_buffers() -> None:
    """Reuse the memory of messages in this process from now on. Does nothing where there is no glibc."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_TRIM, KEPT), (_TOP_PAD, AHEAD), (_MAP, MAPPED)):
            mallopt(option, value)


class Growth:
    """Whether this process has grown by `GROWTH` bytes since it was last found to. Without /proc it never has: there the service's limit must do."""

    def __init__(self) -> None:
        """Needs one descriptor, which is kept: a flood may have taken all others."""
        self._size, self._file = 0, -1
        with suppress(OSError):
            self._file = os.open('/proc/self/statm', os.O_RDONLY | os.O_CLOEXEC)

    def grown(self) -> bool:
        """Ask as often as you like: it takes a few microseconds."""
        size = int(os.pread(self._file, 64, 0).split()[1]) * os.sysconf('SC_PAGE_SIZE') if self._file >= 0 else 0
        far = size >= self._size + GROWTH
        self._size = size if far else min(self._size, size)
        return far

    def close(self) -> None:
        """Ask no more."""
        if self._file >= 0:
            os.close(self._file)
