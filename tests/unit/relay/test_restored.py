"""A relay whose store was restored from a backup: what endpoints hold is more than it knows."""

from __future__ import annotations

import pytest

from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Phase
from tests.unit.relay.stage import Stage, an_id

RESTORED = 'restored at noon from a backup of the morning'


def held(name: str, attempt: int = 1, phase: Phase = Phase.STARTED) -> m.HeldTask:
    return m.HeldTask(an_id(name), attempt, phase)


def staged(*names: str, **more: object) -> Stage:
    """Tasks wait there: whatever came afterwards is forgotten."""
    stage = Stage(restored=RESTORED)
    stage.submit(stage.client(), *names, **more)
    stage.restart()
    return stage


@pytest.mark.parametrize('phase', list(Phase))
@pytest.mark.parametrize('attempt', [1, 3])
def test_what_an_endpoint_holds_of_an_open_task_is_leased_to_it_again(phase: Phase, attempt: int) -> None:
    stage = staged('a', 'b')
    site = stage.endpoint(epoch=7, window=(1, 1 << 20), held=[held('a', attempt, phase)])
    assert site.ids(m.Cancel) == []
    assert site.ids(m.Dispatch) == [], 'its window of one is full'
    ann = stage.client()
    ann.say(m.Follow((an_id('group'),)))
    stage.finish(site, 'a', attempt=attempt, epoch=7)
    assert ann.ids(m.Deliver) == [an_id('a')]
    assert site.ids(m.Dispatch) == [an_id('b')]


def test_an_older_attempt_than_the_relays_is_cancelled() -> None:
    stage = Stage(restored=RESTORED)
    stage.submit(stage.client(), 'a')
    stage.endpoint(epoch=1)
    stage.reactor.unreachable(b'routing 1', stage.now)
    stage.turn()
    stage.endpoint(epoch=2, window=(0, 0))  # it lacks the task, which may have started: the second attempt waits
    stage.restart()
    site = stage.endpoint(epoch=3, window=(0, 0), held=[held('a', 1)])
    assert site.ids(m.Cancel) == [an_id('a')]


def test_a_lease_of_the_backup_gives_way_to_the_later_attempt_that_runs() -> None:
    stage = Stage(restored=RESTORED)
    stage.submit(stage.client(), 'a')
    stage.endpoint(epoch=1)
    stage.restart()
    site = stage.endpoint(epoch=5, held=[held('a', 4)])
    assert site.ids(m.Cancel) == []
    assert site.ids(m.Dispatch) == []
    stage.store.begin()
    [info] = stage.store.find([an_id('a')])
    stage.store.commit()
    assert (info.attempt, info.epoch) == (4, 5)


def test_a_store_that_was_never_restored_takes_nobodys_word() -> None:
    stage = Stage()
    stage.submit(stage.client(), 'a')
    site = stage.endpoint(held=[held('a')])
    assert site.ids(m.Cancel) == [an_id('a')]


def test_who_asks_for_a_task_that_came_after_the_backup_hears_why_it_is_unknown() -> None:
    stage = staged('a')
    ann = stage.client()
    ann.say(m.Follow((), (an_id('later'),)))
    [refusal] = ann.one(m.Rejected).tasks
    assert refusal.code == 'unknown'
    assert RESTORED in refusal.reason
