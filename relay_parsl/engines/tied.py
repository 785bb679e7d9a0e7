"""Ties a process to the life of its parent when it imports this: a forkserver can be told names of modules only."""

from __future__ import annotations

from relay_parsl.engines.leash import die_with_parent

die_with_parent()
