"""kill -9 of a client, at each step of its loop and at random: what the relay has taken runs once and comes to whoever follows the group."""

from __future__ import annotations

import math
import random
import time

import pytest

import relay_parsl as rp
from tests.faults import failpoints
from tests.faults.rig import PATIENCE, Running, Site, until

pytestmark = [pytest.mark.integration, pytest.mark.fault(1, 2), pytest.mark.timeout(300)]

COUNT = 300
"""Tasks; more than one message of them."""
QUICKLY = ('client:after_send/Submit',)
POINTS = [pytest.param(point, marks=[] if point in QUICKLY else [pytest.mark.slow]) for point in failpoints.CLIENT]


class Pusher:
    """The client of `pusher.py`."""

    def __init__(self, site: Site, at: str = '', life: int = 0) -> None:
        """Starts it."""
        self.paper = site.cli.cwd / f'paper{life}'
        options = ['--at', at, '1', '--armed', str(site.armed)] if at else []
        words = ['client', 'one', str(site.record), str(site.armed), str(self.paper), str(life * 1000), str(COUNT)]
        self.running = Running([failpoints.__file__, *options, '--', *words], site.cli.environment, site.cli.cwd / 'client.log', site.cli.cwd)
        site.running[f'client{life}'] = self.running

    @property
    def lines(self) -> list[str]:
        """What it has told: its group, the ids of what was accepted, and `done`."""
        return self.paper.read_text().split('\n')[:-1] if self.paper.exists() else []


def settled(site: Site, *clients: Pusher) -> None:
    """Another process of the account follows the groups: all that was accepted comes, each task ran once, and nothing else did."""
    ids, values = set(), []
    with rp.Executor('one') as executor:
        for each in clients:
            group, *told = each.lines
            futures = executor.reload_tasks(group)
            found = {future.task_id for future in futures}
            assert set(told) - {'done'} <= found, 'what was accepted is there'
            ids |= found
            values += [future.result(PATIENCE) for future in futures]
    runs = site.runs()
    assert sorted(math.isqrt(value) for value in values) == sorted(runs), 'what ran is what is there'
    assert set(runs.values()) == {1}
    for name in [name for name in site.running if name.startswith('client')]:
        del site.running[name]
    site.check(ids)


@pytest.mark.parametrize('point', POINTS)
def test_a_client_dies_at_a_step(site: Site, point: str) -> None:
    site.whole('one')
    client = Pusher(site, point)
    client.running.died()
    assert 'done' not in client.lines
    settled(site, client)


@pytest.mark.slow
def test_clients_die_at_random(site: Site) -> None:
    dice = random.Random(1)
    site.whole('one')
    clients = []
    for life in range(6):
        client = Pusher(site, life=life)
        until(lambda client=client: client.lines)  # type: ignore[misc]
        time.sleep(dice.uniform(0, 0.3))
        client.running.kill()
        clients.append(client)
    settled(site, *clients)
    assert any('done' not in each.lines for each in clients), 'some died while there was something to do'
