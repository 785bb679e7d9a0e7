"""Flows: definitions in the language of Globus Flows, run on one's own machines.

```
 Flow.run(body) ──► journal (SQLite) ◄── engine ──► machine (pure): (definition, run, event) -> (run, commands)
 relay-parsl flow      intent before call,  │
                       outcome after        └──► actions: compute over client.Executor · transfer, delete, ls, … on collections
```

    from relay_parsl.flows import Flow

    run = Flow.from_file('definition.json').run({'input': {...}}, label='scan 7')
    for entry in run: print(entry['code'], entry['description'])

A run lives in the journal: whichever process holds its lease goes on with it, after a crash too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay_parsl.flows.flow import Flow as Flow
    from relay_parsl.flows.run import Run as Run
    from relay_parsl.flows.run import runs as runs

_PLACES = {'Flow': 'relay_parsl.flows.flow', 'Run': 'relay_parsl.flows.run', 'runs': 'relay_parsl.flows.run'}
__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
