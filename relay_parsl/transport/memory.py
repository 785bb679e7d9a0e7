"""How a process that passes large messages on keeps memory: glibc gives each megabyte back when it is freed, and the system must clear it anew.

That, and not the encryption, was the largest part of what a large body cost a relay (measured).
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

_TRIM, _TOP_PAD, _MAP = -1, -2, -3  # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD of mallopt(3)
LARGE = 256 * 1024
"""Bytes from which a frame is read where it lies instead of being copied."""
KEPT = 32 << 20
"""Bytes of freed memory that are kept for the next message, at most."""
MAPPED = 32 << 20
"""Bytes from which memory is asked of the system for one use; the largest that glibc takes."""
AHEAD = 4 << 20


def keep_buffers() -> None:
    """Reuse the memory of messages in this process from now on. Does nothing where there is no glibc."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_TRIM, KEPT), (_TOP_PAD, AHEAD), (_MAP, MAPPED)):
            mallopt(option, value)
