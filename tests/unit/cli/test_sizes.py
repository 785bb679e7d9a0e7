"""Sizes as people write them, and how they reach the relay."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from relay_parsl import daemon
from relay_parsl.cli.main import main
from relay_parsl.cli.sizes import read_size


@pytest.mark.parametrize(
    ('text', 'size'),
    [
        ('1', 1), ('4096', 4096), ('1b', 1), ('500MB', 500_000_000), ('500 mb', 500_000_000), ('1.5GiB', 3 << 29), ('1kB', 1000),
        ('64kib', 65536), ('2TB', 2 * 10**12), ('1TiB', 1 << 40), (None, None),
    ],
)  # fmt: skip
def test_sizes(text: str | None, size: int | None) -> None:
    option = click.Option(['--some'])
    assert read_size(click.Context(click.Command('any')), option, text) == size


@pytest.mark.parametrize('text', ['', 'MB', '12 parsecs', '-1', '0', '0.4', '1,5GB', '1e6', '9999999TiB', '5G'])
@pytest.mark.parametrize('option', ['--body-limit', '--store-limit'])
def test_what_is_no_size_is_one_clear_line(option: str, text: str) -> None:
    result = CliRunner().invoke(main, ['relay', 'start', option, text])
    assert result.exit_code == 2
    assert option in result.output
    assert f'{text!r} is no size: write a number of bytes, or one with' in ' '.join(result.output.split())


def test_a_queue_limit_is_a_number() -> None:
    result = CliRunner().invoke(main, ['relay', 'start', '--queue-limit', '0'])
    assert (result.exit_code, '--queue-limit' in result.output) == (2, True)


def test_limits_are_carried_into_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    said: list[list[str]] = []

    def detach(words: list[str], _log: Path, _timeout: float) -> str:
        said.append(words)
        return 'ready'

    monkeypatch.setattr(daemon, 'detach', detach)
    for limits in ([], ['--body-limit', '2MB', '--store-limit', '1GiB', '--queue-limit', '5']):
        assert CliRunner().invoke(main, ['relay', 'start', '--detach', *limits]).exit_code == 0
    start = ['relay', 'start', '--bind', '127.0.0.1:7400']
    assert said == [start, [*start, '--body-limit', '2000000', '--store-limit', '1073741824', '--queue-limit', '5']]
