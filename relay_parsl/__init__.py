"""Parsl across sites that a script cannot reach: a thin, blind relay, and endpoints on Parsl's HighThroughputExecutor.

```
 Parsl script                                login node of any host          login node of a cluster          compute nodes
 @python_app, @join_app                      relay-parsl relay               relay-parsl endpoint
 RelayExecutor ──► Executor ═══ CURVE ════►  RelayServer   ◄════ CURVE ═══   Endpoint ──► HtexEngine ──► worker ──► runner
                                             routes, stores, forgets         HighThroughputExecutor      the user's code
```

    import relay_parsl as rp

    with rp.Executor('polaris') as polaris:         # or rp.local() for a private relay and endpoint on this machine
        print(polaris.submit(pow, 2, 10).result())

Names are loaded when they are first used, so that each process loads its own party only. No module of the package imports this one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay_parsl import errors as errors
    from relay_parsl import flows as flows
    from relay_parsl.client.client import Client as Client
    from relay_parsl.client.executor import Executor as Executor
    from relay_parsl.client.futures import TaskFuture as TaskFuture
    from relay_parsl.endpoint.config import load_config as load_config
    from relay_parsl.errors import RelayError as RelayError
    from relay_parsl.executors.relay import RelayExecutor as RelayExecutor
    from relay_parsl.local import local as local
    from relay_parsl.shell import MPIFunction as MPIFunction
    from relay_parsl.shell import ShellFunction as ShellFunction
    from relay_parsl.shell import ShellResult as ShellResult

_PLACES = {
    # submitting
    'Executor': 'relay_parsl.client.executor:Executor',
    'TaskFuture': 'relay_parsl.client.futures:TaskFuture',
    'Client': 'relay_parsl.client.client:Client',
    'RelayExecutor': 'relay_parsl.executors.relay:RelayExecutor',
    # commands of the shell as functions
    'ShellFunction': 'relay_parsl.shell:ShellFunction',
    'ShellResult': 'relay_parsl.shell:ShellResult',
    'MPIFunction': 'relay_parsl.shell:MPIFunction',
    # this machine alone, and endpoint files in a plain Parsl script
    'local': 'relay_parsl.local',
    'load_config': 'relay_parsl.endpoint.config:load_config',
    # flows: definitions in the language of Globus Flows
    'flows': 'relay_parsl.flows',
    # what may be raised: the tree is drawn in the docstring of `errors`
    'errors': 'relay_parsl.errors',
    'RelayError': 'relay_parsl.errors:RelayError',
    '__version__': 'relay_parsl.version:VERSION',
}
__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module, _, attribute = _PLACES[name].partition(':')
    found = import_module(module)
    if module.startswith('relay_parsl.client'):
        _embed()
    value = getattr(found, attribute) if attribute else found
    globals()[name] = value
    return value


def _embed() -> None:
    """An `Executor()` that is told no endpoint, where no relay was joined, runs on `local()`: the client's room may not know that room."""
    defaults: Any = import_module('relay_parsl.client.defaults')
    defaults.embedded = lambda: import_module('relay_parsl.local').embedded()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
