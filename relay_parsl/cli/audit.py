"""`relay-parsl audit`: what relay and endpoints have put on record, and whether that is whole."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay_parsl.cli.names import logs_or_files
from relay_parsl.cli.show import BadInput, Failure, harmless, moment

if TYPE_CHECKING:
    from relay_parsl.home import Home

ID = re.compile('[0-9a-f]{32}')
"""As lines have ids of accounts."""
UNITS = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}
LOOK = 0.5
"""Seconds between two looks of `--follow`."""
CHAINING = ('number', 'previous', 'hash')
"""What a line holds for the chain, and people need not see."""


@click.group()
def audit() -> None:
    """Read and check audit logs: who did what at a relay or an endpoint, a line each, without payloads.

    TARGET is `relay`, the name of an endpoint of this home, or a file.
    """


@dataclass(frozen=True)
class Target:
    """One log, and the identity key of the party whose it is, where that is known."""

    name: str
    path: Path
    identity: bytes | None = None


@audit.command('verify')
@click.argument('targets', nargs=-1, metavar='[TARGET]...', shell_complete=logs_or_files)
@click.option(
    '--head', type=click.Path(exists=True, dir_okay=False, path_type=Path), help='A copy of audit.head that was kept elsewhere, for one TARGET.'
)
@click.option('--begins', type=click.IntRange(1), default=1, metavar='N', help='The number of the first line that is still kept.  [default: 1]')
@click.option('--json', 'as_json', is_flag=True, help='Print a JSON list of what is wrong.')
def verify_logs(targets: tuple[str, ...], head: Path | None, begins: int, as_json: bool) -> None:
    """Say which lines of a log were changed, removed, added by another, or cut off. Without TARGET: every log of this home.

    The end of a log is held by `audit.head`, signed by the relay or endpoint. Whoever has its keys can write log and head anew: against that, copy
    the head to another host now and then, and give it here by --head.

    Exit code 1 when a log is not whole.
    """
    from relay_parsl.home.audit import files, verify

    found = [target_of(each) for each in targets] if targets else logs_here()
    if head and len(found) != 1:
        raise BadInput('--head is of one log: name that one')
    rows: list[dict[str, Any]] = []
    for each in found:
        if not files(each.path):
            raise BadInput(f'there is no audit log at {each.path}')
        faults = verify(each.path, head=head, identity=each.identity, begins=begins)
        rows += [{'log': each.name, **asdict(fault)} for fault in faults]
        if not as_json:
            tell(each, rows[len(rows) - len(faults) :])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    if rows:
        raise Failure(f'{len({row["log"] for row in rows})} of {len(found)} audit logs are not whole')
    if not found:
        click.echo('no audit logs here', err=True)


def tell(target: Target, faults: list[dict[str, Any]]) -> None:
    """A line for a log that is whole, else one for each fault."""
    if not faults:
        click.echo(f'{target.name}: whole ({target.path})')
    for each in faults:
        place = f', line {each["line"]}' if each['line'] else ''
        click.echo(f'{target.name}: {each["file"]}{place}: {each["kind"]}: {each["text"]}')


@audit.command()
@click.argument('target', shell_complete=logs_or_files)
@click.option('--since', metavar='TIME', help='Lines from then on: 2026-11-25, 2026-11-25T08:00, or how long ago: 90s, 30m, 2h, 7d.')
@click.option(
    '--event', 'events', multiple=True, metavar='EVENT', help='Only these events: session, invite, revoke, denied, start, … Several allowed.'
)
@click.option('--account', metavar='NAME|ID', help='Only lines that name this account.')
@click.option('-f', '--follow', is_flag=True, help='Go on with what is written from now on, until Ctrl-C.')
@click.option('--json', 'as_json', is_flag=True, help='Print the lines as they are, JSON.')
def show(target: str, since: str | None, events: tuple[str, ...], account: str | None, follow: bool, as_json: bool) -> None:
    """Print the log of TARGET. It is not checked: `audit verify` does that."""
    log = target_of(target)
    start = since_when(since, time.time()) if since else 0.0
    words = known_as(account) if account else frozenset()
    for data in lines_of(log.path, follow=follow):
        body = parsed(data)
        if body is None:
            click.echo(f'(a line that is none: {data[:200].decode(errors="replace")!r})', err=True)
        elif body.get('time', 0.0) >= start and (not events or body.get('event') in events) and (not words or words & set(texts(body))):
            click.echo(data.decode(errors='replace').rstrip() if as_json else line(body))
            sys.stdout.flush()


def lines_of(path: Path, *, follow: bool) -> Iterator[bytes]:
    """Lines of all files of a log, and then, if wanted, those that come, in the files that come."""
    from relay_parsl.home.audit import files

    for each in files(path)[:-1]:
        yield from each.read_bytes().splitlines()
    yield from lines_in(path, follow=follow)
    while follow:
        yield from lines_in(path, follow=True)


def lines_in(path: Path, *, follow: bool) -> Iterator[bytes]:
    """Whole lines of one file, and then, if wanted, those that come, until another file stands in its place."""
    with path.open('rb') as file:
        while True:
            gone = path.exists() and not os.path.samestat(path.stat(), os.fstat(file.fileno()))
            while (data := file.readline()).endswith(b'\n'):
                yield data
            if gone or not follow:
                return
            file.seek(-len(data), os.SEEK_CUR)
            time.sleep(LOOK)


def parsed(data: bytes) -> dict[str, Any] | None:
    """The object in a line, None when there is none."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) and isinstance(body.get('time', 0.0), (int, float)) else None


def line(body: dict[str, Any]) -> str:
    """A line for people."""
    rest = ' '.join(f'{key}={json.dumps(value)}' for key, value in body.items() if key not in ('time', 'event', *CHAINING))
    return harmless(f'{moment(body.get("time", 0.0))}  {body.get("event", "")!s:12}  {rest}')


def texts(value: Any) -> Iterator[str]:
    """Every text in a line."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in CHAINING:
                yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def since_when(text: str, now: float) -> float:
    """Seconds since 1970. Raises BadInput."""
    ago = re.fullmatch(r'(\d+(?:\.\d+)?)([smhd])', text)
    if ago:
        return now - float(ago[1]) * UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise BadInput(f'--since {text!r} is no time: 2026-11-25, 2026-11-25T08:00, or how long ago: 90s, 30m, 2h, 7d') from None


def known_as(account: str) -> frozenset[str]:
    """What lines may call an account: its name, and its id, which this home knows for accounts of its own and confirmed ones."""
    from relay_parsl.cli.desk import accounts
    from relay_parsl.home import Home

    home = Home.find()
    words = {account, account.replace('-', '').lower()}
    if home.root.exists():
        words |= {each.id.hex() for each in accounts(home) if each.name == account}
        words |= {pin.id.hex() for name, pin in home.pins().items() if name == account}
    if not any(ID.fullmatch(each) for each in words):
        click.echo(f'note: {account!r} is the name of nobody who is known here, and most lines have ids: give the id (`account list`)', err=True)
    return frozenset(words)


# -- Which log ----------------------------------------------------------------------------------------------------------


def target_of(text: str) -> Target:
    """The log of the relay, of an endpoint, or at a path. Raises BadInput."""
    from relay_parsl.home import Home

    if '/' in text or Path(text).is_file():
        return Target(text, Path(text))
    found = {each.name: each for each in logs_here(Home.find())}
    wanted = text if text == 'relay' else f'endpoint {text}'
    if wanted not in found:
        raise BadInput(f'no audit log of {text!r} here; there are: {", ".join(found) or "none"}')
    return found[wanted]


def logs_here(home: Home | None = None) -> list[Target]:
    """Every log of this home, and whose it is."""
    from relay_parsl.endpoint.place import Place
    from relay_parsl.home import Home

    home = home or Home.find()
    parties = [('relay', home.root / 'relay', home.root / 'relay' / 'relay.key')]
    parties += [(f'endpoint {place.name}', place.root, place.key) for place in Place.all(home)]
    return [Target(name, root / 'audit.log', identity_in(key)) for name, root, key in parties if (root / 'audit.log').exists()]


def identity_in(key: Path) -> bytes | None:
    """The identity key of whoever a key file is of."""
    from relay_parsl.home import Credentials

    return Credentials.load(key).card.identity if key.exists() else None
