"""Endpoints that start with their host: the unit, and what is said where there is no systemd. `systemctl` is a program of the test's own."""

from __future__ import annotations

import configparser
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay_parsl.cli.boot import unit_text
from relay_parsl.cli.main import main
from relay_parsl.endpoint.place import Place
from relay_parsl.home import Home

UNIT = 'relay-parsl-endpoint-polaris.service'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH, a home with one endpoint, and a place for units."""
    path = tmp_path / 'bin'
    path.mkdir()
    monkeypatch.setenv('PATH', str(path))
    monkeypatch.setenv('XDG_CONFIG_HOME', str(tmp_path / 'config'))
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    Place(Home(tmp_path / 'home'), 'polaris').configure(b'engine: {type: ThreadPoolEngine}\n')
    return path


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    return tmp_path / 'config' / 'systemd' / 'user' / UNIT


def systemctl(programs: Path, tmp_path: Path, code: int = 0) -> Path:
    said = tmp_path / 'said'
    program = programs / 'systemctl'
    program.write_text(f'#!/bin/sh\necho "$@" >> {said}\n[ {code} = 0 ] || echo "Failed to connect to bus" >&2\nexit {code}\n')
    program.chmod(0o755)
    return said


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ['endpoint', *arguments])


def test_enabled_twice_is_enabled_once_and_disabled_twice_is_gone(programs: Path, unit: Path, tmp_path: Path) -> None:
    said = systemctl(programs, tmp_path)
    first, second = run('enable-on-boot', 'polaris'), run('enable-on-boot', 'polaris')
    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert f'{unit} is written' in first.output
    assert "endpoint 'polaris' starts with" in first.output
    assert 'loginctl enable-linger' in first.output
    assert f'{unit} is there already' in second.output
    assert said.read_text().splitlines() == ['--user daemon-reload', f'--user enable {UNIT}'] * 2
    gone, again = run('disable-on-boot', 'polaris'), run('disable-on-boot', 'polaris')
    assert (gone.exit_code, again.exit_code) == (0, 0)
    assert said.read_text().splitlines()[4:] == [f'--user disable {UNIT}', '--user daemon-reload']
    assert not unit.exists()
    assert 'is removed' in gone.output
    assert 'does not start with this host' in again.output


def test_without_systemd_the_unit_is_there_and_what_is_to_be_done_is_said(programs: Path, unit: Path, tmp_path: Path) -> None:
    result = run('enable-on-boot', 'polaris')
    assert result.exit_code == 0
    assert unit.exists()
    assert 'there is no systemctl here' in result.output
    assert f'systemctl --user daemon-reload\n  systemctl --user enable {UNIT}\n' in result.output
    systemctl(programs, tmp_path, code=1)
    assert 'systemctl says: Failed to connect to bus' in run('enable-on-boot', 'polaris').output


def test_the_unit_restarts_what_failed_but_not_what_was_replaced(programs: Path, unit: Path) -> None:
    run('enable-on-boot', 'polaris')
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(unit)
    service = parsed['Service']
    assert (service['Restart'], service['RestartPreventExitStatus']) == ('on-failure', '3')
    assert shlex.split(service['ExecStart']) == [sys.executable, '-m', 'relay_parsl', 'endpoint', 'start', 'polaris']
    assert service['Environment'].endswith('/home"')
    assert parsed['Install']['WantedBy'] == 'default.target'
    assert parsed['Unit']['ConditionHost']


def test_odd_paths_stay_what_they_are(tmp_path: Path) -> None:
    place = Place(Home(tmp_path / '100% "mine"'), 'polaris')
    text = unit_text(place, '/opt/my $python/bin/python', 'login1')
    assert '100%% \\"mine\\"' in text
    assert 'ExecStart="/opt/my $$python/bin/python" -m' in text


def test_an_endpoint_that_is_not_there_is_not_enabled(programs: Path, unit: Path) -> None:
    result = run('enable-on-boot', 'poalris')
    assert result.exit_code == 2
    assert not unit.exists()


def test_a_deleted_endpoint_does_not_come_back(programs: Path, unit: Path, tmp_path: Path) -> None:
    systemctl(programs, tmp_path)
    run('enable-on-boot', 'polaris')
    assert run('delete', 'polaris', '--yes').exit_code == 0
    assert not unit.exists()
