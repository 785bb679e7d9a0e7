"""`RelayExecutor`: Parsl's executor contract over `relay_parsl.client.executor.Executor`.

The contract (Parsl 2026.10.26, `parsl/executors/base.py` and what the DataFlowKernel does around it): `submit` runs in the one launcher
thread of all executors and never blocks; every future is settled, with an `Exception`; callbacks run in a thread of our own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import typeguard
from parsl.executors.base import ParslExecutor
from parsl.executors.errors import BadStateException, InvalidResourceSpecification
from parsl.monitoring.radios.base import RadioConfig
from parsl.utils import RepresentationMixin

from relay_parsl.client.executor import Executor
from relay_parsl.client.submitting import Submitter
from relay_parsl.errors import ConfigError, RelayError, Unsupported

OPTIONS = ('priority', 'retries', 'at_most_once', 'timeout', 'user_endpoint_config')
"""Keys of a resource specification that are a task's options; the others are for the endpoint's engine."""


class RelayExecutor(ParslExecutor, RepresentationMixin):
    """Runs Parsl apps on an endpoint that this machine cannot reach, by way of a relay.

    Everything of Parsl works as with its own executors: retries, memoization, staging, monitoring, bash and join apps. An app's
    `parsl_resource_specification` may hold `priority` (lower first), `retries`, `at_most_once`, `pool` (one of the endpoint's engines),
    `user_endpoint_config`, and what the endpoint's engine understands (`num_nodes`, `ranks_per_node`, …).
    """

    @typeguard.typechecked
    def __init__(
        self,
        endpoint_id: str | uuid.UUID,
        *,
        label: str | None = None,
        relay: Any = None,
        credentials: str | None = None,
        storage_access: list[Any] | None = None,
        working_dir: str | None = None,
        remote_monitoring_radio: RadioConfig | None = None,
    ) -> None:
        """Nothing is connected before Parsl starts it.

        Args:
            endpoint_id: the endpoint's name or UUID.
            label: what apps call it in `executors=[…]`; by default the endpoint's name or UUID.
            relay: a name, a URL, or what `relay_parsl.local` yields; by default the one that `relay_parsl.Executor` would take.
            credentials: a path or an account's name.
            storage_access: staging providers; None for Parsl's own.
            working_dir: for staging, on the endpoint's side.
            remote_monitoring_radio: how tasks report their resources, when Parsl monitors them.
        """
        super().__init__()
        self.endpoint_id = endpoint_id
        self.label = str(endpoint_id) if label is None else label
        self.relay = relay
        self.credentials = credentials
        self.storage_access = storage_access
        self.working_dir = working_dir
        self.remote_monitoring_radio = remote_monitoring_radio
        self._executor: Executor | None = None
        self._shut = False

    def start(self) -> None:
        """Connect in the background. Raises ConfigError or HomeError, which abort `parsl.load`: there is no relay, or no usable key."""
        self._executor = Executor(self.endpoint_id, label=self.label, relay=self.relay, credentials=self.credentials)
        self._shut = False

    def submit(self, func: Callable[..., Any], resource_specification: dict[str, Any], *args: Any, **kwargs: Any) -> Future[Any]:
        """Have `func(*args, **kwargs)` run on the endpoint. Never blocks.

        Raises:
            InvalidResourceSpecification: a key has a value that it cannot have.
        """
        if self._executor is None or self._shut:
            return self._bad(RelayError('it was shut down' if self._shut else 'it was not started'))
        refusal = self._executor.session.board.refusal
        if refusal is not None:
            return self._bad(refusal)
        return self._with(self._executor, resource_specification).submit(func, *args, **kwargs)

    def shutdown(self) -> None:
        """Cancel what is not done, so that every future is settled, and let the session go. May be called twice."""
        if self._executor is not None and not self._shut:
            self._shut = True
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._shut = True
        super().shutdown()

    def monitor_resources(self) -> bool:
        """Tasks run in processes, which Parsl's monitoring can watch."""
        return True

    def outstanding(self) -> int:
        """How many tasks are not done."""
        return 0 if self._executor is None else self._executor.outstanding()

    def _with(self, executor: Executor, specification: dict[str, Any]) -> Submitter:
        """The executor with what the specification asks for. The dictionary is the caller's own and stays as it is."""
        if not specification:
            return executor
        options = {key: specification[key] for key in OPTIONS if key in specification}
        rest = {key: value for key, value in specification.items() if key not in OPTIONS}
        try:
            return executor.with_options(**options, resource_specification=rest or None)
        except (ConfigError, Unsupported) as error:
            wrong = {key for key in specification if str(key) in str(error)} or set(specification)
            raise InvalidResourceSpecification(wrong, str(error)) from error

    def _bad(self, error: RelayError) -> Future[Any]:
        """Parsl submits also after `shutdown`: such a task fails, and nothing is raised in its launcher thread."""
        future: Future[Any] = Future()
        future.set_exception(BadStateException(self, error))
        return future
