"""Endpoint files: what they become, and that every mistake is said at once with its remedy."""

from __future__ import annotations

import hashlib
import json
import socket
from dataclasses import asdict
from pathlib import Path

import pytest

from relay_parsl.endpoint.config import EndpointConfig, describe_config, load_config, load_endpoint_config
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.engines.pool import ProcessPoolEngine, ThreadPoolEngine
from relay_parsl.errors import ConfigError
from relay_parsl.launchers import SrunLauncher
from relay_parsl.wire.seal import hash_uuid

SEEDS = Path(__file__).parents[2] / 'data' / 'seeds'
HTEX = """
engine:
  type: HtexEngine
  max_workers_per_node: 1
  provider:
    type: LocalProvider
"""
PBS = """
engine:
  type: HtexEngine
  address: 127.0.0.1
  provider:
    type: PBSProProvider
    cores_per_node: 64
"""


@pytest.fixture
def load(tmp_path: Path):
    def load(text: str) -> EndpointConfig:
        path = tmp_path / 'site.yaml'
        path.write_text(text)
        return load_endpoint_config(path)

    return load


@pytest.fixture
def mistakes(load, tmp_path: Path):
    """The mistakes of a file as `line: path: message`."""

    def mistakes(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text)
        return [line.removeprefix(f'{tmp_path / "site.yaml"}:') for line in str(caught.value).splitlines() if ' warning: ' not in line]

    return mistakes


# --- the files as users write them today ---


def test_every_mistake_of_the_deck_is_reported_at_once_with_its_remedy() -> None:
    with pytest.raises(ConfigError) as caught:
        load_endpoint_config(SEEDS / 'polaris-deck.yaml')
    file = SEEDS / 'polaris-deck.yaml'
    assert str(caught.value).splitlines() == [
        f'{file}:9: engine.strategy: warning: an old place; write it under `job_status_kwargs`',
        f'{file}:11: job_status_kwarg: unknown key; did you mean `job_status_kwargs`, under `engine`?',
        f'{file}:12: job_status_kwarg.max_idle_time: unknown key; did you mean `max_idletime`?',
        f'{file}:15: provider: belongs under `engine`',
        f'{file}:29: worker_init: belongs under `engine.provider`',
        f'{file}:29: worker_init: warning: `/path/to/my_env` looks like a placeholder; put your own value there',
        f'{file}:30: walltime: belongs under `engine.provider`',
        f'{file}:32: nodes_per_block: belongs under `engine.provider`',
        f'{file}:33: init_blocks: belongs under `engine.provider`',
        f'{file}:34: min_blocks: belongs under `engine.provider`',
        f'{file}:35: max_blocks: belongs under `engine.provider`',
    ]


def test_the_deck_with_all_remedies_applied_is_right(load) -> None:
    lines = (SEEDS / 'polaris-deck.yaml').read_text().replace('kwarg:', 'kwargs:').replace('max_idle_time', 'max_idletime').splitlines()
    engine, status, provider, rest = lines[1:9], lines[10:13], lines[14:27], lines[28:]
    moved = [*engine, *(f'  {line}' for line in status), *(f'  {line}' for line in provider), *(f'    {line}' for line in rest)]
    config = load('\n'.join(moved))
    (pool,) = config.summary()
    assert (pool.provider, pool.launcher, pool.queue, pool.walltime, pool.blocks) == (
        'PBSProProvider',
        'MpiExecLauncher',
        'debug',
        '00:30:00',
        (0, 0, 1),
    )
    assert [(row.accelerator, row.cpus) for row in pool.workers] == [
        ('0', '24-31,56-63'),
        ('1', '16-23,48-55'),
        ('2', '8-15,40-47'),
        ('3', '0-7,32-39'),
    ]
    assert config.pools[''].spec.options['job_status_kwargs'] == {'max_idletime': 300, 'strategy_period': 60}


def test_the_article_loads_and_a_missing_interface_is_a_warning_then_an_error_at_build(tmp_path: Path) -> None:
    path = tmp_path / 'article.yaml'
    path.write_text((SEEDS / 'polaris-article.yaml').read_text().replace('bond0', 'nonesuch0'))
    config = load_endpoint_config(path)
    assert config.display_name == 'My Polaris Endpoint'
    (warning,) = config.warnings
    assert ':8: engine.address.ifname: warning: this host has no interface `nonesuch0`, only ' in warning
    assert all(name in warning for _, name in socket.if_nameindex())
    with pytest.raises(ConfigError, match=r'article.yaml:6: engine.address: this host has no address at a network interface `nonesuch0`'):
        config.build_engine()


def test_an_interface_that_is_there_becomes_its_address(tmp_path: Path) -> None:
    path = tmp_path / 'article.yaml'
    path.write_text((SEEDS / 'polaris-article.yaml').read_text().replace('bond0', 'lo'))
    config = load_endpoint_config(path)
    assert config.warnings == ()
    assert isinstance(config.build_engine(), HtexEngine)
    (executor,) = load_config(path).executors
    assert executor.address == '127.0.0.1'
    assert executor.label == 'My_Polaris_Endpoint'


# --- what is built ---


def test_names_of_globus_compute_and_ours_build_the_same_engines(load) -> None:
    for name in ('HtexEngine', 'GlobusComputeEngine'):
        assert isinstance(load(HTEX.replace('HtexEngine', name)).build_engine(), HtexEngine)
    assert isinstance(load('engine: {type: ThreadPoolEngine, max_workers: 3}').build_engine(), ThreadPoolEngine)
    assert isinstance(load('engine: {type: ProcessPoolEngine}').build_engine(), ProcessPoolEngine)


def test_several_pools_each_with_its_own_engine(load) -> None:
    config = load('pools:\n  cpu: {type: ThreadPoolEngine, max_workers: 3}\n  gpu: {type: HtexEngine, available_accelerators: [0, "1"]}\n')
    assert list(config.pools) == ['cpu', 'gpu']
    assert isinstance(config.build_engine('cpu'), ThreadPoolEngine)
    assert config.pools['gpu'].spec.options['available_accelerators'] == ['0', '1']
    with pytest.raises(ConfigError, match="there is no pool 'tpu'; the file has 'cpu', 'gpu'"):
        config.build_engine('tpu')
    assert [pool.pool for pool in config.summary()] == ['cpu', 'gpu']


def test_in_a_file_with_pools_one_cannot_know_in_which_a_key_belongs(mistakes) -> None:
    said = mistakes('pools:\n  cpu: {type: HtexEngine}\n  gpu: {type: HtexEngine, max_block: 1}\nmax_workers_per_node: 1\nwaltime: 1:00:00\n')
    assert said[0].startswith('3: pools.gpu.max_block: unknown key; did you mean `max_blocks`, under `pools.gpu.provider`?')
    assert '4: max_workers_per_node: belongs under `pools.NAME`' in said
    assert '5: waltime: unknown key; did you mean `walltime`, under `pools.NAME.provider`?' in said


@pytest.mark.parametrize(
    ('written', 'walltime'),
    [
        ('1:00:00', '01:00:00'),
        ('00:30:00', '00:30:00'),
        ('10:30:00', '10:30:00'),
        ('3600', '01:00:00'),
        ('1-02:00:00', '26:00:00'),
        ('168:0:0', '168:00:00'),
    ],
)
def test_walltimes_as_people_write_them(load, written: str, walltime: str) -> None:
    provider = load(f'{PBS}    walltime: {written}\n').pools[''].provider
    assert provider is not None
    assert provider.options['walltime'] == walltime
    assert provider.build().walltime == walltime


def test_values_are_put_right_where_their_meaning_is_plain(load) -> None:
    options = load(
        HTEX + '  worker_port_range: [54000, 54100]\n  interchange_port_range: [55000, 55100]\n  available_accelerators: [0.0, 0.1, 0.10]\n'
        '  mem_per_worker: null\n  block_error_handler: false\n'
    ).pools['']
    assert options.spec.options['worker_port_range'] == (54000, 54100)
    assert options.spec.options['available_accelerators'] == ['0.0', '0.1', '0.10']
    assert 'mem_per_worker' not in options.spec.options
    listed = load(HTEX.replace('node: 1', 'node: 2') + '  cpu_affinity: ["0-3,8", "4-7"]\n').pools['']
    assert listed.spec.options['cpu_affinity'] == 'list:0-3,8:4-7'


def test_numbers_serve_as_names_of_accounts(load) -> None:
    provider = load(f'{PBS}    account: 0123\n    queue: 7\n').pools[''].provider
    assert provider is not None
    assert (provider.options['account'], provider.options['queue']) == ('0123', '7')


# --- mistakes ---


@pytest.mark.parametrize(
    ('line', 'said'),
    [
        ('    max_blocks: four', "engine.provider.max_blocks: must be a whole number, at least 1; it is 'four'"),
        ('    max_blocks: 0', 'at least 1'),
        ('    nodes_per_block: true', 'must be a whole number'),
        ('    nodes_per_block: 1.5', 'must be a whole number'),
        ('    init_blocks: -3', 'at least 0'),
        ('    max_blocks: 2\n    min_blocks: 3', 'engine.provider.min_blocks: is more than `max_blocks`, which is 2'),
        ('    walltime: 10:30', "`10:30` is minutes and seconds to a scheduler: write '10:30:00' or '00:10:30'"),
        ('    walltime: an hour', 'must be a walltime like 01:30:00'),
        ('    walltime: 00:00:00', 'no job would ever run'),
        ('    walltime: 01:75:00', 'must be a walltime'),
        ('    queue: on', 'must be text; it is True; put it into quotes'),
        ('    account: "a\\n#PBS -A b"', 'must be one line of text'),
        ('    scheduler_options: "-l filesystems=home"', "would run as a command; write '#PBS -l filesystems=home'"),
        ('    scheduler_options: "#SBATCH -C gpu"', 'is for another scheduler; directives of PBSProProvider begin with #PBS'),
        ('    channel: {type: LocalChannel}', 'engine.provider.channel: has left Parsl; remove this key'),
        ('    max_workers_per_node: 4', 'engine.provider.max_workers_per_node: belongs under `engine`'),
        ('    launcher: MpiExecLauncher', 'must be a mapping with a `type`, like `{type: MpiExecLauncher}`'),
        ('    launcher: {type: MpiExecLaucher}', 'did you mean `MpiExecLauncher`?'),
        ('    launcher: {type: MpiExecLauncher, override: --ppn 1}', 'engine.provider.launcher.override: unknown key; did you mean `overrides`?'),
        ('    launcher: {type: WrappedLauncher}', 'engine.provider.launcher: needs `prepend`'),
        ('    launcher: {overrides: x}', 'engine.provider.launcher: needs `type: NAME`, one of AprunLauncher'),
        ('    launcher: {type: MpiExecLauncher, debug: 7}', 'must be true or false; it is 7'),
        ('  launcher: {type: HydraLauncher}', 'engine.launcher: belongs under `engine.provider`'),
        ('  cpu_affinity: wibble', 'is not known; use one of none, block, block-reverse, alternating'),
        ('  cpu_affinity: blocks', 'did you mean `block`?'),
        ('  cpu_affinity: "list:0-3:4-7"', 'names CPUs for 2 workers; fix their number, too: `max_workers_per_node: 2`'),
        ('  max_workers_per_node: 4\n  cpu_affinity: "list:0-3:4-7"', '`max_workers_per_node` makes 4'),
        ('  available_accelerators: 3\n  cpu_affinity: "list:0-3:4-7"', '`available_accelerators` makes 3'),
        ('  max_workers_per_node: 1\n  cpu_affinity: "list:7-3"', '`7-3` is no list of CPUs'),
        ('  available_accelerators: "4"', 'take the quotes away'),
        ('  available_accelerators: []', 'no worker would start'),
        ('  available_accelerators: -1', 'must be a whole number'),
        ('  max_workers: 4', 'engine.max_workers: Parsl calls it `max_workers_per_node`'),
        ('  worker_port_range: [54000]', 'must be two ports'),
        ('  worker_port_range: [54100, 54000]', 'must be two ports'),
        ('  worker_port_range: 54000', 'must be a list'),
        ('  strategy: bogus', 'is not known; use one of none, simple, htex_auto_scale'),
        ('  strategy: {type: SimpleStrategy}', 'use one of none, simple, htex_auto_scale'),
        ('  strategy: simple\n  job_status_kwargs: {strategy: none}', 'keep the latter'),
        (
            '  job_status_kwargs: {foo: 1}',
            'engine.job_status_kwargs.foo: unknown key; `engine.job_status_kwargs` takes max_idletime, strategy, strategy_period',
        ),
        ('  job_status_kwargs: {max_idletime: -1}', 'must be a number, more than 0'),
        ('  job_status_kwargs: simple', 'must be a mapping'),
        ('  max_retries_on_system_failure: two', 'must be a whole number'),
        ('  container_type: docker', 'needs `container_uri`'),
        ('  container_uri: x', 'needs `container_type`'),
        ('  container_type: custom', 'needs `container_cmd_options`'),
        ('  heartbeat_period: 60\n  heartbeat_threshold: 90', 'must be at least twice `heartbeat_period`'),
        ('  encrypted: sometimes', 'must be true or false'),
        ('  enable_mpi_mode: true', 'write `type: MPIEngine`'),
        ('  storage_access: []', 'has no form in a file'),
        ('  prefetch_capacity: 1\n  prefetch_capacity: 2', 'stands twice'),
        ('multi_user: true', 'multi_user: an endpoint belongs to the user who starts it'),
        ('high_assurance: true', 'high_assurance: there is no such mode'),
        ('endpoint_setup: [module load x]', 'endpoint_setup: must be text'),
        ('debug: maybe', 'debug: must be true or false'),
        ('pools: {a: {type: ThreadPoolEngine}}', 'stands beside'),
        ('function_policy: some', 'write `function_policy: any`'),
        ('function_policy: {hashes: [abc]}', 'must be the SHA-256'),
        ('function_policy: {names: [json.dumps]}', "must be importable, like 'package.module:function'"),
        ('allowed_functions: [6b1a7a06-7d5c-4f4e-9d4e-0f4f0d1b2c3d]', 'is no id of relay-parsl'),
        ('frobnicate: 1', 'unknown key; the top of the file takes'),
    ],
)
def test_mistakes_and_their_remedies(mistakes, line: str, said: str) -> None:
    base = (
        PBS if line.startswith('    ') else PBS.replace('  address: 127.0.0.1\n', f'  address: 127.0.0.1\n{line}\n') if line.startswith('  ') else PBS
    )
    found = mistakes(base if base != PBS else f'{PBS}{line}\n')
    assert len(found) == 1, found
    assert said in found[0]


def test_workers_that_cannot_be_bound_to_cpus_of_this_host(mistakes, load) -> None:
    many = HTEX.replace('node: 1', 'node: 4096') + '  cores_per_worker: 0.00001\n'
    (mistake,) = mistakes(many + '  cpu_affinity: block\n')
    assert '4096 workers would start here, but this process may use' in mistake
    load(many + '  cpu_affinity: none\n')
    load(many.replace('LocalProvider', 'LocalProvider\n    launcher:\n      type: SrunLauncher') + '  cpu_affinity: block\n')


def test_an_address_must_be_one(mistakes) -> None:
    assert 'must be an IP address' in mistakes(PBS.replace('127.0.0.1', 'login1.example.org'))[0]
    assert 'needs `ifname`' in mistakes(PBS.replace('127.0.0.1', '{type: address_by_interface}'))[0]
    assert 'no address that is known' in mistakes(PBS.replace('127.0.0.1', '{type: tcp_url}'))[0]


@pytest.mark.parametrize('text', ['', 'display_name: x', 'engine: null'])
def test_a_file_needs_an_engine(mistakes, text: str) -> None:
    assert 'has no `engine`; write `engine:` and under it `type: HtexEngine`' in mistakes(text)[0]


def test_an_engine_needs_a_type_and_its_values_are_looked_at_all_the_same(mistakes) -> None:
    said = mistakes('engine:\n  provider: {type: PBSProProvider, max_blocks: four}\n')
    assert 'engine: needs `type: NAME`' in said[0]
    assert 'engine.provider.max_blocks' in said[1]
    assert 'no engine that is known here' in mistakes('engine: {type: Turbo}')[0]
    assert 'must be a mapping' in mistakes('engine: HtexEngine')[0]


def test_beside_a_wrong_type_everything_else_is_looked_at_too(mistakes) -> None:
    said = mistakes(
        'engine:\n  type: GlobusComputeEngin\n  max_workers: 4\n  walltime: 1:00:00\n  provider: {type: SlurmProvder, node: 2, max_blocks: two}\n'
    )
    assert {line.split(': ')[1] for line in said} == {
        'engine.type',
        'engine.max_workers',
        'engine.walltime',
        'engine.provider.type',
        'engine.provider.node',
        'engine.provider.max_blocks',
    }


def test_a_key_of_the_top_that_stands_under_the_engine_goes_up(mistakes) -> None:
    assert mistakes('engine:\n  type: HtexEngine\n  display_name: x\n  pools: {}\n')[0] == '3: engine.display_name: belongs at the top of the file'


def test_an_engine_without_blocks_takes_no_provider(mistakes) -> None:
    assert 'engine.provider: unknown key' in mistakes('engine: {type: ThreadPoolEngine, provider: {type: LocalProvider}}')[0]


def test_five_mistakes_are_five_lines(mistakes) -> None:
    text = f'{PBS}    waltime: 1:00:00\n    max_blocks: four\n    launcher: {{type: Mpi}}\n  strategie: simple\ncolor: red\n'
    assert [line.split(':')[0] for line in mistakes(text)] == ['8', '9', '10', '11', '12']


def test_names_of_pools_are_plain(mistakes) -> None:
    assert 'the name of a pool has letters' in mistakes('pools: {"a/b": {type: ThreadPoolEngine}}')[0]


# --- warnings ---


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (PBS + '  available_accelerators: 2\n  max_workers_per_node: 4\n', 'only 2 of 4 workers will start'),
        (PBS + '  strategy: simple\n', 'write it under `job_status_kwargs`'),
        (PBS + '    nodes_per_block: 2\n', 'SingleNodeLauncher starts workers on the first of 2 nodes only'),
        (PBS + '    scheduler_options: "module load x"\n', 'is no directive (#PBS …)'),
        (PBS + '    account: YOUR_PROJECT\n', '`YOUR_PROJECT` looks like a placeholder'),
        (PBS + '  heartbeat_threshold: 30\n', 'a stalled filesystem loses every node'),
        (PBS.replace('127.0.0.1', '{type: address_by_query}'), 'asks an outside service'),
        (HTEX.replace('node: 1', 'node: 4096'), 'workers would start; write `cores_per_worker'),
        (HTEX + 'heartbeat_period: 60\n', 'heartbeat_period: warning: counts for `idle_heartbeats_soft` and `idle_heartbeats_hard` only'),
        (HTEX + 'amqp_port: 443\n', 'there is no AMQP here'),
        (HTEX + 'multi_user: false\n', 'multi_user: warning: '),
    ],
)
def test_what_is_worth_a_word(load, text: str, said: str) -> None:
    (warning,) = load(text).warnings
    assert said in warning


# --- function policy ---


def test_any_function_runs_unless_the_file_says_otherwise(load) -> None:
    for text in (HTEX, HTEX + 'function_policy: any\n'):
        policy = load(text).function_policy
        assert policy.allows(b'\0' * 32, 'cloudpickle', 'f')
        assert policy.serializers is None


def test_a_policy_of_hashes_takes_digests_and_ids(load) -> None:
    one, two, three = (hashlib.sha256(name).digest() for name in (b'1', b'2', b'3'))
    for text in (f'function_policy: {{hashes: ["{one.hex().upper()}", {hash_uuid(two)}]}}', f'allowed_functions: ["{one.hex()}", {hash_uuid(two)}]'):
        policy = load(f'{HTEX}{text}\n').function_policy
        assert [policy.allows(digest, 'cloudpickle', 'f') for digest in (one, two, three)] == [True, True, False]
        assert policy.serializers == ('json',)


def test_a_policy_of_names_takes_importable_functions_only(load) -> None:
    policy = load(f'{HTEX}function_policy: {{names: ["pkg.mod:fun"]}}\n').function_policy
    assert policy.allows(b'', 'import', 'pkg.mod:fun')
    assert not policy.allows(b'', 'import', 'os:system')
    assert not policy.allows(b'', 'cloudpickle', 'pkg.mod:fun')


# --- for people ---


def test_what_check_prints(load) -> None:
    text = PBS + '    queue: debug\n    walltime: 1:00:00\n  available_accelerators: [a, b]\n  cpu_affinity: block\n'
    words = describe_config(load(text)).splitlines()
    assert words[1] == 'HtexEngine, 2 workers a node, PBSProProvider debug: 0 to 1 block of 1 node, 1 at first, walltime 01:00:00'
    assert len(words) == 2
    assert json.loads(json.dumps([asdict(pool) for pool in load(text).summary()]))[0]['workers'][1] == {
        'worker': 1,
        'accelerator': 'b',
        'cpus': '32-63',
    }


def test_a_constructor_that_refuses_is_named_with_its_place(load) -> None:
    config = load(PBS.replace('PBSProProvider', 'SlurmProvider') + '    launcher: {type: SrunLauncher}\n')
    provider = config.pools[''].provider
    assert provider is not None
    assert isinstance(provider.options['launcher'].build(), SrunLauncher)
    broken = type(provider)('provider', 'Broken', int, {'nonsense': 1}, 'f.yaml:1: engine.provider')
    with pytest.raises(ConfigError, match=r'engine\.provider: Broken refuses: '):
        broken.build()
