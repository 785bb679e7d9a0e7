"""A relay in the hands of an attacker: it has the relay's key, its store, and every byte that passes.

It is the real relay, so that everything works as long as the attacker keeps still. What passes goes through his hands, by the real codec: `up` and
`down` change messages on their way, `say` and `dispatch` make some up, `seen` and `heard` are what he has recorded, and `restart` lets him
put another store in the place of this one.
"""

from __future__ import annotations

import pickle
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from relay_parsl.endpoint.founding import founders
from relay_parsl.home import Credentials, Home, RelayEntry
from relay_parsl.relay.server import Founder, RelayServer
from relay_parsl.wire import codec
from relay_parsl.wire.messages import Attempt, Body, Dispatch, Id, Leased, Message, Recorded, Results

M = TypeVar('M')
PATIENCE = 40.0

Change = Callable[[Any], Any]
"""Makes another message of one, or None: then it is withheld."""


def until(holds: Callable[[], M], what: object = 'it', seconds: float = PATIENCE) -> M:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f'{what} did not come about'
        time.sleep(0.01)
    return found


@dataclass
class Canary:
    """An object whose pickle, when it is read, makes a file."""

    path: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), 'w')

    @property
    def pickled(self) -> Body:
        """As bytes that an attacker sends."""
        return Body(pickle.dumps(self))

    @property
    def sings(self) -> bool:
        """Whether somebody has read it."""
        return self.path.exists()


class _Hands:
    """The relay's socket, with the attacker's hands around it."""

    def __init__(self, relay: HostileRelay, router: Any) -> None:
        self._relay, self._router = relay, router

    def __getattr__(self, name: str) -> Any:
        return getattr(self._router, name)

    def receive(self, limit: int) -> list[tuple[Any, Any]]:
        """What came, as he wants the relay to see it."""
        got = []
        for peer, message in self._router.receive(limit):
            self._relay.heard.append(message)
            changed = _changed(self._relay.up, message)
            got += [] if changed is None else [(peer, changed)]
        return got

    def send(self, routing: bytes, message: Message) -> bool:
        """What leaves, as he wants it; what he withholds counts as sent."""
        self._relay.seen.append(message)
        changed = _changed(self._relay.down, message)
        return changed is None or bool(self._router.send(routing, changed))


def _changed(changes: dict[type, Change], message: Any) -> Any:
    return changes[type(message)](message) if type(message) in changes else message


class HostileRelay:
    """See the module. `up` and `down` are by the type of message; all of it happens in the relay's thread."""

    def __init__(self, home: Home) -> None:
        """Starts, honest as yet."""
        self.home = home
        self.up: dict[type, Change] = {}
        self.down: dict[type, Change] = {}
        self.seen: list[Any] = []
        self.heard: list[Any] = []
        self._bind = 'tcp://127.0.0.1:0'
        self.founders: list[Founder] = list(founders(home))
        self._start()
        self._bind = f'tcp://127.0.0.1:{self.server.port}'
        key = Credentials.load(home.directory('relay') / 'relay.key').keys.curve_public
        self.entry = RelayEntry('stolen', self._bind, key, '')

    def _start(self) -> None:
        self.server = RelayServer(self.home, self._bind, bootstrap=self.founders)
        self.server.start()
        self.server._router = _Hands(self, self.server._router)  # type: ignore[assignment]
        self._thread = threading.Thread(target=self.server.run, name='hostile relay')
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self.server.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def keep(self, copy: Path) -> None:
        """Stop, and keep a copy of the store as it is now."""
        self.close()
        shutil.copytree(self.home.directory('relay'), copy)
        self._start()

    def restart(self, copy: Path | None = None) -> None:
        """Stop and start, on the store that was kept as `copy`."""
        self.close()
        if copy is not None:
            for each in self.home.directory('relay').glob('relay.db*'):
                each.unlink()
            for each in copy.glob('relay.db*'):
                shutil.copy(each, self.home.directory('relay'))
        self._start()

    def write(self, act: Callable[[sqlite3.Connection], object]) -> None:
        """Stop, change the store by hand, and start."""
        self.close()
        store = sqlite3.connect(self.home.directory('relay') / 'relay.db')
        try:
            act(store)
            store.commit()
        finally:
            store.close()
        self._start()

    def honest(self) -> None:
        """Change nothing from now on."""
        self.up, self.down = {}, {}

    def do(self, act: Callable[[], object]) -> None:
        """Have this done in the relay's thread, and wait until it is."""
        done = threading.Event()
        self.server._events.append(lambda _now: (act(), done.set()))
        self.server._wake()
        assert done.wait(PATIENCE)

    def endpoint(self, account: Id) -> Any:
        """The session of an endpoint, once it has said what it holds."""

        def session() -> Any:
            found = self.server._reactor._core.endpoints.get(account)
            return found if found is not None and found.judged else None

        return until(session, 'the session of the endpoint')

    def say(self, account: Id, *messages: Message) -> None:
        """A message of the attacker's own to an endpoint."""
        routing = self.endpoint(account).routing
        self.do(lambda: [self.server._router.send(routing, each) for each in messages])

    def dispatch(self, account: Id, *tasks: Leased) -> None:
        """Tasks of the attacker's choice, as leases of the session that is open."""
        session = self.endpoint(account)

        def act() -> None:
            session.serial += 1
            self.server._router.send(session.routing, Dispatch(session.number, session.serial, tasks))

        self.do(act)

    def dispatched(self, task_id: Id) -> Leased:
        """A task as it went to its endpoint, recorded."""

        def find() -> list[Leased]:
            tasks = [each for message in list(self.seen) if isinstance(message, Dispatch) for each in message.tasks]
            return [each for each in tasks if codec.task_header(each.header).task_id == task_id]

        return until(find, 'the dispatch')[-1]

    def recorded(self, task_id: Id, attempt: int) -> bool:
        """Whether an endpoint was told that the end of an attempt is recorded: then it speaks of it no more."""
        told = [each for message in list(self.seen) if isinstance(message, Recorded) for each in message.tasks]
        return Attempt(task_id, attempt) in told

    def reasons(self, task_id: Id) -> list[str]:
        """What endpoints have said, unsealed, of why they did not run a task."""
        results = [each for message in list(self.heard) if isinstance(message, Results) for each in message.results]
        headers = [codec.result_header(each.header) for each in results]
        return [each.reason for each in headers if each.task_id == task_id and each.reason]
