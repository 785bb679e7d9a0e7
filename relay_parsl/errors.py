"""Every error that relay-parsl raises, in one tree.

```
RelayError
├── ConfigError                 an endpoint file, an option or an argument is wrong; names the thing and the remedy
├── Unsupported                 the feature exists in the interface, not behind it
├── HomeError                   keys, pins or state on disk cannot be used as they are
├── RelayUnavailable            the relay did not answer in the time that was given
├── AccessDenied                the relay refused: role, ownership, revocation
├── NotFound                    no such endpoint, task, function or account, as far as the asker may know
├── ProtocolError               bytes that are no message of ours
│   ├── UnknownMessage          a well-formed message of a type that this version does not know
│   └── ProtocolMismatch        a major version that this version does not speak
├── SealError                   a signature, a seal or a binding does not hold: nothing was unpickled
├── StoreError                  the store on disk refuses: locked, newer, damaged, full
│   └── StoreFailed             the disk beneath it does: full, or failing; another start may find it well
├── FlowError                   flows
│   ├── DefinitionInvalid       a definition is not of the language; every fault with its JSON path
│   ├── InputInvalid            a run's body is not what the flow's input schema takes: no run was made
│   └── RunFailed               a run that somebody waited for ended as FAILED or ENDED, or is INACTIVE
└── TaskError                   why a task's future carries no result
    ├── SerializationError      a function, an argument or a result does not survive the round trip
    ├── TaskPending             there is no result yet, for who asks by id instead of waiting for a future
    ├── TaskRejected            the relay or the endpoint refused the task before it ran
    ├── TaskCancelled           also a concurrent.futures.CancelledError
    ├── TaskExpired             not finished by `expires`
    ├── TaskTimeout             also a TimeoutError: ran longer than `timeout`
    ├── TaskLost                an `at_most_once` task that may have run, or one that the relay no longer knows
    ├── WorkerLost              the process that ran it died, more often than allowed
    ├── ManagerLost             its node was lost, more often than allowed
    ├── WalltimeExceeded        its batch job reached its walltime, more often than allowed
    ├── BlocksFailed            no worker can be had for it: the endpoint's batch jobs end, or are refused, before any comes
    ├── VersionMismatch         Python versions of the two sides make the function's bytecode unsafe
    ├── RemoteError             the user's exception, where its own type cannot be had
    └── RemoteExit              a BaseException that is no Exception (SystemExit, KeyboardInterrupt)
```

The user's own exceptions come back as their own types and are not of this tree.
All of these survive pickling: each is rebuilt from its `args`.
"""

from __future__ import annotations

from concurrent.futures import CancelledError


class RelayError(Exception):
    """The root: `except RelayError` catches whatever relay-parsl itself raises."""


class ConfigError(RelayError):
    """An endpoint file, an option or an argument is wrong; the text names the thing and the remedy."""


class Unsupported(RelayError):
    """The interface has this feature and the present version does not."""


class HomeError(RelayError):
    """Keys, pins or state on disk cannot be used as they are: modes, owners, format."""


class RelayUnavailable(RelayError):
    """The relay did not answer in the time that was given."""


class AccessDenied(RelayError):
    """The relay refused the request: role, ownership or revocation."""


class NotFound(RelayError):
    """No such endpoint, task, function or account, as far as the asker may know."""


class ProtocolError(RelayError):
    """Bytes that are no message of ours."""


class UnknownMessage(ProtocolError):
    """A well-formed message of a type that this version does not know; the session lives on."""


class ProtocolMismatch(ProtocolError):
    """The other side speaks a major version that this one does not."""


class SealError(RelayError):
    """A signature, a seal or a binding does not hold; nothing of the content was used."""


class StoreError(RelayError):
    """The store on disk refuses: it is locked, newer than this program, damaged or full."""


class StoreFailed(StoreError):
    """The disk beneath a store refuses: it is full, or it fails. Nobody has asked wrongly, and another start may find it well."""


def store_error(text: str, said: str) -> StoreError:
    """`text` as an error: `StoreFailed` where what SQLite `said` is that the disk is full or fails."""
    return (StoreFailed if 'full' in said or 'I/O' in said else StoreError)(text)


class FlowError(RelayError):
    """What goes wrong with flows."""


class DefinitionInvalid(FlowError):
    """A definition is not of the language; the text has a line for each fault, which begins with its JSON path."""


class InputInvalid(FlowError):
    """A run's body is not what the flow's input schema takes; no run was made."""


class RunFailed(FlowError):
    """A run that somebody waited for ended as FAILED or ENDED, or is INACTIVE; the text says at which state and why."""


class TaskError(RelayError):
    """Why a task's future carries no result."""


class SerializationError(TaskError):
    """A function, an argument or a result does not survive the round trip."""


class TaskPending(TaskError):
    """There is no result yet; the text is the task's state."""


class TaskRejected(TaskError):
    """The relay or the endpoint refused the task before it ran."""


class TaskCancelled(TaskError, CancelledError):
    """The task was cancelled; also a `concurrent.futures.CancelledError`."""


class TaskExpired(TaskError):
    """The task was not finished by its `expires`."""


class TaskTimeout(TaskError, TimeoutError):
    """The task ran longer than its `timeout`."""


class TaskLost(TaskError):
    """An `at_most_once` task that may have run, or a task that the relay no longer knows."""


class WorkerLost(TaskError):
    """The process that ran the task died, more often than `max_retries_on_system_failure` allows."""


class ManagerLost(TaskError):
    """The task's node was lost, more often than `max_retries_on_system_failure` allows."""


class WalltimeExceeded(TaskError):
    """The task's batch job reached its walltime, more often than `max_retries_on_system_failure` allows."""


class BlocksFailed(TaskError):
    """No worker can be had: the endpoint's blocks end before any worker connects, and it submits no more; the text is what their jobs said."""


class VersionMismatch(TaskError):
    """The Python versions of client and worker make the function's bytecode unsafe; names both and the remedies."""


class RemoteError(TaskError):
    """The user's exception, where its own type cannot be had here; `args[0]` is its text with the remote traceback."""


class RemoteExit(TaskError):
    """A remote `BaseException` that is no `Exception`: `SystemExit`, `KeyboardInterrupt`, `GeneratorExit`."""


def with_article(noun: str) -> str:
    """A noun that the text of an error names, with the article of its sound: `an operator`, `a user`, `a OneShot`."""
    begin = noun.lower()
    return f'{"an" if begin.startswith(("a", "e", "i", "o")) and not begin.startswith(("one", "eu")) else "a"} {noun}'
