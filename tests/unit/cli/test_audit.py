"""`relay-parsl audit`: which lines it names, and which it shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay_parsl.cli.audit import lines_of, since_when
from relay_parsl.cli.main import main
from relay_parsl.cli.show import BadInput
from relay_parsl.home import Credentials, Home
from relay_parsl.home.audit import AuditLog, files

NOW = 1_800_000_000.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A relay and an endpoint that have put things on record."""
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    home = Home(tmp_path / 'home')
    for role, parts in (('relay', ('relay',)), ('endpoint', ('endpoints', 'polaris'))):
        directory = home.directory(*parts)
        keys = Credentials.create(role, role, now=NOW, lifetime=1e9)
        keys.save(directory / f'{role}.key')
        log = AuditLog(directory / 'audit.log', keys.keys)
        for day in range(4):
            log.write(NOW + day * 86400, ('session', 'revoke')[day % 2], {'account': f'{day:032x}', 'name': f'n{day}'})
        log.close()
    return home


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(main, ['audit', *arguments])


def test_every_log_of_the_home_is_checked(home: Home) -> None:
    result = ask('verify')
    assert result.exit_code == 0, result.output
    assert [line.split(': ')[0] for line in result.output.splitlines()] == ['relay', 'endpoint polaris']


@pytest.mark.attack(42)
def test_the_line_that_was_changed_is_named(home: Home) -> None:
    path = home.root / 'endpoints' / 'polaris' / 'audit.log'
    path.write_text(path.read_text().replace('"n2"', '"n7"'))
    result = ask('verify', 'polaris')
    assert result.exit_code == 1
    assert 'endpoint polaris: audit.log, line 3: changed: ' in result.output
    rows = json.loads(ask('verify', '--json', str(path)).stdout)
    assert [(row['line'], row['kind']) for row in rows] == [(3, 'changed')]
    assert ask('verify', 'relay').exit_code == 0


@pytest.mark.attack(42)
def test_a_log_of_other_keys_than_the_partys_is_not_whole(home: Home) -> None:
    for name in ('audit.log', 'audit.head'):
        (home.root / 'relay' / name).write_bytes((home.root / 'endpoints' / 'polaris' / name).read_bytes())
    result = ask('verify', 'relay')
    assert result.exit_code == 1
    assert 'head: it is signed by another party' in result.output


def test_a_target_that_is_none_is_told_with_those_that_are(home: Home) -> None:
    result = ask('verify', 'perlmutter')
    assert result.exit_code == 2
    assert 'endpoint polaris' in result.output


def test_lines_are_shown_by_time_event_and_account(home: Home) -> None:
    assert len(ask('show', 'relay').output.splitlines()) == 4
    assert [json.loads(line)['name'] for line in ask('show', 'relay', '--event', 'revoke', '--json').output.splitlines()] == ['n1', 'n3']
    named = ask('show', 'polaris', '--account', 'n2')
    assert 'n2' in named.stdout
    assert 'is the name of nobody who is known here' in named.stderr, 'else a log of ids would be silent, and seem to say something'
    assert len(ask('show', 'polaris', '--account', f'{1:032x}').output.splitlines()) == 1
    shown = ask('show', 'relay', '--since', '2027-01-17T00:00').output
    assert 'n0' not in shown
    assert 'n3' in shown
    assert 'hash' not in shown


def test_times_are_read() -> None:
    assert since_when('2h', NOW) == NOW - 7200
    assert since_when('7d', NOW) == NOW - 7 * 86400
    assert since_when('2026-11-25T08:00+00:00', NOW) == 1795593600
    with pytest.raises(BadInput, match='7d'):
        since_when('yesterday', NOW)


def test_follow_goes_on_with_the_file_that_comes_after_a_full_one(home: Home) -> None:
    path, found = home.root / 'relay' / 'audit.log', []
    keys = Credentials.load(home.root / 'relay' / 'relay.key').keys
    log = AuditLog(path, keys, largest=1500)
    for data in lines_of(path, follow=True):
        found.append(json.loads(data)['number'])
        if found[-1] == 30:
            break
        if found[-1] >= 4:
            log.write(NOW, 'event', {})
    log.close()
    assert found == list(range(1, 31))
    assert len(files(path)) > 3
