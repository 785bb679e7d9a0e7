"""Action providers for tests of the engine: what they do, each once, is a file."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from relay_parsl.flows.actions import keys
from relay_parsl.flows.actions.base import Action, ActionUnableToRun, Call, Description, Surroundings
from relay_parsl.flows.messages import ACTIVE, FAILED, INACTIVE, SUCCEEDED, ActionStatus

MARKS = 'RELAY_PARSL_TEST_MARKS'
"""The variable that names the directory of what was done."""


def mark(request_id: str, text: str) -> None:
    """A file for a request that has none, whole or not there; a second text for one request is noted as `changed`, each call as `asked`."""
    folder = Path(os.environ[MARKS])
    folder.mkdir(exist_ok=True)
    (folder / f'.asked {request_id} {uuid.uuid4()}').touch()
    fresh = folder / f'.{os.getpid()}-{threading.get_ident()}'
    fresh.write_text(text)
    with suppress(FileExistsError):
        os.link(fresh, folder / request_id)
    if (folder / request_id).read_text() != text:
        (folder / f'changed {request_id}').write_text(text)
    fresh.unlink()


def marks() -> list[str]:
    """The requests that were done."""
    folder = Path(os.environ[MARKS])
    return sorted(path.name for path in folder.glob('[!.]*')) if folder.exists() else []


def asked() -> Counter[str]:
    """How often each request was made: so often a provider that knows no ids would do the thing."""
    return Counter(path.name.split()[1] for path in Path(os.environ[MARKS]).glob('.asked *'))


class Append(Action):
    """Writes its file; with `seconds`, ends as long after its first call, and reports that."""

    settings_keys: ClassVar[keys.Keys] = {'speed': keys.seconds}
    description = Description('append', 'Append', ('https://example.org/append',), input_schema={'type': 'object', 'required': ['text']})

    def run(self, call: Call) -> ActionStatus:
        """Once for each request id."""
        mark(call.request_id, json.dumps(call.body))
        due = call.time + float(call.body.get('seconds', 0))
        action_id = json.dumps([call.request_id, due, call.time, call.body])
        status = self.status(action_id)
        if status.status == ACTIVE:
            timer = threading.Timer(max(0.0, due - time.time()) + 0.002, self.surroundings.report, [action_id])
            timer.daemon = True
            timer.start()
        return status

    def status(self, action_id: str) -> ActionStatus:
        """By the clock."""
        _, due, begun, body = json.loads(action_id)
        over = self.surroundings.clock() >= due
        return ActionStatus('an-id' if over else action_id, SUCCEEDED if over else ACTIVE, {'said': body['text']}, '', begun, due if over else None)

    def cancel(self, action_id: str) -> ActionStatus:
        """It goes on."""
        return self.status(action_id)

    resume = release = cancel


class Scripted(Action):
    """Does what its body says: `do` is the name of a method below."""

    description = Description('scripted', 'Scripted', ('https://example.org/scripted',))
    calls: ClassVar[list[tuple[str, str]]]
    """Every call: which and of what."""

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self.bodies: dict[str, Any] = {}
        self.stands: dict[str, ActionStatus] = {}
        self.tries: dict[str, int] = {}
        self.gate = threading.Event()

    def _note(self, what: str, action_id: str) -> None:
        type(self).calls.append((what, action_id))

    def run(self, call: Call) -> ActionStatus:
        """What its body says."""
        self._note('run', call.request_id)
        action_id = f'id of {call.request_id}'
        self.bodies[action_id] = call.body
        self.tries[action_id] = self.tries.get(action_id, 0) + 1
        found: ActionStatus = getattr(self, f'do_{call.body["do"]}')(action_id, call)
        return self.stands.setdefault(action_id, found)

    def do_succeed(self, action_id: str, call: Call) -> ActionStatus:
        """At once."""
        return ActionStatus(action_id, SUCCEEDED, call.body.get('details'), '', call.time, call.time)

    def do_fail(self, action_id: str, call: Call) -> ActionStatus:
        """At once."""
        return ActionStatus(action_id, FAILED, {'code': 'Broken'}, '', call.time, call.time)

    def do_hang(self, action_id: str, call: Call) -> ActionStatus:
        """For ever, or until `end` is called."""
        return ActionStatus(action_id, ACTIVE, {'bytes': 0}, '', call.time)

    def do_block(self, action_id: str, call: Call) -> ActionStatus:
        """Does not return before `gate` is opened."""
        self.gate.wait(60)
        return self.do_succeed(action_id, call)

    def do_ask(self, action_id: str, call: Call) -> ActionStatus:
        """Until it is resumed."""
        return ActionStatus(action_id, INACTIVE, {'code': 'ConsentRequired'}, '', call.time)

    def do_refuse(self, _action_id: str, _call: Call) -> ActionStatus:
        """As a provider should."""
        raise ActionUnableToRun('not like that')

    def do_raise(self, _action_id: str, _call: Call) -> ActionStatus:
        """As a provider should not."""
        raise RuntimeError('a bug')

    def do_raise_twice(self, action_id: str, call: Call) -> ActionStatus:
        """Then it is well."""
        if self.tries[action_id] <= 2:
            raise OSError('not yet')
        return self.do_succeed(action_id, call)

    def do_nonsense(self, action_id: str, call: Call) -> ActionStatus:
        """Nothing that can be written down."""
        return ActionStatus(action_id, SUCCEEDED, {'lock': threading.Lock()}, '', call.time, call.time)

    def end(self, action_id: str, status: str = SUCCEEDED, details: Any = None) -> None:
        """What hangs changes its status, and says so."""
        over = time.time() if status in (SUCCEEDED, FAILED) else None
        self.stands[action_id] = ActionStatus(action_id, status, details, '', self.stands[action_id].start_time, over)
        self.surroundings.report(action_id)

    def status(self, action_id: str) -> ActionStatus:
        """As it was left."""
        self._note('status', action_id)
        return self.stands[action_id]

    def cancel(self, action_id: str) -> ActionStatus:
        """Ends it."""
        self._note('cancel', action_id)
        self.stands[action_id] = ActionStatus(action_id, FAILED, {'code': 'ActionCanceled'}, '', 0.0, time.time())
        return self.stands[action_id]

    def resume(self, action_id: str) -> ActionStatus:
        """It succeeds now."""
        self._note('resume', action_id)
        self.stands[action_id] = ActionStatus(action_id, SUCCEEDED, {'resumed': True}, '', 0.0, time.time())
        return self.stands[action_id]

    def release(self, action_id: str) -> ActionStatus:
        """Forgets it."""
        self._note('release', action_id)
        return self.stands.pop(action_id)


def find(name: str) -> type[Action]:
    """Those of this module. Raises KeyError."""
    return {'append': Append, 'scripted': Scripted}[name]
