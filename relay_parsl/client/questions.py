"""Requests and their answers, page after page. Used by the I/O thread alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from relay_parsl.client.admin import REFUSALS
from relay_parsl.client.reactor import ClientReactor
from relay_parsl.errors import AccessDenied, ProtocolError, RelayError
from relay_parsl.wire.messages import Admin, Done, List, Listing, Message, Refused

Rows = list[dict[str, Any]]


class Questions:
    """Each is asked until it is answered, over any number of sessions."""

    def __init__(self, reactor: ClientReactor) -> None:
        """`reactor` asks."""
        self._reactor = reactor
        self._last = 0
        self._waiting: dict[int, tuple[Callable[[Message], None], Callable[[RelayError], None]]] = {}

    def ask(self, what: str, wanted: dict[str, Any], then: Callable[[Rows], None], otherwise: Callable[[RelayError], None]) -> None:
        """All rows of a `List`."""
        self._page(what, wanted, '', [], (then, otherwise))

    def order(self, verb: str, arguments: dict[str, Any], then: Callable[[dict[str, Any]], None], otherwise: Callable[[RelayError], None]) -> None:
        """An `Admin`."""

        def done(answer: Message) -> None:
            then(answer.result if isinstance(answer, Done) else {})

        self._put(lambda number: Admin(number, verb, arguments), done, otherwise)

    def answer(self, request: int, message: Message) -> None:
        """What came."""
        then, otherwise = self._waiting.pop(request, (None, None))
        if then is None or otherwise is None:
            return
        if isinstance(message, Refused):
            otherwise(REFUSALS.get(message.code, AccessDenied)(f'the relay refused: {message.reason}'))
        elif isinstance(message, (Listing, Done)):
            then(message)
        else:
            otherwise(ProtocolError('the relay answered with something else'))

    def give_up(self, error: RelayError) -> None:
        """No answer will come."""
        waiting, self._waiting = self._waiting, {}
        for _, otherwise in waiting.values():
            otherwise(error)

    def _page(
        self, what: str, wanted: dict[str, Any], page: str, rows: Rows, callbacks: tuple[Callable[[Rows], None], Callable[[RelayError], None]]
    ) -> None:
        def came(answer: Message) -> None:
            if not isinstance(answer, Listing):
                callbacks[1](ProtocolError('the relay answered with something else'))
                return
            rows.extend(answer.rows)
            if answer.page:
                self._page(what, wanted, answer.page, rows, callbacks)
            else:
                callbacks[0](rows)

        self._put(lambda number: List(number, what, wanted, page), came, callbacks[1])

    def _put(self, make: Callable[[int], List | Admin], then: Callable[[Message], None], otherwise: Callable[[RelayError], None]) -> None:
        self._last += 1
        self._waiting[self._last] = (then, otherwise)
        self._reactor.request(make(self._last), time.monotonic())
