"""The pool that a task names: the one that runs it, whatever the others do, or one clear error while the endpoint lives."""

from __future__ import annotations

from concurrent.futures import wait

import pytest

import relay_parsl as rp

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
POOLS = {'display_name': 'two pools', 'pools': {'cpu': {'type': 'ThreadPoolEngine'}, 'gpu': {'type': 'ThreadPoolEngine'}}}
STUCK = {
    'type': 'HtexEngine',
    'max_workers_per_node': 1,
    'provider': {'type': 'LocalProvider', 'init_blocks': 1, 'max_blocks': 1, 'worker_init': 'exec sleep 600'},
}
"""Its block never brings a worker."""
UNEVEN = {'display_name': 'uneven', 'pools': {'stuck': STUCK, 'default': {'type': 'ProcessPoolEngine', 'max_workers': 1}}}


def test_a_pool_that_the_endpoint_does_not_have_is_one_clear_error() -> None:
    with rp.local(endpoints={'site': POOLS}) as relay:
        with rp.Executor('site', relay=relay, resource_specification={'pool': 'gpu'}) as executor:
            assert executor.submit(pow, 2, 3).result(60) == 8
            wrong = executor.with_options(resource_specification={'pool': 'nope'}).submit(pow, 2, 3)
            with pytest.raises(rp.errors.TaskRejected, match=r"the endpoint has no pool 'nope' \(it has: 'cpu', 'gpu'\)"):
                wrong.result(30)
        client = rp.Client(relay=relay)
        batch = client.create_batch(resource_specification={'pool': 'nope'})
        batch.add(client.register_function(len), ([1, 2],))
        ((task_id,),) = client.batch_run('site', batch)['tasks'].values()
        with pytest.raises(rp.errors.TaskRejected, match="no pool 'nope'"):
            client._follow(task_id).result(30)
        client.close()
        with rp.Executor('site', relay=relay) as executor:
            assert executor.submit(pow, 2, 3).result(60) == 8, 'a task that names no pool runs in the first'
            asked = executor.with_options(user_endpoint_config={'account': 'x'}).submit(pow, 2, 3)
            with pytest.raises(rp.errors.TaskRejected, match=r'user_endpoint_config\.account: this endpoint fills in no template'):
                asked.result(30)


def test_a_pool_that_gets_no_workers_and_is_flooded_starves_no_other() -> None:
    with rp.local(endpoints={'site': UNEVEN}) as relay, rp.Executor('site', relay=relay) as executor:
        flood = executor.with_options(resource_specification={'pool': 'stuck'})
        stuck = [flood.submit(pow, 2, number) for number in range(3000)]
        executor.flush(60)
        done = [executor.submit(pow, 2, number) for number in range(100)]
        named = executor.with_options(resource_specification={'pool': 'default'}).submit(pow, 3, 3)
        assert not wait([*done, named], 60).not_done
        assert [each.result() for each in done] == [2**number for number in range(100)]
        assert not any(each.done() for each in stuck)
        for each in stuck:
            each.cancel()
