"""Endpoint files whose values would run something else, or take memory and time without end."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay_parsl.config import MAX_PROBLEMS
from relay_parsl.endpoint.config import load_endpoint_config, read_rendered
from relay_parsl.endpoint.keys import ENGINE, LAUNCHER, PROVIDER
from relay_parsl.endpoint.layout import TOP
from relay_parsl.endpoint.script import batch_script
from relay_parsl.endpoint.templates import TEMPLATE, canonical, read_template, runtime_of
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.engines.launch import contained
from relay_parsl.errors import ConfigError

QUICK = 20.0
"""Seconds that nothing here may take, on a machine that does much else."""
FILE = 'engine:\n  type: HtexEngine\n  address: 127.0.0.1\n'
PROVIDED = '  provider:\n    type: SlurmProvider\n'


def refusal(directory: Path, text: str) -> str:
    """What is wrong with a file; it is said soon."""
    path = directory / 'site.yaml'
    path.write_text(text)
    began = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        load_endpoint_config(path)
    assert time.monotonic() - began < QUICK
    assert len(str(caught.value)) < 100_000
    return str(caught.value)


# --- words of commands ---

WORDS = [
    *('container_type: apptainer\n  container_uri: "docker://x y; touch z"', 'container_type: docker\n  container_uri: $(id)'),
    *('worker_logdir_root: "/tmp/a b; touch x"', 'worker_logdir_root: /tmp/`id`', 'container_type: docker\n  container_uri: --privileged'),
    *('available_accelerators: ["0;touch x"]', 'available_accelerators: ["0", "$(id)"]', "available_accelerators: ['{0.__class__}']"),
]


@pytest.mark.attack(24)
@pytest.mark.parametrize('line', WORDS)
def test_what_stands_unquoted_in_a_command_is_one_plain_word(line: str, tmp_path: Path) -> None:
    assert 'must be one plain word' in refusal(tmp_path, f'{FILE}  {line}\n')


@pytest.mark.parametrize(
    ('line', 'said'),
    [
        ('cpu_affinity: "list:0;touch x"', 'is no list of CPUs'),
        ('cpu_affinity: "list:\u0661"', 'is no list of CPUs'),
        ('mpi_launcher: "srun;id"', 'mpi_launcher'),
        ('loopback_address: "fe80::1%;touch x"', 'must be an IP address'),
        ('container_type: docker\n  container_uri: x\n  container_cmd_options: "-e A={0}"', 'may have braces in {EXECUTOR_LAUNCH_CMD}'),
        ('provider: {type: SlurmProvider, worker_init: "echo\\r#SBATCH -N 40"}', "holds '\\r'"),
    ],
)
def test_nor_does_anything_else_get_into_it(line: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, f'{FILE}  {line}\n')
    assert 'must be an IP address' in refusal(tmp_path, FILE.replace('127.0.0.1', '"fe80::1%;touch x"'))


def test_what_sites_write_is_plain(tmp_path: Path) -> None:
    names = '["0.1", "0,1", "GPU-5a2c-11", "MIG-GPU-5a2c/7/0"]'
    image = 'container_type: apptainer\n  container_uri: docker://ghcr.io/a-b/c_d:1.0@sha256:0a\n  container_cmd_options: --nv -B "$HOME"\n'
    path = tmp_path / 'site.yaml'
    path.write_text(f'{FILE}  available_accelerators: {names}\n  worker_logdir_root: /tmp/logs-1\n  {image}{PROVIDED}')
    script = batch_script(load_endpoint_config(path).pools[''])
    assert 'apptainer run --nv -B "$HOME" docker://ghcr.io/a-b/c_d:1.0@sha256:0a env ' in script


@pytest.mark.parametrize(
    'options',
    [
        {'available_accelerators': ['$(id)']},
        {'available_accelerators': 30_000_000},
        {'worker_logdir_root': '/tmp/a b'},
        {'container_type': 'docker', 'container_uri': 'x; id'},
        {'container_type': 'docker', 'container_uri': 'x', 'container_cmd_options': '{0}'},
    ],
)
def test_engines_in_scripts_are_held_to_it_too(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r'one plain word|at most 4096|braces'):
        HtexEngine(**options)


def test_a_custom_container_keeps_its_two_places() -> None:
    own = {'type': 'custom', 'options': 'run {EXECUTOR_RUNDIR} {EXECUTOR_LAUNCH_CMD}'}
    assert contained('cmd', own, '/run') == 'run /run cmd'


# --- numbers ---


@pytest.mark.parametrize(
    ('line', 'said'),
    [
        ('max_workers_per_node: 100000000', 'must be 4096 at most'),
        ('available_accelerators: 3000000000', 'must be 4096 at most'),
        ('max_blocks_per_minute: 1000000000', 'must be 10000 at most'),
        ('cores_per_worker: 1.0e-320', 'at least 1e-06'),
        ('cores_per_worker: 0.000001', 'fix their number'),
        ('mem_per_worker: 1.0e+300', 'must be 1000000 at most'),
        ('cpu_affinity: "list:0-999999"', 'is no list of CPUs'),
        ('max_workers_per_node: 0x' + 'f' * 6000, 'more than 19 digits'),
        ('max_workers_per_node: ' + '9' * 6000, 'no value that YAML knows'),
        ('provider: {type: SlurmProvider, walltime: "99999999999999999999999:00:00"}', 'must be a walltime'),
        ('provider: {type: SlurmProvider, walltime: "9000:00:00"}', 'a year at most'),
        ('provider: {type: SlurmProvider, nodes_per_block: 100001}', 'must be 100000 at most'),
        ('provider: {type: SlurmProvider, max_blocks: 10001}', 'must be 10000 at most'),
        ('provider: {type: SlurmProvider, cores_per_node: 1000000000}', 'must be 8192 at most'),
    ],
    ids=range(14),
)
def test_every_number_has_an_end(line: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, f'{FILE}  {line}\n')


def test_a_walltime_of_two_numbers_is_answered_with_right_ones(tmp_path: Path) -> None:
    assert "write '1:00:00' or '00:01:00'" in refusal(tmp_path, f'{FILE}{PROVIDED}    walltime: 1:00\n')


def test_gpus_in_a_text_make_no_table_without_end(tmp_path: Path) -> None:
    path = tmp_path / 'site.yaml'
    path.write_text(f'{FILE}  available_accelerators: 2\n  provider: {{type: PBSProProvider, select_options: "ngpus={"9" * 5000}"}}\n')
    (pool,) = load_endpoint_config(path).summary()
    assert [row.accelerator for row in pool.workers] == ['0', '1']


# --- shapes ---


def merged(levels: int) -> str:
    """Merges of merges: ten times as many pairs on each level."""
    first = 'a0: &a0 {' + ', '.join(f'k{i}: 1' for i in range(10)) + '}\n'
    return first + ''.join(f'a{n}: &a{n} {{<<: [{", ".join([f"*a{n - 1}"] * 10)}]}}\n' for n in range(1, levels))


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('engine: ' + '[' * 5000 + ']' * 5000, 'too deep or too many values'),
        ('engine: ' + '{a: ' * 5000 + '}' * 5000, 'too deep or too many values'),
        ('engine: ' + '[' * 5000, 'too deep or too many values'),
        ('engine: [' + '1,' * 50_000 + ']', 'too deep or too many values'),
        (merged(9), ''),  # a newer PyYAML merges them well, and the keys are unknown
        ('pools: {}', 'is empty'),
        ('pools: {"": {type: ThreadPoolEngine}}', 'the name of a pool has letters'),
        ('engines: {engine: {type: ThreadPoolEngine}, "": {type: ThreadPoolEngine}}', 'the name of a pool has letters'),
    ],
    ids=range(8),
)
def test_shapes_without_end_or_without_anything(text: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, text)


def test_mistakes_without_end_are_not_all_looked_for(tmp_path: Path) -> None:
    said = refusal(tmp_path, FILE + ''.join(f'  wrong_key_{i}: 1\n' for i in range(9000)))
    assert len(said.splitlines()) == MAX_PROBLEMS


# --- through a template ---

HOLES = ['container_uri', 'container_cmd_options', 'worker_logdir_root', 'launch_cmd', 'cpu_affinity', 'mpi_launcher']


def rendered(directory: Path, text: str, options: dict[str, Any]) -> None:
    (directory / TEMPLATE).write_text(text)
    template = read_template(directory / TEMPLATE)
    read_rendered(template.render(canonical(options), runtime_of()), template.path)


@pytest.mark.attack(24)
@pytest.mark.parametrize('key', [*HOLES, 'interchange_launch_cmd', 'available_accelerators'])
def test_no_value_of_a_template_adds_to_a_command(key: str, tmp_path: Path) -> None:
    hole = '[{{ x }}]' if key in ('interchange_launch_cmd', 'available_accelerators') else '{{ x }}'
    with pytest.raises(ConfigError, match=f'user_endpoint_config.x: it .*stands in `engine.{key}'):
        rendered(tmp_path, f'{FILE}  {key}: {hole}\n', {'x': 'a; touch z'})


@pytest.mark.attack(24)
def test_nor_is_it_the_command_or_a_line_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='would be the program that is started'):
        rendered(tmp_path, FILE + '  launch_cmd: {{ x }}\n', {'x': '/tmp/mine'})
    with pytest.raises(ConfigError, match='would be the program that is started'):
        rendered(tmp_path, '{{ x }}', {'x': {'engine': {'launch_cmd': 'touch'}}})
    with pytest.raises(ConfigError, match='line feed alone'):
        rendered(tmp_path, FILE + PROVIDED + '    worker_init: {{ x }}\n', {'x': 'echo\r#SBATCH -N 40'})
    with pytest.raises(ConfigError, match='is no directive: the batch script would run it'):
        rendered(tmp_path, FILE + PROVIDED + '    scheduler_options: {{ x }}\n', {'x': '#SBATCH -C gpu\ntouch z'})


@pytest.mark.parametrize(
    ('text', 'options'),
    [
        (FILE + '  available_accelerators: {{ x }}\n', {'x': 3_000_000_000}),
        (FILE + '  max_workers_per_node: {{ x }}\n', {'x': 10**4000}),
        (FILE + '  cpu_affinity: {{ x }}\n', {'x': 'list:' + '0-8000:' * 8000}),
        ('engine: {{ x }}\n', {'x': {f'key_{i}': [i] for i in range(4000)}}),
        (FILE + '  working_dir: {{ x }}\n', {'x': ['"a,'] * 8000}),
        ('a:\n{% for i in range(34) %}  - {{ x }}\n{% endfor %}', {'x': [f'é,{i}' for i in range(500)]}),
    ],
    ids=range(6),
)
def test_values_of_a_template_are_refused_soon(text: str, options: dict[str, Any], tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ConfigError):
        rendered(tmp_path, text, options)
    assert time.monotonic() - began < QUICK


# --- anything ---

WORDS_TO_FEAR = ['$(id)', 'a;b', 'a\r#SBATCH -N 9', '1:00', '-x', '{}', '{0}', 'list:', 'list:0-9', '9' * 5000, 'SlurmProvider', 'HtexEngine', '']
NASTY = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.integers(10**9, 10**30)),
    st.sampled_from(WORDS_TO_FEAR),
)
VALUES = st.recursive(NASTY, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6)
OF_THE_TOP = {*TOP, 'pools'} - {'engine', 'user_config_template_path', 'user_config_schema_path'}


def level(keys: Any, types: list[str], **more: Any) -> Any:
    known = st.dictionaries(st.sampled_from(sorted(keys)), VALUES, max_size=5)
    nested = st.fixed_dictionaries({}, optional=more)
    return st.builds(lambda pairs, kind, inner: {**pairs, 'type': kind, **inner}, known, st.sampled_from(types), nested)


PROVIDERS = level(
    PROVIDER,
    ['SlurmProvider', 'PBSProProvider', 'LocalProvider', 'LSFProvider'],
    launcher=level(LAUNCHER, ['SrunLauncher', 'SimpleLauncher', 'HydraLauncher', 'MpiExecLauncher']),
)
ENGINES = level(ENGINE, ['HtexEngine', 'MPIEngine', 'ThreadPoolEngine', 'ProcessPoolEngine'], provider=PROVIDERS)


@settings(max_examples=150, deadline=QUICK * 1000, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(top=st.dictionaries(st.sampled_from(sorted(OF_THE_TOP)), VALUES, max_size=3), engine=ENGINES, as_json=st.booleans())
def test_any_file_is_taken_or_refused_by_name(top: dict[str, Any], engine: dict[str, Any], as_json: bool, tmp_path: Path) -> None:
    """JSON is YAML; both writers escape in their own ways."""
    path, file = tmp_path / 'site.yaml', {**top, 'engine': engine}
    path.write_text(json.dumps(file) if as_json else yaml.safe_dump(file), errors='replace')
    with suppress(ConfigError):
        load_endpoint_config(path).summary()
