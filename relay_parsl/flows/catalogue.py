"""Which action of ours an ActionUrl, a Handler's Url, or the id or URN of a Registered API means.

```
https://actions.automate.globus.org/transfer/transfer/ ─► canonical ─► actions.globus.org/transfer/transfer ─► a provider that has it ─► transfer
```
Every provider says in its `Description` which URLs it serves; providers are ours, installed ones (entry points `relay_parsl.actions`) and those of
the settings file. What nobody serves is a fault when a definition is read, not a surprise at three in the morning.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import urlsplit

from relay_parsl.errors import ConfigError
from relay_parsl.flows.actions import OURS
from relay_parsl.flows.actions.base import Action, Description
from relay_parsl.flows.settings import load_settings

GROUP = 'relay_parsl.actions'
"""The entry points of actions: `name = module:Class`."""
HOSTS = {'actions.automate.globus.org': 'actions.globus.org'}
"""Hosts that are another one."""
RETIRED: Mapping[str, str] = {
    'actions.globus.org/transfer/': 'use https://transfer.actions.globus.org/ (transfer, delete, ls, mkdir, collection_info, manage_permission)',
    'automate.funcx.org': 'use https://compute.actions.globus.org',
    'funcx.org': 'use https://compute.actions.globus.org',
}
"""What the hosted service has given up, and what it says to use. It works here."""
HANDLE = 'urn:globus:flows:handle:globus:'
"""How the URN of a Registered API begins."""


def canonical(url: str) -> str:
    """One spelling for all those of a URL: host in small letters and under its first name, no scheme, port, query or trailing `/`."""
    text = url.strip()
    if text.lower().startswith('urn:'):
        return text.lower()
    try:
        parts = urlsplit(text if '://' in text else f'//{text}')
        host = (parts.hostname or '').lower()
    except ValueError:
        return text
    return HOSTS.get(host, host) + re.sub(r'/{2,}', '/', parts.path).rstrip('/')


def retired(url: str) -> str:
    """What to use instead, where the hosted service no longer answers at this URL; '' where it does."""
    place = canonical(url)
    return next((remedy for start, remedy in RETIRED.items() if place.startswith(start)), '')


@dataclass(frozen=True)
class Catalogue:
    """The actions that there are.

    Attributes:
        descriptions: By the name of the action.
        places: From the canonical URL to that name.
    """

    descriptions: Mapping[str, Description]
    places: Mapping[str, str]

    @classmethod
    def of(cls, descriptions: Iterable[Description]) -> Catalogue:
        """A catalogue of these; of two that claim one URL the later has it."""
        known = {each.name: each for each in descriptions}
        return cls(known, {canonical(url): each.name for each in known.values() for url in each.urls})

    def find(self, url: str) -> str | None:
        """The name of the action that serves this URL or URN; None where none does.

        The handle `urn:globus:flows:handle:globus:TRANSFER.LS` means the action `ls`, one of whose URLs is of that service.
        """
        place = canonical(url)
        if place in self.places or not place.startswith(HANDLE):
            return self.places.get(place)
        service, _, route = place.removeprefix(HANDLE).partition('.')
        for name in (route, f'{service}_{route}'):
            known = self.descriptions.get(name)
            if known is not None and any(service in re.split(r'[./]', canonical(each)) for each in known.urls):
                return name
        return None

    def unknown(self, url: str) -> str:
        """More words for a URL, URN or id that nobody serves: the nearest known ones, and the remedy."""
        place = canonical(url)[:200]
        near = difflib.get_close_matches(place, self.places, n=3, cutoff=0.75)
        best = difflib.SequenceMatcher(None, near[0], place).ratio() if near else 0.0
        near = [each for each in near if difflib.SequenceMatcher(None, each, place).ratio() > best - 0.03]
        shown = [place if place.startswith('urn:') else f'https://{place}' for place in near]
        meant = f'did you mean {" or ".join(shown)}?' if near else f'actions here are {", ".join(sorted(self.descriptions))};'
        return f'; {meant} an action of your own can serve it: name it under `actions` in flows.yaml'

    def more(self, actions: Mapping[str, Any]) -> Catalogue:
        """With the section `actions` of the settings file: by name, `type: module:Class` and its `urls`.

        Raises:
            ConfigError: A class cannot be had, or is none.
        """
        added = [
            replace(described, name=name, urls=tuple(given.get('urls') or described.urls))
            for name, given in actions.items()
            for described in [load(str(given.get('type')), f'actions.{name}.type').description]
        ]
        return Catalogue.of([*self.descriptions.values(), *added])


def load(place: str, name: str = '') -> type[Action]:
    """The class at `module:Class`.

    Raises:
        ConfigError: There is none, or it is no action.
    """
    module, _, attribute = place.partition(':')
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f'{name or place}: {place}: cannot be had: {error}') from error
    if not (isinstance(found, type) and issubclass(found, Action)):
        raise ConfigError(f'{name or place}: {place}: is no action; derive it from relay_parsl.flows.actions.base.Action')
    return found


@lru_cache(maxsize=1)
def standard() -> Catalogue:
    """Ours and the installed ones.

    Raises:
        ConfigError: An installed one cannot be loaded.
    """
    ours = [load(place).description for place in OURS.values()]
    installed = [load(point.value, f'entry point {point.name} of {GROUP}').description for point in entry_points(group=GROUP)]
    return Catalogue.of([*ours, *installed])


def here() -> Catalogue:
    """All that there are in this home: ours, the installed ones, and those that `flows.yaml` names under `actions`.

    Raises:
        ConfigError: One of them cannot be loaded, or `flows.yaml` has mistakes.
    """
    named = load_settings().actions
    return standard().more(named) if named else standard()
