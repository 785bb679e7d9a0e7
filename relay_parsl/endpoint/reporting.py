"""A report of engines that the relay takes: it drops longer ones, so rows go before the words that say what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relay_parsl.wire import codec

LIMIT = 14 * 1024
"""Bytes of all pools in a report, at most: the relay takes 16 KiB of the whole."""
ROWS = (64, 32, 16, 8, 4, 2, 1, 0)
"""Rows of blocks and of managers that are tried, the newest ones."""
WORDS = (2000, 500, 100)
"""Characters of a reason that are tried."""


def fitted(pools: Mapping[str, dict[str, Any]], limit: int = LIMIT) -> dict[str, dict[str, Any]]:
    """The pools with as many rows and words as go into `limit` bytes. What was left out of rows stands there as a number, `more`."""
    tries = [(rows, WORDS[0]) for rows in ROWS] + [(0, words) for words in WORDS[1:]]
    found = {pool: dict(status) for pool, status in pools.items()}
    for rows, words in tries:
        found = {pool: _cut(status, rows, words) for pool, status in pools.items()}
        if len(codec.pack(found)) <= limit:
            break
    return found


def _cut(status: Mapping[str, Any], rows: int, words: int) -> dict[str, Any]:
    detail = dict(status.get('detail') or {})
    lists = {name: each for name, each in detail.items() if isinstance(each, list)}
    left_out = sum(max(0, len(each) - rows) for each in lists.values())
    short = {name: each[len(each) - min(rows, len(each)) :] for name, each in lists.items()}
    return {**status, 'reason': str(status.get('reason') or '')[:words], 'detail': {**detail, **short, **({'more': left_out} if left_out else {})}}
