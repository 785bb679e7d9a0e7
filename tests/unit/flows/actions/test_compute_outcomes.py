from __future__ import annotations

from relay_parsl.errors import RemoteError, SerializationError, TaskCancelled
from relay_parsl.flows.actions.compute_outcomes import TRACEBACK, Standing, outcome, progress


def done(name: str, value: object = None, error: BaseException | None = None) -> Standing:
    return Standing(name, 'failed' if error else 'success', done=True, value=value, error=error)


def raised(error: Exception, text: str) -> Exception:
    error.__cause__ = RemoteError(text)
    return error


def test_results_stand_in_the_order_of_the_tasks() -> None:
    well, details = outcome([done('a', [1, 'x']), done('b', None)])
    assert well
    assert details == {'result': [[1, 'x'], None], 'results': [{'task_id': 'a', 'output': [1, 'x']}, {'task_id': 'b', 'output': None}]}


def test_one_failure_fails_all_and_keeps_the_others_results() -> None:
    error = raised(ValueError('no such film'), 'Traceback (most recent call last):\n…\nValueError: no such film')
    well, details = outcome([done('a', 7), done('b', error=error)])
    assert not well
    assert (details['code'], details['error']) == ('TaskFailed', 'ValueError')
    assert details['description'] == 'ValueError: no such film (task b; 1 of 2 failed)'
    assert details['result'] == [7, None]
    assert details['results'][1]['exception'].startswith('Traceback')


def test_an_error_whose_type_is_not_here_is_named_all_the_same() -> None:
    _, details = outcome([done('a', error=RemoteError('Traceback …\n  File "x.py"\nxpcs.errors.BadFrame: frame 7\n'))])
    assert (details['error'], details['results'][0]['cause']) == ('BadFrame', 'frame 7')


def test_a_long_traceback_keeps_its_end() -> None:
    _, details = outcome([done('a', error=raised(KeyError('k'), 'x' * 100_000 + '\nKeyError: k'))])
    assert len(details['results'][0]['exception']) == TRACEBACK
    assert details['results'][0]['exception'].endswith('KeyError: k')


def test_what_is_no_json_is_a_failure_that_says_what_to_do() -> None:
    _, details = outcome([done('a', float('nan')), done('b', error=SerializationError('the result (an int64) cannot be serialized; json: …'))])
    assert details['error'] == 'SerializationError'
    assert 'a float' in details['results'][0]['cause']
    assert '.item() of a NumPy scalar' in details['results'][1]['cause']


def test_what_was_cancelled_is_called_so() -> None:
    _, details = outcome([done('a', 1), done('b', error=TaskCancelled('x'))])
    assert details['code'] == 'ActionCanceled'


def test_progress_counts_tasks_by_state_and_says_why_they_wait() -> None:
    offline = "endpoint 'polaris' is offline"
    said = progress([Standing('a', 'running'), Standing('b', 'waiting-for-ep', offline), Standing('c', 'waiting-for-ep', offline), done('d', 1)])
    assert said == {'tasks': {'running': 1, 'success': 1, 'waiting-for-ep': 2}, 'why': offline}
    assert progress([Standing('a', 'running')]) == {'tasks': {'running': 1}}
