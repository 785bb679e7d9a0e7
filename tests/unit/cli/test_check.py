"""What `endpoint check` prints: golden text, but for the batch scripts, which have tests of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay_parsl.cli.main import main
from relay_parsl.endpoint.files import site_files

DATA = Path(__file__).parents[2] / 'data' / 'check'
SCRIPT = re.compile(r'(?<=capitals\n\n).*?(?=\n\n# --- )', re.DOTALL)


def check(name: str, *options: str) -> Result:
    return CliRunner().invoke(main, ['endpoint', 'check', name, *options], prog_name='relay-parsl')


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    monkeypatch.chdir(DATA)


def test_who_gets_what_in_every_form() -> None:
    result = check('pools.yaml')
    assert result.exit_code == 0, result.output
    assert SCRIPT.sub('(script)', result.stdout) == (DATA / 'pools.txt').read_text()


def test_what_polaris_looks_like() -> None:
    told = SCRIPT.sub('(script)', check('polaris/gpu').stdout)
    lines = [
        line.replace(str(site_files()['polaris/gpu']), 'polaris/gpu.yaml') for line in told.splitlines() if 'this host has no interface' not in line
    ]
    assert '\n'.join(lines) + '\n' == (DATA / 'polaris-gpu.txt').read_text()


def test_the_scripts_stand_between() -> None:
    whole = json.loads(check('pools.yaml', '--json').stdout)
    scripts = [pool['script'] for pool in whole['pools']]
    assert [script.strip() for script in scripts if script] == SCRIPT.findall(check('pools.yaml').stdout)
    assert not scripts[3], 'threads need no blocks'
    assert '#PBS -l walltime=01:00:00' in scripts[0]


def test_json_has_all_of_it() -> None:
    gpu, halves, cores, here = json.loads(check('pools.yaml', '--json').stdout)['pools']
    assert gpu['workers'][3] == {'worker': 3, 'accelerator': '3', 'cpus': '0-7,32-39'}
    assert (gpu['nodes'], gpu['nodes_per_block'], gpu['pool']) == ('each of 2 nodes', 2, 'gpu')
    assert [row['cpus'] for row in halves['workers']] == ['0-31', '32-63']
    assert (cores['workers'], cores['workers_per_node']) == ([], None)
    assert (here['nodes'], here['script']) == ('this host', '')


@pytest.mark.parametrize('name', [str(path) for path in site_files().values()], ids=[*site_files()])
def test_every_file_that_comes_with_us_is_told_to_its_end(name: str) -> None:
    result = check(name)
    assert result.exit_code == 0, result.output
    assert 'who gets what\n' in result.stdout
    assert not re.search(r' +$', result.stdout.rpartition('who gets what')[2], re.MULTILINE)


def test_what_a_constructor_refuses_is_said_as_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / 'bad.yaml'
    file.write_text('engine: {type: HtexEngine, address: 10.0.0.1, provider: {type: TorqueProvider}, launch_cmd: "{nonsense}"}\n')
    result = check(str(file), '--json')
    assert result.exit_code == 2, result.output
    assert 'nonsense' in json.loads(result.stdout)['errors'][0]


def test_a_long_table_is_cut_for_people_and_whole_for_programs(tmp_path: Path) -> None:
    file = tmp_path / 'many.yaml'
    file.write_text('engine: {type: HtexEngine, address: 10.0.0.1, available_accelerators: 4096, provider: {type: SlurmProvider}}\n')
    result = check(str(file))
    assert result.stdout.splitlines()[-1] == '… and 3968 workers more, which `--json` tells'
    assert len(result.stdout) < 100_000
    assert len(json.loads(check(str(file), '--json').stdout)['pools'][0]['workers']) == 4096


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, 'wb') as gone:
        done = subprocess.run(  # for real: the end of a pipe is the system's to tell
            [sys.executable, '-m', 'relay_parsl', 'endpoint', 'check', 'polaris/cpu'], stdout=gone, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.stderr == ''
