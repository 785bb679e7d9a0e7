"""How many files the relay may open, and what it makes of that: each connection takes one, and memory for what it brings."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress

log = logging.getLogger(__name__)

MANY_FILES = 1 << 20
"""Open files that are asked for at most, where the system sets no limit or an absurd one."""
FEW_FILES = 4096
"""A limit of open files below which the operator is warned."""
OUTSIDE = 16_384
"""Connections without a session, at most: each takes some memory, too."""
UNREAD = 128 << 20
"""Bytes of one connection that may wait to be read. Clients have 16 MiB unanswered and endpoints 32, again after five seconds each: so who has
that many floods, or the relay has stood still for longer, and what is cut is sent again."""


def outside(files: int) -> int:
    """How many connections may be there without a session: an eighth of all. Sessions of everybody get three quarters, operators the rest."""
    return max(8, min(files // 8, OUTSIDE))


def raise_open_files() -> int:
    """How many files this process may open, after asking for all that it may have: what most systems start with is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):  # a container may forbid it: then it is as it was
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    files = most if soft == resource.RLIM_INFINITY else soft
    if files < FEW_FILES:
        log.warning('only %d files may be open, and each connection takes one: raise the limit (ulimit -n, or LimitNOFILE of the service)', files)
    return files
