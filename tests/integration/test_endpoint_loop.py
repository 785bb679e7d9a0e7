"""The endpoint's loop over real sockets, keys and seals, with a relay and an engine that the test plays by hand."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.endpoint.policy import FunctionPolicy
from relay_parsl.engines.base import Changed, EngineStatus, Finished, Lost, Running, Work
from relay_parsl.errors import TaskCancelled, TaskRejected, VersionMismatch, WorkerLost
from relay_parsl.home import write_private
from relay_parsl.home.audit import verify
from relay_parsl.spool import Spool
from relay_parsl.wire import codec, payload
from relay_parsl.wire.messages import (
    Attempt,
    Body,
    Cancel,
    Fetch,
    Goodbye,
    Held,
    Hello,
    Ping,
    Pong,
    Recorded,
    Report,
    Result,
    Results,
    Segment,
    States,
    Status,
    Task,
    Welcome,
    Window,
)
from relay_parsl.wire.seal import new_body_key, open_body, seal_body, sealed_size
from tests.integration.commands import until
from tests.integration.hand_relay import Bench, Config, Site, double, site_in

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_in(tmp_path / 'home') as made:
        yield made


def recorded(result: Result) -> Recorded:
    header = codec.result_header(result.header)
    return Recorded((Attempt(header.task_id, header.attempt),))


# -- One task --------------------------------------------------------------------------------------------------------


def test_one_task_from_its_dispatch_to_its_record_and_a_clean_end(site: Site) -> None:
    party = site.serve()
    assert site.relay.until(Report).status['pools']['']['workers'] == 4
    task = site.give(double, 21)
    work = site.engine.work()
    assert payload.load_function(work.function)(*payload.load_arguments(work.arguments or b'')[0]) == 42
    assert work.account == site.sender.grant.account
    site.engine.say(Running(work.task_id, work.attempt, {'host': 'nid0001'}))
    detail = site.relay.until(States).tasks[0].detail
    assert (detail['host'], abs(detail['since'] - time.time()) < 60) == ('nid0001', True)
    site.engine.finish(work, 42)
    result = site.relay.result()
    assert site.value_of(result) == 42
    assert codec.result_header(result.header).task_id == codec.task_header(task.header).task_id
    site.relay.say(recorded(result))
    party.endpoint.stop()
    site.relay.until(Ping)
    site.relay.say(Pong(site.relay.session, site.relay.serial))
    assert site.relay.until(Goodbye).reason == 'drained'
    assert party.end() == 0
    assert site.engine.stopped


@pytest.mark.attack(12)
def test_what_was_let_in_refused_and_started_is_on_record_without_payloads(site: Site) -> None:
    party = site.serve(grace=0.5)
    task = site.give(double, 0x5EC2E7)
    work = site.engine.work()
    site.relay.dispatch(Task(codec.encode_header(_renumbered(task)), task.payload))
    site.relay.result()
    party.close()
    lines = [json.loads(line) for line in (site.place / 'audit.log').read_text().splitlines()]
    assert [line['event'] for line in lines] == ['begin', 'grant', 'start', 'refuse', 'end']
    assert lines[2]['tasks'] == [work.task_id.hex()]
    assert lines[2]['account'] == site.owner.id.hex()
    assert verify(site.place / 'audit.log') == []
    assert (site.place / 'audit.log').stat().st_mode & 0o077 == 0


def test_an_engine_gets_a_directory_and_a_label_of_its_own_for_each_life(site: Site) -> None:
    site.serve()
    assert site.engine.run_dir == site.place / 'runs' / 'default'
    assert site.engine.run_dir.stat().st_mode & 0o077 == 0
    assert site.engine.label == 'site-1'


def test_the_demand_reaches_the_engine(site: Site) -> None:
    site.serve()
    site.give(double, 1)
    site.engine.work()
    assert site.engine.demands == [1]


def test_a_grown_engine_is_announced(site: Site) -> None:
    site.serve()
    site.engine.say(Changed(EngineStatus(5000, workers=128, python='3.11')))
    assert site.relay.until(Window, lambda window: window.pools[''][0] == 10_000)
    assert site.relay.until(Report, lambda report: report.status['python'] == '3.11').status['pools']['']['workers'] == 128


# -- What may not run ------------------------------------------------------------------------------------------------


@pytest.mark.attack(12)
def test_a_task_whose_seal_does_not_hold_is_refused_in_the_clear_and_never_handed_on(site: Site) -> None:
    site.serve()
    task = site.give(double, 21)
    site.engine.work()
    site.relay.dispatch(Task(site.sender.task(site.sender.function(b''), payload.dump_function(double), (1,)).header, task.payload))
    site.relay.dispatch(Task(codec.encode_header(_renumbered(task)), task.payload))
    result = site.relay.result()
    header = codec.result_header(result.header)
    assert (result.payload, header.status, header.reason.split(':')[0]) == (b'', Status.FAILED, 'denied')
    assert len(site.engine.works) == 1


def _renumbered(task: Task) -> object:
    return codec.task_header(task.header)._replace(sequence=77, task_id=os.urandom(16))


def test_a_function_that_the_policy_does_not_name_fails_under_the_seal(site: Site) -> None:
    site.serve(Config(site.engine, FunctionPolicy('names', frozenset({'math:sqrt'}))))
    site.give(double, 21)
    with pytest.raises(TaskRejected, match='policy'):
        site.value_of(site.relay.result())
    assert site.engine.works == []


def test_bytecode_for_another_python_fails_before_anything_runs(site: Site) -> None:
    site.engine.python = '3.99'
    site.serve()
    site.give(double, 21)
    with pytest.raises(VersionMismatch, match=r'3\.99'):
        site.value_of(site.relay.result())
    assert site.engine.works == []


@pytest.mark.attack(11)
def test_a_stranger_is_refused(site: Site) -> None:
    write_private(site.place / 'trusted.json', b'{}')
    site.serve()
    site.give(double, 21)
    header = codec.result_header(site.relay.result().header)
    assert 'not trusted' in header.reason


# -- What goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.fault(13)
def test_a_worker_that_dies_more_often_than_allowed_is_named_with_its_evidence(site: Site) -> None:
    site.serve()
    site.give(double, 21)
    for number in (0, 1):
        work = site.engine.work(number)
        site.engine.say(Lost(work.task_id, work.attempt, 'worker', f'signal {number}'))
    with pytest.raises(WorkerLost, match='worker: signal 0\nworker: signal 1'):
        site.value_of(site.relay.result())


def test_cancelled_in_the_engine_and_cancelled_too_late(site: Site) -> None:
    site.serve()
    site.engine.cancels = True
    first = codec.task_header(site.give(double, 1).header)
    site.engine.work()
    site.relay.say(Cancel((Attempt(first.task_id, 1),)))
    result = site.relay.result()
    assert codec.result_header(result.header).status is Status.CANCELLED
    with pytest.raises(TaskCancelled):
        site.value_of(result)
    site.engine.cancels = False
    second = codec.task_header(site.give(double, 2).header)
    work = site.engine.work(1)
    site.relay.say(Cancel((Attempt(second.task_id, 1),)))
    site.engine.finish(work, 4)
    result = site.relay.until(Results, lambda results: codec.result_header(results.results[0].header).task_id == second.task_id).results[0]
    assert site.value_of(result) == 4


def test_what_the_engine_ended_because_it_was_asked_to_is_cancelled(site: Site) -> None:
    site.serve()
    header = codec.task_header(site.give(double, 2).header)
    work = site.engine.work()
    site.relay.say(Cancel((Attempt(header.task_id, 1),)))
    until(lambda: site.engine.asked)
    outcome = payload.Outcome(False, payload.dump_failure(TaskCancelled('cancelled while it ran')))
    site.engine.say(Finished(work.task_id, work.attempt, False, payload.encode_outcome(outcome), cancelled=True))
    result = site.relay.result()
    assert codec.result_header(result.header).status is Status.CANCELLED
    with pytest.raises(TaskCancelled, match='while it ran'):
        site.value_of(result)


def test_a_result_outlives_the_relays_absence_and_the_endpoints_own_end(site: Site) -> None:
    party = site.serve(grace=3.0)
    site.give(double, 21)
    work = site.engine.work()
    site.engine.finish(work, 42)
    site.relay.result()
    party.close()
    assert party.code == 0
    site.engine = Bench()
    site.begin(Config(site.engine))
    hello = site.relay.until(Hello)
    assert hello.epoch == 2
    site.relay.session += 1
    site.relay.say(Welcome(site.relay.session, time.time()))
    assert [each.phase.value for each in site.relay.until(Held).tasks] == ['finished']
    assert site.value_of(site.relay.result()) == 42


def test_odd_options_and_an_engine_that_stumbles_over_a_task_end_that_task_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    party = site.serve()
    site.give(double, 21, options={'resource_specification': 5})
    with pytest.raises(TaskRejected, match='resource_specification'):
        site.value_of(site.relay.result())

    def stumble(work: Work) -> None:
        raise AttributeError('no such thing')

    with monkeypatch.context() as patch:
        patch.setattr(site.engine, 'submit', stumble)
        site.give(double, 21)
        with pytest.raises(TaskRejected, match='AttributeError: no such thing'):
            site.value_of(site.relay.result())
    site.give(double, 21)
    site.engine.finish(site.engine.work(), 42)
    assert site.value_of(site.relay.result()) == 42
    assert party.error is None


# -- Large bodies ----------------------------------------------------------------------------------------------------


def test_large_arguments_come_sealed_into_the_spool_and_go_with_their_task(site: Site) -> None:
    site.serve()
    plain = os.urandom(2_500_000)
    task = site.give(double, length=len(plain))
    target = io.BytesIO()
    seal_body(site.sender.body_key, len(plain), io.BytesIO(plain), target)
    sealed = target.getvalue()
    pulled = 0
    while pulled < len(sealed):
        fetch = site.relay.until(Fetch)
        data = Body(sealed[fetch.offset : fetch.offset + fetch.length])
        site.relay.say(Segment(fetch.task_id, fetch.attempt, 'task', fetch.offset, len(sealed), data))
        pulled += len(data)
    work = site.engine.work()
    assert work.arguments is None
    assert work.body is not None
    assert Path(work.body.path).read_bytes() == sealed
    assert b''.join(open_body(work.body.key, work.body.length, io.BytesIO(sealed))) == plain
    site.engine.finish(work, None)
    assert codec.result_header(site.relay.result().header).task_id == codec.task_header(task.header).task_id
    until(lambda path=work.body.path: not Path(path).exists())


def large_result(site: Site, plain: bytes) -> Result:
    """What the relay hears of a call that has ended with so many bytes."""
    site.serve()
    site.give(double, 1)
    work = site.engine.work()
    key = new_body_key()
    path = Path(work.spool) / 'from-a-worker'
    with path.open('wb') as file:
        seal_body(key, len(plain), io.BytesIO(plain), file)
    outcome = payload.encode_outcome(payload.Outcome(True, b'', key, len(plain)))
    site.engine.say(Finished(work.task_id, work.attempt, True, outcome, str(path), sealed_size(len(plain))))
    return site.relay.result()


@pytest.mark.fault(39)
@pytest.mark.parametrize('gone', [True, False])
def test_a_large_result_that_the_disk_has_damaged_is_on_record(site: Site, gone: bool) -> None:
    header = codec.result_header(large_result(site, bytes(600_000)).header)
    [body] = (site.place / 'spool').glob(f'{header.task_id.hex()}*')
    body.unlink() if gone else os.truncate(body, 9)
    site.relay.say(Fetch(header.task_id, header.attempt, 'result', 0, 10))
    assert codec.result_header(site.relay.result().header).status == Status.FAILED
    audit = site.place / 'audit.log'
    until(lambda: '"damaged"' in audit.read_text())
    [told] = [each for each in map(json.loads, audit.read_text().splitlines()) if each['event'] == 'damaged']
    assert told['task'] == header.task_id.hex()
    assert ('is gone' if gone else 'has 9 bytes') in told['reason']


def test_a_large_result_is_served_until_it_is_recorded(site: Site) -> None:
    plain = os.urandom(1_500_000)
    result = large_result(site, plain)
    header = codec.result_header(result.header)
    assert header.body == sealed_size(len(plain))
    sealed = b''
    while len(sealed) < header.body:
        site.relay.say(Fetch(header.task_id, header.attempt, 'result', len(sealed), 1 << 20))
        segment = site.relay.until(Segment)
        assert (segment.offset, segment.total) == (len(sealed), header.body)
        sealed += segment.data
    assert b''.join(open_body(site.sender.outcome(result).body_key, len(plain), io.BytesIO(sealed))) == plain
    site.relay.say(recorded(result), Fetch(header.task_id, header.attempt, 'result', 0, 10))
    assert site.relay.until(Segment).total == -1
    until(lambda: Spool(site.place / 'spool').keys() == [])


def test_a_start_clears_the_spool_of_what_nobody_will_fetch(site: Site) -> None:
    spool = site.place / 'spool'
    spool.mkdir(mode=0o700)
    (spool / f'{bytes(16).hex()}.1.result').write_bytes(b'left over')
    (spool / 'half a result').write_bytes(b'left over')
    site.serve()
    assert list(spool.iterdir()) == []
