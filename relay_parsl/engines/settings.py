"""What an endpoint file says of an `HtexEngine`: checked, kept, and made into the plan of an engine process."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from parsl.providers import LocalProvider
from parsl.providers.base import ExecutionProvider

from relay_parsl.engines import options, script
from relay_parsl.engines.base import Work
from relay_parsl.engines.blocks import Htex
from relay_parsl.engines.breaker import PER_MINUTE
from relay_parsl.engines.pool import refused_options


class HtexSettings:
    """The part of an `HtexEngine` that does not change from its making on; its arguments are explained there."""

    kind: ClassVar[type[Htex]] = Htex
    """The executor behind it."""
    fuses: ClassVar[bool] = True
    """Whether short tasks travel together."""

    def __init__(  # noqa: PLR0913  mirrors the engine of Globus Compute and Parsl's executor behind it
        self,
        *,
        provider: ExecutionProvider | None = None,
        address: str | None = None,
        label: str = '',
        max_retries_on_system_failure: int = 2,
        job_status_kwargs: dict[str, Any] | None = None,
        encrypted: bool = True,
        working_dir: str | None = None,
        run_in_sandbox: bool = False,
        strategy: str | None = None,
        container_type: str | None = None,
        container_uri: str | None = None,
        container_cmd_options: str | None = None,
        max_blocks_per_minute: int = PER_MINUTE,
        **htex_options: Any,
    ) -> None:
        """See `HtexEngine`. Raises ConfigError, which names what is wrong."""
        self.max_retries_on_system_failure = max_retries_on_system_failure
        self.provider = provider or self.default_provider()
        self.encrypted = encrypted
        self._address, self._label, self._working_dir, self._sandbox = address, label, working_dir, run_in_sandbox
        self._job_status = options.job_status(job_status_kwargs, strategy)
        self._container = options.container(container_type, container_uri, container_cmd_options)
        self._per_minute = options.per_minute(max_blocks_per_minute)
        self._options = options.htex(htex_options, self.provider, self.kind)
        self._fails = self._options.get('block_error_handler', True) is True
        self._expected, self._prefetch = options.expectation(self.provider, self._options, address, self.kind)
        self._start_empty()

    @staticmethod
    def default_provider() -> ExecutionProvider:
        """Where blocks come from when nobody says."""
        return LocalProvider()

    def refusal(self, work: Work) -> str:
        """Why the attempt's resource specification cannot be met; '' when it can."""
        return refused_options(work) if work.options else ''

    def needs(self, _work: Work) -> dict[str, Any]:
        """What Parsl is told of an attempt's resources, beside its priority."""
        return {}

    def _start_empty(self) -> None:
        """Nothing runs yet."""

    def batch_script(self, label: str) -> str:
        """The batch script of a block, with words in capitals for what only a start knows; '' where the provider submits none."""
        return script.render(self._plan(label, script.ADDRESS), self.kind)

    def _plan(self, label: str, address: str) -> dict[str, Any]:
        return {
            'kind': self.kind,
            'fuses': self.fuses,
            'expected': self._expected,
            'label': re.sub(r'[^\w.-]', '-', '.'.join(filter(None, [label, self._label]))),
            'htex': {**self._options, 'provider': self.provider, 'address': address, 'encrypted': self.encrypted},
            'job_status': self._job_status,
            'container': self._container,
            'max_blocks_per_minute': self._per_minute,
        }
