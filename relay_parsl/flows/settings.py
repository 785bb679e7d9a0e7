"""`flows.yaml`: what the flows of one home directory may use, and what each kind of action is told. Every mistake at once, with its line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import entry_points
from typing import Any

from relay_parsl.config import Level, Located, Report, read_yaml, settle
from relay_parsl.flows.messages import Limits
from relay_parsl.flows.storage.collections import placed_faults
from relay_parsl.home import Home

NAME = 'flows.yaml'
SECTIONS = ('collections', 'compute', 'datacite', 'notify', 'search', 'web_input')
"""What the actions of this package read; a plug-in's section has its own name."""
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
    installed = {point.name for point in entry_points(group='relay_parsl.actions')}
    top = Level('', root, {*SECTIONS, 'limits', 'actions', *own, *installed})
    plugins = [Level(f'actions.{name}', node, PLUGIN) for name, node in _mapping(root.get('actions'))]
    return [top, Level('limits', root.get('limits'), LIMITS), *plugins]


def _mapping(node: Located | None) -> Collection[tuple[str, Located]]:
    return list(node.children()) if node is not None and node.is_mapping else []


class _Reader:
    """Values of the right kind, or a mistake in the report."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def read(self, root: Located) -> Settings:
        nodes = {name: node for name, node in root.children() if self._is_mapping(node)}
        sections = {name: node.plain for name, node in nodes.items() if name not in ('limits', 'actions')}
        actions = {name: node.plain for name, node in _mapping(nodes.get('actions')) if self._is_plugin(node)}
        self._collections(nodes.get('collections'))
        return self._limited(nodes.get('limits'), Settings(sections=sections, actions=actions))

    def _collections(self, section: Located | None) -> None:
        """They have their own rules; whoever wrote the file wants the line."""
        if section is None or not section.is_mapping:
            return
        for name, key, words in placed_faults(section.plain):
            collection: Located = section.value[name]
            self._report.error(collection.get(key.partition('[')[0]) or collection, words)

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
