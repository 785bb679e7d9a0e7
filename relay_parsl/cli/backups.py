"""`relay-parsl relay backup`, `restore` and `migrate`: a relay's state in one file, and back."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay_parsl.cli.show import BadInput, Failure, json_option, moment, outcome
from relay_parsl.version import VERSION

if TYPE_CHECKING:
    from relay_parsl.home import Home
    from relay_parsl.relay.archive import Manifest

KEYS = ('relay/relay.key', 'accounts/operator.key')
"""What opens a relay and rules it, below the home directory."""
NEXT = 'relay/relay.key.next'
"""What follows the first of them, while that is announced."""
PATIENCE = 600.0
"""Seconds without any progress after which a snapshot is given up."""


@click.command()
@click.argument('target', metavar='FILE|DIRECTORY', type=click.Path(path_type=Path))
@click.option('--passphrase', metavar='TEXT', envvar='RELAY_PARSL_PASSPHRASE', help="For the relay's keys.  [default: asked for]")
@click.option('--without-keys', is_flag=True, help='Leave the keys out: they are kept elsewhere, and change with `relay rotate` only.')
@json_option
def backup(target: Path, passphrase: str | None, without_keys: bool, as_json: bool) -> None:
    """Write all that the relay of this home has to one FILE, also while it serves: store, large bodies, audit log, keys.

    All of it is of one moment. In a DIRECTORY the file gets a name with the time. Tasks and results are in it as the relay has them, sealed; names
    of accounts and times can be read. The keys are under a passphrase. What it takes to come back: `relay-parsl relay restore FILE`.
    """
    from relay_parsl.home import Home
    from relay_parsl.relay.snapshot import DIRECTORY, drop

    home = Home.find()
    if not (home.root / 'relay' / 'relay.db').exists():
        raise BadInput(f'there is no relay in {home.root}: run this where it is, as the user who runs it')
    if target.is_dir():
        target /= f'relay-{time.strftime("%Y%m%d-%H%M%S")}.backup'
    if not without_keys and passphrase is None:
        passphrase = click.prompt('Passphrase for the keys in the backup', hide_input=True, confirmation_prompt=True, err=True)
    keys = None if without_keys else sealed_keys(home, str(passphrase))
    snapshot = home.directory('relay') / DIRECTORY / f'{os.getpid():08}{time.time_ns()}'
    try:
        made = time.time()
        take_snapshot(home, snapshot)
        manifest, missing = packed(snapshot, target, made, keys)
    except OSError as error:
        raise Failure(f'the backup cannot be written: {error}') from error
    finally:
        drop(snapshot)
    if missing:
        click.echo(f'note: {missing} large bodies that the store names are not in the spool: their tasks will fail as lost', err=True)
    known = {'file': target, **counts(manifest), 'missing_bodies': missing, 'with_keys': keys is not None}
    keys_told = 'without keys' if keys is None else 'keys under the passphrase'
    outcome('{file}: {tasks} tasks, {files} files, {bytes} bytes, '.format(**known) + keys_told, known, as_json=as_json)


def counts(manifest: Manifest) -> dict[str, float]:
    """When a backup was made, and how much is in it."""
    size = sum(size for size, _ in manifest.files.values())
    return {'made': manifest.made, 'tasks': manifest.tasks, 'files': len(manifest.files), 'bytes': size}


def packed(snapshot: Path, target: Path, made: float, keys: bytes | None) -> tuple[Manifest, int]:
    """A snapshot as a file, its store examined; and how many bodies that it names are not there. Raises OSError, StoreError."""
    from relay_parsl.relay.archive import Manifest, pack
    from relay_parsl.relay.sqlite.copies import bodies, examine

    found = examine(snapshot / 'relay.db')
    wanted = bodies(snapshot / 'relay.db')
    missing = sum(not (snapshot / 'spool' / name).exists() for name in wanted)
    return pack(snapshot, target, Manifest(VERSION, made, found.version, found.tasks), keys, wanted), missing


def take_snapshot(home: Home, target: Path) -> None:
    """By the relay that runs, or in its place. Raises BadInput, Failure, OSError, StoreError."""
    from relay_parsl.cli.relay import pid_file

    process = pid_file(home).running()
    if process is None:
        alone(home, target)
    elif not process.here:
        raise BadInput(f'the relay runs as {process}: make the backup there')
    else:
        through_relay(target.name)


def alone(home: Home, target: Path) -> None:
    """No relay runs, and none may start meanwhile. Raises OSError, StoreError."""
    from functools import partial

    from relay_parsl.cli.relay import pid_file
    from relay_parsl.relay.snapshot import copy_audit, take
    from relay_parsl.relay.sqlite.copies import copy_file

    relay = home.directory('relay')
    with pid_file(home).held():
        take(partial(copy_file, relay / 'relay.db'), relay, target)
        copy_audit(relay, target)


def through_relay(name: str) -> None:
    """The running relay does it, and says how far it is. Raises Failure."""
    from relay_parsl.cli.desk import open_desk
    from relay_parsl.cli.relay import OPERATOR

    with open_desk(None, None, (OPERATOR,)) as desk:
        before, since = None, time.monotonic()
        while (at := desk.order('backup', name=name))['state'] == 'running':
            if at != before:
                before, since = at, time.monotonic()
            if time.monotonic() - since > PATIENCE:
                raise Failure(f'the relay has made no progress for {PATIENCE:.0f} s: see its log')
            time.sleep(0.1)
    if at['state'] != 'done':
        raise Failure(f'the relay could not copy its store: {at["why"]}')


def sealed_keys(home: Home, passphrase: str) -> bytes:
    """The keys that are here, under a passphrase. Raises ConfigError."""
    from relay_parsl.home import lock, read_private, to_json, to_text
    from relay_parsl.home.backup import RELAY

    found = {name: to_text(read_private(home.root / name)) for name in (*KEYS, NEXT) if (home.root / name).exists()}
    return lock(to_json(found), passphrase, RELAY)


@click.command()
@click.argument('source', metavar='FILE', type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option('--force', is_flag=True, help='Also in the place of a store that is there; that one is kept beside it.')
@click.option('--passphrase', metavar='TEXT', envvar='RELAY_PARSL_PASSPHRASE', help='Of the keys in the backup.  [default: asked for]')
@json_option
def restore(source: Path, force: bool, passphrase: str | None, as_json: bool) -> None:
    """Bring a relay back from a backup. Every byte is verified before anything is changed; a relay that runs is not touched.

    What happened after the backup was made is not in it. Endpoints bring what they hold and have finished; a task that ended there does not run
    again. Of a task that the relay no longer knows its client hears that it is lost. Who was revoked since then counts again: revoke them anew.
    """
    from relay_parsl.cli.relay import pid_file
    from relay_parsl.home import Home
    from relay_parsl.relay.restoring import STAGING, install, prepare

    home = Home.find()
    relay = home.directory('relay')
    with ExitStack() as stack:
        if process := pid_file(home).running():
            raise BadInput(f'the relay of {home.root} runs as {process}: `relay-parsl relay stop` first')
        stack.enter_context(pid_file(home).held())
        if (relay / 'relay.db').exists() and not force:
            raise BadInput(f'{relay / "relay.db"} is there already: --force restores in its place, and keeps it beside')
        now = time.time()
        stack.callback(shutil.rmtree, relay / STAGING, ignore_errors=True)  # a wrong passphrase leaves nothing
        try:
            staging, manifest = prepare(source, relay, now)
            keys = opened_keys(home, staging, passphrase, str(source))
            aside = install(staging, relay, now)
            for name, data in keys.items():
                write_key(home, name, data)
        except OSError as error:
            raise Failure(f'the backup cannot be restored: {error}') from error
    kept = f'\nthe store before is in {aside}' if aside else ''
    text = f'restored as of {moment(manifest.made)}: {manifest.tasks} tasks{kept}\nnext: relay-parsl relay start, with the options of before'
    outcome(text, {**counts(manifest), 'keys': sorted(keys), 'before': aside}, as_json=as_json)
    click.echo('note: revocations, shares and quotas are as they were then: look at `relay-parsl account list`', err=True)


def opened_keys(home: Home, staging: Path, passphrase: str | None, where: str) -> dict[str, bytes]:
    """The keys of a backup that are not here. Raises BadInput, HomeError."""
    from relay_parsl.home import from_json, to_bytes, unlock
    from relay_parsl.home.backup import RELAY

    missing = [name for name in KEYS if not (home.root / name).exists()]
    path = staging / 'keys'
    if not missing or not path.exists():
        if KEYS[0] in missing:
            raise BadInput(f'{where} has no keys, and {home.root / KEYS[0]} is missing: put it there first, or no client knows this relay')
        return {}
    if passphrase is None:
        passphrase = click.prompt('Passphrase of the keys in the backup', hide_input=True, err=True)
    found = from_json(where, unlock(path.read_bytes(), passphrase, where, RELAY))
    wanted = [*missing, *[NEXT] * (KEYS[0] in missing)]  # the two belong together
    return {name: to_bytes(found[name]) for name in wanted if name in found}


def write_key(home: Home, name: str, data: bytes) -> None:
    """A key file in its place. Raises HomeError."""
    from relay_parsl.home import write_private

    directory, file = name.split('/')
    write_private(home.directory(directory) / file, data)


@click.command()
@json_option
def migrate(as_json: bool) -> None:
    """Bring the store of a relay that does not run to this version's tables. `relay start` does the same by itself.

    The store as it was stays beside it, named by its version (relay.db.2): with that in the place of relay.db the version before goes on from then.
    """
    from relay_parsl.cli.relay import pid_file
    from relay_parsl.home import Home
    from relay_parsl.relay.schema import VERSION as TABLES
    from relay_parsl.relay.sqlite import SqliteStore

    home = Home.find()
    path = home.root / 'relay' / 'relay.db'
    if not path.exists():
        raise BadInput(f'there is no relay in {home.root}: run this where it is, as the user who runs it')
    with pid_file(home).held():
        store = SqliteStore(path)
        store.close()
    before, kept = store.migrated or (None, None)
    text = f'was brought from version {before} to {TABLES}; as it was it is in {kept}' if kept else f'is of version {TABLES} already'
    outcome(f'{path} {text}', {'store': path, 'version': TABLES, 'from_version': before, 'before': kept}, as_json=as_json)
