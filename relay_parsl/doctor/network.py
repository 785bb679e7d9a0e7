"""Facts about relays: whether they are reached, are what they should be, and what they tell."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from relay_parsl.client.admin import Desk
from relay_parsl.daemon import PidFile
from relay_parsl.doctor.facts import Endpoint, Relay
from relay_parsl.endpoint.place import Place
from relay_parsl.errors import ConfigError, RelayError
from relay_parsl.home import Credentials, Following, Home, RelayEntry
from relay_parsl.relay.keyring import heir_of
from relay_parsl.transport import Dealer

PATIENCE = 5.0
"""Seconds for a handshake, and for each answer."""
ASKS = ('user', 'service', 'operator')
"""Roles that may ask a relay how it is; an endpoint's key only shows that it is let in."""
LISTENS = '0A'
"""TCP_LISTEN in /proc/net/tcp."""


def known(home: Home) -> list[tuple[RelayEntry, Credentials]]:
    """Every relay that this home knows, once for each key that is used there. What cannot be read is told by the look at keys."""
    found: dict[tuple[str, str], tuple[RelayEntry, Credentials]] = {}
    makers: list[Callable[[], tuple[RelayEntry, Credentials]]] = [partial(home.find_relay, name) for name in relay_names(home)]
    makers += [place.identity for place in Place.all(home) if place.key.exists()]
    for make in makers:
        try:
            entry, own = make()
        except RelayError:
            continue
        if own.role in ASKS or entry.url not in [url for url, _ in found]:
            found[entry.url, own.name] = entry, own
    return list(found.values())


def relay_names(home: Home) -> list[str]:
    """Those that were joined."""
    try:
        return list(home.relays())
    except RelayError:
        return []


def look(home: Home, entry: RelayEntry, own: Credentials) -> tuple[Relay, list[Endpoint]]:
    """One relay, and the endpoints that it shows us."""
    facts: dict[str, Any] = {'name': entry.name, 'url': entry.url, **own_relay(home, entry)}
    try:
        took, state = handshake(entry, own)
    except ConfigError as error:
        return Relay(**facts, state='refused', fault=str(error)), []
    facts['took'] = took
    if state or own.role not in ASKS:
        return Relay(**facts, state=state or 'admits'), []
    try:
        return ask(facts, entry, own)
    except RelayError as error:
        return Relay(**facts, state='refused', fault=str(error)), []


def handshake(entry: RelayEntry, own: Credentials) -> tuple[float, str]:
    """Seconds until the CURVE handshake was over, and why it was not: '' when it was. Raises ConfigError."""
    following = Following(entry)
    dealer = Dealer(entry.url, following.key, own.keys.curve)
    start = time.monotonic()
    try:
        while (waited := time.monotonic() - start) < PATIENCE:
            dealer.wait(0.05)
            failure = dealer.failure
            if dealer.handshakes:
                return time.monotonic() - start, ''
            if key := following.turn(failure) if waited < PATIENCE / 2 else b'':
                dealer.reconnect(server_key=key)
                continue
            if failure in ('unknown-key', 'handshake') or (failure == 'unreachable' and waited > PATIENCE / 2):
                return waited, failure
        return PATIENCE, dealer.failure or 'silent'
    finally:
        dealer.close()


def ask(facts: dict[str, Any], entry: RelayEntry, own: Credentials) -> tuple[Relay, list[Endpoint]]:
    """What it tells. Raises RelayError."""
    with Desk(entry, own, timeout=PATIENCE) as desk:
        start = time.time()
        told = desk.order('status')
        middle = (start + time.time()) / 2
        rows = desk.rows('endpoints')
    skew = float(told['time']) - middle if 'time' in told else None
    versions = {str(name): str(each) for name, each in (told.get('version') or {}).items()}
    relay = Relay(**facts, state='answers', skew=skew, versions=versions, full=bool(told.get('full')), audit=str(told.get('audit', '')))
    return relay, [endpoint(row) for row in rows]


def endpoint(row: dict[str, Any]) -> Endpoint:
    """One row of the relay's list."""
    report = row.get('report') or {}
    versions = row.get('versions') or {}
    return Endpoint(
        str(row['name']), bool(row['online']), str(versions.get('relay_parsl', '')), str(report.get('audit', '')), str(report.get('clock', ''))
    )


def own_relay(home: Home, entry: RelayEntry) -> dict[str, Any]:
    """Whether the relay is the one of this home, its process, and who listens on its port here."""
    path = home.root / 'relay' / 'relay.key'
    try:
        own = path.exists() and Credentials.load(path).keys.curve_public in (entry.key, entry.heir)
        heir = heir_of(path.parent) if own else None
        process = PidFile(home.root / 'relay' / 'relay.pid', 'the relay').running() if own else None
    except RelayError:
        return {}
    who, where = listener(int(entry.url.rpartition(':')[2])) if own else ('', '')
    since = heir.since if heir else entry.since
    return {'own': own, 'since': since, 'pid': process.pid if process else 0, 'port_of': who, 'bound': where}


def listener(port: int) -> tuple[str, str]:
    """Who listens on a port of this host, and at which address; '' for nobody, or where the system does not tell."""
    for table in (Path('/proc/net/tcp'), Path('/proc/net/tcp6')):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            words = line.split()
            if words[3] == LISTENS and int(words[1].rpartition(':')[2], 16) == port:
                return f'{holder(words[9])} of uid {words[7]}', dotted(words[1].rpartition(':')[0])
    return '', ''


def dotted(address: str) -> str:
    """An address of such a table, which has words of four bytes as this machine has them."""
    raw = b''.join(bytes.fromhex(address[at : at + 8])[:: -1 if sys.byteorder == 'little' else 1] for at in range(0, len(address), 8))
    found = ip_address(raw)
    return str(getattr(found, 'ipv4_mapped', None) or found)


def holder(inode: str) -> str:
    """The process that has a socket open, where we may look."""
    for each in Path('/proc').glob('[0-9]*'):
        for link in links(each / 'fd'):
            if link == f'socket:[{inode}]':
                return f'process {each.name}'
    return 'a process'


def links(directory: Path) -> Iterator[str]:
    """Where the links of a directory lead, as far as we may look."""
    try:
        for link in directory.iterdir():
            yield str(link.readlink())
    except OSError:
        return
