"""From the word after `type:` to the class it names, and to the keys that its constructor takes.

Ours first, then Parsl's public names, then installed plug-ins (entry points `relay_parsl.engines`, `.providers`, `.launchers`).
A class that is not of its kind is refused; a name that nobody has gets the nearest names that somebody has.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from relay_parsl.config import closest
from relay_parsl.errors import ConfigError

ENGINE_METHODS = (
    'start',
    'submit',
    'cancel',
    'withdraw',
    'demand',
    'status',
    'stop',
)  # those of engines.base.Engine, a protocol: there is no base class to ask for


@dataclass(frozen=True)
class Kind:
    """Where the classes of one kind are looked for, and what makes one of them.

    Attributes:
        ours: Names of this project and their modules.
        modules: Modules whose public names serve, in this order; one that is not there has none.
        base: `module:Class` that a class must derive from; '' for functions and protocols.
        only: The only public names that serve; empty: all.
    """

    ours: Mapping[str, str]
    modules: tuple[str, ...] = ()
    base: str = ''
    only: frozenset[str] = frozenset()


KINDS = {
    'engine': Kind(
        {
            'HtexEngine': 'relay_parsl.engines.htex',
            'MPIEngine': 'relay_parsl.engines.mpi',
            'ThreadPoolEngine': 'relay_parsl.engines.pool',
            'ProcessPoolEngine': 'relay_parsl.engines.pool',
        }
    ),
    'provider': Kind({}, ('relay_parsl.providers', 'parsl.providers'), 'parsl.providers.base:ExecutionProvider'),
    'launcher': Kind({}, ('relay_parsl.launchers', 'parsl.launchers'), 'parsl.launchers.base:Launcher'),
    'address': Kind(
        {'address_by_interface': 'relay_parsl.endpoint.addresses'},
        ('parsl.addresses',),
        only=frozenset({'address_by_route', 'address_by_hostname', 'address_by_query', 'get_any_address'}),
    ),
    'manager_selector': Kind(
        {}, ('parsl.executors.high_throughput.manager_selector',), 'parsl.executors.high_throughput.manager_selector:ManagerSelector'
    ),
}
ALIASES = {
    'GlobusComputeEngine': 'HtexEngine',
    'GlobusMPIEngine': 'MPIEngine',
    'HighThroughputEngine': 'HtexEngine',
    'HighThroughputExecutor': 'HtexEngine',
    'MPIExecutor': 'MPIEngine',
    'ThreadPoolExecutor': 'ThreadPoolEngine',
    'ProcessPoolExecutor': 'ProcessPoolEngine',
}
"""Names by which Globus Compute and Parsl call what our engines do."""

BEHIND = {'HtexEngine': 'HighThroughputExecutor', 'MPIEngine': 'MPIExecutor', 'ThreadPoolEngine': 'ThreadPoolExecutor'}
"""The Parsl executor behind an engine: takes the options that the engine does not know itself, and stands for it in a plain Parsl script."""


def canonical(name: str) -> str:
    """Our own name of an engine."""
    return ALIASES.get(name, name)


@lru_cache(maxsize=256)
def find(kind: str, name: str) -> Callable[..., Any]:
    """The class (for an address: the function) that `type: NAME` means.

    Raises:
        ConfigError: Nobody has the name, it cannot be imported, or it is not of this kind.
    """
    found = _search(kind, canonical(name) if kind == 'engine' else name)
    if found is None:
        raise ConfigError(_unknown(kind, name))
    fault = _fault(kind, found)
    if fault:
        raise ConfigError(f'`{name}` is no {kind}: {fault}')
    return found


def guess(kind: str, name: str) -> Callable[..., Any] | None:
    """The class that was probably meant, so that what stands beside a wrong `type:` can be looked at, too; None where nothing is near."""
    for candidate in (name, closest(name, names(kind)), 'HtexEngine' if kind == 'engine' and not name else None):
        try:
            if candidate:
                return find(kind, candidate)
        except ConfigError:  # noqa: PERF203  # three tries at the most
            continue
    return None


def _search(kind: str, name: str) -> Callable[..., Any] | None:
    if name in KINDS[kind].ours:
        return _own(kind, name)
    for module in KINDS[kind].modules:
        if name in _public(kind, module):
            return _callable(getattr(importlib.import_module(module), name))
    return _plugin(kind, name)


def _own(kind: str, name: str) -> Callable[..., Any]:
    module = KINDS[kind].ours[name]
    if not _exists(module):
        raise ConfigError(f'`{name}` is not in this version of relay-parsl')
    return _callable(getattr(importlib.import_module(module), name))


def _callable(thing: Any) -> Callable[..., Any]:
    return thing  # type: ignore[no-any-return]  # _fault judges it


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _public(kind: str, module: str) -> list[str]:
    """The names that a module offers: its `__all__`, or its own classes and functions."""
    if not _exists(module):
        return []
    loaded, only = importlib.import_module(module), KINDS[kind].only
    names = getattr(loaded, '__all__', None) or [name for name, thing in vars(loaded).items() if getattr(thing, '__module__', '') == module]
    return [name for name in names if name in only] if only else [name for name in names if not inspect.isabstract(getattr(loaded, name))]


def _plugin(kind: str, name: str) -> Callable[..., Any] | None:
    for point in _points(kind):
        if point.name == name:
            try:
                return _callable(point.load())
            except Exception as error:  # the plug-in's own import code runs here
                raise ConfigError(f'the plug-in `{name}` ({point.value}) cannot be imported: {error}') from error
    return None


def _points(kind: str) -> list[EntryPoint]:
    return list(entry_points(group=f'relay_parsl.{kind}s'))


def _fault(kind: str, found: Any) -> str:
    """Why the thing is not of its kind; '' when it is."""
    if kind == 'engine':
        missing = [method for method in ENGINE_METHODS if not callable(getattr(found, method, None))]
        return f'it has no {", ".join(missing)}' if missing or not isinstance(found, type) else ''
    if not KINDS[kind].base:
        return '' if callable(found) else 'it cannot be called'
    module, name = KINDS[kind].base.split(':')
    if not isinstance(found, type) or not issubclass(found, getattr(importlib.import_module(module), name)):
        return f'it must be a class derived from {module}.{name}'
    return f'it is abstract: {", ".join(sorted(getattr(found, "__abstractmethods__", ())))}' if inspect.isabstract(found) else ''


def names(kind: str) -> list[str]:
    """Every name that `type:` may have for this kind, those of Globus Compute included."""
    ours = {name for name, module in KINDS[kind].ours.items() if _exists(module)}
    own = {*ours, *(alias for alias, name in ALIASES.items() if name in ours)}
    public = [
        name for module in KINDS[kind].modules for name in _public(kind, module) if not _fault(kind, getattr(importlib.import_module(module), name))
    ]
    return sorted({*own, *public, *(point.name for point in _points(kind))})


def _unknown(kind: str, name: str) -> str:
    near = closest(name, names(kind))
    known = [known for known in names(kind) if known not in ALIASES]
    return f'`{name}` is no {kind} that is known here' + (f'; did you mean `{near}`?' if near else f'; known are {", ".join(known)}')


def executor_class(engine: str) -> type[Any] | None:
    """The Parsl executor that stands for an engine (by our name) in a plain Parsl script; None where Parsl has none."""
    name = BEHIND.get(engine)
    return None if name is None else getattr(importlib.import_module('parsl.executors'), name)


def parameters(kind: str, found: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What the constructor takes by name, without `**options`; for an engine on a Parsl executor also what that one takes."""
    own = _signature(found)
    behind = executor_class(found.__name__) if kind == 'engine' and passes_on(found) and is_ours(found) else None
    return {**(_signature(behind) if behind is not None else {}), **own}


def passes_on(found: Callable[..., Any]) -> bool:
    """Whether it takes `**options` of any name."""
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in inspect.signature(found).parameters.values())


def _signature(found: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        signature = inspect.signature(found, eval_str=True)
    except (NameError, TypeError, SyntaxError):  # an annotation that only a type checker can see
        signature = inspect.signature(found)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: parameter for name, parameter in signature.parameters.items() if parameter.kind in named}


def is_ours(found: Callable[..., Any]) -> bool:
    """Whether it is a class of this project: those name every option that they pass on."""
    return found.__module__.startswith('relay_parsl.')
