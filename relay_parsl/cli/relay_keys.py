"""`relay-parsl relay rotate`, `key` and `pin`: a relay's own key, which everybody has pinned, and the one that follows it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from relay_parsl.cli import dates
from relay_parsl.cli.show import BadInput, json_option, moment, outcome

if TYPE_CHECKING:
    from pathlib import Path

    from relay_parsl.home import Home, RelayEntry

OVERLAP = 30 * 86400.0
"""Seconds for which the next key is announced before it counts, where nobody says otherwise."""


@click.command()
@click.option('--until', callback=dates.until, metavar='DATE', help='How long the key of now serves: 2027-01-31, or 30d.  [default: 30d]')
@click.option('--cancel', is_flag=True, help='Keep the key of now: what was announced is taken back.')
@json_option
def rotate(until: float | None, cancel: bool, as_json: bool) -> None:
    """Give the relay of this home a new key, which counts from DATE on. Until then everybody who connects hears of it.

    Clients and endpoints keep what they have heard and go over by themselves. Who does not connect before DATE must be told the new key
    (`relay-parsl relay key`), and so must versions that do not know of this. A relay that runs announces it within a second. Said again, it
    changes the date. Make a backup with keys afterwards: one from before does not have the new key.

    Who has heard of a date and does not connect again before it goes by that date: with a later one it waits until then, and after --cancel it must
    be told the key.
    """
    from relay_parsl.cli.relay import pid_file
    from relay_parsl.client.enrol import LIFETIME
    from relay_parsl.home import Home
    from relay_parsl.relay.keyring import NEXT, announce, heir_of

    home = Home.find()
    directory = directory_of(home)
    if cancel:
        if heir_of(directory) is None:
            raise BadInput('no next key is announced')
        (directory / NEXT).unlink()
        outcome('the relay keeps its key; whoever has heard of another one hears of that', keys_of(directory), as_json=as_json)
        return
    now = time.time()
    heir = announce(directory, until or now + OVERLAP, now, LIFETIME)
    tell_own(home, directory)
    text = f'until {moment(heir.since)} the relay serves under its key of now, and from then on under {text_of(heir.credentials.keys.curve_public)}'
    following = 'next: relay-parsl relay backup FILE, for a backup from before does not have the new key'
    outcome(f'{text}\n{following}', keys_of(directory), as_json=as_json)
    if pid_file(home).running() is None:
        click.echo('note: the relay does not run here: nobody hears of it before it does', err=True)


def directory_of(home: Home) -> Path:
    """The relay's. Raises BadInput where there is none."""
    from relay_parsl.relay.keyring import KEY

    if not (home.root / 'relay' / KEY).exists():
        raise BadInput(f'there is no relay in {home.root}: run this where it is, as the user who runs it')
    return home.directory('relay')


def tell_own(home: Home, directory: Path) -> None:
    """The accounts of the relay's own home need not connect to hear of it."""
    from relay_parsl.relay.keyring import Keyring

    ring = Keyring(directory, 0.0)
    key = ring.current.keys.curve_public
    for entry in home.relays().values():
        if entry.key == key:
            home.follow_relay(entry, entry.told(key, ring.succession))


@click.command()
@json_option
def key(as_json: bool) -> None:
    """Print the public key of this home's relay, and the next one where that is announced: to be given to `relay pin` elsewhere."""
    from relay_parsl.home import Home

    known = keys_of(directory_of(Home.find()))
    following = f'\n{known["next_key"]} from {moment(known["next_key_from"])} on' if known['next_key'] else ''
    outcome(f'{known["key"]}{following}', known, as_json=as_json)


def keys_of(directory: Path) -> dict[str, Any]:
    """The relay's public key, and where one is announced the next one, and when that counts."""
    from relay_parsl.home import Credentials
    from relay_parsl.relay.keyring import KEY, heir_of

    heir = heir_of(directory)
    return {
        'key': text_of(Credentials.load(directory / KEY).keys.curve_public),
        'next_key': text_of(heir.credentials.keys.curve_public) if heir else None,
        'next_key_from': heir.since if heir else None,
    }


@click.command()
@click.argument('key')
@click.option('--relay', metavar='NAME|URL', help='Which one.  [default: the only one that this home knows]')
@click.option('--at', metavar='HOST:PORT', help='Where it is now, if it has moved.')
@json_option
def pin(key: str, relay: str | None, at: str | None, as_json: bool) -> None:
    """Have this home take KEY for the key of its relay, for its accounts and endpoints: what its operator has told you.

    For a machine that was away while the relay announced its new key, and for a relay that has moved. Ask the operator in person, or over a way
    that you trust: whoever has the key that you pin here can be the relay for you.
    """
    from relay_parsl.cli.relay import address
    from relay_parsl.endpoint.place import Place, keep_relay
    from relay_parsl.home import Home

    home, new, moved = Home.find(), bytes_of(key), f'tcp://{address(at, "--at")}' if at else ''
    places = [place for place in Place.all(home) if place.key.exists()]
    here = [*home.relays().values()]
    there = [(place, place.identity()[0]) for place in places]
    urls = sorted({entry.url for entry in (*here, *[entry for _, entry in there]) if relay in (None, entry.name, entry.url)})
    if len(urls) != 1:
        raise BadInput(f'say which relay with --relay: known are {", ".join(urls)}' if urls else 'no such relay is known here: join it first')
    for entry in here:
        if entry.url == urls[0]:
            home.add_relay(pinned(entry, new, moved))
    concerned = [(place, entry) for place, entry in there if entry.url == urls[0]]
    for place, entry in concerned:
        keep_relay(place.root, entry, pinned(entry, new, moved))
    lines = [f'next, if it runs: relay-parsl endpoint restart {place.name} --detach' for place, _ in concerned]
    lines.append(f'the relay at {moved or urls[0]} has the key {text_of(new)}')
    told = {'address': moved or urls[0], 'key': text_of(new), 'endpoints': [place.name for place, _ in concerned]}
    outcome('\n'.join(lines), told, as_json=as_json)


def pinned(entry: RelayEntry, key: bytes, url: str = '') -> RelayEntry:
    """The entry, with a key, and perhaps a place, that somebody has told us; what was known of its keys before counts no more."""
    return replace(entry, url=url or entry.url, key=key, identity=b'', heir=b'', since=0.0)


def text_of(key: bytes) -> str:
    """A key for people to copy."""
    from relay_parsl.home import to_text

    return to_text(key)


def bytes_of(text: str) -> bytes:
    """What `text_of` printed. Raises BadInput."""
    from relay_parsl.home import to_bytes

    try:
        found = to_bytes(text.strip())
    except (ValueError, TypeError):
        found = b''
    if len(found) != 32:
        raise BadInput(f'{text!r} is no key: copy the whole line that `relay-parsl relay key` prints')
    return found
