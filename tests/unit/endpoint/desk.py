"""A reactor on a desk: a journal in memory, a hand-made relay, every message through the real codec."""

from __future__ import annotations

from typing import Any, TypeVar

from relay_parsl.endpoint.effects import Effect, Ended, Exit, Fail, Keep, Send, Start
from relay_parsl.endpoint.ledger import MemoryJournal
from relay_parsl.endpoint.reactor import EndpointReactor, EndpointSettings
from relay_parsl.wire import codec
from relay_parsl.wire.messages import (
    Body,
    Dispatch,
    Hash,
    Id,
    Leased,
    Message,
    Object,
    Objects,
    Result,
    ResultHeader,
    Status,
    TaskHeader,
    Welcome,
)

T = TypeVar('T')
ENDPOINT = Id(b'E' * 16)
GRANT, FUNCTION = Hash(b'g' * 32), Hash(b'f' * 32)
DAY = 86_400.0


def task(number: int, **fields: Any) -> TaskHeader:
    """The header of a task; everything but its number has a default."""
    fields = {'grant': GRANT, 'function': FUNCTION, 'expires': 14 * DAY, **fields}
    return TaskHeader(sequence=number, task_id=task_id(number), group=Id(b'G' * 16), endpoint=ENDPOINT, **fields)


def task_id(number: int) -> Id:
    return Id(number.to_bytes(16, 'big'))


class Desk:
    """Drives one EndpointReactor turn by turn and gathers what it wants done."""

    def __init__(self, journal: MemoryJournal | None = None, *, now: float = 1000.0, **settings: Any) -> None:
        self.journal = journal or MemoryJournal()
        self.now = now
        self.journal.begin()
        self.epoch = self.journal.advance()
        self.journal.commit()
        self.settings = EndpointSettings(**{'pools': {'': (10, 1 << 20)}, 'margin': 0, **settings})
        self.reactor = EndpointReactor(self.journal, Id(b'I' * 16), self.epoch, self.now, settings=self.settings)
        self.serial = 0
        self.session = 0

    def turn(self, *messages: Message) -> list[Effect]:
        """Receive these, flush, commit, take."""
        self.journal.begin()
        for message in messages:
            self.reactor.receive(codec.decode(codec.encode(message)), self.now)
        self.reactor.flush(self.now)
        self.journal.commit()
        return [self._through_the_wire(effect) for effect in self.reactor.take()]

    def pass_time(self, seconds: float) -> list[Effect]:
        """Tick once a second."""
        effects = []
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + 1.0, end)
            self.reactor.tick(self.now)
            effects += self.turn()
        return effects

    def open(self, session: int = 1) -> list[Effect]:
        """A fresh socket and a session."""
        self.reactor.connect(self.now)
        hello = self.turn()
        self.session, self.serial = session, 0
        return hello + self.turn(Welcome(session, self.now))

    def dispatch(self, *tasks: TaskHeader, attempt: int = 1) -> Dispatch:
        """The next dispatch of the session."""
        self.serial += 1
        leased = tuple(Leased(attempt, codec.encode_header(each), Body(b'sealed call')) for each in tasks)
        return Dispatch(self.session, self.serial, leased)

    def provide(self, *hashes: Hash) -> list[Effect]:
        """Objects come and are usable."""
        effects = self.turn(Objects(tuple(Object(each, 'grant', Body(b'o' * 10)) for each in hashes)))
        for keep in only(effects, Keep):
            self.reactor.kept(keep.object.hash, self.now)
        return effects + self.turn()

    def run(self, *tasks: TaskHeader) -> list[Start]:
        """Dispatch, and bring whatever is needed: what starts."""
        effects = self.turn(self.dispatch(*tasks))
        effects += self.provide(*sorted({each.grant for each in tasks} | {each.function for each in tasks}))
        return only(effects, Start)

    def finish(self, start: Start, status: Status = Status.SUCCESS, *, payload: bytes = b'sealed outcome', body: int = 0) -> list[Effect]:
        """The engine's task has ended and was sealed."""
        self.reactor.finished(result(start.info, start.attempt, self.epoch, status, payload, body), self.now)
        return self.turn()

    @staticmethod
    def _through_the_wire(effect: Effect) -> Effect:
        if isinstance(effect, Send):
            assert codec.decode(codec.encode(effect.message)) == effect.message
        return effect


def result(info: TaskHeader, attempt: int, epoch: int, status: Status = Status.SUCCESS, payload: bytes = b'sealed outcome', body: int = 0) -> Ended:
    """What the loop makes of an outcome."""
    header = ResultHeader(info.grant, info.sequence, info.task_id, info.endpoint, epoch, attempt, status, body=body)
    return Ended(header, Result(codec.encode_header(header), Body(payload)))


def only(effects: list[Effect], kind: type[T]) -> list[T]:
    """The effects of one kind."""
    return [each for each in effects if isinstance(each, kind)]


def sent(effects: list[Effect], kind: type[T]) -> list[T]:
    """The messages of one kind."""
    return [each.message for each in effects if isinstance(each, Send) and isinstance(each.message, kind)]


def exits(effects: list[Effect]) -> list[int]:
    """Exit codes."""
    return [each.code for each in only(effects, Exit)]


def failed(effects: list[Effect]) -> list[tuple[str, str]]:
    """Causes and evidence of `Fail`."""
    return [(each.cause, each.evidence) for each in only(effects, Fail)]
