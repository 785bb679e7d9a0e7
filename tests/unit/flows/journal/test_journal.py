"""What scripts and the CLI do with the journal."""

from __future__ import annotations

import getpass
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.errors import AccessDenied, FlowError, InputInvalid, NotFound, StoreError
from relay_parsl.flows.definition import Definition, Pass
from relay_parsl.flows.journal import NAME, Journal
from relay_parsl.flows.journal.listing import shown
from relay_parsl.flows.journal.records import JournalRecords, Post, apply
from relay_parsl.flows.machine.parameters import kept
from relay_parsl.flows.terms import TERMS
from relay_parsl.home import Home

FLOW = Definition(
    'A', {'A': Pass('A', {'x': 1})}, {'StartAt': 'A', 'States': {'A': {'Type': 'Pass', 'Parameters': {'x': 1}, 'End': True}}}, title='One'
)
QUESTION = {
    'web_input_id': 'w-1',
    'run_id': '',
    'status': 'OPEN',
    'time': 1.0,
    'expires': 4e9,
    'options': [{'Value': 'yes'}, {'Value': 'no'}],
    'respondents': [],
}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(Home(tmp_path / 'home')) as journal:
        yield journal


def test_a_run_is_found_by_what_it_is(journal: Journal) -> None:
    first = journal.submit(FLOW, {'a': 1}, label='scan 7', tags=['xpcs', 'night'])
    second = journal.submit(FLOW, {'a': 2})
    assert [run['run_id'] for run in journal.runs()] == [first, second]
    assert [run['run_id'] for run in journal.runs(limit=1)] == [second]
    assert [run['label'] for run in journal.runs(tag='night')] == ['scan 7']
    assert [run['label'] for run in journal.runs(label='scan')] == ['scan 7']
    assert journal.runs(status='FAILED') == []
    run = journal.run(first[:13])
    assert run | {'start_time': 0} == run | {
        'run_id': first, 'flow_title': 'One', 'tags': ['xpcs', 'night'], 'status': 'ACTIVE', 'state': '', 'completion_time': None, 'details': None,
        'input': {'a': 1}, 'definition': FLOW.document, 'action': None, 'start_time': 0,
    }  # fmt: skip
    assert journal.runs()[0]['flow_id'] == journal.runs()[1]['flow_id']


def test_what_is_private_is_not_shown(journal: Journal) -> None:
    body = {'_private_key': 's', '_tokens': {'a': 'b'}, 'open': 1, 'deep': [{'_private': 's', 'x': 2}]}
    run_id = journal.submit(FLOW, body)
    assert journal.run(run_id)['input'] == {'open': 1, 'deep': [{'x': 2}]}
    assert hidden_in({'key': 's', '__Private_Parameters': ['key']}, {'x': {'key': 's', 'open': 1}}) == {'x': {'open': 1}}


def hidden_in(parameters: dict[str, object], payload: dict[str, object]) -> object:
    return shown(payload, kept([Pass('P', parameters, result_path='$.x')], TERMS))


def test_the_same_id_is_one_run(journal: Journal) -> None:
    run_id = journal.submit(FLOW, {'a': 1})
    assert journal.submit(FLOW, {'a': 2}, run_id=run_id) == run_id
    assert [run['run_id'] for run in journal.runs()] == [run_id]
    assert journal.run(run_id)['input'] == {'a': 1}


@pytest.mark.parametrize('given', [{'label': 'x' * 65}, {'tags': ['']}, {'tags': ['y' * 65]}])
def test_labels_and_tags_are_short(journal: Journal, given: dict[str, object]) -> None:
    with pytest.raises(InputInvalid, match='64 characters'):
        journal.submit(FLOW, {}, **given)  # type: ignore[arg-type]
    assert journal.runs() == []


def test_a_body_that_is_not_json_makes_no_run(journal: Journal) -> None:
    with pytest.raises(InputInvalid, match='not JSON'):
        journal.submit(FLOW, {'a': object()})
    assert journal.runs() == []


def test_an_unknown_or_ambiguous_id_is_named(journal: Journal) -> None:
    ids = [f'aaaaaaaa-0000-4000-8000-00000000000{n}' for n in range(2)]
    for run_id in ids:
        journal.submit(FLOW, {}, run_id=run_id)
    with pytest.raises(NotFound, match='several runs'):
        journal.run('aaaa')
    for word in ('bbbb', '', '%', '_'):
        with pytest.raises(NotFound, match='no run'):
            journal.run(word)
    assert journal.run(ids[1])['run_id'] == ids[1]


def test_what_is_asked_must_fit_the_status(journal: Journal) -> None:
    run_id = journal.submit(FLOW, {})
    with pytest.raises(FlowError, match='cancel it'):
        journal.ask(run_id, 'release')
    with pytest.raises(FlowError, match='INACTIVE'):
        journal.ask(run_id, 'resume')
    with pytest.raises(FlowError, match='takes cancel'):
        journal.ask(run_id, 'stop')
    journal.ask(run_id, 'cancel')
    assert journal.file.one('SELECT count(*) FROM inbox')[0] == 1


def test_questions_are_answered_once_with_one_of_their_options(journal: Journal) -> None:
    records = journal.records('web_input')
    records.put('question/w-1', QUESTION)
    records.put('web_input/action/x', {'body': 'another row of the section'})
    assert [each['web_input_id'] for each in journal.web_inputs()] == ['w-1']
    with pytest.raises(FlowError, match="'yes', 'no'"):
        journal.respond('w-1', 'perhaps')
    with pytest.raises(NotFound):
        journal.respond('v', 'yes')
    journal.respond('w', 'no', by='me')
    assert records.get('question/w-1')['response'] == 'no'
    assert journal.file.one('SELECT run FROM inbox')[0] == 'w-1'
    assert journal.web_inputs() == []
    assert [each['respondent'] for each in journal.web_inputs(open_only=False)] == ['me']
    with pytest.raises(FlowError, match='CLOSED'):
        journal.respond('w-1', 'yes')


def test_only_those_whom_a_question_asks_may_answer(journal: Journal) -> None:
    records = journal.records('web_input')
    urn = 'urn:globus:auth:identity:c5ab1c3d-b812-4ef9-acb6-4d84c58db4de'
    records.put('question/w-1', {**QUESTION, 'respondents': [urn]})
    with pytest.raises(AccessDenied, match='--by'):
        journal.respond('w-1', 'yes')
    assert journal.web_inputs()
    journal.respond('w-1', 'yes', by=urn)
    records.put('question/w-2', {**QUESTION, 'web_input_id': 'w-2', 'respondents': [getpass.getuser()]})
    journal.respond('w-2', 'yes')
    assert journal.web_inputs() == []


def test_an_expired_question_takes_no_answer(journal: Journal) -> None:
    journal.records('web_input').put('question/w-1', {**QUESTION, 'expires': 2.0})
    with pytest.raises(FlowError, match='EXPIRED'):
        journal.respond('w-1', 'yes')
    assert [each['status'] for each in journal.web_inputs(open_only=False)] == ['EXPIRED']
    assert journal.web_inputs() == []


def test_records_are_a_providers_own(journal: Journal) -> None:
    mine, other = journal.records('mine'), journal.records('other')
    for key in ('a/2', 'a/1', 'b', 'a%'):
        mine.put(key, {'k': key})
    assert mine.get('b') == {'k': 'b'}
    assert [key for key, _ in mine.scan('a/')] == ['a/1', 'a/2']
    assert list(other.scan()) == []
    mine.put('b', [1])
    mine.delete('a/1')
    mine.delete('nonesuch')
    assert dict(mine.scan()) == {'a%': {'k': 'a%'}, 'a/2': {'k': 'a/2'}, 'b': [1]}
    assert mine.get('a/1') is None


def test_many_threads_write_records_at_once(journal: Journal) -> None:
    records = journal.records('mine')
    threads = [threading.Thread(target=lambda n=n: [records.put(f'{n}-{m}', m) for m in range(20)]) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(records.scan())) == 320


def test_every_change_by_whomever_is_another_version(tmp_path: Path) -> None:
    with Journal.open(Home(tmp_path / 'home')) as one, Journal.open(Home(tmp_path / 'home')) as other:
        seen = {one.version()}
        assert one.version() in seen
        other.submit(FLOW, {})
        assert one.version() not in seen
        seen.add(one.version())
        one.submit(FLOW, {})
        assert one.version() not in seen


def test_only_its_user_can_read_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with Journal.open(Home(tmp_path / 'home')) as journal:
            journal.submit(FLOW, {})
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / 'home' / 'flows').iterdir()}
    finally:
        os.umask(old)
    assert modes == dict.fromkeys([NAME, f'{NAME}-wal', f'{NAME}-shm'], 0o600)
    assert stat.S_IMODE((tmp_path / 'home' / 'flows').stat().st_mode) == 0o700


def path_of(home: Path) -> Path:
    with Journal.open(Home(home)):
        return home / 'flows' / NAME


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = path_of(tmp_path / 'home')
    database = sqlite3.connect(path)
    database.execute('PRAGMA user_version = 99')
    database.close()
    with pytest.raises(StoreError, match='newer relay-parsl'):
        Journal.open(Home(tmp_path / 'home'))


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    path = Home(tmp_path / 'home').directory('flows') / NAME
    database = sqlite3.connect(path)
    database.execute('CREATE TABLE t (x)')
    database.close()
    with pytest.raises(StoreError, match='is not a journal'):
        Journal.open(Home(tmp_path / 'home'))


@pytest.mark.parametrize('content', [b'no database at all, but long enough to be taken for one' * 40])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    path_of(tmp_path / 'home').write_bytes(content)
    with pytest.raises(StoreError, match=r'is damaged.*move it away'):
        Journal.open(Home(tmp_path / 'home'))


def test_pages_of_rubbish_are_named_when_they_are_met(tmp_path: Path) -> None:
    with Journal.open(Home(tmp_path / 'home')) as journal:
        for _ in range(50):
            journal.submit(FLOW, {'x': 'y' * 4000})
    path = tmp_path / 'home' / 'flows' / NAME
    with path.open('r+b') as file:
        file.seek(4096)
        file.write(b'\xff' * (path.stat().st_size - 4096))
    with pytest.raises(StoreError, match='damaged'), Journal.open(Home(tmp_path / 'home')) as journal:
        journal.runs()


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (Home(tmp_path / 'home').directory('flows') / NAME).symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(StoreError, match='must be a file'):
        Journal.open(Home(tmp_path / 'home'))


def test_what_threads_leave_for_a_turn_is_written_with_it_or_told_why_not(journal: Journal) -> None:
    rung = threading.Event()
    post = Post(journal.file, journal.file.turn)
    records = JournalRecords(journal.file, 'mine', post)
    records.put('before', 1)
    post.open(rung.set)
    refused: list[BaseException] = []

    def put(key: str) -> None:
        try:
            records.put(key, 1)
        except StoreError as error:
            refused.append(error)

    for told in (None, StoreError('the disk is full')):
        threads = [threading.Thread(target=put, args=(f'{told} {n}',)) for n in range(5)]
        for thread in threads:
            thread.start()
        jobs: list[Any] = []
        while len(jobs) < 5:
            assert rung.wait(10)
            rung.clear()
            jobs += post.take()
        assert all(thread.is_alive() for thread in threads)
        if told is None:
            with journal.file.turn():
                apply(journal.file, [job.change for job in jobs])
        post.tell(jobs, told)
        for thread in threads:
            thread.join(10)
    assert len(refused) == 5
    post.close()
    records.put('after', 1)
    assert [key for key, _ in records.scan()] == ['None 0', 'None 1', 'None 2', 'None 3', 'None 4', 'after', 'before']
