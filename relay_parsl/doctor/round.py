"""All looks at once, each in a thread of its own with a deadline: a filesystem that hangs delays nothing else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from relay_parsl.doctor import looks, network
from relay_parsl.doctor.facts import Facts
from relay_parsl.errors import RelayError
from relay_parsl.home import Home
from relay_parsl.transport import libzmq
from relay_parsl.version import VERSION

PATIENCE = 15.0
"""Seconds that all looks together may take."""


def gather(home: Home, *, offline: bool = False, patience: float = PATIENCE) -> Facts:
    """Every fact that can be had in time. `offline`: no relay is asked."""
    facts = Facts(home=str(home.root), uid=os.getuid(), own=VERSION, curve=libzmq()[1])
    facts.versions, facts.oldest = looks.packages()
    found: dict[str, Any] = {}
    names = ('files', 'keys', 'processes', 'leftovers', 'disks', 'audits', 'stores', 'secrets')
    todo: dict[str, Callable[[], Any]] = {name: partial(_all, getattr(looks, name), home) for name in names}
    todo['limits'] = looks.limits
    if not offline:
        for entry, own in network.known(home):
            todo[f'relay {entry.name} as {own.name}'] = partial(network.look, home, entry, own)
    _all_at_once(todo, found, time.monotonic() + patience)
    facts.late = [name for name in todo if name not in found]
    for name in names:
        setattr(facts, {'files': 'seen'}.get(name, name), found.get(name, []))
    facts.limits = found.get('limits')
    told = [each for name, each in found.items() if name.startswith('relay ')]
    facts.relays = [relay for relay, _ in told]
    facts.endpoints = list({each.name: each for _, some in told for each in some}.values())
    return facts


def _all(look: Callable[[Home], Iterable[Any]], home: Home) -> list[Any]:
    return list(look(home))


def _all_at_once(todo: dict[str, Callable[[], Any]], found: dict[str, Any], end: float) -> None:
    def run(name: str, look: Callable[[], Any]) -> None:
        try:
            found[name] = look()
        except (OSError, RelayError):
            return  # what vanished under the look, or may not be looked at: told as not done

    threads = [threading.Thread(target=run, args=each, name=f'doctor: {each[0]}', daemon=True) for each in todo.items()]
    for each in threads:
        each.start()
    for each in threads:
        each.join(max(0.0, end - time.monotonic()))
