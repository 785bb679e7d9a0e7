"""What a shell makes of the first letters of a name."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from relay_parsl.cli.main import main
from relay_parsl.home import HOME, Home, Pin


def completed(*words: str, typed: str = '') -> list[str]:
    return [each.value for each in ShellComplete(main, {}, 'relay-parsl', '_X').get_completions(list(words), typed) if each.type == 'plain']


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv(HOME, str(tmp_path / 'home'))
    home = Home.find()
    for name, kind in (('polaris', 'endpoint'), ('bob', 'user'), ('robot', 'service')):
        home.pin(Pin(name, name.encode().ljust(32), kind))
    return home


@pytest.mark.parametrize('command', ['share', 'unshare', 'shares'])
def test_endpoints_and_accounts_that_are_confirmed_complete(home: Home, command: str) -> None:
    assert home.root.exists()
    assert completed('endpoint', command) == ['polaris']
    assert completed('endpoint', command, typed='x') == []
    if command != 'shares':
        assert completed('endpoint', command, 'polaris') == ['bob', 'robot']


def test_a_home_that_cannot_be_used_completes_nothing(home: Home) -> None:
    (home.root / 'pins.json').chmod(0o644)
    assert completed('endpoint', 'share', 'polaris') == []


@pytest.mark.parametrize('command', ['verify', 'show'])
def test_the_log_of_a_relay_has_a_name(home: Home, command: str) -> None:
    assert home.root.exists()
    assert completed('audit', command, typed='re') == ['relay']
    assert completed('audit', command, typed='x') == []
