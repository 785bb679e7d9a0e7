"""Options of PBSProProvider in an endpoint file: what they become, and what is said of mistakes before any job is submitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.errors import ConfigError

PBS = """
engine:
  type: HtexEngine
  address: 127.0.0.1
  provider:
    type: PBSProProvider
"""
FULL = """    filesystems: [home, eagle]
    place: scatter:excl
    keep: oe
    rerunnable: true
    system: polaris
    cores_per_node: 32
    mem_per_node: 512
"""


def test_they_reach_the_batch_script(tmp_path: Path) -> None:
    path = tmp_path / 'site.yaml'
    path.write_text(PBS + FULL)
    provider = load_endpoint_config(path).build_engine().provider
    text = provider.script('start', 1, 'block')
    for wanted in ('-l filesystems=home:eagle', '-l place=scatter:excl', '-k oe', '-r y', '-l select=1:ncpus=32:system=polaris:mem=512gb'):
        assert f'#PBS {wanted}\n' in text


@pytest.mark.parametrize(
    ('lines', 'said'),
    [
        ('filesystems: home eagle', 'engine.provider.filesystems: must be names of filesystems, like home:eagle'),
        ('filesystems: ["home\\n#PBS -A other"]', 'engine.provider.filesystems: must be one line of text'),
        ('place: scatered', 'engine.provider.place: must be as PBS has it, like scatter'),
        ('keep: x', 'engine.provider.keep: must be letters of `doe`'),
        ('rerunnable: maybe', 'engine.provider.rerunnable: must be true or false'),
        ('system: "a\\nb"', 'engine.provider.system: must be one line of text'),
        ("place: scatter\n    scheduler_options: '#PBS -l place=pack'", 'engine.provider.place: given twice'),
        ("scheduler_options: '#PBS -l select=4'", '`-l select` is what `nodes_per_block`'),
    ],
)
def test_mistakes(tmp_path: Path, lines: str, said: str) -> None:
    path = tmp_path / 'site.yaml'
    path.write_text(f'{PBS}    {lines}\n')
    with pytest.raises(ConfigError) as caught:
        load_endpoint_config(path)
    assert said in str(caught.value)
