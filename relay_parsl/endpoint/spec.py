"""Objects of an endpoint file that are checked and not yet built: an engine with its provider, launcher and address."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from relay_parsl.endpoint import checks
from relay_parsl.errors import ConfigError


@dataclass(frozen=True)
class Spec:
    """An object of an endpoint file, not yet built.

    Attributes:
        kind: 'engine', 'provider', 'launcher', 'address' or 'manager_selector'.
        name: Our own name of its type.
        factory: The class, or for an address the function.
        options: Checked values by the names of the constructor; objects within are `Spec`s.
        place: `file:line: path`, for errors at build.
    """

    kind: str
    name: str
    factory: Callable[..., Any]
    options: dict[str, Any]
    place: str

    def build(self) -> Any:
        """Make it, and what is within it.

        Raises:
            ConfigError: The constructor refuses, or this host has no such network interface.
        """
        options = {key: value.build() if isinstance(value, Spec) else value for key, value in self.options.items()}
        try:
            return self.factory(**options)
        except ConfigError:
            raise
        except Exception as error:  # the constructor may be anybody's
            raise ConfigError(f'{self.place}: {self._refusal(error)}') from error

    def _refusal(self, error: Exception) -> str:
        if 'ifname' in self.options:
            return f'this host has no address at a network interface `{self.options["ifname"]}`; its interfaces are {", ".join(checks.interfaces())}'
        return f'{self.name} refuses: {error}'


@dataclass(frozen=True)
class EngineSpec:
    """One engine of an endpoint file: a pool of workers.

    Attributes:
        pool: Its name; '' for the one `engine:`.
        label: Names the Parsl executor in a plain script, and batch jobs.
        spec: The engine, not yet built.
    """

    pool: str
    label: str
    spec: Spec

    @property
    def kind(self) -> str:
        """Our name of its type, as `HtexEngine`."""
        return self.spec.name

    @property
    def provider(self) -> Spec | None:
        """Where blocks come from; None for an engine without, and where the default (this host) serves."""
        return self._nested(self.spec, 'provider')

    @property
    def launcher(self) -> Spec | None:
        """What starts managers on the nodes of a block; None where the provider's default serves."""
        return self._nested(self.provider, 'launcher')

    @property
    def is_local(self) -> bool:
        """Whether blocks are processes of this host; a launcher may still start their managers on other nodes of an allocation."""
        return self.provider is None or self.provider.name == 'LocalProvider'

    @staticmethod
    def _nested(spec: Spec | None, key: str) -> Spec | None:
        found = spec.options.get(key) if spec is not None else None
        return found if isinstance(found, Spec) else None

    @property
    def max_retries_on_system_failure(self) -> int:
        """How often an attempt that a dead worker, node or job took along is made again; the engine's own default where the file is silent."""
        default = inspect.signature(self.spec.factory).parameters.get('max_retries_on_system_failure')
        value = self.spec.options.get('max_retries_on_system_failure', default.default if default is not None else 0)
        return int(value)


def plain_name(name: str) -> bool:
    """Whether a name serves as a directory and in a shell's line as it is."""
    return 0 < len(name) <= 64 and slug(name) == name


def slug(name: str) -> str:
    """A name that can stand in paths and unquoted in commands, as Parsl uses labels: `My Polaris Endpoint` → `My_Polaris_Endpoint`."""
    return re.sub(r'[^A-Za-z0-9_.-]+', '_', name).strip('_.') or 'endpoint'
