"""The directory of one user, or of one private relay."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from relay_parsl.errors import ConfigError, HomeError
from relay_parsl.home.backup import lock, unlock
from relay_parsl.home.files import (
    HOME,
    check_directory,
    check_name,
    damaged,
    from_json,
    is_name,
    read_private,
    to_bytes,
    to_json,
    to_text,
    write_private,
)
from relay_parsl.home.records import Credentials, PendingInvite, Pin, RelayEntry

RELAY = 'RELAY_PARSL_RELAY'
CREDENTIALS = 'RELAY_PARSL_CREDENTIALS'


class Home:
    """The directory of one user, or of one private relay. Made when first used; every access checks modes and owner."""

    def __init__(self, root: Path | str) -> None:
        """`root` need not exist yet."""
        self.root = Path(root).expanduser().absolute()

    @classmethod
    def find(cls) -> Home:
        """The one at `$RELAY_PARSL_HOME`, else `~/.relay_parsl`."""
        return cls(os.environ.get(HOME) or '~/.relay_parsl')

    def directory(self, *parts: str) -> Path:
        """A directory under the root, made with mode 0700 where it is missing. Raises HomeError for looser modes, other owners, symbolic links."""
        path = check_directory(self.root, parents=True)
        for part in parts:
            path = check_directory(path / check_name(part))
        return path

    def credentials_path(self, name: str) -> Path:
        """Where the credentials of the account `name` are kept."""
        return self.directory('accounts') / f'{check_name(name)}.key'

    # -- relays ---

    def relays(self) -> dict[str, RelayEntry]:
        """Every relay that was joined, by name. Empty when there is none, and then nothing is made on disk."""
        if not self.root.exists():
            return {}
        found = sorted(self.directory('relays').glob('[!.]*.json'))
        return {path.stem: self._relay(path) for path in found}

    def _relay(self, path: Path) -> RelayEntry:
        return RelayEntry.from_plain(path.stem, from_json(path, read_private(path)), str(path))

    def add_relay(self, entry: RelayEntry) -> None:
        """Keep `entry`; it replaces one of the same name."""
        write_private(self.directory('relays') / f'{check_name(entry.name)}.json', to_json(entry.plain()))

    def follow_relay(self, before: RelayEntry, after: RelayEntry) -> None:
        """Keep what a relay has said of its keys, wherever this home knows it by the key that it has or had. Raises HomeError."""
        with self._locked():
            for entry in self.relays().values():
                if entry.url == before.url and entry.key in (before.key, after.key):
                    self.add_relay(replace(after, name=entry.name, credentials=entry.credentials))

    def find_relay(self, relay: str | None = None, credentials: str | None = None) -> tuple[RelayEntry, Credentials]:
        """Which relay, and as whom: the arguments, then `$RELAY_PARSL_RELAY` and `$RELAY_PARSL_CREDENTIALS`, then the only relay there is.

        Args:
            relay: a name or a URL (`tcp://host:port`).
            credentials: a path, or the name of an account kept here.

        Raises:
            ConfigError: none, or more than one, fits; the text names the remedy.
            HomeError: the files are there and cannot be used.
        """
        entry = self._choose(relay or os.environ.get(RELAY) or '')
        chosen = credentials or os.environ.get(CREDENTIALS) or entry.credentials
        return entry, Credentials.load(self._credentials(chosen))

    def _choose(self, relay: str) -> RelayEntry:
        known = self.relays()
        fits = [entry for entry in known.values() if relay in ('', entry.name, entry.url)]
        if not known:
            raise ConfigError('no relay is known here: `relay-parsl join URL` with an invitation, or `relay-parsl relay start` for one of your own')
        if not fits:
            raise ConfigError(f'no relay {relay!r} was joined; known: {", ".join(known)}. `relay-parsl join URL` adds one')
        if len(fits) > 1:
            raise ConfigError(f'several relays are known: {", ".join(known)}. Say which: relay=… or ${RELAY}')
        return fits[0]

    def _credentials(self, chosen: str) -> Path:
        path = self.root / Path(chosen).expanduser()
        named = self.root / 'accounts' / f'{chosen}.key'
        return named if not path.exists() and is_name(chosen) and named.exists() else path

    # -- pins ---

    def pins(self) -> dict[str, Pin]:
        """Every name that this account confirmed."""
        path = self.root / 'pins.json'
        if not path.exists():
            return {}
        values = from_json(path, read_private(path))
        with damaged(path):
            return {name: Pin.from_plain(name, each) for name, each in values.items()}

    def pin(self, pin: Pin, *, replace: bool = False) -> None:
        """Confirm a name. Raises HomeError when it stands for another identity already, unless `replace`."""
        with self._locked():
            pins = self.pins()
            known = pins.get(check_name(pin.name))
            if known and known.identity != pin.identity and not replace:
                raise HomeError(f'{pin.name!r} is pinned to another identity: someone took the name, or it was made anew; unpin it if sure')
            serial = max(pin.serial, known.serial if known and known.identity == pin.identity else 0)
            self._write_pins({**pins, pin.name: pin.at(serial)})

    def unpin(self, name: str) -> None:
        """Forget a name, if it is known."""
        with self._locked():
            self._write_pins({key: pin for key, pin in self.pins().items() if key != name})

    def _write_pins(self, pins: Mapping[str, Pin]) -> None:
        write_private(self.directory() / 'pins.json', to_json({name: pin.plain() for name, pin in pins.items()}))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time; where the filesystem has no locks, the last writer wins."""
        fd = os.open(self.directory() / '.lock', os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    # -- invitations ---

    def invites(self) -> list[PendingInvite]:
        """What this account gave out and has not dropped yet."""
        if not self.root.exists():
            return []
        return [self._invite(path) for path in sorted(self.directory('invites').glob('[!.]*.json'))]

    def _invite(self, path: Path) -> PendingInvite:
        values = from_json(path, read_private(path))
        with damaged(path):
            secret, expires = to_bytes(values['secret']), float(values['expires'])
            about = str(values['name']), str(values['role']), secret, bytes.fromhex(path.stem), expires
            return PendingInvite(*about, str(values['relay']), to_bytes(values.get('inviter', '')), float(values.get('until', 0.0)))

    def add_invite(self, invite: PendingInvite) -> None:
        """Keep it until the joiner is confirmed, and vouched for at the relay."""
        values = {
            'name': invite.name, 'role': invite.role, 'secret': to_text(invite.secret), 'expires': invite.expires, 'relay': invite.relay,
            'inviter': to_text(invite.inviter), 'until': invite.until,
        }  # fmt: skip
        write_private(self.directory('invites') / f'{invite.token_hash.hex()}.json', to_json(values))

    def drop_invite(self, invite: PendingInvite) -> None:
        """The joiner is confirmed, or never came."""
        (self.directory('invites') / f'{invite.token_hash.hex()}.json').unlink(missing_ok=True)

    # -- shares ---

    def share(self, endpoint: bytes) -> bytes:
        """What an account of this home has last signed, or seen of its own, about the guests of an endpoint; empty: nothing. Raises HomeError."""
        path = self.directory('shares') / f'{endpoint.hex()}.json'
        if not path.exists():
            return b''
        with damaged(path):
            return to_bytes(from_json(path, read_private(path))['statement'])

    def keep_share(self, endpoint: bytes, statement: bytes) -> None:
        """Remember it: a relay that shows an older one is not believed."""
        write_private(self.directory('shares') / f'{endpoint.hex()}.json', to_json({'statement': to_text(statement)}))

    # -- moving an account ---

    def export_account(self, name: str, path: Path | str, passphrase: str) -> None:
        """Write the account `name`, its relays and all pins to `path`, under a passphrase. Raises ConfigError, HomeError."""
        source = self.credentials_path(name)
        values = {
            'credentials': Credentials.load(source).plain(),
            'relays': {entry.name: entry.plain() for entry in self.relays_of(name)},
            'pins': {pin.name: pin.plain() for pin in self.pins().values()},
        }
        write_private(path, lock(to_json(values), passphrase))

    def relays_of(self, name: str) -> list[RelayEntry]:
        """Where the account `name` is used when nobody says otherwise."""
        source = self.credentials_path(name)
        return [entry for entry in self.relays().values() if self._credentials(entry.credentials) == source]

    @staticmethod
    def _is_newer(credentials: Credentials, target: Path) -> bool:
        """Whether these are keys of the account that is there already, after a rotation."""
        if not target.exists():
            return False
        there = Credentials.load(target)
        return there.id == credentials.id and there.card.serial < credentials.card.serial

    def import_account(self, path: Path | str, passphrase: str) -> Credentials:
        """Take in what `export_account` wrote elsewhere. Nothing that is here already is overwritten. Raises HomeError."""
        values = from_json(path, unlock(read_private(path), passphrase, str(path)))
        with damaged(path):
            credentials = Credentials.from_plain(values['credentials'], str(path))
            entries = [RelayEntry.from_plain(name, each, str(path)) for name, each in values['relays'].items()]
            pins = [Pin.from_plain(name, each) for name, each in values['pins'].items()]
        target = self.credentials_path(credentials.name)
        credentials.save(target, replace=self._is_newer(credentials, target))
        known = self.relays()
        for entry in entries:
            if entry.name not in known:
                self.add_relay(replace(entry, credentials=f'accounts/{target.name}'))
        for pin in pins:
            with suppress(HomeError):  # what was confirmed here stands
                self.pin(pin)
        return credentials
