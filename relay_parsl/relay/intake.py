"""What clients bring: tasks, objects, and the wish to end tasks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import astuple
from typing import Union

from relay_parsl.errors import ProtocolError, with_article
from relay_parsl.relay.accounts import MAY_SUBMIT
from relay_parsl.relay.core import DAY, HEADER, TURN_BYTES, Core, batches
from relay_parsl.relay.delivery import Delivery
from relay_parsl.relay.effects import SpoolDelete
from relay_parsl.relay.leases import Leases
from relay_parsl.relay.pulls import Pulls
from relay_parsl.relay.quotas import AGAIN, Wait
from relay_parsl.relay.records import AccountRow, ObjectRow, Stage, TaskInfo, TaskRow
from relay_parsl.relay.sessions import ClientSession, EndpointSession
from relay_parsl.wire.codec import task_header
from relay_parsl.wire.messages import (
    NO_ID,
    Accepted,
    Attempt,
    Body,
    Cancel,
    Hash,
    Id,
    Need,
    Object,
    Objects,
    Refused,
    Rejected,
    Rejection,
    Status,
    Submit,
    Task,
    TaskHeader,
)

KNOWN_OBJECTS = 20_000
"""The most hashes that are remembered as stored; beyond, the store is asked again."""
NOBODYS: Mapping[Id, float] = {}
NEED_AT_ONCE = 1000
KINDS = ('grant', 'function')
NOT_ONES_OWN = {'denied', 'not-found'}
"""Codes of rejections that say that somebody reaches for what is not theirs."""
LEAST, MOST = -(1 << 31), (1 << 31) - 1
"""What a priority may be."""

Offer = tuple[Task, TaskHeader]
Either = Union[ClientSession, EndpointSession]


class Intake:
    """Takes tasks in, once each."""

    def __init__(self, core: Core, delivery: Delivery, leases: Leases, pulls: Pulls) -> None:
        self._core = core
        self._delivery = delivery
        self._leases = leases
        self._pulls = pulls
        self._until: dict[Hash, dict[Id, float]] = {}  # of each account that has it

    # -- Tasks ------------------------------------------------------------------------------------------------------

    def submit(self, session: ClientSession, message: Submit, now: float) -> None:
        """Answer every task: accepted, rejected with the reason, or its objects needed. What is known is never rejected."""
        account = self._core.accounts.get(session.account)
        assert account is not None  # noqa: S101  the reactor has looked
        offers, refused = self._examine(account, message.tasks, now)
        offers, held = self._within_quota(account, offers, now)
        if refused or held:
            refused += held
            self._answer_known(session, [each.task_id for each in refused], refused)
        offers = self._with_objects(session, offers, now)
        self._store(session, [offer for offer in offers if not offer[1].body], now)
        for offer in offers:
            if offer[1].body:
                self._pull(session, offer, now)

    def _examine(self, account: AccountRow, tasks: Sequence[Task], now: float) -> tuple[list[Offer], list[Rejection]]:
        offers: dict[Id, Offer] = {}
        refused = []
        fits = self._fits(account, now)
        for task in tasks:
            try:
                header = task_header(task.header)
            except ProtocolError as error:
                refused.append(Rejection(NO_ID, 'malformed', str(error)))
                continue
            if fits(task, header):
                offers[header.task_id] = (task, header)
            else:
                refused.append(Rejection(header.task_id, *self._fault(account, header, task, now)))
        return list(offers.values()), refused

    def _within_quota(self, account: AccountRow, offers: list[Offer], now: float) -> tuple[list[Offer], list[Rejection]]:
        """The first tasks, as many as the account has room for. The others are told when to come again, what never fits is told so."""
        if not offers:
            return offers, []
        if self._core.draining:
            wait = Wait('draining', 'the relay is about to stop: it takes no new tasks', AGAIN)
            return [], [Rejection(header.task_id, *astuple(wait)) for _, header in offers]
        quota = self._core.quotas.of(account)
        if not quota.limited:
            return offers, []
        never = [header.task_id for task, header in offers if _size(task, header) > quota.bytes]
        offers = [offer for offer in offers if offer[1].task_id not in never] if never else offers
        count, why = self._core.quotas.fit(account, [_size(*offer) for offer in offers], now)
        late = [Rejection(header.task_id, *astuple(why)) for _, header in offers[count:]] if why else []
        vast = f'this account may have {quota.bytes:.0f} bytes at the relay, and the task is larger'
        return offers[:count], [Rejection(each, 'too-large', vast) for each in never] + late

    def _fits(self, account: AccountRow, now: float) -> Callable[[Task, TaskHeader], bool]:
        """Whether a task can be taken; what is the same for a whole message is found out once."""
        core, settings = self._core, self._core.settings
        open_to = account.role in MAY_SUBMIT and core.load[account.id] < settings.queue_limit and not core.closed
        latest, payload_limit, body_limit = now + settings.lifetime, settings.payload_limit, settings.body_limit
        usable: dict[Id, bool] = {}

        def fits(task: Task, header: TaskHeader) -> bool:
            endpoint = header.endpoint
            if endpoint not in usable:
                usable[endpoint] = open_to and core.accounts.usable(account, endpoint) is not None
            return (
                usable[endpoint]
                and now < header.expires <= latest
                and len(task.payload) <= payload_limit
                and 0 <= header.body <= body_limit
                and LEAST <= header.priority <= MOST
                and len(task.header) <= HEADER
            )

        return fits

    def _fault(self, account: AccountRow, header: TaskHeader, task: Task, now: float) -> tuple[str, str, float]:
        """Why a task cannot be taken: code, reason, and when to come again. Room in the queue or on the disk is a matter of time: it waits."""
        core, settings = self._core, self._core.settings
        faults = (
            (account.role not in MAY_SUBMIT, 'denied', f'{with_article(account.role)} may not submit tasks'),
            (core.accounts.usable(account, header.endpoint) is None, 'not-found', 'no such endpoint'),
            (header.expires <= now, 'expired', 'its time was over when it came'),
            (header.expires > now + settings.lifetime, 'limit', f'`expires` is more than {settings.lifetime:.0f} s away'),
            (len(task.payload) > settings.payload_limit, 'too-large', f'over {settings.payload_limit} bytes must be spooled'),
            (not 0 <= header.body <= settings.body_limit, 'too-large', f'the relay takes bodies up to {settings.body_limit} bytes'),
            (not LEAST <= header.priority <= MOST or len(task.header) > HEADER, 'malformed', 'priority or header out of bounds'),
            (core.load[account.id] >= settings.queue_limit, 'quota', f'{settings.queue_limit} tasks of this account wait already'),
            (bool(core.closed), 'full', core.closed),
        )
        return next((code, reason, AGAIN if code in {'full', 'quota'} else 0.0) for is_so, code, reason in faults if is_so)

    def _with_objects(self, session: ClientSession, offers: list[Offer], now: float) -> list[Offer]:
        """Ask for what is missing. Tasks that refer to it are not taken yet: the client submits them again."""
        if not offers:
            return offers
        wanted = dict.fromkeys([header.grant for _, header in offers] + [header.function for _, header in offers])
        missing = self._missing(session.account, wanted, max([header.expires for _, header in offers]), now)
        if not missing:
            return offers
        for start in range(0, len(missing), NEED_AT_ONCE):
            self._core.send(session, Need(tuple(missing[start : start + NEED_AT_ONCE])))
        absent = set(missing)
        return [offer for offer in offers if offer[1].grant not in absent and offer[1].function not in absent]

    def _missing(self, account: Id, wanted: Collection[Hash], until: float, now: float) -> list[Hash]:
        """An object is kept as long as a task that refers to it may live; a day's slack saves a write for each task."""
        ends = {digest: self._until.get(digest, NOBODYS).get(account, 0.0) for digest in wanted}
        strange = [digest for digest, end in ends.items() if end <= now]
        if strange:
            ends.update(self._core.store.known_objects(strange, account))
        short = [digest for digest, end in ends.items() if 0.0 < end < until]
        if short:
            self._core.store.keep_objects(short, account, until + DAY)
            ends.update(dict.fromkeys(short, until + DAY))
        if strange or short:
            self._remember(account, {digest: ends[digest] for digest in (*strange, *short) if ends[digest] > now})
        return [digest for digest, end in ends.items() if end <= now]

    def _remember(self, account: Id, ends: Mapping[Hash, float]) -> None:
        if len(self._until) > KNOWN_OBJECTS:
            self._until.clear()
        for digest, end in ends.items():
            self._until.setdefault(digest, {})[account] = end

    def _store(self, session: ClientSession, offers: list[Offer], now: float) -> None:
        if not offers:
            return
        numbers = self._core.next_numbers(len(offers))
        rows = [_row(number, session.account, *offer, now) for number, offer in zip(numbers, offers)]
        known = self._core.store.add(rows)
        new = [row for row in rows if row.id not in known] if known else rows
        if new:
            for group in {row.group for row in new}:
                self._delivery.follow_group(session, group)
            self._core.quotas.take(session.account, new, now)
            self._core.enqueue(new)
            self._core.send(session, Accepted(tuple([row.id for row in new])))
        if known:
            self._answer_known(session, list(known), [])

    def _answer_known(self, session: ClientSession, ids: Sequence[Id], refused: Sequence[Rejection]) -> None:
        """Accepted before, perhaps done; one of another account is denied; the rest as was decided."""
        infos = {info.id: info for info in self._core.store.find(ids)}
        mine = [info for info in infos.values() if info.account == session.account]
        if mine:
            self._core.send(session, Accepted(tuple([info.id for info in mine])))
        for info in mine:
            if info.stage == Stage.DONE:
                self._delivery.ask(session, [info.id])
            self._delivery.follow_group(session, info.group)
        foreign = [Rejection(info.id, 'denied', 'this id is taken') for info in infos.values() if info.account != session.account]
        rejected = (*foreign, *[each for each in refused if each.task_id not in infos])
        if rejected:
            for code in sorted({each.code for each in rejected} & NOT_ONES_OWN):
                self._core.refused('denied', session.account, verb='Submit', why=code, tasks=sum(each.code == code for each in rejected))
            self._core.send(session, Rejected(rejected))

    # -- Large bodies -----------------------------------------------------------------------------------------------

    def _pull(self, session: ClientSession, offer: Offer, now: float) -> None:
        header = offer[1]
        if self._core.store.find([header.task_id]):
            self._answer_known(session, [header.task_id], [])
        else:
            self._pulls.start(session, (header.task_id, 0, 'task'), header.body, offer[0], now)

    def spooled(self, session: ClientSession, task: Task, now: float) -> None:
        """A task's body is on the disk: so the task can be, unless its endpoint was deleted or is not shared any more: it would wait for ever."""
        header, account = task_header(task.header), self._core.accounts.get(session.account)
        if account is not None and self._core.accounts.usable(account, header.endpoint) is not None:
            self._store(session, [(task, header)], now)
        else:
            self._core.do(SpoolDelete((header.task_id, 0, 'task')))
            self._answer_known(session, [header.task_id], [Rejection(header.task_id, 'not-found', 'no such endpoint')])

    # -- Objects ----------------------------------------------------------------------------------------------------

    def objects(self, session: ClientSession, message: Objects, now: float) -> None:
        """Keep them for a while, for this account: who else has them is not asked. The loop has checked their hashes."""
        if self._core.full:
            return
        fit = [each for each in message.objects if each.kind in KINDS and len(each.data) <= self._core.settings.object_limit]
        if not self._core.may_bring(session.account, sum(len(each.data) for each in fit)):
            self._core.send(session, Refused('limit', f'over {self._core.settings.objects_daily} bytes of functions in a day'))
        elif fit:
            known = self._core.store.known_objects([each.hash for each in fit], session.account)
            self._core.quotas.count_objects(session.account, sum(len(each.data) for each in fit if each.hash not in known))
            self._core.store.put_objects([ObjectRow(each.hash, each.kind, session.account, each.data, now + DAY) for each in fit])

    def need(self, session: Either, message: Need, _now: float) -> None:
        """Objects for whoever may have them. Two accounts may have the same bytes, and say different things of them."""
        found: list[Object] = []
        size = 0
        whose = self._read_by(session)
        for digest in message.hashes[:NEED_AT_ONCE]:
            rows = self._core.store.objects([digest], whose)
            self._forget(digest, whose - {row.account for row in rows})
            if rows:
                row = min(rows, key=lambda row: row.kind)  # a function is not judged before a task refers to it, and then as what
                found.append(Object(row.hash, row.kind, Body(row.data)))
                size += len(row.data)
            if size >= TURN_BYTES:
                break  # the rest will be asked for again
        for batch in batches(found, [len(each.data) for each in found]):
            self._core.send(session, Objects(batch))

    def _forget(self, digest: Hash, lacking: Set[Id]) -> None:
        """Of these it is over, or was damaged on the disk: who submits with it is asked for it again."""
        kept = self._until.get(digest)
        if kept:
            for account in kept.keys() & lacking:
                del kept[account]

    def _read_by(self, session: Either) -> set[Id]:
        """The accounts whose objects it may have: its own, and of an endpoint those that may use it, and those of which it has tasks.

        A task that it was given must come to an end there, also when it is not shared with that account any more.
        """
        if not isinstance(session, EndpointSession):
            return {session.account}
        accounts = self._core.accounts
        users = {each.id for each in accounts if accounts.usable(each, session.account)}
        return {session.account} | users | {lease.account for lease in session.leases.values()}

    # -- Cancelling -------------------------------------------------------------------------------------------------

    def cancel(self, session: ClientSession, message: Cancel, _now: float) -> None:
        """What waits ends at once; for what is leased the request is stored and passed on; what is done is delivered."""
        ids = {each.task_id for each in message.tasks}
        mine = self._core.store.find(ids, session.account)
        self._core.end([info for info in mine if info.stage == Stage.QUEUED], Status.CANCELLED, 'cancelled before it started')
        leased = [info for info in mine if info.stage == Stage.LEASED]
        if leased:
            self._core.store.ask_cancel([info.number for info in leased if not info.cancel])
            self._pass_on(leased)
        self._delivery.ask(session, [info.id for info in mine if info.stage != Stage.LEASED])
        unknown = ids - {info.id for info in mine}
        if unknown:
            for task_id in unknown:
                self._pulls.drop((task_id, 0, 'task'), session.account)
            self._core.unknown(session.account, 'Cancel', len(unknown))
            self._core.send(session, Rejected(tuple([Rejection(each, 'unknown', self._core.no_such_task) for each in unknown])))

    def _pass_on(self, leased: Iterable[TaskInfo]) -> None:
        for info in leased:
            session = self._core.endpoints.get(info.endpoint)
            lease = session.leases.get(info.id) if session else None
            if session and lease:
                lease.cancel = True
                self._leases.cancel_attempts(session, [Attempt(lease.id, lease.attempt)])


def _row(number: int, account: Id, task: Task, header: TaskHeader, now: float) -> TaskRow:
    size = _size(task, header)
    return TaskRow(
        number, header.task_id, account, header.group, header.endpoint, header.pool, header.at_most_once, now, size, header.body, Stage.QUEUED, 1,
        0, 0, 0, False, None, header.priority, header.expires, task.header, task.payload,
    )  # fmt: skip


def _size(task: Task, header: TaskHeader) -> int:
    return len(task.header) + len(task.payload) + header.body
