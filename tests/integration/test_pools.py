"""The pool that a task names: the one that runs it, or one clear error while the endpoint lives."""

from __future__ import annotations

import pytest

import relay_parsl as rp

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
POOLS = {'display_name': 'two pools', 'pools': {'cpu': {'type': 'ThreadPoolEngine'}, 'gpu': {'type': 'ThreadPoolEngine'}}}


def test_a_pool_that_the_endpoint_does_not_have_is_one_clear_error() -> None:
    with rp.local(endpoints={'site': POOLS}) as relay:
        with rp.Executor('site', relay=relay, user_endpoint_config={'pool': 'gpu'}) as executor:
            assert executor.submit(pow, 2, 3).result(60) == 8
            wrong = executor.with_options(user_endpoint_config={'pool': 'nope'}).submit(pow, 2, 3)
            with pytest.raises(rp.errors.TaskRejected, match=r"the endpoint has no pool 'nope' \(it has: 'cpu', 'gpu'\)"):
                wrong.result(30)
        with rp.Executor('site', relay=relay) as executor, pytest.raises(rp.errors.TaskRejected, match='no pool without a name'):
            executor.submit(pow, 2, 3).result(30)
