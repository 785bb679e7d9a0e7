"""What Parsl's own suite runs on: `RelayExecutor` over a private relay and an endpoint on HighThroughputExecutor."""

from __future__ import annotations

from parsl.config import Config

from relay_parsl.executors.relay import RelayExecutor
from relay_parsl.local import Local, local

_started: list[Local] = []


def fresh_config() -> Config:
    """A new configuration; the relay and the endpoint behind it are started once and end with the process."""
    if not _started:
        _started.append(local(workers=2).start())
    return Config(executors=[RelayExecutor('local', label='relay', relay=_started[0])], strategy='none')
