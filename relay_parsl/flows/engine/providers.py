"""The action providers of one engine: made when they are first called, and the calls themselves, which no provider's fault can break."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from relay_parsl.flows.actions.base import Action, ActionConflict, ActionUnableToRun, Call, Records, Surroundings
from relay_parsl.flows.definition import Json
from relay_parsl.flows.engine.errands import Errand, Outcome
from relay_parsl.flows.journal.coding import write
from relay_parsl.flows.journal.file import StoreWaits
from relay_parsl.flows.messages import ACTIVE, FAILED, INACTIVE, SUCCEEDED, ActionStatus

log = logging.getLogger(__name__)

Find = Callable[[str], 'type[Action]']
"""The class of an action by its name in the catalogue; raises KeyError."""
Check = Callable[[Json], Callable[[Json], str]]
"""Of a JSON Schema what says what is wrong with a body by it; '' for nothing."""
STATUSES = (ACTIVE, INACTIVE, SUCCEEDED, FAILED)


class Providers:
    """By name. Thread-safe."""

    def __init__(
        self,
        find: Find,
        check: Check,
        records: Callable[[str], Records],
        settings: Callable[[str], Mapping[str, Any]],
        report: Callable[[str, str], None],
        account: str = '',
    ) -> None:
        """Nothing is made yet.

        Args:
            find: The classes.
            check: Input schemas.
            records: The rows of a section of the settings.
            settings: A section of the settings.
            report: Called with an action's name and an action id.
            account: The user whose runs these are.
        """
        self._find, self._check, self._records, self._settings, self._report, self._account = find, check, records, settings, report, account
        self._made: dict[str, Action] = {}
        self._checks: dict[str, Callable[[Json], str]] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Action:
        """The provider of this name.

        Raises:
            KeyError: there is none.
            Exception: it cannot be made.
        """
        with self._lock:
            if name not in self._made:
                kind = self._find(name)
                section = kind.description.section or name
                about = (self._records(section), self._settings(section), partial(self._report, name), time.time, self._account)
                self._made[name] = kind(Surroundings(*about))
            return self._made[name]

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            made, self._made = self._made, {}
        for name, provider in made.items():
            with suppress(Exception):
                provider.close()
                log.debug('closed %s', name)

    def perform(self, errand: Errand, call: str, sure: Callable[[], bool]) -> Outcome:
        """Make a call, in whichever thread.

        Args:
            errand: Of which action.
            call: Which of the five methods.
            sure: Whether no other engine can have taken over.
        """
        if not sure():
            return Outcome(errand, call, postponed=True)
        if call == 'run' and errand.deed.wish == 'cancel' and not errand.asked:
            return Outcome(errand, call, refused='cancelled before it was begun')
        try:
            return Outcome(errand, call, status=self._sound(self._made_call(errand, call)))
        except Exception as error:  # noqa: BLE001  whatever a provider raises, the engine goes on
            return self._raised(errand, call, error)

    def _raised(self, errand: Errand, call: str, error: Exception) -> Outcome:
        if isinstance(error, ActionUnableToRun):
            return Outcome(errand, call, refused=str(error) or 'the provider gives no reason')
        if isinstance(error, StoreWaits):
            return Outcome(errand, call, postponed=True)
        if isinstance(error, (KeyError, ActionConflict)) and call != 'run':
            return Outcome(errand, call, missing=True)
        action = errand.deed.command.action
        log.warning('action %s, %s of %s', action, call, errand.deed.command.request_id, exc_info=error)
        return Outcome(errand, call, error=f'{action}: {type(error).__name__}: {error}'.rstrip(': '))

    def _made_call(self, errand: Errand, call: str) -> ActionStatus:
        command, status = errand.deed.command, errand.deed.status
        try:
            provider = self.get(command.action)
        except KeyError:
            raise ActionUnableToRun(
                f'there is no action {command.action!r} here: install its plug-in, or name it under `actions` in flows.yaml'
            ) from None
        if call != 'run':
            method: Callable[[str], ActionStatus] = getattr(provider, call)
            return method(status.action_id if status else command.request_id)
        if fault := self._fault(provider, command.body):
            raise ActionUnableToRun(f'{command.action} takes no such body: {fault}')
        errand.asked = True
        about = (command.label, errand.deed.intent, command.deadline, errand.record.context)
        return provider.run(Call(command.request_id, json.loads(write(command.body)), *about))

    def _fault(self, provider: Action, body: Json) -> str:
        described = provider.description
        if described.input_schema is None:
            return ''
        if described.name not in self._checks:
            self._checks[described.name] = self._check(described.input_schema)
        return self._checks[described.name](body)

    def _sound(self, status: ActionStatus) -> ActionStatus:
        """A status that can be written down, whatever the provider does afterwards with what it returned."""
        if status.status not in STATUSES:
            raise ValueError(f'the provider says {status.status!r}, which is no status')
        over = status.status in (SUCCEEDED, FAILED)
        end = (status.completion_time or time.time()) if over else None
        details = json.loads(write(status.details))
        return ActionStatus(str(status.action_id), status.status, details, str(status.display_status), status.start_time, end)
