"""A future whose condition is made late is a future like any other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, as_completed, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import pytest

from relay_parsl.client.futures import TaskFuture
from relay_parsl.client.orders import new_id

LONG = 30


class Nobody:
    """A session without a relay."""

    def cancel(self, task_id: bytes) -> None:
        """Nothing to end."""

    def observe(self, task_id: bytes) -> None:
        """Nothing to watch."""

    def wait_for(self, happened: Callable[[], bool], timeout: float | None) -> bool:
        """As it is."""
        return happened()

    def changed(self) -> None:
        """Nobody waits."""

    def trouble(self, seconds: float) -> str:
        """There is no relay, however long one waits."""
        return f'no relay for {seconds:g} s'


def a_future() -> TaskFuture:
    return TaskFuture(new_id(), Nobody())


def test_who_waits_in_vain_for_its_acceptance_is_told_why() -> None:
    future = a_future()
    with pytest.raises(TimeoutError, match=r'within 0 s: no relay for 0 s'):
        future.accepted(0.0)
    future.detail = {'why': 'no room'}
    with pytest.raises(TimeoutError, match=r'within 0 s: no room'):
        future.accepted(0.0)


def test_it_has_all_that_the_standard_library_gives_a_future() -> None:
    future, standard = a_future(), vars(Future())
    assert not future.seen_by_somebody
    assert type(future._condition) is type(standard['_condition'])
    assert future._condition is future._condition
    assert {name: getattr(future, name) for name in standard if name != '_condition'} == {k: v for k, v in standard.items() if k != '_condition'}
    assert future._waiters is not a_future()._waiters


def test_all_threads_get_the_same_condition() -> None:
    for _ in range(50):
        future, found, start = a_future(), [], threading.Barrier(4)

        def look(future: TaskFuture = future, found: list[Any] = found, start: threading.Barrier = start) -> None:
            start.wait()
            found.append(future._condition)

        threads = [threading.Thread(target=look) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(set(map(id, found))) == 1


def test_what_ends_before_anybody_looks_is_as_done_as_what_ends_after() -> None:
    early, failed, late = a_future(), a_future(), a_future()
    assert early.succeed(1)
    assert failed.fail(KeyError('k'))
    assert not any(each.seen_by_somebody for each in (early, failed))
    assert wait([early, failed, late], 0.01).done == {early, failed}
    assert late.succeed(2)
    assert [each for each in as_completed([early, failed, late], LONG) if each is late] == [late]
    assert not early.succeed(3)
    assert (early.result(), late.result(), str(failed.exception())) == (1, 2, "'k'")
    assert asyncio.run(_awaited(early)) == 1


async def _awaited(future: TaskFuture) -> Any:
    return await asyncio.wrap_future(future)


def test_who_wants_to_be_called_is_heard_of_before_it_is_settled_unheard() -> None:
    bare, looked, called = a_future(), a_future(), a_future()
    assert looked._condition is not None
    seen: list[Any] = []
    called.add_done_callback(seen.append)
    assert [each.settle_unheard(1) for each in (bare, looked, called)] == [True, True, False]
    assert (bare.result(), looked.result(), called.done(), seen) == (1, 1, False, [])
    assert [each.settle_unheard(2) for each in (bare, looked)] == [False, False]
    assert called.settle(3, None)
    assert seen == [called]


def test_one_of_many_who_settle_it_wins() -> None:
    for _ in range(100):
        future, won, start = a_future(), [], threading.Barrier(3)

        def settle(n: int, future: TaskFuture = future, won: list[int] = won, start: threading.Barrier = start) -> None:
            start.wait()
            if n == 2:
                future.add_done_callback(lambda _: won.append(-1))
            elif future.succeed(n):
                won.append(n)

        threads = [threading.Thread(target=settle, args=(n,)) for n in range(3)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(won) == 2
        assert future.result() == max(won)


def test_waiting_ends_whoever_comes_first() -> None:
    for _ in range(100):
        futures = [a_future() for _ in range(5)]
        settler = threading.Thread(target=lambda futures=futures: [each.succeed(n) for n, each in enumerate(futures)])
        settler.start()
        assert sorted(each.result(LONG) for each in as_completed(futures, LONG)) == list(range(5))
        assert wait(futures, LONG, ALL_COMPLETED).not_done == set()
        settler.join()


def test_callbacks_run_once_before_and_after() -> None:
    future, called = a_future(), []
    future.add_done_callback(lambda _: called.append('before'))
    assert future.succeed(1)
    future.add_done_callback(lambda _: called.append('after'))
    assert called == ['before', 'after']
    assert not future.succeed(2)
    assert not future.fail(ValueError())
    assert future.result() == 1
    assert future.exception() is None


def test_errors_are_raised_and_a_wait_has_an_end() -> None:
    future = a_future()
    assert not future.done()
    with pytest.raises(FutureTimeoutError):
        future.result(0.01)
    assert wait([future], 0.01, FIRST_COMPLETED).not_done == {future}
    assert future.fail(ValueError('no'))
    assert future.done()
    with pytest.raises(ValueError, match='no'):
        future.result()


def test_ids_are_of_version_7_and_in_order_of_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {(each[6] >> 4, each[8] >> 6) for each in ids} == {(7, 2)}
    assert [each[:6] for each in ids] == sorted(each[:6] for each in ids)
