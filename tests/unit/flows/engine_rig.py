"""An engine in a thread over a journal of its own, with the providers of tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from relay_parsl.flows.actions.base import Action, Surroundings
from relay_parsl.flows.catalogue import standard
from relay_parsl.flows.definition import Definition
from relay_parsl.flows.engine import Engine
from relay_parsl.flows.flow import Flow
from relay_parsl.flows.journal import Journal
from relay_parsl.flows.settings import Settings
from relay_parsl.home import Home
from tests.unit.flows import providers

ACTIONS = {'append': {'type': 'tests.unit.flows.providers:Append'}, 'scripted': {'type': 'tests.unit.flows.providers:Scripted'}}
PATIENCE = 30.0


def flow(states: dict[str, Any], start: str = '') -> Definition:
    """A definition, read as any other; it starts at its first state."""
    document = {'StartAt': start or next(iter(states)), 'States': states}
    return Flow.from_dict(document, catalogue=standard().more(ACTIONS)).definition


def action(do: str, **more: Any) -> dict[str, Any]:
    """A state that calls the scripted provider, and ends the flow."""
    state = {'Type': 'Action', 'ActionUrl': 'https://example.org/scripted', 'Parameters': {'do': do}, 'ResultPath': '$.r', 'End': True}
    return {key: value for key, value in {**state, **more}.items() if value is not None}


def until(condition: Callable[[], Any], what: str = '') -> Any:
    """The first true value of it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError(f'not in time: {what or condition}')


class Rig:
    """A journal, and an engine that can be stopped and started again."""

    def __init__(self, tmp_path: Path, settings: Settings | None = None) -> None:
        self.home = Home(tmp_path / 'home')
        self.journal = Journal.open(self.home)
        self.settings = settings or Settings()
        self.made: list[Action] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.engine: Engine | None = None

        class Scripted(providers.Scripted):
            """With a list of its own, and known to the rig."""

            calls: ClassVar[list[tuple[str, str]]] = []

            def __init__(inner, surroundings: Surroundings) -> None:  # noqa: N805  the rig is `self`
                super().__init__(surroundings)
                self.made.append(inner)

        self.scripted = Scripted

    @property
    def calls(self) -> list[tuple[str, str]]:
        """What the scripted provider was called for."""
        return self.scripted.calls

    @property
    def provider(self) -> providers.Scripted:
        """The scripted one, as made last."""
        made: Any = until(lambda: self.made, 'the provider was made')[-1]
        return made  # type: ignore[no-any-return]

    def find(self, name: str) -> type[Action]:
        """Where the engine has its actions from."""
        return self.scripted if name == 'scripted' else providers.find(name)

    def start(self) -> None:
        """Start an engine."""
        self._stop = threading.Event()
        engine = self.engine = Engine(self.journal, self.settings, find=self.find, lease=2.0)
        self._thread = threading.Thread(target=engine.serve, args=(self._stop,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop it, and wait for its end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive()
            self._thread = None

    def close(self) -> None:
        """The end."""
        self.stop()
        self.journal.close()

    def submit(self, states: dict[str, Any], body: Any = None, **more: Any) -> str:
        """A run."""
        return self.journal.submit(flow(states), body or {}, **more)

    def ended(self, run_id: str) -> dict[str, Any]:
        """The run, when it has ended."""
        until(lambda: self.journal.status(run_id) not in ('ACTIVE', 'INACTIVE'), f'run {run_id} ended')
        return self.journal.run(run_id)

    def settled(self) -> None:
        """Wait until nothing is left to do with any action."""
        until(lambda: not self.journal.file.one('SELECT count(*) FROM actions WHERE settled = 0')[0], 'all actions are settled')

    def codes(self, run_id: str) -> list[str]:
        """Of its event log."""
        return [str(entry['code']) for entry in self.journal.log(run_id)]
