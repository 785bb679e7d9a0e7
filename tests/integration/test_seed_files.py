"""Two files as users write them today, mistakes included, at the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.commands import Commands, commands

pytestmark = pytest.mark.integration
SEEDS = Path(__file__).parents[1] / 'data' / 'seeds'


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'home') as made:
        yield made


def test_the_deck_is_refused_with_every_mistake_and_what_to_do(cli: Commands) -> None:
    said = cli.refused('endpoint', 'check', str(SEEDS / 'polaris-deck.yaml'))
    assert said.count('belongs under `engine') == 7
    assert said.count('did you mean') == 2


def test_the_article_is_checked_anywhere_and_starts_where_its_interface_is(cli: Commands, tmp_path: Path) -> None:
    file = tmp_path / 'article.yaml'
    file.write_text((SEEDS / 'polaris-article.yaml').read_text().replace('bond0', 'nonesuch0'))
    checked = cli.ok('endpoint', 'check', str(file))
    assert 'engine.address.ifname: warning: this host has no interface `nonesuch0`' in checked
    assert '#PBS -l filesystems=home:grand:eagle' in checked
    cli.relay()
    cli.ok('endpoint', 'configure', 'article', '--endpoint-config', str(file))
    assert 'this host has no address at a network interface `nonesuch0`; its interfaces are lo' in cli.refused('endpoint', 'start', 'article')
