"""Every column of every row of a relay's store, changed in turn: a sum finds it, and nothing is used that is not as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.errors import StoreError
from relay_parsl.relay.records import InviteRow, ObjectRow, Stage, TaskRow, Usage
from relay_parsl.relay.sqlite import SqliteStore
from relay_parsl.relay.sums import BOOKED, checksum
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Hash, Status
from tests.contract.stores import ANN, BOB, GROUP, SITE, account, an_id, find, finish, lease, task
from tests.integration.relay_site import Site, leases, site_in, submit
from tests.integration.relay_site import an_id as task_id

pytestmark = pytest.mark.fault(39)

NOT_READ = {'objects': {'n'}}
OVER = {'attempt', 'cancel'}
"""What says nothing of a task that is over."""
QUICK = ('leases', 'marks', 'received')
ACCOUNTS = [account('ann'), account('bob'), account('site', 'endpoint')]
INVITES = [InviteRow(b'c' * 32, b't' * 32, 'new', 'user', ANN, 9e9)]
OBJECTS = [ObjectRow(Hash(b'h' * 32), 'grant', ANN, b'data', 10.0)]
USAGE = {ANN: Usage(5, 700), BOB: Usage(1, 3)}
TASKS: dict[int, TaskRow] = {number: task(number, at_most_once=number == 6) for number in range(1, 8)}
WAITING, LEASED, DONE = {1, 3, 5}, {6, 7}, {2, 4}


def filled(path: Path) -> None:
    """Some that wait, two that are leased, two that are done."""
    store = SqliteStore(path)
    store.begin()
    store.start()
    for row in ACCOUNTS:
        store.put_account(row)
    for invite in INVITES:
        store.put_invite(invite)
    store.put_objects(OBJECTS)
    store.put_usage(USAGE)
    store.add(list(TASKS.values()))
    for done, number in enumerate(sorted(DONE), 1):
        finish(store, number, done)
    lease(store, *LEASED)
    store.received(ANN, [2])
    store.commit()
    store.close()


@contextmanager
def opened(path: Path) -> Iterator[SqliteStore]:
    """In a turn."""
    with closing(SqliteStore(path)) as store:
        store.begin()
        store.accounts()
        yield store


def others(value: Any) -> Iterator[Any]:
    """What a flipped bit may make of it, of its type or of another."""
    yield None
    if isinstance(value, int):
        yield from (value ^ 1, value ^ 1 << 5, value ^ 1 << 40, float(value) + 0.5)
    elif isinstance(value, float):
        yield from (value * 2, int(value) + 1)
    else:
        data = value if isinstance(value, bytes) else value.encode()
        for at in {0, len(data) // 2, len(data) - 1} if data else ():
            yield data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]
            yield data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        yield data + b'x'


def changed(path: Path, target: Path, table: str) -> Iterator[str]:
    """The store at `target` with one value of a table changed, again and again; says which."""
    whole = path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        columns = [(name, kind) for _, name, kind, *_ in db.execute(f'PRAGMA table_info({table})') if name not in NOT_READ.get(table, ())]
        rows = db.execute(f'SELECT {", ".join(name for name, _ in columns)} FROM {table}').fetchall()  # noqa: S608  a table's columns
    where = ' AND '.join(f'{name} IS ?' for name, _ in columns)
    for row in rows:
        over = {name: value for (name, _), value in zip(columns, row)}.get('status')
        for (name, kind), value in zip(columns, row):
            for other in others(value) if not (over and name in OVER) else ():
                target.write_bytes(whole)
                target.chmod(0o600)
                for end in ('-wal', '-shm'):
                    Path(f'{target}{end}').unlink(missing_ok=True)
                if write(target, f'UPDATE {table} SET {name} = {cast(other, kind)} WHERE {where}', (other, *row)):  # noqa: S608  as above
                    yield f'{table}.{name} = {other!r} in place of {value!r}'


def cast(value: Any, kind: str) -> str:
    """Bytes go into a column of text as they are."""
    return f'CAST(? AS {kind})' if isinstance(value, bytes) else '?'


def write(path: Path, statement: str, values: tuple[Any, ...]) -> bool:
    """Whether it changed a row: a rule of the table may forbid it."""
    with closing(sqlite3.connect(path)) as db, suppress(sqlite3.IntegrityError):
        db.execute('PRAGMA journal_mode = MEMORY')
        changes = db.execute(statement, values).rowcount
        db.commit()
        return changes > 0
    return False


def numbers(store: SqliteStore) -> tuple[list[int], list[int]]:
    """Those that would be sent out, and those that are leased, each as it was."""
    waiting = [row for row in store.waiting(SITE, '', ANN, 99, 1 << 30) if not row.damaged]
    assert all(row == TASKS[row.number] for row in waiting)
    leased = store.leases(SITE)
    for info in leased:
        was = TASKS[info.number]
        assert (info.id, info.account, info.group, info.endpoint, info.pool) == (was.id, ANN, GROUP, SITE, '')
        assert (info.at_most_once, info.size, info.stage) == (was.at_most_once, was.size, Stage.LEASED)
        assert (info.attempt, info.cancel, info.submitted, info.expires) == (was.attempt, False, was.submitted, was.expires)
    return [row.number for row in waiting], [info.number for info in leased]


def look(path: Path, table: str) -> bool:
    """Whether it opens; then everything in it is as it was, or not there, or said to be damaged."""
    try:
        store = SqliteStore(path)
    except StoreError:
        return False
    with closing(store):
        store.begin()
        assert store.accounts() == ACCOUNTS
        assert all(each in INVITES for each in store.invites())
        assert all(replace(each, until=10.0) in OBJECTS for each in store.objects([OBJECTS[0].hash], [ANN, BOB])), 'its date is seen to when it comes'
        waiting, leased = numbers(store)
        assert set(waiting) <= WAITING
        assert not set(waiting) & set(leased)
        assert table == 'tasks' or {*waiting, *leased} == WAITING | LEASED, 'nobody is forgotten'
        for done in [*store.results([row.id for row in TASKS.values()]), *store.ended_after(ANN, GROUP, 0, 99)]:
            assert done.damaged or (done.number in DONE and (done.id, done.account) == (TASKS[done.number].id, ANN))
            assert done.damaged or (done.status, done.header, done.payload, done.reason) == (Status.SUCCESS, b'result header', b'outcome', '')
        if table == 'ends':
            assert [each.number for each in store.ended_after(ANN, GROUP, 0, 99)] == sorted(DONE)
        assert all(info.id == TASKS[info.number].id for info in store.due(1e12, 99))
        assert table != 'dates' or len(store.due(1e12, 99)) == len(TASKS)
        store.queued()
        assert table == 'tasks' or store.usage() in (USAGE, {ANN: Usage(5, store.usage()[ANN].bytes)})
        assert table != 'received' or [each.id for each in store.evict(9)] in ([], [TASKS[2].id]), 'nobody has received another'
    return True


@pytest.mark.parametrize(
    'table', [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in (*BOOKED, 'tasks', 'objects', 'received')]
)
def test_a_value_that_has_changed_is_believed_by_nobody(tmp_path: Path, table: str) -> None:
    filled(tmp_path / 'relay.db')
    assert look(tmp_path / 'relay.db', table)
    tried = opened = 0
    for what in changed(tmp_path / 'relay.db', tmp_path / 'changed.db', table):
        try:
            opened += look(tmp_path / 'changed.db', table)
        except Exception as error:
            raise AssertionError(what) from error
        tried += 1
    assert tried > 5
    assert (opened == 0) == (table in ('accounts', 'marks')), 'who an account is, and what has been, cannot be made anew'


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        ("UPDATE invites SET data = x'00'", '1 rows of `invites` had changed on the disk and are gone'),
        ('UPDATE usage SET bytes = bytes + 1', '2 rows of `usage` had changed on the disk and are made anew'),
        ('UPDATE dates SET due = due + 1 WHERE first = 1', '1 rows of `dates` had changed on the disk and are made anew'),
        ('UPDATE ends SET n = n + 1 WHERE done = 1', '1 rows of `ends` had changed on the disk and are made anew'),
        ("UPDATE leases SET tasks = '6'", '2 tasks of which it is not known whether they were sent out'),
    ],
)
def test_what_is_made_anew_is_told(tmp_path: Path, change: str, told: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / 'relay.db'
    filled(path)
    assert write(path, change, ())
    with opened(path):
        assert told in caplog.text


@pytest.mark.parametrize('change', ['attempt = 2', 'cancel = 1', 'due = due + 1', 'submitted = submitted + 1'])
def test_how_a_task_stands_is_in_its_sum(tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / 'relay.db'
    filled(path)
    assert write(path, f'UPDATE tasks SET {change} WHERE n IN (1, 7)', ())  # noqa: S608  ours
    with opened(path) as store:
        assert store.find([TASKS[1].id, TASKS[7].id]) == []
        assert [caplog.text.count(f'task {number} is damaged') for number in (1, 7)] == [1, 1]
        assert {row.number: row.damaged for row in store.waiting(SITE, '', ANN, 99, 1 << 30)} == {1: True, 3: False, 5: False}
        assert [info.number for info in store.leases(SITE)] == [6]


def test_an_object_whose_date_has_changed_is_not_dropped_while_tasks_may_need_it(tmp_path: Path) -> None:
    path = tmp_path / 'relay.db'
    filled(path)
    assert write(path, 'UPDATE objects SET until = 1.0', ())
    with opened(path) as store:
        assert store.drop_objects(5.0, 9) == 1
        assert [each.data for each in store.objects([OBJECTS[0].hash], [ANN])] == [b'data']
        assert store.known_objects([OBJECTS[0].hash], ANN)[OBJECTS[0].hash] > 80 * 86400
        assert (store.drop_objects(5.0, 9), store.drop_objects(1e9, 9), store.drop_objects(1e9, 9)) == (0, 1, 0)


def test_what_changes_of_a_task_has_its_sum_again(tmp_path: Path) -> None:
    """A try more, a cancel, a date for its result; and a row that was damaged before stays so."""
    path = tmp_path / 'relay.db'
    filled(path)
    assert write(path, 'UPDATE tasks SET submitted = 77 WHERE n = 7', ())
    with opened(path) as store:
        store.ask_cancel([6, 7])
        assert [(info.number, info.cancel) for info in store.leases(SITE)] == [(6, True)]
        store.requeue([(6, 2), (7, 2)])
        assert {row.number: (row.attempt, row.damaged) for row in store.waiting(SITE, '', ANN, 99, 1 << 30) if row.number > 5} == {
            6: (2, False),
            7: (2, True),
        }
        finish(store, 6, 9)
        [info] = store.find([TASKS[6].id])
        assert info.status is Status.SUCCESS


def test_a_task_that_has_become_anothers_is_nobodys(tmp_path: Path) -> None:
    path = tmp_path / 'relay.db'
    filled(path)
    assert write(path, 'UPDATE tasks SET account = (SELECT n FROM accounts WHERE id = ?) WHERE n IN (1, 2)', (BOB,))
    with opened(path) as store:
        ids = [TASKS[1].id, TASKS[2].id]
        assert (store.find(ids), store.find(ids, BOB), store.tasks(0, 9, account=BOB)[0]) == ([], [], [])
        assert {row.number: row.damaged for row in store.waiting(SITE, '', ANN, 99, 1 << 30)} == {1: True, 3: False, 5: False}
        assert [row.damaged for row in store.results(ids)] == [True]


# -- A relay that finds it -------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_in(tmp_path / 'home')


def three(site: Site) -> list[m.Task]:
    """Two that may run again, and one that may not."""
    once = codec.task_header(site.task(3).header)._replace(at_most_once=True)
    return [site.task(1), site.task(2), m.Task(codec.encode_header(once), m.Body(b'call'))]


@pytest.mark.integration
@pytest.mark.parametrize('table', ['leases', 'queue'])
def test_tasks_whose_place_has_changed_run_again_unless_they_may_have_started(site: Site, table: str) -> None:
    with site.serving() as server, site.client('ann', server.port) as client:
        submit(client, three(site))
        if table == 'leases':
            with site.endpoint(server.port) as endpoint:
                leases(endpoint, 3)
    with closing(sqlite3.connect(site.home.root / 'relay' / 'relay.db')) as db:
        assert db.execute("UPDATE leases SET tasks = '1'" if table == 'leases' else 'UPDATE queue SET last = first').rowcount == 1
        db.commit()
    with site.serving() as server, site.endpoint(server.port, epoch=2) as endpoint:
        assert {codec.task_header(each.header).task_id for each in leases(endpoint, 2)} == {task_id(1), task_id(2)}
        with site.client('ann', server.port) as client:
            client.say(m.Follow(ids=(task_id(3),)))
            [lost] = client.one(m.Deliver).results
            assert (lost.status, 'may not start twice' in lost.reason) == (Status.FAILED, True)


@pytest.mark.integration
def test_what_an_endpoint_holds_goes_on_though_its_lease_has_changed(site: Site) -> None:
    with site.serving() as server, site.client('ann', server.port) as client, site.endpoint(server.port) as endpoint:
        submit(client, three(site))
        taken = leases(endpoint, 3)
    with closing(sqlite3.connect(site.home.root / 'relay' / 'relay.db')) as db:
        db.execute('UPDATE leases SET epoch = epoch + 1')
        db.commit()
    with site.serving() as server, site.party('site', server.port) as endpoint:
        endpoint.say(m.Hello('endpoint', m.Id(b'\1' * 16), 1))
        session = endpoint.one(m.Welcome).session
        held = tuple([m.HeldTask(codec.task_header(each.header).task_id, each.attempt, m.Phase.STARTED) for each in taken])
        endpoint.say(m.Window({'': (500, 1 << 30)}), m.Held(session, 0, True, held), m.Results(tuple(map(site.result, taken))))
        endpoint.wait(m.Recorded, lambda found: sum(len(each.tasks) for each in found) >= 3)
        with site.client('ann', server.port) as client:
            client.say(m.Follow(ids=(task_id(1), task_id(2), task_id(3))))
            ended = client.wait(m.Deliver, lambda found: sum(len(each.results) for each in found) >= 3)
            assert {each.status for message in ended for each in message.results} == {Status.SUCCESS}


# -- Stores of the version before ------------------------------------------------------------------------------------


OBJECTS_3 = """
ALTER TABLE objects RENAME TO newer;
DROP INDEX objects_until;
CREATE TABLE objects (n INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, account INTEGER NOT NULL, until REAL NOT NULL,
    sum INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX objects_until ON objects (until);
INSERT INTO objects SELECT * FROM newer;
DROP TABLE newer;
"""


def as_before(path: Path) -> None:
    """Of version 3: only bytes had a sum, and the bytes of an object one row."""
    with closing(sqlite3.connect(path)) as db:
        db.create_function('checksum', 2, checksum)
        for table in (*BOOKED, 'received'):
            db.execute(f'ALTER TABLE {table} DROP COLUMN sum')
        db.executescript(OBJECTS_3)
        db.execute('UPDATE objects SET sum = checksum(hash, data)')
        db.execute('UPDATE tasks SET sum = checksum(CASE WHEN done THEN result ELSE header END, payload)')
        db.execute("UPDATE tasks SET payload = x'00' WHERE n IN (3, 4)")
        db.execute('PRAGMA user_version = 3')
        db.commit()


def test_a_store_of_version_3_gets_its_sums_and_what_was_damaged_stays_so(tmp_path: Path) -> None:
    path = tmp_path / 'relay.db'
    filled(path)
    as_before(path)
    assert look(path, 'tasks')
    assert Path(f'{path}.3').exists(), 'the store as it was'
    with closing(SqliteStore(path)) as store:
        assert store.migrated is None
        store.begin()
        store.accounts()
        assert {row.number: row.damaged for row in store.waiting(SITE, '', ANN, 99, 1 << 30)} == {1: False, 3: True, 5: False}
        assert {row.number: row.damaged for row in store.results([an_id('task 2'), an_id('task 4')])} == {2: False, 4: True}
        assert {info.number for info in store.leases(SITE)} == LEASED
        assert store.usage() == USAGE
        assert store.objects([OBJECTS[0].hash], [ANN]) == OBJECTS
        store.put_objects([replace(OBJECTS[0], account=BOB)])
        assert len(store.objects([OBJECTS[0].hash], [ANN, BOB])) == 2, 'each its own'
        assert find(store, 4).stage == Stage.DONE
