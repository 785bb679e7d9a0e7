"""What every engine promises, and the words it speaks with its endpoint.

```
endpoint ── submit(Work) … flush, cancel, demand ──►  Engine
         ◄── deliver(Running | Finished | Lost | Changed) ──
```

An engine runs attempts. It decides nothing about them: each attempt that was submitted and not cancelled ends in exactly one `Finished` or `Lost`,
and the endpoint decides what follows. An event about an attempt that the endpoint no longer knows is dropped there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Union, runtime_checkable

CAUSES = ('worker', 'manager', 'walltime', 'engine')
"""Why an attempt was lost: its own process died, its node was lost, its batch job ended, the engine itself died."""


@dataclass(frozen=True)
class SealedBody:
    """Arguments too large for a message: a sealed file, the key for it alone, and how many plaintext bytes it holds."""

    path: str
    key: bytes = field(repr=False)
    length: int


@dataclass(slots=True)  # not frozen: there is one a task, and that takes three times as long
class Work:
    """One attempt at one task, opened and checked: what the runner needs and nothing more."""

    task_id: bytes
    attempt: int
    account: bytes
    """Who asked for it: one runner serves one account."""
    function: bytes = field(repr=False)
    """The function's blob, as `payload.dump_function` made it."""
    arguments: bytes | None = field(repr=False)
    """The arguments' blob, or None when they stand in `body`."""
    body: SealedBody | None = None
    options: dict[str, Any] = field(default_factory=dict)
    """retries, resource_specification, result_serializers and whatever else the sealed call asked for."""
    spool: str = ''
    """Directory for sealed results that are too large for a message; workers must be able to write there."""
    priority: int = 0
    """Lower first, for an engine whose tasks wait; the runner does not see it."""
    at_most_once: bool = False
    """It may start once only: an engine takes no risk with it."""


@dataclass(frozen=True)
class Running:
    """The attempt has started; `detail` may hold host, worker, accelerator, block."""

    task_id: bytes
    attempt: int
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)  # as above
class Finished:
    """The attempt ran to its end; `outcome` is `payload.encode_outcome`, its value in the sealed file `body` when that is named."""

    task_id: bytes
    attempt: int
    ok: bool
    outcome: bytes = field(repr=False)
    body: str = ''
    """Path of the sealed result."""
    size: int = 0
    """Bytes of that file."""
    seconds: float = 0.0
    """How long it ran."""
    cancelled: bool = False
    """It ended because the engine was asked to `cancel` it; then it is not `ok`."""


@dataclass(frozen=True)
class Lost:
    """The attempt will not end: something under it died. `cause` is one of `CAUSES`, `evidence` is for people."""

    task_id: bytes
    attempt: int
    cause: str
    evidence: str
    final: bool = False
    """Not to be tried again, whatever the endpoint's own count says."""


@dataclass(frozen=True)
class EngineStatus:
    """What an engine can do now, and with what."""

    capacity: int
    """Tasks that may run at once: workers that are there, or that the first block will bring."""
    workers: int = 0
    """Workers that are connected now."""
    managers: int = 0
    blocks: int = 0
    """Blocks that are pending or running."""
    python: str | None = None
    """`major.minor` of the workers; None until one has connected."""
    outstanding: int = 0
    """Attempts inside the engine."""
    state: str = 'ready'
    """`starting`, `ready`, `rebuilding`, `stopped`, or `broken`: no more blocks are submitted until the endpoint is restarted."""
    reason: str = ''
    """Why it is not `ready`, or why its blocks fail: the words a waiting user should see."""
    detail: dict[str, Any] = field(default_factory=dict)
    """For displays: `blocks`, rows of block, job, state, reason (the scheduler's words); `managers`, rows of manager, host, block, workers, tasks."""


@dataclass(frozen=True)
class Changed:
    """The engine's status has changed."""

    status: EngineStatus


Event = Union[Running, Finished, Lost, Changed]
Deliver = Callable[[Event], None]


@runtime_checkable
class Engine(Protocol):
    """Runs attempts. All methods may be called from one thread of the endpoint; `deliver` may be called from any thread and never blocks."""

    @property
    def capacity(self) -> int:
        """How many attempts may run at once, now or as soon as the first block is there."""
        ...

    def start(self, deliver: Deliver, run_dir: Path, label: str) -> None:
        """Begin. `run_dir` is the engine's own directory (shared with its nodes) and keeps what a next start must clean up; `label` names batch jobs.

        Raises:
            ConfigError: the engine cannot work as it was configured.
        """
        ...

    def submit(self, work: Work) -> None:
        """Take an attempt; `flush` follows. Never blocks and never raises for one attempt: what goes wrong with it comes as an event."""
        ...

    def flush(self) -> None:
        """What was submitted until now shall start: called once for many attempts. Never blocks."""
        ...

    def cancel(self, task_id: bytes, attempt: int) -> bool:
        """End an attempt.

        Returns:
            True: it had not started, will not run, and no event about it follows. False: it runs, and now the engine tries to end it; an event
            tells how it ended, `Finished` with `cancelled` or, if it was quicker, its result. (False also of one that is not known.)
        """
        ...

    def withdraw(self, task_id: bytes, attempt: int) -> bool:
        """Give back an attempt that has not started. True: it will not run and no event about it follows. False: it runs on, or is not known."""
        ...

    def demand(self, count: int) -> None:
        """Say how many tasks the endpoint holds and how many wait for it at the relay: what scaling must see."""
        ...

    def status(self) -> EngineStatus:
        """How the engine stands now."""
        ...

    def stop(self) -> None:
        """End everything: workers, blocks, processes. Attempts still inside get no event. Safe to call twice."""
        ...
