"""What contrib holds: units that systemd takes, commands that exist, alerts about metrics that there are."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from relay_parsl.cli.main import main
from relay_parsl.endpoint.census import Census as EndpointCensus
from relay_parsl.endpoint.meter import Meter as EndpointMeter
from relay_parsl.engines.base import EngineStatus
from relay_parsl.flows.engine.meter import Meter as FlowsMeter
from relay_parsl.metrics import Publisher, render
from relay_parsl.relay.census import Census as RelayCensus
from relay_parsl.relay.meter import Meter as RelayMeter
from tests.integration.commands import until

ROOT = Path(__file__).parents[3]
UNITS = sorted((ROOT / 'contrib' / 'systemd').glob('*/*.service'))
SYSTEM = [unit for unit in UNITS if unit.parent.name == 'system']
EXPOSED = 2.5
"""What `systemd-analyze security` may find at most, of 10."""


def settings(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if line and line[0] not in '#;[':
            key, _, value = line.partition('=')
            found.setdefault(key, []).append(value)
    return found


def in_reach(unit: Path, directory: Path) -> Path:
    """A copy with a program that is there, under a name that systemd takes."""
    copy = directory / unit.name.replace('@', '@polaris')
    copy.write_text(re.sub(r'^ExecStart=\S+', f'ExecStart={shutil.which("true")}', unit.read_text(), flags=re.MULTILINE))
    return copy


def systemd(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which('systemd-analyze') is None:
        pytest.skip('there is no systemd-analyze here')
    return subprocess.run(
        ['systemd-analyze', *arguments],
        check=False,
        env={'XDG_RUNTIME_DIR': str(directory), 'PATH': '/usr/bin:/bin'},
        capture_output=True,
        text=True,
        timeout=60,
    )


def name(unit: Path) -> str:
    return f'{unit.parent.name}/{unit.name}'


@pytest.mark.parametrize('unit', UNITS, ids=name)
def test_systemd_takes_each_unit(unit: Path, tmp_path: Path) -> None:
    user = ['--user'] if unit.parent.name == 'user' else []
    done = systemd(*user, 'verify', '--man=no', str(in_reach(unit, tmp_path)), directory=tmp_path)
    assert (done.returncode, done.stderr + done.stdout) == (0, '')


@pytest.mark.parametrize('unit', SYSTEM, ids=name)
def test_little_is_open_to_what_runs_in_a_unit_of_the_system(unit: Path, tmp_path: Path) -> None:
    done = systemd('security', '--offline=true', '--no-pager', str(in_reach(unit, tmp_path)), directory=tmp_path)
    if 'Overall exposure' not in done.stdout:
        pytest.skip('this systemd-analyze judges no files')
    assert float(re.findall(r'exposure level for \S+ (\d+\.\d)', done.stdout)[0]) <= EXPOSED


@pytest.mark.parametrize('unit', UNITS, ids=name)
def test_a_unit_starts_a_command_that_exists_and_ends_it_in_its_own_time(unit: Path) -> None:
    found = settings(unit)
    check_command(shlex.split(found['ExecStart'][0].replace('%i', 'polaris'))[1:])
    assert found['Type'] == ['notify']
    assert found['LimitCORE'] == ['0'], 'a core holds keys'
    assert found['UMask'] == ['0077']
    assert int(found['TimeoutStopSec'][0]) >= 60
    codes = found['RestartPreventExitStatus'][0].split()
    assert '2' in codes
    assert ('3' in codes) == ('endpoint' in unit.name), 'an endpoint that was fenced must not come back'
    assert int(found['WatchdogSec'][0]) >= 120


def check_command(words: list[str]) -> None:
    """Options and all: click parses them."""
    command: click.Command = main
    words = [word for word in words if not word.startswith('$')]
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    with click.Context(command) as ctx:
        command.make_parser(ctx).parse_args(words)


def metrics() -> set[str]:
    """The names of all families, and what a histogram makes of its own."""
    relay = RelayMeter().families(RelayCensus(0, 0, 0, 0, 0.0), {'store': 0}, False)
    facts = {'handshakes': 0, 'journal': 0, 'free': 0}
    endpoint = EndpointMeter().families(EndpointCensus(0, 0, 0, True, False, False), {'gpu': EngineStatus(1)}, facts)
    seen: list[str] = []
    publisher = Publisher()
    publisher.publish = lambda families: seen.append(render(families))  # type: ignore[method-assign]
    FlowsMeter(publisher).tell(holds=True, runs=0, waiting=0, due=0, actions=())
    text = render([*relay, *endpoint]) + seen[0]
    families = re.findall(r'^# TYPE (\S+) (\S+)', text, re.MULTILINE)
    return {
        full for family, kind in families for full in ([family] if kind != 'histogram' else [f'{family}_bucket', f'{family}_sum', f'{family}_count'])
    }


def rules() -> Iterator[dict[str, object]]:
    for group in yaml.safe_load((ROOT / 'contrib' / 'prometheus' / 'relay-parsl.rules.yml').read_text())['groups']:
        yield from group['rules']


def test_alerts_are_about_metrics_that_there_are_and_docs_say_what_to_do() -> None:
    known, told = metrics(), (ROOT / 'docs' / 'operations.md').read_text()
    for rule in rules():
        used = set(re.findall(r'relay_parsl_\w+', str(rule['expr'])))
        assert used <= known, rule['alert']
        assert used or 'node_textfile' in str(rule['expr'])
        assert str(rule['alert']) in told, f'docs/operations.md says nothing of {rule["alert"]}'
        assert str(rule['expr']).count('(') == str(rule['expr']).count(')')
        assert set(rule) <= {'alert', 'expr', 'for', 'labels', 'annotations'}


def commands_in(document: Path) -> Iterator[str]:
    """Every command of ours in a document, in blocks of code and between backticks; what stands for a name is a word."""
    text = document.read_text()
    blocks = re.findall(r'^```[^\n]*\n(.*?)^```', text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r'^```.*?^```', '', text, flags=re.MULTILINE | re.DOTALL)
    for line in [*'\n'.join(blocks).replace('\\\n', ' ').splitlines(), *re.findall(r'`([^`\n]+)`', rest)]:
        found = re.search(r'(?:^|[\s/])relay-parsl ((?!-v)[a-z][^|#>&;]*)', line)
        if found:
            yield found[1].strip()


COMMANDS = sorted(set(commands_in(ROOT / 'docs' / 'operations.md')))


def test_the_document_is_full_of_commands() -> None:
    assert len(COMMANDS) > 25


@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_of_the_document_exists(command: str) -> None:
    check_command(shlex.split(command))


def allowed(words: list[str], tmp: Path) -> set[str]:
    """The system calls that a list of `SystemCallFilter` lines lets pass, by this systemd's own tables."""
    passing: set[str] = set()
    for line in words:
        names = calls_of(line.removeprefix('~').split(), tmp)
        passing = passing - names if line.startswith('~') else passing | names
    return passing


def calls_of(groups: list[str], tmp: Path) -> set[str]:
    found: set[str] = set()
    for group in groups:
        told = systemd('syscall-filter', group, directory=tmp).stdout.splitlines()[1:]
        inside = [line.strip() for line in told if line.strip() and not line.strip().startswith('#')]
        found |= {each for each in inside if not each.startswith('@')} | calls_of([each for each in inside if each.startswith('@')], tmp)
    return found


@pytest.mark.slow
def test_a_relay_makes_no_system_call_that_its_unit_forbids(tmp_path: Path) -> None:
    if shutil.which('strace') is None:
        pytest.skip('there is no strace here')
    passing = allowed(settings(ROOT / 'contrib' / 'systemd' / 'system' / 'relay-parsl-relay.service')['SystemCallFilter'], tmp_path)
    environment = {**os.environ, 'RELAY_PARSL_HOME': str(tmp_path / 'home')}
    ours = [sys.executable, '-m', 'relay_parsl', 'relay']
    trace = tmp_path / 'trace'
    start = ['strace', '-f', '-qq', '-o', str(trace), *ours, 'start', '--bind', '127.0.0.1:0', '--metrics', str(tmp_path / 'relay.prom')]
    relay = subprocess.Popen(start, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until((tmp_path / 'relay.prom').exists)
        subprocess.run([*ours, 'status'], env=environment, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*ours, 'stop'], env=environment, check=True, stdout=subprocess.DEVNULL)
    finally:
        relay.terminate()
        relay.wait(30)
    used = set(re.findall(r'^\d+ +([a-z_0-9]+)\(', trace.read_text(errors='replace'), re.MULTILINE))
    assert len(used) > 30
    assert used - passing - {'fchown'} == set(), 'fchown: SQLite gives files of root to their owner, and the unit runs as nobody of that rank'
