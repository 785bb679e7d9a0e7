"""`type:` to class: ours, Parsl's, installed plug-ins; and refusals with names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from parsl.executors import HighThroughputExecutor
from parsl.launchers import MpiExecLauncher
from parsl.providers import LocalProvider

from relay_parsl.endpoint import plugins
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.engines.pool import ProcessPoolEngine, ThreadPoolEngine
from relay_parsl.errors import ConfigError
from relay_parsl.launchers import HydraLauncher, PalsMpiexecLauncher, SimpleLauncher, SrunLauncher
from relay_parsl.providers import PBSProProvider, SlurmProvider

PLUGIN = """
from parsl.providers import LocalProvider
from parsl.launchers.base import Launcher

class Cloudy(LocalProvider):
    def __init__(self, region: str, nodes: int = 1, mood=None):
        super().__init__()

class Rocket(Launcher):
    def __call__(self, command, tasks_per_node, nodes_per_block, script_dir=''):
        return command

class Stone: ...

class Motor:
    def __init__(self, power: 'float' = 1.0, **more): ...
    start = submit = cancel = withdraw = demand = status = stop = lambda self: None
"""
POINTS = """
[relay_parsl.providers]
CloudyProvider = sky_plugin:Cloudy
StoneProvider = sky_plugin:Stone
GoneProvider = sky_plugin:Gone

[relay_parsl.launchers]
RocketLauncher = sky_plugin:Rocket

[relay_parsl.engines]
MotorEngine = sky_plugin:Motor
StoneEngine = sky_plugin:Stone
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution with entry points, on the path."""
    (tmp_path / 'sky_plugin.py').write_text(PLUGIN)
    info = tmp_path / 'sky_plugin-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: sky-plugin\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text(POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.find.cache_clear()
    yield
    sys.modules.pop('sky_plugin', None)
    plugins.find.cache_clear()


@pytest.mark.parametrize(
    ('kind', 'name', 'found'),
    [
        ('engine', 'HtexEngine', HtexEngine),
        ('engine', 'GlobusComputeEngine', HtexEngine),
        ('engine', 'ThreadPoolEngine', ThreadPoolEngine),
        ('engine', 'ProcessPoolEngine', ProcessPoolEngine),
        ('provider', 'LocalProvider', LocalProvider),
        ('provider', 'PBSProProvider', PBSProProvider),
        ('provider', 'SlurmProvider', SlurmProvider),
        ('launcher', 'MpiExecLauncher', MpiExecLauncher),
        ('launcher', 'PalsMpiexecLauncher', PalsMpiexecLauncher),
        ('launcher', 'HydraLauncher', HydraLauncher),
        ('launcher', 'SrunLauncher', SrunLauncher),
        ('launcher', 'SimpleLauncher', SimpleLauncher),
    ],
)
def test_names_and_their_classes(kind: str, name: str, found: type) -> None:
    assert plugins.find(kind, name) is found


@pytest.mark.parametrize('kind', plugins.KINDS)
def test_every_name_that_is_offered_is_found(kind: str) -> None:
    names = plugins.names(kind)
    assert names
    assert all(callable(plugins.find(kind, name)) for name in names)


def test_a_name_of_a_later_version_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plugins.KINDS, 'engine', plugins.Kind({'WarpEngine': 'relay_parsl.engines.warp'}))
    with pytest.raises(ConfigError, match='`WarpEngine` is not in this version of relay-parsl'):
        plugins.find('engine', 'WarpEngine')
    assert 'WarpEngine' not in plugins.names('engine')


def test_every_engine_of_ours_keeps_the_promises_of_its_protocol() -> None:
    for name in ('HtexEngine', 'ThreadPoolEngine', 'ProcessPoolEngine'):
        assert all(callable(getattr(plugins.find('engine', name), method)) for method in plugins.ENGINE_METHODS)


@pytest.mark.parametrize(
    ('kind', 'name', 'said'),
    [
        ('provider', 'PBSProvider', 'did you mean `PBSProProvider`'),
        ('provider', 'SlurmProvder', 'did you mean `SlurmProvider`'),
        ('launcher', 'mpiexeclauncher', 'did you mean `MpiExecLauncher`'),
        ('engine', 'HTEXEngine', 'did you mean `HtexEngine`'),
        ('engine', 'Turbo', 'known are '),
        ('provider', 'base', 'no provider that is known'),
        ('provider', 'typeguard', 'no provider that is known'),
        ('address', 'tcp_url', 'no address that is known'),
        ('launcher', 'LocalProvider', 'no launcher that is known'),
    ],
)
def test_names_that_nobody_has(kind: str, name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plugins.find(kind, name)


@pytest.mark.usefixtures('installed')
def test_plugins_are_found_by_their_entry_points() -> None:
    assert plugins.find('provider', 'CloudyProvider').__name__ == 'Cloudy'
    assert plugins.find('launcher', 'RocketLauncher').__name__ == 'Rocket'
    assert plugins.find('engine', 'MotorEngine').__name__ == 'Motor'
    assert 'CloudyProvider' in plugins.names('provider')


@pytest.mark.usefixtures('installed')
@pytest.mark.parametrize(
    ('kind', 'name', 'said'),
    [
        ('provider', 'StoneProvider', 'is no provider: it must be a class derived from parsl.providers.base.ExecutionProvider'),
        ('provider', 'GoneProvider', 'cannot be imported'),
        ('engine', 'StoneEngine', 'is no engine: it has no start, submit, cancel, withdraw, demand, status, stop'),
    ],
)
def test_plugins_that_are_not_of_their_kind(kind: str, name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plugins.find(kind, name)


@pytest.mark.usefixtures('installed')
def test_a_plugin_cannot_take_the_place_of_a_known_name(tmp_path: Path) -> None:
    points = tmp_path / 'sky_plugin-1.0.dist-info' / 'entry_points.txt'
    points.write_text('[relay_parsl.providers]\nLocalProvider = sky_plugin:Cloudy\n')
    assert plugins.find('provider', 'LocalProvider') is LocalProvider


def test_the_engine_on_htex_takes_what_htex_takes() -> None:
    keys = plugins.parameters('engine', HtexEngine)
    assert {'provider', 'address', 'max_retries_on_system_failure', 'max_workers_per_node', 'cpu_affinity', 'worker_port_range'} <= set(keys)
    assert not {'self', 'htex_options'} & set(keys)
    assert plugins.executor_class('HtexEngine') is HighThroughputExecutor
    assert plugins.executor_class('ProcessPoolEngine') is None
