"""Templates on the command line: kept, checked, filled in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay_parsl.cli.main import main

TEMPLATE = 'engine:\n  type: ProcessPoolEngine\n  max_workers: {{ workers|default(2) }}\n  working_dir: {{ where|default("here") }}\n'
SCHEMA = {'type': 'object', 'properties': {'workers': {'type': 'integer', 'maximum': 8}, 'where': {'type': 'string'}}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, text: str = '') -> Result:
    return CliRunner().invoke(main, ['endpoint', *arguments], input=text)


def ok(*arguments: str, text: str = '') -> str:
    result = run(*arguments, text=text)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str, text: str = '') -> str:
    result = run(*arguments, text=text)
    assert result.exit_code == 2, result.output
    return result.output


def test_a_template_is_kept_with_its_schema_checked_and_filled_in(here: Path) -> None:
    (here / 'gpu.yaml.j2').write_text(TEMPLATE)
    (here / 'user_config_schema.json').write_text(json.dumps(SCHEMA))
    ok('configure', 'site', '--endpoint-config', 'gpu.yaml.j2')
    kept = sorted(path.name for path in (here / 'home' / 'endpoints' / 'site').iterdir())
    assert kept == ['endpoint.yaml', 'user_config_schema.json', 'user_config_template.yaml.j2']
    (here / 'gpu.yaml.j2').unlink()
    said = ok('check', 'site')
    assert 'it takes where, workers; each value of user_endpoint_config becomes a pool, 16 at once' in said
    assert 'without values:\n' in said
    assert 'ProcessPoolEngine, 2 workers a node' in said
    assert json.loads(ok('check', 'site', '--json'))['pools'][0]['engine'] == 'ProcessPoolEngine'
    rendered = ok('render', 'site', '--user-options', '-', text='{"workers": 5, "where": "a: b"}')
    assert rendered == 'engine:\n  type: ProcessPoolEngine\n  max_workers: 5\n  working_dir: "a: b"\n'
    (here / 'options.json').write_text('{"workers": 9, "wehre": "x"}')
    assert refused('render', 'site', '--user-options', 'options.json').splitlines() == [
        'error: user_endpoint_config.wehre: is not declared; did you mean `where`?',
        'user_endpoint_config.workers: 9 is greater than the maximum of 8',
    ]


def test_a_file_for_the_whole_endpoint_stands_beside_the_template(here: Path) -> None:
    (here / 'core.yaml').write_text('display_name: mine\nmax_user_pools: 3\nfunction_policy: any\n')
    (here / 'mine.j2').write_text(TEMPLATE)
    (here / 'mine.json').write_text(json.dumps(SCHEMA))
    ok('configure', 'site', '--endpoint-config', 'core.yaml', '--template-config', 'mine.j2', '--schema-config', 'mine.json')
    said = ok('check', 'site')
    assert 'mine, a template' in said
    assert '3 at once' in said


def test_a_mistake_leaves_everything_as_it_was(here: Path) -> None:
    (here / 'good.j2').write_text(TEMPLATE)
    (here / 'bad.j2').write_text('engine:\n  type: {{ kind\n')
    (here / 'core.yaml').write_text('engine: {type: ThreadPoolEngine}\n')
    ok('configure', 'site', '--endpoint-config', 'good.j2')
    assert 'bad.j2:2: unexpected end of template' in refused('configure', 'site', '--force', '--endpoint-config', 'bad.j2')
    assert 'core.yaml: has an engine' in refused('configure', 'site', '--force', '--endpoint-config', 'core.yaml', '--template-config', 'good.j2')
    assert 'give that, too, by --template-config' in refused('configure', 'other', '--schema-config', 'x.json')
    assert 'max_workers: 2' in ok('render', 'site')
    assert not (here / 'home' / 'endpoints' / 'other').exists()


def test_check_names_mistakes_of_the_template_and_of_what_it_makes(here: Path) -> None:
    (here / 'bad.j2').write_text('engine:\n  type: {{ kind\n')
    assert 'bad.j2:2: unexpected end of template' in refused('check', 'bad.j2')
    (here / 'wrong.j2').write_text(TEMPLATE + '  max_worker: 1\nfunction_policy: any\n')
    said = refused('check', 'wrong.j2')
    assert 'wrong.j2, filled in:5: engine.max_worker: unknown key; did you mean `max_workers`?' in said
    assert 'function_policy: holds for the whole endpoint: write it into its endpoint file' in said
    (here / 'needs.j2').write_text(TEMPLATE.replace('|default(2)', ''))
    said = ok('check', 'needs.j2')
    assert 'without values a task is told:\nuser_endpoint_config.workers: is needed' in said
    assert 'endpoint render' in said


def test_what_is_no_template_or_no_object_is_said_to_be_so(here: Path) -> None:
    (here / 'plain.yaml').write_text('engine: {type: ThreadPoolEngine}\n')
    assert 'is no template' in refused('render', 'plain.yaml')
    (here / 'good.j2').write_text(TEMPLATE)
    assert 'must be a JSON object' in refused('render', 'good.j2', '--user-options', '-', text='[1]')
    assert '-: no JSON' in refused('render', 'good.j2', '--user-options', '-', text='{')


def test_the_runtime_is_that_of_the_user(here: Path) -> None:
    (here / 'good.j2').write_text('engine: {type: ThreadPoolEngine}\ndisplay_name: py{{ user_runtime.python.version }}\n')
    assert 'display_name: py3.12' in ok('render', 'good.j2', '--python', '3.12')


def test_globus_computes_own_files_serve_side_by_side(here: Path) -> None:
    """config.yaml with its template beside it, no path named: as in `~/.globus_compute/NAME`."""
    (here / 'config.yaml').write_text('display_name: mine\npublic: false\n')
    (here / 'user_config_template.yaml.j2').write_text(TEMPLATE)
    assert 'mine, a template' in ok('check', 'config.yaml')
    (here / 'config.yaml').write_text('user_config_template_path: user_config_template.yaml.j2\nengine: {type: ThreadPoolEngine}\n')
    assert 'engine: stands beside a template; write the engine into the template' in refused('check', 'config.yaml')
    (here / 'config.yaml').write_text('user_config_template_path: nonesuch.j2\n')
    assert 'nonesuch.j2: no such template' in refused('check', 'config.yaml')


def test_values_that_nest_without_end_are_refused(here: Path) -> None:
    (here / 'gpu.yaml.j2').write_text(TEMPLATE)
    assert 'no JSON' in refused('render', 'gpu.yaml.j2', '--user-options', '-', text='{"where": ' + '[' * 100_000 + ']' * 100_000 + '}')
    assert 'nests deeper' in refused('render', 'gpu.yaml.j2', '--user-options', '-', text='{"where": ' + '[' * 300 + ']' * 300 + '}')
