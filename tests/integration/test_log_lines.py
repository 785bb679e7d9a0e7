"""Logs that programs collect: every line of a process that serves is an object, the first and the last too."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.commands import Commands, commands

pytestmark = pytest.mark.integration


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'home') as made:
        yield made


def test_what_a_process_says_first_and_last_is_an_object_and_people_are_told_it_in_words(cli: Commands) -> None:
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        where = f'127.0.0.1:{taken.getsockname()[1]}'
        for more in ((), ('--detach',)):
            done = cli.run('relay', 'start', '--bind', where, '--log-format', 'json', *more)
            assert done.returncode == 2
            last = (done.stderr or (cli.root / 'relay' / 'relay.log').read_text()).splitlines()[-1]
            assert f'{where} is in use' in (last if more else json.loads(last)['message'])
    cli.ok('relay', 'start', '--bind', '127.0.0.1:0', '--log-format', 'json', '--detach')
    cli.ok('relay', 'stop')
    lines = [json.loads(line)['message'] for line in (cli.root / 'relay' / 'relay.log').read_text().splitlines()]
    assert any('is in use' in line for line in lines)
    assert any(line.startswith('relay at 127.0.0.1:') for line in lines)
