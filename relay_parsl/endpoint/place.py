"""The directory of an endpoint: `~/.relay_parsl/endpoints/NAME`.

```
 endpoint.yaml   what it runs tasks on        endpoint.key    its Credentials
 relay.json      where its relay is           trusted.json    whose tasks it runs: names and identity keys
 endpoint.pid    which process it is          endpoint.grace  how long `stop` lets it take, until it has read that
 endpoint.log, journal.db, spool/, runs/
```
"""

from __future__ import annotations

import shutil
from pathlib import Path

from relay_parsl.daemon import PidFile, Process
from relay_parsl.endpoint import grace as notes
from relay_parsl.errors import ConfigError, HomeError
from relay_parsl.home import Credentials, Home, Pin, RelayEntry, check_name, read_private, write_private
from relay_parsl.home.files import damaged, from_json, to_json

ROOM = 'endpoints'
AFTERWARDS = 30.0
"""Seconds that an endpoint has after its grace, to end its workers and what runs before it is gone."""


class Place:
    """One endpoint's files."""

    def __init__(self, home: Home, name: str) -> None:
        """Nothing is made before something is written."""
        self.name = check_name(name)
        self.root = home.root / ROOM / name
        self._home = home

    @classmethod
    def all(cls, home: Home) -> list[Place]:
        """Every endpoint that has a directory in this home."""
        found = sorted((home.root / ROOM).glob('[!.]*')) if home.root.exists() else []
        return [cls(home, path.name) for path in found if path.is_dir()]

    @property
    def exists(self) -> bool:
        """Whether there is anything of it."""
        return self.root.is_dir()

    @property
    def config(self) -> Path:
        """The endpoint file."""
        return self.root / 'endpoint.yaml'

    @property
    def key(self) -> Path:
        """Its credentials."""
        return self.root / 'endpoint.key'

    @property
    def log(self) -> Path:
        """What it wrote while it ran detached."""
        return self.root / 'endpoint.log'

    @property
    def pid_file(self) -> PidFile:
        """Which process it is."""
        return PidFile(self.root / 'endpoint.pid', f'endpoint {self.name!r}')

    def stop(self, grace: float) -> tuple[Process | None, str]:
        """End its process, and leave `grace` seconds to what runs.

        Returns:
            The process, None when nothing ran, and why it could not be told the seconds and takes its own; else ''.

        Raises:
            ConfigError: it runs on another host.
            TimeoutError: it still runs long after.
        """
        running, why = self.pid_file.read(), ''
        try:
            if running and running.alive:
                notes.leave(self.root, running, grace)
        except HomeError as error:  # a full disk keeps nobody from stopping it
            why = str(error)
        return self.pid_file.stop(grace + AFTERWARDS), why

    def make(self) -> Path:
        """The directory, made when it is missing."""
        return self._home.directory(ROOM, self.name)

    def configure(self, text: bytes) -> None:
        """Keep an endpoint file."""
        self.make()
        write_private(self.config, text)

    def keep(self, name: str, content: bytes | None) -> None:
        """Keep a file beside it, or with None see to it that there is none."""
        self.make()
        if content is None:
            (self.root / name).unlink(missing_ok=True)
        else:
            write_private(self.root / name, content)

    # -- who it is, and to whom it belongs ---

    def enrolled(self, credentials: Credentials, relay: RelayEntry, owner: Pin) -> None:
        """Keep what joining a relay gave: its keys, where the relay is, and the owner as the first whose tasks it runs."""
        self.make()
        credentials.save(self.key)
        write_private(self.root / 'relay.json', to_json({'name': relay.name, **relay.plain()}))
        self.trust(owner)

    def forget(self) -> None:
        """Take `enrolled` back: the relay would not have it."""
        for name in ('endpoint.key', 'relay.json', 'trusted.json'):
            (self.root / name).unlink(missing_ok=True)

    def identity(self) -> tuple[RelayEntry, Credentials]:
        """Its relay and its keys. Raises ConfigError when it never joined a relay, HomeError when the files cannot be used."""
        path = self.root / 'relay.json'
        if not self.key.exists() or not path.exists():
            raise ConfigError(
                f'endpoint {self.name!r} has no keys here: on the machine where your account is, `relay-parsl invite {self.name} --role endpoint`, '
                "then here `relay-parsl join '<the URL that it prints>'`"
            )
        values = from_json(path, read_private(path))
        with damaged(path):
            name = str(values['name'])
        return RelayEntry.from_plain(name, values, str(path)), Credentials.load(self.key)

    def trusted(self) -> dict[str, Pin]:
        """Whose tasks it runs, by name. Raises HomeError when there is no such file, or it is damaged."""
        path = self.root / 'trusted.json'
        values = from_json(path, read_private(path))
        with damaged(path):
            return {name: Pin.from_plain(name, each) for name, each in values.items()}

    def trust(self, pin: Pin) -> None:
        """Run the tasks of this account too."""
        path = self.root / 'trusted.json'
        pins = {**(self.trusted() if path.exists() else {}), pin.name: pin}
        write_private(path, to_json({each.name: each.plain() for each in pins.values()}))

    def delete(self) -> None:
        """Remove the directory with everything in it. Raises ConfigError while it runs."""
        running = self.pid_file.running() if self.exists else None
        if running:
            raise ConfigError(f'endpoint {self.name!r} runs as {running}: stop it first')
        try:
            shutil.rmtree(self.root)
        except OSError as error:
            raise HomeError(f'{self.root} cannot be removed: {error.strerror}') from None


def keep_relay(root: Path, _before: RelayEntry, after: RelayEntry) -> None:
    """Keep what the relay of the endpoint in `root` has said of its keys, in the place of what was known. Raises HomeError."""
    if (root / 'relay.json').exists():
        write_private(root / 'relay.json', to_json({'name': after.name, **after.plain()}))
