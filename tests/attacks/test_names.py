"""Names of others, ten kilobytes long, with line breaks, terminal escapes and marks that turn the direction, in the logs of an endpoint."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.errors import ConfigError
from relay_parsl.home import Home, check_name
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Body, Hash, Id, Object
from tests.attacks.hostile_relay import until
from tests.attacks.stolen import Stolen, failure, stolen_in

pytestmark = [pytest.mark.integration, pytest.mark.attack(25), pytest.mark.timeout(120)]

FORGED = '2026-11-25 08:00:00,000 INFO    relay_parsl.endpoint  task 00 ran'
HOSTILE = f'../\n{FORGED}\r\x1b[2J\x1b]0;title\x07\x9b31m\u202e\u2066\u2028\x85\0\'"; DROP TABLE tasks--' + 'x' * 10_240
LINE = re.compile(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ +[\w.]+  .*')


@pytest.fixture
def stolen(tmp_path: Path) -> Iterator[Stolen]:
    with stolen_in(tmp_path) as made:
        made.start()
        yield made


def hostile() -> int:
    return 1


hostile.__name__ = hostile.__qualname__ = HOSTILE


def test_names_reach_logs_as_one_escaped_line_each(stolen: Stolen, tmp_path: Path) -> None:
    """The user's own names are in what runs and in what is rejected; the relay's in what is refused."""
    site, executor = stolen.credentials('site').id, stolen.executor()
    assert executor.submit(hostile).result(40) == 1
    assert HOSTILE[:3] in str(failure(executor.with_options(user_endpoint_config={HOSTILE: HOSTILE}).submit(hostile)))
    first = executor.submit(pow, 2, 3)
    first.result(40)
    task = stolen.relay.dispatched(Id(first.id))
    header = codec.task_header(task.header)
    changed = header._replace(pool=HOSTILE, task_id=Id(os.urandom(16)), sequence=1 << 40)
    assert 'no-pool' in stolen.refuses(lambda: stolen.relay.dispatch(site, task._replace(header=codec.encode_header(changed))))['reason']
    missing = Hash(os.urandom(32))
    changed = header._replace(function=missing, task_id=Id(os.urandom(16)), sequence=1 << 41)
    stolen.relay.dispatch(site, task._replace(header=codec.encode_header(changed)))
    until(lambda: [each for each in list(stolen.relay.heard) if isinstance(each, m.Need) and missing in each.hashes], 'the question')
    assert 'hash of another' in stolen.refuses(lambda: stolen.relay.say(site, m.Objects((Object(missing, HOSTILE, Body(b'')),))))['reason']
    stolen.relay.say(site, m.Goodbye(HOSTILE, hello=True))
    assert executor.submit(pow, 2, 4).result(40) == 16
    stolen.stop()
    log = (tmp_path / 'site.log').read_text()
    assert '\\x1b[2J' in log
    for line in log.split('\n')[:-1]:
        assert line.isprintable()
        assert LINE.fullmatch(line)
        assert not line.startswith(FORGED)
        assert len(line) < 40_000
    records = (stolen.home.directory('endpoints', 'site') / 'audit.log').read_bytes().split(b'\n')[:-1]
    assert all(each.isascii() and each.decode().isprintable() for each in records)
    assert [json.loads(each)['number'] for each in records] == list(range(1, len(records) + 1))
    assert max(map(len, records)) < 40_000


@pytest.mark.parametrize('name', ['x' * 10_240, HOSTILE, HOSTILE[:64]], ids=['long', 'hostile', 'short'])
def test_no_file_is_called_so(tmp_path: Path, name: str) -> None:
    for call in (check_name, Home(tmp_path).directory, Home(tmp_path).credentials_path):
        with pytest.raises(ConfigError, match='no name'):
            call(name)
    assert [each.name for each in tmp_path.rglob('*') if name[:5] in each.name] == []
