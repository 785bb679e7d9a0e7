"""Orders become sealed tasks: each endpoint is found and given a grant once; what comes before that waits. Used by the I/O thread alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from relay_parsl.client.defaults import Target
from relay_parsl.client.futures import TaskFuture
from relay_parsl.client.orders import Order
from relay_parsl.client.reactor import ClientReactor
from relay_parsl.client.trust import GRANT_USE, Found, Route, judge, new_route, own_voucher, question, worker_python
from relay_parsl.errors import RelayError, SealError, TaskRejected
from relay_parsl.home import PendingInvite
from relay_parsl.wire.messages import Body, Hash, Object, Task, TaskHeader
from relay_parsl.wire.seal import Grant, issue_voucher

log = logging.getLogger(__name__)

CHECK_AGAIN = 300.0
"""Seconds after which an endpoint's card and its workers' version are looked up again, while tasks go on."""
BODY_LIMIT = 1 << 30
"""Bytes of one call's arguments, while the relay has not said its own limit."""

Pair = tuple[Order, TaskFuture]
Rows = list[dict[str, Any]]
Ask = Callable[[str, dict[str, Any], Callable[[Rows], None], Callable[[RelayError], None]], None]
"""Ask the relay for rows: what, filter, what to do with them, what to do without."""
Tell = Callable[[str, dict[str, Any], Callable[[dict[str, Any]], None], Callable[[RelayError], None]], None]
"""Have the relay do something: verb, arguments, what to do when it is done, and when not."""


@dataclass
class Search:
    """An endpoint that is being looked up, and the orders that wait for it."""

    waiting: list[Pair]
    found: Found | None = None
    python: str = ''


class Routes:
    """Every endpoint that this session has been told to use."""

    def __init__(self, target: Target, reactor: ClientReactor, ask: Ask, tell: Tell, fail: Callable[[TaskFuture, RelayError | None], None]) -> None:
        """`fail` settles a future whose task will not be sent; with None it is settled already."""
        self._target = target
        self._reactor = reactor
        self._ask = ask
        self._tell = tell
        self._fail = fail
        self._routes: dict[str, Route] = {}
        self._searches: dict[str, Search] = {}
        self._checked: dict[str, float] = {}
        self.grants: dict[Hash, tuple[Grant, bool]] = {}

    def send(self, pairs: Iterable[Pair]) -> None:
        """Seal and hand over what has a route; look for the others'."""
        now = time.monotonic()
        tasks: list[Task] = []
        headers: list[TaskHeader] = []
        for order, future in pairs:
            route = self._route(order.endpoint, now)
            if future.done():  # cancelled before it was sealed
                self._fail(future, None)
            elif route is None:
                self._park((order, future))
            else:
                try:
                    task, header = self._seal(order, route)
                except RelayError as error:
                    self._fail(future, error)
                else:
                    tasks.append(task)
                    headers.append(header)
        if tasks:
            self._reactor.submit(tasks, now, headers)

    def _seal(self, order: Order, route: Route) -> tuple[Task, TaskHeader]:
        if order.length:
            self._check_length(order.length)
        function = route.functions.get(order.function.digest)
        if function is None:
            function = route.function(order.function)
            self._reactor.provide([function])
            self._reactor.withdraw(route.spare())
        return route.seal(order, function)

    def _check_length(self, length: int) -> None:
        limit = self._reactor.limits.get('body', BODY_LIMIT)
        if length > limit:
            sizes = f'{length / 1e6:,.1f} MB serialized, more than the {limit / 1e6:,.1f} MB'
            raise TaskRejected(f'the arguments have {sizes} that the relay takes (its operator may raise --body-limit)')

    def _route(self, reference: str, now: float) -> Route | None:
        route = self._routes.get(reference)
        if route is not None and now - self._checked[reference] > CHECK_AGAIN and reference not in self._searches:
            self._search(reference, [])
        return route

    def _park(self, pair: Pair) -> None:
        search = self._searches.get(pair[0].endpoint)
        if search is not None:
            search.waiting.append(pair)
        else:
            self._search(pair[0].endpoint, [pair])

    # -- Looking up -------------------------------------------------------------------------------------------------

    def _search(self, reference: str, waiting: list[Pair]) -> None:
        """Cards first, then what the endpoint has reported; both answers come later."""
        self._searches[reference] = Search(waiting)
        try:
            wanted = question(self._target.home, reference)
        except RelayError as error:
            self._lost(reference, error)
            return
        self._ask('cards', wanted, lambda rows: self._cards(reference, rows), lambda error: self._lost(reference, error))

    def _cards(self, reference: str, rows: Rows) -> None:
        try:
            found = judge(self._target.home, self._target.credentials, reference, rows)
        except RelayError as error:
            self._lost(reference, error)
            return
        route = self._routes.get(reference)
        if route is not None and found.card.serial < route.card.serial:
            self._lost(reference, SealError(f'the relay shows an old card of endpoint {reference!r}, from before its keys were changed'))
            return
        if found.joined is not None:
            self._vouch(found, found.joined)
        self._searches[reference].found = found
        wanted = {'id': found.card.id}
        self._ask('endpoints', wanted, lambda rows: self._reported(reference, rows), lambda error: self._lost(reference, error))

    def _reported(self, reference: str, rows: Rows) -> None:
        search, me = self._searches[reference], self._target.credentials
        assert search.found is not None, 'set before this was asked'  # noqa: S101
        search.python = worker_python(rows, search.found.card.id)
        route = self._routes.get(reference)
        if route is not None and route.card.data == search.found.card.data and time.time() - route.made <= GRANT_USE:
            route.python, route.trusted = search.python, search.found.trusted
            self._found(reference)
        elif me.role == 'service':
            self._ask('cards', {'id': me.id}, lambda rows: self._make(reference, rows), lambda error: self._lost(reference, error))
        else:
            self._make(reference, None)

    def _make(self, reference: str, own: Rows | None) -> None:
        """A grant, and so a route; `own` holds the card of the service that we are, and on it the voucher that the grant must carry."""
        search, me = self._searches[reference], self._target.credentials
        assert search.found is not None, 'set before this was asked'  # noqa: S101
        try:
            route = new_route(me, search.found, search.python, own_voucher(me, own) if own is not None else b'')
        except RelayError as error:
            self._lost(reference, error)
        else:
            self._open(reference, route)
            self._found(reference)

    def _found(self, reference: str) -> None:
        self._checked[reference] = time.monotonic()
        self.send(self._searches.pop(reference).waiting)

    def _vouch(self, found: Found, invite: PendingInvite) -> None:
        """Say of whom we invited who it is, for the other machines of this account. If the relay refuses, the next command says it again."""

        def kept(_answer: object) -> None:
            with suppress(RelayError, OSError):
                self._target.home.drop_invite(invite)

        voucher = issue_voucher(self._target.credentials.keys, invite.name, found.card, invite.until)
        arguments = {'id': found.card.id, 'voucher': voucher.data}
        self._tell('vouch', arguments, kept, lambda error: log.info('the voucher of %s is not at the relay yet: %s', invite.name, error))

    def _open(self, reference: str, route: Route) -> None:
        old = self._routes.get(reference)
        if old is not None:
            self._reactor.withdraw([old.grant.hash, *[each.hash for each in old.functions.values()]])
        self._routes[reference] = route
        self.grants[route.grant.hash] = (route.grant, route.trusted)
        self._reactor.provide([Object(route.grant.hash, 'grant', Body(route.grant.data))])

    def _lost(self, reference: str, error: RelayError) -> None:
        """No answer, or a bad one: a route that there is goes on, what waited for one fails."""
        self._checked[reference] = time.monotonic()
        self._fail_all(self._searches.pop(reference).waiting, error)

    def _fail_all(self, waiting: Sequence[Pair], error: RelayError) -> None:
        for _, future in waiting:
            self._fail(future, error)
