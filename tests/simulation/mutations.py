"""Faults put into the reactors: the simulation must catch each of them, or it would not catch a real one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from relay_parsl.client.pulls import Pull
from relay_parsl.client.pulls import Pulls as ClientPulls
from relay_parsl.client.reactor import ClientReactor
from relay_parsl.endpoint import journal
from relay_parsl.endpoint.books import Books
from relay_parsl.endpoint.holdings import Holding
from relay_parsl.endpoint.intake import Intake
from relay_parsl.endpoint.outcomes import Outcomes
from relay_parsl.endpoint.pulls import Pulls as EndpointPulls
from relay_parsl.endpoint.reactor import EndpointReactor
from relay_parsl.endpoint.shares import Shares
from relay_parsl.engines import task
from relay_parsl.engines.base import Work
from relay_parsl.engines.patience import Patience
from relay_parsl.errors import ProtocolError, SealError
from relay_parsl.relay import delivery
from relay_parsl.relay.accounts import Directory
from relay_parsl.relay.admin import Admin
from relay_parsl.relay.calendar import Calendar
from relay_parsl.relay.delivery import Delivery, Outcome
from relay_parsl.relay.doors import Doors
from relay_parsl.relay.intake import Intake as RelayIntake
from relay_parsl.relay.leases import Leases
from relay_parsl.relay.pulls import Pulls as RelayPulls
from relay_parsl.relay.records import AccountRow, Stage, Standing, TaskInfo, TaskRow
from relay_parsl.relay.results import Intray
from relay_parsl.relay.sessions import EndpointSession
from relay_parsl.relay.store import MemoryStore
from relay_parsl.wire.codec import decode, result_header, task_header, unpack
from relay_parsl.wire.messages import PROTOCOL, Body, Delivered, Dispatch, Held, Hello, Id, Message, Result, ResultHeader, Segment
from relay_parsl.wire.seal import Guest, Share, read_share
from relay_parsl.wire.seal.bodies import _Opening
from tests.simulation import network
from tests.simulation.endpoint_process import EndpointProcess
from tests.simulation.patches import Patch
from tests.simulation.process import Process
from tests.simulation.relay_process import RelayProcess
from tests.simulation.scale import sets_clocks
from tests.simulation.sharing import shares


@dataclass(frozen=True)
class Mutation:
    """Attributes to be replaced."""

    patches: tuple[Patch, ...] = ()
    where: Callable[[int], bool] = lambda _seed: True
    """The worlds in which it can be seen, by their seeds."""


_due = Calendar._due
_add, _find, _held, _fill, _dispatch = MemoryStore.add, MemoryStore.find, Leases.held, Leases._fill, Leases._dispatch
_segment = RelayPulls.segment
_take, _end, _counts, _active, _call = ClientPulls.take, Admin._end, Directory.counts, Directory.active, task._call


def _speak_early(self: RelayProcess, _arrived: list[Any]) -> None:
    """What is decided is said before it is committed."""
    self._act()


def _add_again(self: MemoryStore, rows: Sequence[TaskRow]) -> set[Id]:
    """A task that the relay has is taken as a new one."""
    for row in rows:
        if row.id in self._tasks:
            old = self._tasks[row.id].info
            self._put(self._queues[old.endpoint, old.pool, old.account], old.number, None)
            self._put(self._leases[old.endpoint], old.number, None)
            self._put(self._tasks, row.id, None)
    return _add(self, rows)


def _take_again(self: Intake, message: Dispatch, now: float) -> None:
    """A dispatch that was doubled, or of a task that is held, begins its tasks again."""
    if self._books.link.live and message.session == self._books.link.session:
        self.seen = max(self.seen, message.serial)
        for leased in message.tasks:
            self._take(leased, task_header(leased.header), now)


def _judge_each_page(self: Leases, session: EndpointSession, message: Held, now: float) -> None:
    """Each page of what an endpoint holds is taken for all of it."""
    _held(self, session, replace(message, complete=True, page=0), now)


def _any_hello(self: Doors, peer: Any, account: AccountRow, hello: Hello, now: float) -> None:
    """An older process may come back, and the newer one is not told."""
    self._core.sessions.pop(peer.routing, None)
    session = EndpointSession(peer.routing, peer.key, account.id, self._core.next_session(), hello, now, opened=now)
    self._core.endpoints[account.id] = session
    self._core.hold(session, self._core.store.leases(account.id))
    self._open(session)


def _no_limit(self: Leases, session: EndpointSession, pool: str, window: tuple[int, int], now: float) -> None:
    """Leases are given as long as there are tasks."""
    _fill(self, session, pool, (window[0] + 1000, 1 << 40), now)


def _exact(frames: Sequence[bytes]) -> Message:
    """A message of a later minor version is none."""
    if unpack(frames[0])[:2] != list(PROTOCOL):  # type: ignore[index]
        raise ProtocolError('another version')
    return decode(frames)


def _give_back(self: Intake, holding: Holding) -> None:
    """What was tried and lost comes back as if it had not begun."""
    self._return(holding.info.task_id, holding.lease)
    self._outcomes.leave(holding)


def _end_nothing(self: Admin, row: AccountRow, standing: Standing) -> None:
    """It is written down that an account is revoked, and that is all."""
    self._core.put_account(replace(row, standing=standing))


def _end_users(self: Admin, row: AccountRow, standing: Standing) -> None:
    """The sessions of a revoked endpoint are forgotten."""
    _end_nothing(self, row, standing) if row.role == 'endpoint' else _end(self, row, standing)


def _count_endpoints(self: Directory, account: Id, now: float) -> bool:
    row = self._accounts.get(account)
    return (row is not None and row.role == 'endpoint') or _counts(self, account, now)


def _try_again(work: Work, *others: Any) -> Any:
    """A function that fails is run once more than was asked for."""
    return _call(replace(work, options={'retries': work.options['retries'] + 1}), *others)


def _replaced_for_ever(self: Directory, key: bytes, now: float) -> AccountRow | None:
    """The end of an overlap is not looked at."""
    row = self._accounts.get(self._keys.get(key, Id(b'')))
    return row if row is not None and self.counts(row.id, now) else None


def _replaced_at_once(self: Directory, key: bytes, now: float) -> AccountRow | None:
    """There is no overlap."""
    row = _active(self, key, now)
    return None if row is not None and key == row.old_curve else row


def _give_up_silently(self: RelayPulls, session: Any, message: Segment, now: float) -> None:
    """Whoever offers what it does not have is not told."""
    pull = self._pulls.get((message.task_id, message.attempt, message.direction))
    if pull is not None and message.total != pull.total:
        self._give_up(pull)
    else:
        _segment(self, session, message, now)


def _dispatch_damaged(self: Leases, session: EndpointSession, rows: list[TaskRow]) -> None:
    """Nobody asks whether the bytes are those that were written."""
    for row in rows:
        row.damaged = False
    _dispatch(self, session, rows)


def _deliver_damaged(row: Outcome) -> Delivered:
    """Nor of a result."""
    return Delivered(row.id, row.status, row.header, row.reason, Body(row.payload))


def _read_any(self: Intray, session: EndpointSession, results: Sequence[Result]) -> list[tuple[Result, ResultHeader]]:
    """A result counts, whoever brings it."""
    found = []
    for result in results:
        with suppress(ProtocolError):
            found.append((result, result_header(result.header)))
    return [(result, header) for result, header in found if header.attempt > 0]


def _believe(self: _Opening, plain: memoryview) -> None:
    """What lies in a spool is taken as it is."""
    assert self.due is not None
    size, self.due = self.due[1], next(self._plan, None)
    plain[:] = self._source.read(size).ljust(size, b'\0')
    self._source.read()


def _take_segment(self: ClientPulls, segment: Segment) -> Pull | None:
    """A piece of a result of another length is passed over."""
    pull = self._pulls.get(segment.task_id)
    return None if pull is not None and segment.total not in (-1, pull.header.body) else _take(self, segment)


def _open_any(self: Intray, session: EndpointSession, ids: Sequence[Id]) -> dict[Id, TaskInfo]:
    return {info.id: info for info in self._core.store.find(ids) if info.stage != Stage.DONE}


def _due_early(self: Calendar, now: float) -> None:
    """Time is over a minute before it is."""
    _due(self, now + 60.0)


def _guest_for_ever(self: Shares, identity: bytes, _now: float) -> Guest | None:
    """The end of a share is not looked at."""
    return self._share.guest(identity, 0.0) if self._share else None


def _any_statement(self: Shares, data: bytes) -> Share:
    """An older statement counts as a new one does."""
    share = read_share(data)
    if share.endpoint != self._endpoint or share.signer not in self._trusted():
        raise SealError('a statement of somebody else')
    return share


def _read_by_users(self: RelayIntake, session: Any) -> set[Id]:
    """Who may not submit any more takes the objects of its tasks along."""
    return {session.account, *[each.id for each in self._core.accounts if self._core.accounts.usable(each, session.account)]}


def _by_the_wall(self: Process) -> float:
    """A clock that is set counts at once, not from the next start on."""
    return self.clock.now + self.error


MUTATIONS = {
    'none': Mutation(),
    'ack before commit': Mutation(((RelayProcess, 'decided', _speak_early),)),
    'no de-duplication at the client': Mutation(((ClientReactor, '_knows', lambda self, task_id: True),)),
    'no de-duplication at the relay': Mutation(((MemoryStore, 'add', _add_again),)),
    'no de-duplication at the endpoint': Mutation(((Intake, 'dispatch', _take_again),)),
    'no fencing': Mutation(((Doors, '_hello_endpoint', _any_hello),)),
    'leases judged before a complete HELD': Mutation(((Leases, 'held', _judge_each_page),)),
    'window of an endpoint ignored': Mutation(((Leases, '_fill', _no_limit),)),
    'timeouts never come': Mutation(((Patience, 'started', lambda self, now: None),)),
    'timeouts come too early': Mutation(((Patience, 'started', lambda self, now: setattr(self, '_until', now + self._limit / 10)),)),
    'tries without a bound': Mutation(((Books, 'retries', lambda self, pool: 1000),)),
    'a task that was tried is returned as not begun': Mutation(((Intake, 'give_back', _give_back),)),
    'a later minor version is refused': Mutation(((network, 'decode', _exact),)),
    'tasks of others may be had': Mutation(((MemoryStore, 'find', lambda self, ids, account=None: _find(self, ids)),)),
    'results of any endpoint count': Mutation(((Intray, '_read', _read_any), (Intray, '_open', _open_any))),
    'a revoked key goes on': Mutation(((Admin, '_end', _end_nothing), (Directory, 'counts', lambda self, account, now: True))),
    'a revoked endpoint goes on': Mutation(((Admin, '_end', _end_users), (Directory, 'counts', _count_endpoints))),
    'tasks of a deleted endpoint wait for ever': Mutation(((Calendar, 'delete', lambda self, endpoint: None),)),
    'a replaced key counts for ever': Mutation(((Directory, 'active', _replaced_for_ever),)),
    'a replaced key is out at once': Mutation(((Directory, 'active', _replaced_at_once),)),
    'a call that its client has no more is offered for ever': Mutation(((RelayPulls, 'segment', _give_up_silently),)),
    'one retry too many': Mutation(((task, '_call', _try_again),)),
    'no retries': Mutation(((task, '_call', lambda work, *others: _call(replace(work, options={}), *others)),)),
    'what the disk has damaged runs': Mutation(((Leases, '_dispatch', _dispatch_damaged),)),
    'what the disk has damaged is delivered': Mutation(((delivery, '_delivered', _deliver_damaged),)),
    'what a spool has damaged runs': Mutation(((_Opening, 'next_into', _believe),)),
    'cut arguments are asked for for ever': Mutation(((EndpointPulls, 'cut', lambda self, segment: False),)),
    'a cut result is asked for for ever': Mutation(((ClientPulls, 'take', _take_segment),)),
    'a result whose body the disk has lost is offered for ever': Mutation(((Outcomes, 'spoiled', lambda self, key: False),)),
    'what a journal has damaged is sent': Mutation(((journal, '_sum', lambda *values: 0),)),
    'objects for whoever asks': Mutation(((RelayIntake, '_read_by', lambda self, session: {each.id for each in self._core.accounts}),)),
    'tasks expire before their time': Mutation(((Calendar, '_due', _due_early),)),
    'the relay goes by a clock that may be set': Mutation(((RelayProcess, 'now', property(_by_the_wall)),), sets_clocks),
    'an endpoint goes by a clock that may be set': Mutation(((EndpointProcess, 'now', property(_by_the_wall)),), sets_clocks),
    'a guest goes on after its date': Mutation(((Shares, 'guest', _guest_for_ever),), shares),
    'an older statement about guests comes back': Mutation(((Shares, '_checked', _any_statement),), shares),
    'statements about guests are forgotten with the process': Mutation(((EndpointReactor, 'shared', lambda self, data: None),), shares),
    'what waits of a guest in an engine runs': Mutation(((Intake, 'revoked', lambda self, grants, cancel: None),), shares),
    'what runs of a guest is never ended': Mutation(((Shares, 'expelled', lambda self: set()),), shares),
    'a task that was leased of a guest cannot be opened': Mutation(((RelayIntake, '_read_by', _read_by_users),), shares),
    'window of a client ignored': Mutation(((Delivery, '_room', lambda self, session: 1000),)),
}
