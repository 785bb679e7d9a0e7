"""Tasks that name no pool: which runs them, and that its window and its backlog count them."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_parsl.endpoint.config import describe_config, load_endpoint_config
from relay_parsl.endpoint.effects import Demand
from relay_parsl.wire.messages import Backlog, Window
from tests.unit.endpoint.desk import Desk, only, sent, task

POOLS = {'cpu': (1, 1 << 20), 'gpu': (3, 1 << 20)}


def test_a_task_that_names_no_pool_runs_in_the_default_one_and_counts_there() -> None:
    desk = Desk(pools=POOLS, default_pool='gpu')
    assert sent(desk.open(), Window) == [Window({'': (3, 1 << 20), 'cpu': (1, 1 << 20), 'gpu': (3, 1 << 20)})]
    starts = desk.run(task(1), task(2, pool='gpu'), task(3, pool='cpu'), task(4, pool='cpu'))
    assert [(each.info.sequence, each.info.pool) for each in starts] == [(3, 'cpu'), (1, 'gpu'), (2, 'gpu')]
    demands = only(desk.turn(Backlog({'': (5, 1.0), 'gpu': (2, 1.0), 'cpu': (1, 1.0)})), Demand)
    assert demands == [Demand('cpu', 3), Demand('gpu', 9)]


def test_without_a_default_pool_the_relay_says_that_there_is_none() -> None:
    assert sent(Desk(pools=POOLS).open(), Window) == [Window(POOLS)]


@pytest.mark.parametrize(('names', 'default'), [('cpu gpu', 'cpu'), ('gpu default cpu', 'default'), ('one', 'one')])
def test_the_default_pool_is_the_one_called_so_else_the_first_of_the_file(names: str, default: str, tmp_path: Path) -> None:
    path = tmp_path / 'site.yaml'
    path.write_text('pools:\n' + ''.join(f'  {name}: {{type: ThreadPoolEngine}}\n' for name in names.split()))
    config = load_endpoint_config(path)
    assert config.default_pool == default
    assert (f'tasks that name no pool run in {default}' in describe_config(config)) is (len(config.pools) > 1)


def test_the_one_engine_is_the_pool_without_a_name(tmp_path: Path) -> None:
    path = tmp_path / 'site.yaml'
    path.write_text('engine: {type: ThreadPoolEngine}\n')
    assert load_endpoint_config(path).default_pool == ''
