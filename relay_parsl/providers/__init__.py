"""Providers for batch systems that believe neither an empty answer nor a failing command; Parsl's serve for everything else.

They are loaded when they are first used: rules for their options are needed where Parsl is not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay_parsl.providers.pbspro import PBSProProvider as PBSProProvider
    from relay_parsl.providers.slurm import SlurmProvider as SlurmProvider

_PLACES = {'PBSProProvider': 'relay_parsl.providers.pbspro', 'SlurmProvider': 'relay_parsl.providers.slurm'}
__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = globals()[name] = getattr(import_module(_PLACES[name]), name)
    return value
