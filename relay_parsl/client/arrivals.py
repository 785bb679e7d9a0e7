"""Results between the reactor and the thread that settles futures: by the batch. Used by the I/O thread alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from relay_parsl.client.board import Board
from relay_parsl.client.effects import Settle
from relay_parsl.client.futures import TaskFuture
from relay_parsl.client.settling import Ending, Settler, settle_all, settle_here
from relay_parsl.errors import RelayError, SealError
from relay_parsl.spool import Key, Spool
from relay_parsl.wire.messages import Hash, Object, ResultHeader
from relay_parsl.wire.seal import Grant

GRANT_PATIENCE = 60.0
"""Seconds until a grant of another process, which the relay should have, is given up."""

FEW = 2
"""Results, at most, that the I/O thread settles itself."""

Grants = dict[Hash, tuple[Grant, bool]]
"""What results are opened with, and whether what is in them may be unpickled here."""


class Arrivals:
    """What a result needs is gathered here: its future, its grant, its body. Those under a grant of another process wait for it."""

    def __init__(self, board: Board, settler: Settler, grants: Grants, spool: Callable[[], Spool]) -> None:
        """`grants` is kept up to date by whoever makes them."""
        self._board = board
        self._settler = settler
        self._grants = grants
        self._spool = spool
        self._ready: list[Ending] = []
        self._strange: dict[Hash, tuple[float, list[Settle]]] = {}

    def add(self, effect: Settle) -> Hash | None:
        """One more, to be handed over soon; the grant that it needs first, if that is not here and was not asked for yet."""
        delivered, header = effect
        if header is None:
            grant, trusted = None, False
        elif header.grant in self._grants:
            grant, trusted = self._grants[header.grant]
        elif delivered.payload:
            return self._await(header.grant, effect)
        else:
            grant, trusted = None, False
        future = self._board.futures.get(delivered.task_id)
        body = self._body_of(header) if header is not None and header.body else None
        self._ready.append(Ending(future, delivered, header, grant, trusted, body))
        return None

    def hand_over(self) -> None:
        """To the thread that opens and settles; a few plain ones are settled at once, for a thread is slow to wake."""
        if not self._ready:
            return
        ready, self._ready = self._ready, []
        if len(ready) <= FEW and all(map(settle_here, ready)):
            self._settled(ready)
        else:
            self._settler.put(partial(settle_all, ready, self._settled))

    def fail(self, future: TaskFuture, error: RelayError | None) -> None:
        """It ends here; None: it has ended already, by `cancel`."""
        self.hand_over()
        if error is not None:
            self._settler.put(partial(future.fail, error))
        self._settler.put(partial(self._over, future))

    def delete(self, key: Key) -> None:
        """A body is not needed any more."""
        with suppress(OSError):  # the whole directory goes at the session's end
            self._spool().delete(key)

    def delete_later(self, key: Key) -> None:
        """When what was handed over is settled."""
        self._settler.put(partial(self.delete, key))

    def _settled(self, endings: list[Ending]) -> None:
        """In the settler's thread: nobody needs to know of these tasks any more, nor their bodies."""
        for each in endings:
            self._board.futures.pop(each.delivered.task_id, None)
            if each.header is not None and each.header.body:
                self.delete((each.header.task_id, each.header.attempt, 'result'))
        self._board.changed()

    def _over(self, future: TaskFuture) -> None:
        self._board.futures.pop(future.id, None)
        self._board.changed()

    def _body_of(self, header: ResultHeader) -> Path | None:
        with suppress(OSError):  # no directory: then the body was never written, and the future has failed
            return self._spool().path(header.task_id, header.attempt, 'result')
        return None

    # -- Grants of other processes ----------------------------------------------------------------------------------

    def _await(self, digest: Hash, effect: Settle) -> Hash | None:
        fresh = digest not in self._strange
        self._strange.setdefault(digest, (time.monotonic(), []))[1].append(effect)
        return digest if fresh else None

    def got(self, each: Object, read: Callable[[Object], tuple[Grant, bool]]) -> None:
        """An object came: if results wait for this grant, `read` opens it, and they are settled, or out of reach."""
        if each.hash in self._strange:
            self._open(each.hash, partial(read, each))

    def look_around(self, now: float) -> None:
        """Grants that will not come any more."""
        for digest, (asked, _) in list(self._strange.items()):
            if now - asked > GRANT_PATIENCE:
                self._open(digest, _absent)

    def _open(self, digest: Hash, read: Callable[[], tuple[Grant, bool]]) -> None:
        _, effects = self._strange.pop(digest)
        try:
            self._grants[digest] = read()
        except RelayError as error:
            for future in [self._board.futures.get(effect.delivered.task_id) for effect in effects]:
                if future is not None:
                    self.fail(future, error)
        else:
            for effect in effects:
                self.add(effect)
            self.hand_over()


def _absent() -> tuple[Grant, bool]:
    raise SealError('the relay does not have the grant under which this result is sealed')
