"""Reports are as long as the relay takes them, whatever the size of a machine."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.endpoint.reporting import LIMIT, fitted
from relay_parsl.relay.admin import REPORT
from relay_parsl.wire import codec


def pool(nodes: int, reason: str = '') -> dict[str, Any]:
    managers = [{'manager': f'{n:012}', 'host': f'x3006c0s{n}b0n0', 'block': '0', 'workers': 4, 'tasks': 4} for n in range(nodes)]
    blocks = [{'block': str(n), 'job': f'{n}.polaris-pbs-01', 'state': 'RUNNING', 'reason': 'Job run at Mon'} for n in range(nodes // 10)]
    return {'workers': 4 * nodes, 'state': 'ready', 'reason': reason, 'detail': {'blocks': blocks, 'managers': managers}}


def test_a_small_site_is_told_whole() -> None:
    assert fitted({'': pool(30, 'x')}) == {'': pool(30, 'x')}


@pytest.mark.parametrize(
    'pools', [{'': pool(4000)}, {f'p{n}': pool(500, 'y' * 9000) for n in range(8)}, {f'p{n}': pool(1, 'y' * 9000) for n in range(50)}]
)
def test_a_large_one_is_cut_to_what_the_relay_takes(pools: dict[str, Any]) -> None:
    found = fitted(pools)
    assert len(codec.pack(found)) <= LIMIT < REPORT
    assert [status['workers'] for status in found.values()] == [status['workers'] for status in pools.values()]


def test_the_newest_rows_stay_and_the_others_are_counted() -> None:
    detail = fitted({'': pool(4000)})['']['detail']
    assert detail['managers'][-1]['host'] == 'x3006c0s3999b0n0'
    assert detail['more'] == 4400 - len(detail['managers']) - len(detail['blocks'])
