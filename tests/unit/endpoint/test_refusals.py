"""What a constructor of ours would refuse is refused at its line before anything is built, and all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.errors import ConfigError
from relay_parsl.launchers import PalsMpiexecLauncher
from relay_parsl.providers import PBSProProvider, SlurmProvider

FILE = """engine:
  type: HtexEngine
  address: 127.0.0.1
  provider:
    type: {}
    init_blocks: -1
    {}
"""
WORD = 'must be one word'
BOTH = [
    ('account: "a b"', WORD),
    ('nodes_per_block: 0', 'at least 1'),
    ('min_blocks: -1', 'at least 0'),
    ('max_blocks: x', 'at least 1'),
    ('parallelism: -1', 'at least 0'),
    ('parallelism: .inf', 'must be a number'),
    ('walltime: 00:00:00', 'no job would ever run'),
    ('walltime: soon', 'must be a walltime'),
    ('cmd_timeout: 0', 'at least 1'),
    ('cores_per_node: 0', 'at least 1'),
    ('mem_per_node: 1.5', 'must be a whole number'),
    ('worker_init: "a\\rb"', 'end lines with a line feed alone'),
    ('worker_init: "a\\0b"', 'end lines with a line feed alone'),
    ('scheduler_options: "# a\\r"', 'end lines with a line feed alone'),
]
PBS = [
    *BOTH,
    ('queue: "x y"', WORD),
    ('select_options: "ngpus=4 -l walltime=09:00:00"', WORD),
    ('system: "a b"', WORD),
    ('filesystems: home eagle', 'must be names of filesystems'),
    ('place: scatered', 'must be as PBS has it'),
    ('keep: xyz', 'must be letters of'),
    ('rerunnable: maybe', 'must be true or false'),
    ('cpus_per_node: 0', 'at least 1'),
    ('scheduler_options: "#PBS -l walltime=9"', '`-l walltime` is what `walltime` says'),
    ('scheduler_options: "#PBS -l nodes=2"', 'qsub refuses `-l nodes` beside a selection of nodes; write `nodes_per_block`'),
    ('scheduler_options: "#PBS -l mem=1gb,ncpus=2"', 'write `cpus_per_node`'),
    ('scheduler_options: "#PBS -N mine"', '`-N`: each block has one of its own, which the endpoint finds it by; leave it out'),
    ('scheduler_options: "#PBS -o out"', '`-o`: each block has one of its own, which the endpoint reads when it fails; leave it out'),
]
SLURM = [
    *BOTH,
    *((f'{key}: "a b"', WORD) for key in ('partition', 'qos', 'clusters', 'gres')),
    ('constraint: "a\\nb"', 'must be one line of text'),
    ('gpus_per_node: -1', 'at least 0'),
    ('regex_job_id: "("', 'is no regular expression'),
    ('regex_job_id: "(.*)"', 'has no group `(?P<id>…)`'),
    ('status_batch_size: 0', 'at least 1'),
    ('exclusive: 1', 'must be true or false'),
    ('requeue: 1', 'must be true or false'),
    ('no_kill: 1', 'must be true or false'),
    ('scheduler_options: "module load x"', 'is no directive; write `#SBATCH module load x`'),
    ('scheduler_options: " #SBATCH -H"', 'is no directive; write `#SBATCH -H`'),
    ('scheduler_options: "#SBATCH --array=0-9"', '`--array` makes several jobs of one block'),
    ('scheduler_options: "#SBATCH -t 06:00:00"', '`--time` is what `walltime` says; write it there'),
    ('scheduler_options: "#SBATCH -N 40"', '`--nodes` is what `nodes_per_block` says; write it there'),
    ('scheduler_options: "#SBATCH --exclusive=user"', 'write `exclusive: false`, too'),
]
TABLE = [*(('PBSProProvider', *row) for row in PBS), *(('SlurmProvider', *row) for row in SLURM)]


def lines_of(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_endpoint_config(path)
    return [line for line in str(caught.value).splitlines() if ' warning: ' not in line]


@pytest.mark.parametrize(('provider', 'text', 'said'), TABLE)
def test_every_refusal_has_its_line_beside_another_mistake(tmp_path: Path, provider: str, text: str, said: str) -> None:
    first, second = lines_of(path := tmp_path / 'site.yaml', FILE.format(provider, text))
    assert first.startswith(f'{path}:6: engine.provider.init_blocks: must be')
    assert second.startswith(f'{path}:7: engine.provider.{text.partition(":")[0]}: ')
    assert said in second


def test_an_option_that_directives_say_too_is_named_at_its_own_line(tmp_path: Path) -> None:
    said = 'account: a\n    mem_per_node: 4\n    scheduler_options: "#SBATCH --mem=8g -A b --time=9"'
    found = lines_of(path := tmp_path / 'site.yaml', FILE.format('SlurmProvider', said))
    assert found[1:] == [
        f'{path}:7: engine.provider.account: given twice, as `account` and in `scheduler_options`; keep one of them',
        f'{path}:8: engine.provider.mem_per_node: given twice, as `mem_per_node` and in `scheduler_options`; keep one of them',
        f'{path}:9: engine.provider.scheduler_options: `--time` is what `walltime` says; write it there',
    ]


BAD = {
    'account': 'a b', 'queue': 'a b', 'partition': 'a b', 'qos': 'a b', 'clusters': 'a b', 'gres': 'a b', 'select_options': 'a b', 'system': 'a b',
    'constraint': 'a\nb', 'scheduler_options': '#SBATCH -t 9\n#PBS -l walltime=9', 'worker_init': 'a\0', 'nodes_per_block': 0, 'init_blocks': -1,
    'min_blocks': -1, 'max_blocks': -1, 'parallelism': -1, 'walltime': '0', 'cmd_timeout': 0, 'cores_per_node': 0, 'cpus_per_node': 0,
    'mem_per_node': 0, 'gpus_per_node': -1, 'status_batch_size': 0, 'exclusive': 1, 'requeue': 1, 'no_kill': 1, 'rerunnable': 1,
    'regex_job_id': '(', 'filesystems': 'a b', 'place': 'x', 'keep': 'x',
}  # fmt: skip


@pytest.mark.parametrize('kind', [PBSProProvider, SlurmProvider])
def test_the_table_has_every_option_that_a_constructor_refuses(kind: type[PBSProProvider] | type[SlurmProvider]) -> None:
    """A new option of a provider belongs into the table above."""
    asked = {text.partition(':')[0] for provider, text, _ in TABLE if provider == kind.__name__} | {'init_blocks'}
    for option, value in BAD.items():
        if option in kind.__init__.__annotations__:
            with pytest.raises(ConfigError):
                kind(**{option: value})  # type: ignore[arg-type]
            assert option in asked
    assert kind.__init__.__annotations__.keys() - BAD.keys() == {'launcher', 'return'}


@pytest.mark.parametrize('provider', ['', '  provider: {type: LocalProvider}\n'])
def test_what_this_host_cannot_do_is_named_at_its_line_too(tmp_path: Path, provider: str) -> None:
    text = f'engine:\n  type: HtexEngine\n  cores_per_worker: 8000\n{provider}colour: red\n'
    first, second = lines_of(path := tmp_path / 'here.yaml', text)
    assert first.startswith(f'{path}:3: engine.cores_per_worker: 8000 is more than this host has, which is ')
    assert ' colour: unknown key' in second


def test_what_a_launcher_refuses(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='ppn'):
        PalsMpiexecLauncher(ppn=2, node_init='true')
    launcher = 'launcher: {type: PalsMpiexecLauncher, ppn: 2, node_init: "true"}'
    _, found = lines_of(path := tmp_path / 'site.yaml', FILE.format('PBSProProvider', launcher))
    assert found.startswith(f'{path}:7: engine.provider.launcher.ppn: must be 1 with `node_init` and `node_exit`')
