"""`flows.yaml`: what the flows of one home directory may use, and what each kind of action is told. Every mistake at once, with its line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from relay_parsl.config import Level, Located, Report, read_yaml, settle
from relay_parsl.flows.actions import OURS
from relay_parsl.flows.actions.keys import Place
from relay_parsl.flows.messages import Limits
from relay_parsl.home import Home

NAME = 'flows.yaml'
SECTIONS = {
    'collections': 'transfer',
    'compute': 'compute',
    'datacite': 'datacite',
    'notify': 'notify',
    'search': 'search_ingest',
    'web_input': 'web_input',
}
"""What the actions of this package read, and which of them knows what is wrong with it. A plug-in's section has the plug-in's name."""
GROUP = 'relay_parsl.actions'
"""The entry points of plug-ins."""
RUNS_AT_ONCE, KEEP_DAYS = 10_000, 90.0
RUN_LIMITS = tuple(each.name for each in fields(Limits))
LIMITS = (*RUN_LIMITS, 'runs_at_once', 'keep_days')
PLUGIN = ('type', 'urls')


@dataclass(frozen=True)
class Settings:
    """The settings of one home directory.

    Attributes:
        limits: What a run may use; written down with it when it is submitted.
        runs_at_once: How many runs the engine works at; the others wait for their turn, in their order.
        keep_days: Days after which an ended run is deleted.
        sections: What providers are told, by the section's name.
        actions: Plug-ins by hand: for a name `type`, which is `module:Class`, and `urls`, where they are not the class's own.
    """

    limits: Limits = field(default_factory=Limits)
    runs_at_once: int = RUNS_AT_ONCE
    keep_days: float = KEEP_DAYS
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    actions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def section(self, name: str) -> Mapping[str, Any]:
        """What the file says under this name; empty where it says nothing."""
        return self.sections.get(name, {})


def load_settings(home: Home | None = None) -> Settings:
    """The settings of a home directory; the defaults where it has no file.

    Raises:
        ConfigError: with every mistake, a line each: file, line, path, what is wrong.
    """
    path = (home or Home.find()).root / NAME
    if not path.exists():
        return Settings()
    report = Report(str(path))
    root = read_yaml(path, report)
    settle(lambda: _levels(root), report)
    found = _Reader(report).read(root)
    report.verdict()
    return found


def _levels(root: Located) -> list[Level]:
    own = set(root.value['actions'].value) if root.get('actions') is not None and root.value['actions'].is_mapping else set()
    installed = {point.name for point in entry_points(group=GROUP)}
    top = Level('', root, {*SECTIONS, 'limits', 'actions', *own, *installed})
    plugins = [Level(f'actions.{name}', node, PLUGIN) for name, node in _mapping(root.get('actions'))]
    return [top, Level('limits', root.get('limits'), LIMITS), *plugins]


def _mapping(node: Located | None) -> Collection[tuple[str, Located]]:
    return list(node.children()) if node is not None and node.is_mapping else []


def _at(node: Located, place: Place) -> Located:
    """The value that these keys lead to, or the last one on the way that stands in the file."""
    for step in place:
        known = node.value if isinstance(node.value, (dict, list)) else {}
        if isinstance(known, list) and not (isinstance(step, int) and step < len(known)):
            break
        child = known[step] if isinstance(known, list) and isinstance(step, int) else known.get(str(step)) if isinstance(known, dict) else None
        if child is None:
            break
        node = child
    return node


class _Reader:
    """Values of the right kind, or a mistake in the report."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def read(self, root: Located) -> Settings:
        nodes = {name: node for name, node in root.children() if self._is_mapping(node)}
        sections = {name: node.plain for name, node in nodes.items() if name not in ('limits', 'actions')}
        actions = {name: node.plain for name, node in _mapping(nodes.get('actions')) if self._is_plugin(node)}
        for name in sections:
            self._section(name, nodes[name], actions.get(name, {}).get('type'))
        return self._limited(nodes.get('limits'), Settings(sections=sections, actions=actions))

    def _section(self, name: str, node: Located, by_hand: str | None) -> None:
        """What its provider says of it; that is loaded for this."""
        found = by_hand or OURS.get(SECTIONS.get(name, '')) or next((point.value for point in entry_points(group=GROUP, name=name)), '')
        module, _, attribute = found.partition(':')
        try:
            faults = list(getattr(import_module(module), attribute).settings_faults(node.plain)) if found else []
        except (ImportError, AttributeError, ValueError) as error:
            self._report.error(node, f'{found}, which reads this section, cannot be had: {error}')
            return
        for place, problem in faults:
            self._report.error(_at(node, place), problem)

    def _is_mapping(self, node: Located) -> bool:
        if not node.is_mapping:
            self._report.error(node, 'must be `key: value` lines')
        return node.is_mapping

    def _is_plugin(self, node: Located) -> bool:
        if not self._is_mapping(node):
            return False
        kind, urls = node.get('type'), node.get('urls')
        if kind is None or not isinstance(kind.value, str) or ':' not in kind.value:
            self._report.error(kind or node, 'needs `type: package.module:Class`')
        if urls is not None and not (isinstance(urls.value, list) and all(isinstance(each, str) for each in urls.plain)):
            self._report.error(urls, 'must be a list of URLs')
        return True

    def _limited(self, node: Located | None, settings: Settings) -> Settings:
        run: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for name, each in _mapping(node):
            if name in LIMITS:
                self._number(name, each, run if name in RUN_LIMITS else own)
        return replace(settings, limits=replace(settings.limits, **run), **own)

    def _number(self, name: str, node: Located, found: dict[str, Any]) -> None:
        value, whole = node.value, name not in ('duration', 'keep_days')
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not value > 0:
            self._report.error(node, f'must be a {"whole " if whole else ""}number greater than 0')
        else:
            found[name] = value
