"""A backup back into a relay's directory, as another incarnation of that relay."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from relay_parsl.errors import HomeError, StoreError
from relay_parsl.relay.archive import Manifest, unpack
from relay_parsl.relay.schema import VERSION
from relay_parsl.relay.sqlite.copies import examine, renew, sync

STORE = ('relay.db', 'relay.db-wal', 'relay.db-shm')
STAGING = 'restoring'
"""Where a backup is unpacked, below the relay's directory."""


def prepare(source: Path, relay: Path, now: float) -> tuple[Path, Manifest]:
    """Read a backup into a directory beside what is there, verify it, and mark it. Nothing else has changed when this fails.

    Raises:
        HomeError: it is no backup, or damaged, or of a newer version.
        StoreError: its store is none, or damaged.
        OSError: the disk refuses.
    """
    staging = relay / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(mode=0o700)
    try:
        manifest = unpack(source, staging)
        found = examine(staging / 'relay.db')
        if found.version > VERSION:
            newer = f'use relay-parsl {manifest.version} or later'
            raise HomeError(f'{source} holds a store of version {found.version}, and this relay-parsl knows {VERSION}: {newer}')
        (staging / 'spool').mkdir(mode=0o700, exist_ok=True)
        renew(staging / 'relay.db', now, manifest.made)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return staging, manifest


def install(staging: Path, relay: Path, now: float) -> Path | None:
    """Put what is prepared in its place; where the store before is now, None when there was none. At no moment is there no store at all.

    The audit log of this place goes on if there is one: it is the record of what happened here, also of what the restored store has forgotten.
    """
    aside = None
    if any((relay / name).exists() for name in STORE):
        aside = relay / f'before-restore-{time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))}-{int(now * 1000) % 1000:03}'
        aside.mkdir(mode=0o700)
        for name in STORE[1:]:
            if (relay / name).exists():
                (relay / name).rename(aside / name)
        if (relay / STORE[0]).exists():
            os.link(relay / STORE[0], aside / STORE[0])
    if (relay / 'spool').exists():
        if aside is not None:
            (relay / 'spool').rename(aside / 'spool')
        else:
            shutil.rmtree(relay / 'spool')
    (staging / 'spool').rename(relay / 'spool')
    if not (relay / 'audit.log').exists():
        for path in staging.glob('audit.*'):
            path.rename(relay / path.name)
    (staging / STORE[0]).replace(relay / STORE[0])
    sync(relay)
    shutil.rmtree(staging, ignore_errors=True)
    return aside


def refuse_cold_start(directory: Path) -> None:
    """Raises StoreError where a relay has run whose store is gone: an empty one would know none of its accounts and tasks."""
    store, audit = directory / 'relay.db', directory / 'audit.log'
    if not store.exists() and audit.exists() and audit.stat().st_size:
        raise StoreError(
            f'{store} is gone, but {audit.name} beside it says that this relay has run: put the store back from a backup, '
            f'or move {directory} away to begin a new relay, which knows none of its accounts and tasks'
        )


def restored(times: tuple[float, float] | None) -> str:
    """When a store was restored, and from a backup of when, for people."""
    if times is None:
        return ''
    when, made = (time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(each)) for each in times)
    return f'restored at {when} from a backup of {made}'
