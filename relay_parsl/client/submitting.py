"""What an executor and its views have in common: a call and options in, a future out."""

from __future__ import annotations

import concurrent.futures
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

from relay_parsl.client.futures import TaskFuture
from relay_parsl.client.orders import Function, Options
from relay_parsl.errors import ConfigError, ProtocolError
from relay_parsl.wire.codec import pack, unpack
from relay_parsl.wire.messages import Id

LONGEST_POOL = 64
"""Letters of a pool's name, in an endpoint file too."""


class Request(NamedTuple):
    """One call, as the user gave it."""

    function: Callable[..., Any] | Function | str
    """A callable, or what was registered: itself or its id."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: Options
    endpoint: str | None = None
    """Another one than the executor's."""
    group: Id | None = None
    """Another one than the executor's."""
    task_id: Id | None = None
    """Of a task that an earlier process of the account may have submitted: to the relay the same id is the same task, which runs once."""
    expires: float | None = None
    """Seconds since 1970, where it is not `EXPIRES` from now."""


class Submitter(concurrent.futures.Executor):
    """Submits with some options. Thread-safe."""

    @abstractmethod
    def send(self, request: Request) -> TaskFuture:
        """Have it run."""

    @property
    @abstractmethod
    def options(self) -> Options:
        """What each task is given."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> TaskFuture:
        """Run `fn(*args, **kwargs)` on the endpoint. Never waits for the network; what is wrong with this one task is its future's.

        Raises:
            RuntimeError: after `shutdown`.
            ValueError: there is no `endpoint_id`.
        """
        return self.send(Request(fn, args, kwargs, self.options))

    def submit_to_registered_function(
        self, function_id: str, args: tuple[Any, ...] | list[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> TaskFuture:
        """Run what `register_function` named so, or what the endpoint can import: `package.module:function`. Raises what `submit` raises."""
        return self.send(Request(str(function_id), tuple(args or ()), dict(kwargs or {}), self.options))

    def with_options(
        self,
        *,
        priority: int | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        at_most_once: bool | None = None,
        resource_specification: Mapping[str, Any] | None = None,
        user_endpoint_config: Mapping[str, Any] | None = None,
    ) -> View:
        """The same executor, whose tasks are given these too; what is None stays as it is.

        Args:
            priority: lower first, as in Parsl; 0 is the default.
            timeout: seconds that the function may run, its `retries` included; then it is interrupted by `TaskTimeout`, and killed if it
                does not end. The loading of its modules and arguments does not count.
            retries: how often it is run again after its own exception.
            at_most_once: rather fail than run twice: `retries` do not count then.
            resource_specification: for the engine; `pool` names one of the endpoint's engines.
            user_endpoint_config: what an endpoint whose file is a template fills in.

        Raises:
            ConfigError: a value of another type.
        """
        given = {
            'priority': _checked('priority', priority, int),
            'timeout': _seconds(timeout),
            'retries': _checked('retries', retries, int),
            'at_most_once': _checked('at_most_once', at_most_once, bool),
            'resource_specification': specified(resource_specification),
            'user_endpoint_config': plain('user_endpoint_config', user_endpoint_config),
        }
        if retries is not None and retries < 0:
            raise ConfigError(f'retries counts from 0, not {retries}')
        return View(self, {name: value for name, value in given.items() if value is not None})


class View(Submitter):
    """An executor with options of its own. To leave its `with` block does not shut the executor down."""

    def __init__(self, base: Submitter, given: Mapping[str, Any]) -> None:
        """Made by `with_options`."""
        self._base = base
        self._given = dict(given)

    @property
    def options(self) -> Options:
        """The executor's, with its own in their place."""
        return replace(self._base.options, **self._given)

    def send(self, request: Request) -> TaskFuture:
        """By the executor."""
        return self._base.send(request)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing: the executor goes on."""


def plain(name: str, value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A copy that nobody else holds. Raises ConfigError for what is no map of plain values."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ConfigError(f'{name} is a dictionary, not {type(value).__name__}')
    try:
        copied: dict[str, Any] = unpack(pack(dict(value)))
    except ProtocolError as error:
        raise ConfigError(f'{name} holds what cannot be sent ({error}): numbers, strings, lists and dictionaries of them can') from None
    return copied


def specified(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A copy of a resource specification. Raises ConfigError for what cannot be sent, or a pool that is no name."""
    copied = plain('resource_specification', value)
    pool = (copied or {}).get('pool', '')
    if not isinstance(pool, str) or len(pool) > LONGEST_POOL:
        raise ConfigError(f"resource_specification: pool is the name of one of the endpoint's engines, not {str(pool)[:80]!r}")
    return copied


def _seconds(timeout: Any) -> float | None:
    if timeout is None:
        return None
    if type(timeout) not in (int, float) or not 0 < timeout < inf:
        raise ConfigError(f'timeout is a positive number of seconds, not {timeout!r}')
    return float(timeout)


def _checked(name: str, value: Any, kind: type) -> Any:
    if value is not None and type(value) is not kind:
        raise ConfigError(f'{name} is {"a whole number" if kind is int else "True or False"}, not {value!r}')
    return value
