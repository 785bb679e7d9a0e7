"""The actions of flows: each is what an ActionUrl of the hosted service means here.

`OURS` says where each stands; nothing is imported before it is wanted. Plug-ins: entry points `relay_parsl.actions`, and `actions:` in the settings.
"""

from __future__ import annotations

OURS: dict[str, str] = {
    'compute': 'relay_parsl.flows.actions.compute:Compute',
    'hello_world': 'relay_parsl.flows.actions.hello_world:HelloWorld',
}
"""The actions of this package: name -> `module:Class`."""
