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
