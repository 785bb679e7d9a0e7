"""The engine, with providers that behave and others that do not."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from relay_parsl.flows import machine
from relay_parsl.flows.engine.loop import THREADS
from relay_parsl.flows.journal.file import JournalFile, StoreWaits
from relay_parsl.flows.messages import Limits
from relay_parsl.flows.settings import Settings
from tests.unit.flows import providers
from tests.unit.flows.engine_rig import Rig, action, until


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setenv(providers.MARKS, str(tmp_path / 'marks'))
    rig = Rig(tmp_path)
    yield rig
    rig.close()


FIVE = {
    'A': {'Type': 'Pass', 'Parameters': {'n': 1}, 'ResultPath': '$.p', 'Next': 'B'},
    'B': {'Type': 'ExpressionEval', 'Parameters': {'n.=': 'p.n + 1'}, 'ResultPath': '$.e', 'Next': 'C'},
    'C': {'Type': 'Choice', 'Choices': [{'Variable': '$.e.n', 'NumericEquals': 2, 'Next': 'D'}], 'Default': 'F'},
    'D': action('succeed', Parameters={'do': 'succeed', 'details': {'x': [1]}}, End=None, Next='E'),
    'E': {'Type': 'Pass', 'Parameters': {'x.$': '$.r.details.x[0]'}, 'ResultPath': '$.z', 'End': True},
    'F': {'Type': 'Fail', 'Error': 'Wrong'},
}


def test_a_run_goes_through_all_its_states(rig: Rig) -> None:
    rig.start()
    run_id = rig.submit(FIVE, {'given': True})
    run = rig.ended(run_id)
    assert (run['status'], run['payload']['given'], run['payload']['e'], run['payload']['z']) == ('SUCCEEDED', True, {'n': 2}, {'x': 1})
    assert rig.codes(run_id)[0] == 'FlowStarted'
    assert rig.codes(run_id)[-1] == 'FlowSucceeded'
    rig.settled()
    assert rig.calls == [('run', f'{run_id}:D:1'), ('release', f'id of {run_id}:D:1')]


def test_a_thousand_runs_at_once(rig: Rig) -> None:
    ids = [rig.submit(FIVE) for _ in range(20)]
    definition = json.loads(rig.journal.file.one('SELECT definition FROM definitions')[0])
    assert definition['start_at'] == 'A'
    ids += [rig.submit(FIVE) for _ in range(980)]
    rig.start()
    for run_id in ids:
        assert rig.ended(run_id)['status'] == 'SUCCEEDED'
    rig.settled()
    assert sorted(each for what, each in rig.calls if what == 'run') == sorted(f'{run_id}:D:1' for run_id in ids)


def test_an_action_that_hangs_ends_when_it_reports(rig: Rig) -> None:
    rig.start()
    run_id = rig.submit({'A': action('hang')})
    until(lambda: (rig.journal.run(run_id)['action'] or {}).get('details') == {'bytes': 0}, 'it is known as ACTIVE')
    rig.provider.end(f'id of {run_id}:A:1', 'ACTIVE', {'bytes': 7})
    until(lambda: (rig.journal.run(run_id)['action'] or {}).get('details') == {'bytes': 7}, 'its progress is shown')
    events = rig.journal.file.one('SELECT count(*) FROM events')[0]
    assert events == 1, 'progress is no event'
    begun = time.monotonic()
    rig.provider.end(f'id of {run_id}:A:1', 'SUCCEEDED', {'done': 1})
    assert rig.ended(run_id)['payload']['r']['details'] == {'done': 1}
    assert time.monotonic() - begun < 5


def test_calls_of_a_provider_that_hangs_hold_up_no_other(rig: Rig) -> None:
    rig.start()
    stuck = [rig.submit({'A': action('block')}) for _ in range(100)]
    until(lambda: len(rig.calls) == THREADS, 'all threads of the action are taken')
    append = {'Type': 'Action', 'ActionUrl': 'https://example.org/append', 'Parameters': {'text': 'x'}, 'End': True}
    assert rig.ended(rig.submit({'A': append}))['status'] == 'SUCCEEDED'
    assert {rig.journal.status(run_id) for run_id in stuck} == {'ACTIVE'}
    rig.provider.gate.set()
    assert {rig.ended(run_id)['status'] for run_id in stuck} == {'SUCCEEDED'}


def test_a_refusal_a_failure_and_an_unknown_action(rig: Rig) -> None:
    rig.start()
    caught = {'Catch': [{'ErrorEquals': ['ActionUnableToRun'], 'Next': 'C', 'ResultPath': '$.error'}]}
    states = {'A': action('refuse', **caught), 'C': {'Type': 'Pass', 'End': True}}
    run = rig.ended(rig.submit(states))
    assert run['status'] == 'SUCCEEDED'
    assert 'not like that' in json.dumps(run['payload']['error'])
    assert rig.ended(rig.submit({'A': action('refuse')}))['status'] == 'FAILED'
    assert rig.ended(rig.submit({'A': action('fail')}))['payload']['r']['status'] == 'FAILED'
    gone = rig.ended(rig.submit({'A': {**action('x'), 'ActionUrl': 'https://actions.globus.org/hello_world'}}))
    assert gone['status'] == 'FAILED'
    assert "no action 'hello_world'" in json.dumps(gone['details'])


def test_a_body_that_the_provider_does_not_take_never_reaches_it(rig: Rig) -> None:
    rig.start()
    run = rig.ended(rig.submit({'A': {**action('x'), 'ActionUrl': 'https://example.org/append'}}))
    assert 'text' in json.dumps(run['details'])
    assert providers.marks() == []


def test_a_provider_that_raises_is_tried_again_and_then_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('relay_parsl.flows.engine.errands.FIRST_WAIT', 0.01)
    rig.start()
    assert rig.ended(rig.submit({'A': action('raise_twice')}))['status'] == 'SUCCEEDED'
    run_id = rig.submit({'A': action('raise')})
    assert 'RuntimeError: a bug' in json.dumps(rig.ended(run_id)['details'])
    assert rig.calls.count(('run', f'{run_id}:A:1')) == 5
    other = rig.ended(rig.submit({'A': action('nonsense')}))
    assert 'TypeError' in json.dumps(other['details'])


def test_a_fault_of_the_machine_ends_its_run_alone(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    advance = machine.advance

    def broken(definition: object, run: object, *rest: object) -> object:
        if run.label == 'bad':  # type: ignore[attr-defined]
            raise ZeroDivisionError('a bug of ours')
        return advance(definition, run, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(machine, 'advance', broken)
    bad, good = rig.submit(FIVE, label='bad'), rig.submit(FIVE, label='good')
    rig.start()
    assert rig.ended(good)['status'] == 'SUCCEEDED'
    run = rig.ended(bad)
    assert (run['status'], run['details']['code']) == ('FAILED', 'InternalError')
    assert 'ZeroDivisionError: a bug of ours' in run['details']['description']
    assert rig.codes(bad) == ['FlowFailed']


def test_a_run_that_cannot_be_read_ends_alone(rig: Rig) -> None:
    bad, good = rig.submit(FIVE), rig.submit(FIVE)
    rig.journal.file.run("UPDATE snapshots SET bookmark = '{' WHERE run = 1")
    rig.start()
    assert rig.ended(good)['status'] == 'SUCCEEDED'
    until(lambda: rig.journal.status(bad) == 'FAILED', 'the damaged one failed')
    assert 'cannot be read' in rig.journal.runs(status='FAILED')[0]['details']['description']


def test_a_cancelled_run_ends_and_its_action_is_told_and_released(rig: Rig) -> None:
    rig.start()
    run_id = rig.submit({'A': action('hang')})
    until(lambda: rig.calls, 'it is called')
    rig.journal.ask(run_id, 'cancel', by='me')
    run = rig.ended(run_id)
    assert (run['status'], run['details']['code']) == ('ENDED', 'FlowCanceled')
    rig.settled()
    assert [what for what, _ in rig.calls] == ['run', 'cancel', 'release']


def test_a_request_is_taken_within_a_tenth_of_a_second(rig: Rig) -> None:
    rig.start()
    delays = []
    for _ in range(5):
        run_id = rig.submit({'W': {'Type': 'Wait', 'Seconds': 3600, 'Next': 'P'}, 'P': {'Type': 'Pass', 'End': True}})
        until(lambda run_id=run_id: rig.journal.runs()[-1]['state'] == 'W', 'it waits')
        begun = time.monotonic()
        rig.journal.ask(run_id, 'cancel')
        until(lambda run_id=run_id: rig.journal.status(run_id) == 'ENDED', 'it ended')
        delays.append(time.monotonic() - begun)
    assert min(delays) < 0.1


def test_an_inactive_run_goes_on_when_it_is_resumed(rig: Rig) -> None:
    rig.start()
    run_id = rig.submit({'A': action('ask')})
    until(lambda: rig.journal.status(run_id) == 'INACTIVE', 'it asks')
    assert rig.journal.run(run_id)['action']['status'] == 'INACTIVE'
    rig.journal.ask(run_id, 'resume')
    assert rig.ended(run_id)['payload']['r']['details'] == {'resumed': True}


def test_an_action_that_takes_too_long_is_cancelled(rig: Rig) -> None:
    rig.start()
    run = rig.ended(rig.submit({'A': action('hang', WaitTime=1)}))
    assert run['status'] == 'FAILED'
    assert 'ActionTimeout' in json.dumps(run['details'])
    rig.settled()
    assert [what for what, _ in rig.calls] == ['run', 'cancel', 'release']


def test_an_engine_that_comes_back_goes_on(rig: Rig) -> None:
    rig.start()
    hangs = rig.submit({'A': action('hang')})
    waits = rig.submit({'W': {'Type': 'Wait', 'Seconds': 2, 'Next': 'P'}, 'P': {'Type': 'Pass', 'End': True}})
    asks = rig.submit({'A': action('ask')})
    until(lambda: rig.journal.status(asks) == 'INACTIVE' and len(rig.calls) == 2, 'all are under way')
    begun = rig.journal.log(waits)[0]['time']
    rig.stop()
    assert rig.journal.engine() is None
    rig.start()
    until(lambda: len(rig.calls) == 4, 'both actions are asked for again')
    assert rig.calls[:2] == rig.calls[2:] or sorted(rig.calls[:2]) == sorted(rig.calls[2:])
    rig.provider.end(f'id of {hangs}:A:1')
    assert rig.ended(hangs)['status'] == 'SUCCEEDED'
    ended = rig.ended(waits)
    took = datetime.fromisoformat(str(ended['completion_time'])) - datetime.fromisoformat(str(begun))
    assert 2.0 <= took.total_seconds() < 4.0, 'the time it waits is that of before'
    assert rig.codes(asks).count('FlowInactive') == 1
    rig.journal.ask(asks, 'resume')
    assert rig.ended(asks)['status'] == 'SUCCEEDED'


def test_runs_beyond_the_limit_wait_and_can_be_cancelled(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Settings(runs_at_once=2))
    try:
        rig.start()
        ids = [rig.submit({'A': action('hang')}) for _ in range(4)]
        until(lambda: len(rig.calls) == 2, 'two began')
        rig.journal.ask(ids[3], 'cancel')
        assert rig.ended(ids[3])['status'] == 'ENDED'
        assert rig.journal.run(ids[3])['input'] == {}
        assert [each for _, each in rig.calls] == [f'{run_id}:A:1' for run_id in ids[:2]]
        rig.provider.end(f'id of {ids[0]}:A:1')
        until(lambda: ('run', f'{ids[2]}:A:1') in rig.calls, 'the third began')
    finally:
        rig.close()


def test_a_long_loop_resumes_from_its_last_snapshot(rig: Rig) -> None:
    limits = Limits(steps=100_000, log_bytes=10_000)
    loop = {
        'A': {'Type': 'ExpressionEval', 'Parameters': {'n.=': 'n + 1'}, 'ResultPath': '$', 'Next': 'C'},
        'C': {'Type': 'Choice', 'Choices': [{'Variable': '$.n', 'NumericLessThan': 6000, 'Next': 'A'}], 'Default': 'Z'},
        'Z': {'Type': 'Pass', 'End': True},
    }
    run_id = rig.submit(loop, {'n': 0}, limits=limits)
    rig.start()
    until(lambda: rig.journal.file.one('SELECT max(n) FROM events')[0] > 60, 'it is on its way')
    rig.stop()
    events, snapshot = rig.journal.file.one('SELECT (SELECT max(n) FROM events), (SELECT max(events) FROM snapshots)')
    assert 0 < snapshot <= events
    assert events - snapshot < 51
    rig.start()
    assert rig.ended(run_id)['payload'] == {'n': 6000}
    seqs = [entry['seq'] for entry in rig.journal.log(run_id)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert rig.codes(run_id).count('ExpressionEvalCompleted') == 6000


def test_a_loop_of_actions_does_not_fill_the_disk(rig: Rig) -> None:
    loop = {
        'A': action('succeed', Parameters={'do': 'succeed', 'details.$': '$.big'}, End=None, Next='N'),
        'N': {'Type': 'ExpressionEval', 'Parameters': {'n.=': 'n + 1', 'big.=': 'big'}, 'ResultPath': '$', 'Next': 'C'},
        'C': {'Type': 'Choice', 'Choices': [{'Variable': '$.n', 'NumericLessThan': 200, 'Next': 'A'}], 'Default': 'Z'},
        'Z': {'Type': 'Pass', 'End': True},
    }
    run_id = rig.submit(loop, {'n': 0, 'big': {'x': 10_000 * 'x'}}, limits=Limits(log_bytes=10_000))
    rig.start()
    assert rig.ended(run_id)['payload']['n'] == 200
    assert rig.journal.run(run_id)['input']['n'] == 0
    rig.settled()
    held = 'SELECT (SELECT count(*) FROM events), (SELECT sum(length(command) + length(status)) FROM actions)'
    events, actions = rig.journal.file.one(held)
    assert events <= 102
    assert actions == 0


def test_ended_runs_are_deleted_when_they_were_kept_long_enough(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Settings(keep_days=1))
    try:
        rig.start()
        old, new = rig.submit(FIVE), rig.submit(FIVE)
        rig.ended(old), rig.ended(new)
        rig.settled()
        rig.stop()
        rig.journal.file.run('UPDATE runs SET completion_time = completion_time - 100000 WHERE id = ?', old)
        rig.start()
        until(lambda: len(rig.journal.runs()) == 1, 'the old one is gone')
        assert rig.journal.runs()[0]['run_id'] == new
        left = 'SELECT run FROM events UNION SELECT run FROM log UNION SELECT run FROM snapshots UNION SELECT run FROM actions'
        assert len(rig.journal.file.all(left)) == 1
    finally:
        rig.close()


def test_a_full_disk_stops_nothing_for_good(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file may have no more pages for a while, which SQLite says in the same words as for a full disk."""
    rig.start()
    first = rig.submit({'A': action('hang')})
    until(lambda: rig.calls, 'it is called')
    real = JournalFile.many
    full = [True]
    refused: list[str] = []

    def many(self: JournalFile, statement: str, rows: object) -> None:
        if full[0] and 'INTO log' in statement:
            refused.append(statement)
            raise StoreWaits('the disk is full')
        real(self, statement, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(JournalFile, 'many', many)
    rig.provider.end(f'id of {first}:A:1')
    until(lambda: len(refused) > 1, 'it is tried, and tried again')
    assert rig.journal.status(first) == 'ACTIVE'
    full[0] = False
    assert rig.ended(first)['status'] == 'SUCCEEDED'
    assert rig.codes(first)[-1] == 'FlowSucceeded'


def test_an_idle_engine_uses_next_to_no_processor(rig: Rig) -> None:
    rig.start()
    assert rig.engine is not None
    assert rig.engine.holding.wait(10)
    before, begun = sum(os.times()[:2]), time.monotonic()
    time.sleep(1.5)
    assert (sum(os.times()[:2]) - before) / (time.monotonic() - begun) < 0.03
