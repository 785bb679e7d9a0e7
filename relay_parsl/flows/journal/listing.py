"""What people are shown of the journal."""

from __future__ import annotations

import json
from typing import Any

from relay_parsl.daemon import Process
from relay_parsl.errors import FlowError, NotFound
from relay_parsl.flows.actions.questions import PREFIX, SECTION, answered
from relay_parsl.flows.definition import Definition, Json
from relay_parsl.flows.journal.coding import load, load_any, write
from relay_parsl.flows.journal.file import JournalFile
from relay_parsl.flows.journal.keeping import identity
from relay_parsl.flows.machine import entries
from relay_parsl.flows.machine.parameters import NOTHING, Private, hide, kept
from relay_parsl.flows.messages import ACTIVE, INACTIVE, ActionStatus, Event, Limits
from relay_parsl.flows.replay import Bookmark, replay
from relay_parsl.flows.terms import TERMS

COLUMNS = 'r.id, d.flow_id, d.title, r.label, r.tags, r.status, r.state, r.start_time, r.completion_time, r.details'
FROM = 'FROM runs r JOIN definitions d ON d.hash = r.definition'


def iso(seconds: float | None) -> str | None:
    """As the run's own entries write times."""
    return None if seconds is None else entries.iso(seconds)


def runs(file: JournalFile, status: str | None, label: str | None, tag: str | None, limit: int | None) -> list[dict[str, Json]]:
    """`Journal.runs`."""
    wanted = [
        ('r.status = ?', status),
        ('instr(r.label, ?)', label),
        ('EXISTS (SELECT 1 FROM json_each(r.tags) WHERE value = ?)', tag),
    ]
    chosen = [(condition, value) for condition, value in wanted if value is not None]
    where = ' AND '.join(['1', *(condition for condition, _ in chosen)])
    rows = file.all(
        f'SELECT {COLUMNS} {FROM} WHERE {where} ORDER BY r.n DESC LIMIT ?',
        *(value for _, value in chosen),
        -1 if limit is None else limit,
    )
    return [_summary(row) for row in reversed(rows)]


def _summary(row: tuple[Any, ...]) -> dict[str, Json]:
    run_id, flow, title, label, tags, status, state, start, end, details = row
    return {
        'run_id': run_id, 'flow_id': flow, 'flow_title': title, 'label': label, 'tags': json.loads(tags), 'status': status, 'state': state,
        'start_time': iso(start), 'completion_time': iso(end), 'details': json.loads(details),
    }  # fmt: skip


def find(file: JournalFile, run_id: str) -> str:
    """`Journal.find`."""
    word = run_id.strip().lower()
    found = [row[0] for row in file.all('SELECT id FROM runs WHERE id >= ?1 AND id < ?1 || char(0x7f) ORDER BY n DESC LIMIT 5', word)] if word else []
    if len(found) == 1:
        return str(found[0])
    if found:
        raise NotFound(f'several runs begin with {run_id!r}: {", ".join(found)}; give more of the id')
    raise NotFound(f'there is no run {run_id!r}: `relay-parsl flow list` shows those that are kept')


def status(file: JournalFile, run_id: str) -> str:
    """`Journal.status`."""
    row = file.one('SELECT status FROM runs WHERE id = ?', run_id)
    if row is None:
        raise NotFound(f'there is no run {run_id!r}: it was released, or kept for as long as the settings say')
    return str(row[0])


def ended(file: JournalFile, run_ids: list[str]) -> list[str]:
    """`Journal.ended`."""
    rows = file.all('SELECT r.id FROM json_each(?) j JOIN runs r ON r.id = j.value WHERE r.completion_time IS NULL', write(run_ids))
    going = {row[0] for row in rows}
    return [run_id for run_id in run_ids if run_id not in going]


def bookmark(file: JournalFile, run_id: str) -> Bookmark:
    """The run as it was at its last snapshot."""
    return load(Bookmark, file.one('SELECT bookmark FROM snapshots WHERE run = (SELECT n FROM runs WHERE id = ?)', run_id)[0])


def end(file: JournalFile, run_id: str) -> tuple[Json, Json]:
    """`Journal.end`."""
    with file.glance():
        if (now := status(file, run_id)) in (ACTIVE, INACTIVE):
            raise FlowError(f'run {run_id} is {now}: it has not ended')
        record = bookmark(file, run_id).record
    return record.payload, record.details


def run(file: JournalFile, run_id: str) -> dict[str, Json]:
    """`Journal.run`; takes a whole id."""
    with file.glance():
        row = file.one(f'SELECT {COLUMNS}, d.definition, r.n {FROM} WHERE r.id = ?', run_id)
        if row is None:
            raise NotFound(f'there is no run {run_id!r}')
        *summary, definition, number = row
        snapshot, since = bookmark(file, run_id), _since(file, number)
        body = load_any(file.one('SELECT event FROM events WHERE run = ? AND n = 1', number)[0]).body
        actions = file.all('SELECT request_id, command, status FROM actions WHERE run = ? AND settled = 0', number)
    flow = load(Definition, definition)
    record = replay(flow, snapshot, since, TERMS).record
    action = next((_action(*each) for each in actions if each[0] == record.waiting.request_id), None)
    hidden = kept(flow.states.values(), TERMS)
    told = {'input': shown(body), 'payload': shown(record.payload, hidden), 'definition': flow.document, 'action': action}
    return {**_summary(tuple(summary)), **told}


def _since(file: JournalFile, number: int) -> list[tuple[float, Event]]:
    """The events that a run has taken since its last snapshot; none once it has ended."""
    chosen = 'SELECT e.time, e.event FROM runs r JOIN snapshots s ON s.run = r.n JOIN events e ON e.run = r.n AND e.n > s.events AND e.n <= r.events'
    return [(time, load_any(event)) for time, event in file.all(f'{chosen} WHERE r.n = ? ORDER BY e.n', number)]


def _action(request_id: str, command: str, text: str) -> dict[str, Json]:
    """What the run waits for."""
    at = load(ActionStatus, text) if text else ActionStatus('', ACTIVE)
    about = {'action_id': at.action_id, 'status': at.status, 'display_status': at.display_status, 'details': at.details}
    return {'request_id': request_id, 'action': load_any(command).action, **about, 'start_time': iso(at.start_time or None)}


def shown(payload: Json, hidden: Private = NOTHING) -> Json:
    """A payload without what its writer keeps private: keys that begin with `_private`, private parameters, and tokens."""
    value = hide(payload, hidden)
    return {key: each for key, each in value.items() if key != '_tokens'} if isinstance(value, dict) else value


def log(file: JournalFile, run_id: str, after: int, limit: int | None, *, reverse: bool) -> list[dict[str, Json]]:
    """`Journal.log`; takes a whole id."""
    chosen = 'SELECT seq, time, code, description, details FROM log WHERE run = (SELECT n FROM runs WHERE id = ?) AND seq > ? ORDER BY seq'
    rows = file.all(f'{chosen} {"DESC" if reverse else "ASC"} LIMIT ?', run_id, after, -1 if limit is None else limit)
    return [
        {'seq': seq, 'time': iso(at), 'code': code, 'description': words, 'details': json.loads(details)} for seq, at, code, words, details in rows
    ]


def answer(file: JournalFile, web_input_id: str, value: Json, by: str, now: float) -> str:
    """`Journal.respond`, inside a turn; the whole id of the question."""
    begin = f'{PREFIX}{web_input_id}'
    rows = file.all('SELECT key, value FROM records WHERE provider = ? AND key >= ? AND key < ? || char(0x7f)', SECTION, begin, begin)
    if len(rows) != 1 or not web_input_id:
        raise NotFound(
            f'there is no question {web_input_id!r}' if not rows else f'several questions begin with {web_input_id!r}: give more of the id'
        )
    me = identity(now, Limits())
    people = (by,) if by else (me['username'], me['user_id'], me['email'])
    made = answered(json.loads(rows[0][1]), value, people, now)
    file.run('UPDATE records SET value = ? WHERE provider = ? AND key = ?', write(made), SECTION, rows[0][0])
    return str(made['web_input_id'])


def engine(file: JournalFile) -> dict[str, Json] | None:
    """`Journal.engine`."""
    row = file.one('SELECT host, pid, created, since FROM lease')
    if row is None:
        return None
    holder = Process(*row[:3])
    return None if holder.here and not holder.alive else {'host': holder.host, 'pid': holder.pid, 'since': iso(row[3])}
