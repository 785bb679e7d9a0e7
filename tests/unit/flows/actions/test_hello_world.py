from __future__ import annotations

import pytest

from relay_parsl.flows.actions.base import ActionUnableToRun, Call, Surroundings
from relay_parsl.flows.actions.hello_world import HelloWorld
from relay_parsl.testing import MemoryRecords


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def hello(clock: Clock, records: MemoryRecords | None = None) -> HelloWorld:
    return HelloWorld(Surroundings(records or MemoryRecords(), {}, lambda _action_id: None, clock))


def test_it_says_what_the_hosted_one_says() -> None:
    status = hello(Clock()).run(Call('r:S:1', {'echo_string': 'sync!'}, time=999.0))
    assert status.details == {'Hello': 'World', 'hello': 'sync!'}
    assert (status.status, status.start_time, status.completion_time) == ('SUCCEEDED', 999.0, 999.0)


def test_without_a_string_it_greets_nobody() -> None:
    assert hello(Clock()).run(Call('r:S:1', {}, time=1.0)).details == {'Hello': 'World'}


def test_it_sleeps_from_the_time_of_the_request_across_a_restart() -> None:
    clock, records = Clock(), MemoryRecords()
    call = Call('r:S:1', {'sleep_time': 20}, time=1000.0)
    first = hello(clock, records)
    assert first.run(call).details == {'sleeps_until': 1020.0}
    first.close()
    clock.now = 1021.0
    assert hello(clock, records).run(call).completion_time == 1020.0


def test_a_consent_is_asked_for_and_given_by_resume() -> None:
    clock = Clock()
    action = hello(clock)
    scope = 'urn:globus:auth:scope:groups.api.globus.org:all'
    status = action.run(Call('r:S:1', {'required_dependent_scope': scope, 'sleep_time': 5}, time=1000.0))
    assert (status.status, status.details['code'], status.details['required_scope']) == ('INACTIVE', 'ConsentRequired', scope)
    assert 'resume' in status.details['resolution']
    clock.now = 2000.0
    assert action.resume('r:S:1').status == 'ACTIVE'
    clock.now = 2005.0
    assert action.status('r:S:1').completion_time == 2005.0
    action.close()


def test_an_inactive_one_can_be_cancelled() -> None:
    action = hello(Clock())
    action.run(Call('r:S:1', {'required_dependent_scope': 'x'}, time=1000.0))
    assert action.cancel('r:S:1').details['code'] == 'ActionCanceled'


@pytest.mark.parametrize(
    ('body', 'said'),
    [
        ({'sleep_time': 'long'}, "sleep_time is a number from 0, not 'long'"),
        ({'sleep_time': True}, 'sleep_time is a number from 0, not true'),
        ({'sleep_time': 1e300}, 'sleep_time is 31622400 at most'),
        ({'echo_string': {}, 'sleep_time': []}, 'echo_string is text, not an object; sleep_time is a number from 0, not a list of 0'),
        ([], 'the body is an object, not a list of 0'),
        (None, 'the body is an object, not null'),
    ],
)
def test_what_is_wrong_is_said_at_once(body: object, said: str) -> None:
    with pytest.raises(ActionUnableToRun) as refusal:
        hello(Clock()).run(Call('r:S:1', body, time=1.0))
    assert str(refusal.value) == said


def test_what_has_ended_is_not_reported_when_its_time_comes() -> None:
    told: list[str] = []
    action = HelloWorld(Surroundings(MemoryRecords(), {}, told.append, Clock()))
    for number in (1, 2, 3):
        action.run(Call(f'r:S:{number}', {'sleep_time': 5}, time=1000.0))
    action.cancel('r:S:1')
    action.cancel('r:S:2')
    action.release('r:S:2')
    for number in (1, 2, 3):
        action.tell(f'r:S:{number}')
    assert told == ['r:S:3']
    action.close()
