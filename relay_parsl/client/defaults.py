"""Which relay a program means when it does not say: the block it stands in, its arguments, the environment, what it joined.

`relay_parsl.local` is above this room, so it registers itself here instead of being imported: `enter` and `leave` around its block, and
`embedded`, which starts one for an `Executor()` that was given neither endpoint nor relay on a machine that has joined none.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from relay_parsl.errors import ConfigError
from relay_parsl.home import RELAY, Credentials, Home, RelayEntry


@dataclass(frozen=True)
class Target:
    """A relay, as whom to talk to it, and whose pins say whom to trust there. `endpoint`: the one that is meant when none is named."""

    relay: RelayEntry
    credentials: Credentials
    home: Home
    endpoint: str = ''


embedded: Callable[[], Target] | None = None
"""Starts a private relay with an endpoint that lives as long as this process; set by the package."""
_blocks: list[Target] = []


def enter(target: Target) -> None:
    """From here on `target` is what is meant."""
    _blocks.append(target)


def leave(target: Target) -> None:
    """The end of that block."""
    _blocks.remove(target)


def choose(relay: Any = None, credentials: str | None = None, *, endpoint: str = '') -> Target:
    """The relay that these arguments mean.

    Args:
        relay: a name, a URL, a `Target` or what `relay_parsl.local` yields; None: the block, the environment, the only one joined, the embedded one.
        credentials: a path or the name of an account.
        endpoint: what the caller wants to use there, '' when it does not say.

    Raises:
        ConfigError: none or several fit, or the argument is of another kind; the text names the remedy.
        HomeError: keys on disk cannot be used.
    """
    if isinstance(relay, Target):
        return relay
    if relay is None and credentials is None and _blocks:
        return _blocks[-1]
    if relay is not None and not isinstance(relay, str):
        return _yielded(relay)
    home = Home.find()
    if relay is None and not endpoint and embedded is not None and not os.environ.get(RELAY) and not home.relays():
        return embedded()
    entry, found = home.find_relay(relay, credentials)
    return Target(entry, found, home)


def _yielded(relay: Any) -> Target:
    target = getattr(relay, 'target', None)
    if not isinstance(target, Target):
        raise ConfigError(f'relay= takes a name, a URL, or what `relay_parsl.local()` yields, not {type(relay).__name__}')
    return target
