from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.flows.actions.base import ActionUnableToRun
from relay_parsl.flows.actions.compute_bodies import Job, Names, Work, read_job

ENDPOINT, FUNCTION = 'aaaaaaaa-0000-4000-8000-00000000000A', 'bbbbbbbb-0000-4000-8000-00000000000B'
NAMES = Names({'endpoints': {ENDPOINT: 'polaris'}, 'functions': {FUNCTION: 'xpcs.tools:corr'}})
CALL = Work('polaris', 'xpcs.tools:corr', (), {'x': 1})


def read(body: Any) -> Job:
    return read_job(body, NAMES)


@pytest.mark.parametrize(
    'body',
    [
        {'endpoint': ENDPOINT, 'function': FUNCTION, 'kwargs': {'x': 1}},
        {'endpoint': ENDPOINT.upper(), 'function': FUNCTION.lower(), 'payload': {'x': 1}},
        {'endpoint': ENDPOINT, 'function': FUNCTION, 'kwargs': '{"x": 1}', 'args': '[]'},
        {'endpoint': ENDPOINT, 'function': FUNCTION, 'kwargs': {'x': 1}, 'payload': {}, 'args': None},
        {'tasks': [{'endpoint': ENDPOINT, 'function': FUNCTION, 'payload': {'x': 1}}]},
        {'tasks': [{'endpoint': ENDPOINT, 'function': FUNCTION, 'kwargs': {'x': 1}, 'args': ''}]},
        {'endpoint_id': ENDPOINT, 'tasks': [{'function_id': FUNCTION, 'kwargs': {'x': 1}}], 'create_queue': False, 'task_group_id': None},
        {
            'endpoint_id': ENDPOINT,
            'tasks': [{'function_id': FUNCTION, 'kwargs': {'x': 1}}],
            'user_endpoint_config': {},
            'resource_specification': None,
        },
    ],
)
def test_every_spelling_is_the_same_call(body: Any) -> None:
    assert read(body) == Job((CALL,))


def test_tasks_may_have_endpoints_of_their_own() -> None:
    job = read({'endpoint': 'a', 'tasks': [{'function': 'm:f', 'args': [1, [2]]}, {'endpoint': 'b', 'function': 'm:g'}]})
    assert job.works == (Work('a', 'm:f', (1, [2]), {}), Work('b', 'm:g', (), {}))


def test_what_tasks_share() -> None:
    group = 'cccccccc-0000-4000-8000-000000000001'
    job = read(
        {
            'endpoint_id': 'polaris',
            'tasks': [{'function_id': 'm:f'}],
            'task_group_id': group.upper(),
            'user_endpoint_config': {'queue': 'debug', 'walltime': '1:00:00'},
            'resource_specification': {'num_nodes': 2},
        }
    )
    assert (job.group, job.user_endpoint_config, job.resource_specification) == (
        group,
        {'queue': 'debug', 'walltime': '1:00:00'},
        {'num_nodes': 2},
    )


@pytest.mark.parametrize(
    ('body', 'said'),
    [
        ({}, 'endpoint is missing'),
        ({}, 'function is missing'),
        ({'endpoint': 3, 'function': 'm:f'}, 'endpoint is text, not 3'),
        ({'endpoint': 'a', 'endpoint_id': 'b', 'function': 'm:f'}, 'endpoint and endpoint_id are two names of one thing'),
        ({'endpoint': 'a', 'function': 'm:f', 'kwargs': '{"x": '}, 'kwargs is text that is no JSON'),
        ({'endpoint': 'a', 'function': 'm:f', 'args': '{"x": 1}'}, 'args is a list, or JSON text of one, not dict'),
        ({'endpoint': 'a', 'function': 'm:f', 'args': '[' * 100_000}, 'args is text that is no JSON'),
        ({'endpoint': 'a', 'function': 'm:f', 'kwargs': {'x': 1}, 'payload': {'y': 1}}, 'payload is the older name of kwargs'),
        ({'endpoint': 'a', 'function': 'm:f', 'tasks': [{'function': 'm:f'}]}, 'function stands in each of `tasks`'),
        ({'endpoint': 'a', 'tasks': {'function': 'm:f'}}, 'tasks is a list of at least 1, not an object'),
        ({'endpoint': 'a', 'tasks': ['m:f']}, "tasks[0] is an object, not 'm:f'"),
        ({'endpoint': 'a', 'tasks': [{'function': 'm:f', 'kwarg': {}}]}, "tasks[0].kwarg is unknown; did you mean 'kwargs'?"),
        ({'endpoint': 'a', 'function': 'm:f', 'user_endpoint_config': 'debug'}, 'user_endpoint_config is an object'),
        ({'endpoint': 'a', 'function': 'm:f', 'create_queue': 'yes'}, 'create_queue is true or false'),
    ],
)
def test_what_is_wrong_is_named(body: Any, said: str) -> None:
    with pytest.raises(ActionUnableToRun) as refusal:
        read(body)
    assert said in str(refusal.value)
