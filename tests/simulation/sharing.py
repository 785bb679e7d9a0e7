"""An endpoint that its owner shares with another account, and takes back while tasks of that guest wait, fly and run: by date, by word, or both."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from relay_parsl.endpoint import gate
from relay_parsl.errors import SealError
from relay_parsl.wire.messages import Hash, Id, Welcome
from relay_parsl.wire.seal import Guest, Keys, issue_share
from relay_parsl.wire.seal.shares import ALWAYS
from tests.simulation.patches import Patch
from tests.simulation.scale import scale_of
from tests.simulation.specs import Account, Spec

if TYPE_CHECKING:
    from tests.simulation.client_process import ClientProcess
    from tests.simulation.world import World

OWNER, STRANGER = (Keys(bytes([number]) * 32, bytes([number]) * 32, bytes([number]) * 32) for number in (1, 2))
"""Always the same: a seed must give the same bytes again."""
OTHER = Id(b'another endpoint')
AGAIN = 2.0
"""Seconds after which the owner says again what the relay does not have."""
NEVER = float('inf')
MANY = 100
"""Tasks that a guest submits at once, at most."""
WAIT = 80
"""How often somebody looks, four times a second, whether it is time."""


def shares(seed: int) -> bool:
    """Whether an endpoint is shared in the world of a seed. By dice of its own: all other worlds are as without it."""
    return Random(f'shares {seed}').random() < (0.04 if scale_of(seed).name == 'dense' else 0.13)


class Statement(NamedTuple):
    """What the owner has said: until when there is a guest, if there is one; and whether what runs of one who is none any more is ended."""

    serial: int
    until: float
    cancel: bool
    data: bytes


class Pass(NamedTuple):
    """In the place of an opened grant."""

    hash: Hash
    data: bytes
    signer: bytes
    account: Id
    label: str = ''
    not_before: float = 0.0
    not_after: float = NEVER
    voucher: None = None

    def trusted_by(self, trusted: Any, _now: float) -> bool:
        """Whether it is of an account that the endpoint trusts."""
        return self.signer in trusted


def identity(account: Id) -> bytes:
    """The identity key of an account that signs nothing here."""
    return account * 2


class Sharing:
    """The owner, who shares and takes back; and what the relay must make of it. Whoever judges the endpoint asks here what was said."""

    def __init__(self, world: World, seed: int) -> None:
        """Everything is planned by dice of its own."""
        self.world, self.clock, self.random = world, world.clock, Random(f'share {seed}')
        self.site, self.owner, self.guest = world.sites[0], world.users[0], world.users[1]
        self.said: dict[bytes, Statement] = {}
        self.last = Statement(0, 0.0, False, b'')
        self.refused: set[Id] = set()
        """Tasks that the endpoint has refused, when it knew of no share."""
        self.open_since, self.shut_since = NEVER, 0.0
        """Since when the relay lets the guest pass, or does not."""
        self.waits = ''
        self.again = self.random.randrange(4)
        """How often it will be shared once more."""
        self.round = self.patience = 0
        self.taken = True
        """Whether the share of this round was taken back."""

    def patches(self) -> tuple[Patch, ...]:
        """Grants are no more than their bytes here."""
        return ((gate, 'open_grant', self._open_grant),)

    def _open_grant(self, data: bytes, _keys: Keys, *, now: float, trusted: Any) -> Pass:
        account = self.world.signers.get(bytes(data))
        signer = OWNER.identity_public if account == self.owner.id else identity(account or Id(b''))
        if signer not in trusted:
            raise SealError('a grant is signed by an account that is not trusted by this endpoint, nor a guest')
        assert account is not None
        return Pass(Hash(b''), data, signer, account)

    # -- what the owner and the guest do --------------------------------------

    def plan(self, length: float) -> None:
        """Share, take back, and some of the time once more; the guest submits all the while."""
        random, begin = self.random, self.clock.now
        self.clock.at(begin + random.uniform(0.0, 0.2) * length, self._share)
        for _ in range(2):
            self.clock.at(begin + random.uniform(0.1, 1.0) * length, self._submit, self._some(), 0)
        for _ in range(random.randrange(6)):
            self.clock.at(begin + random.uniform(0.2, 1.0) * length, self._bring)
        for statement in ('share', 'put_share'):
            if random.random() < 0.5:
                self.clock.at(begin + random.uniform(0.0, 0.5) * length, self._break, statement)

    def _some(self) -> int:
        return self.random.randrange(1, min(self.world.scale.tasks // 7, MANY))

    def _share(self) -> None:
        """Let the guest in, and take it back when it is at work."""
        random = self.random
        self.clock.tally.faults['shared again'] += self.last.serial > 0
        self._let_in(self.clock.now + random.choice((2.0, 8.0)) if random.random() < 0.3 else ALWAYS)
        for _ in range(2):
            self.clock.after(random.choice((0.0, 0.0, 3.0)), self._submit, self._some(), WAIT)
        self.patience, self.round, self.taken = random.choice((1, 3, 6, 12)), self.round + 1, False
        self.clock.after(20.0, self._take_back, self.round)

    def _let_in(self, until: float) -> None:
        self.clock.tally.faults['shared until a date'] += until < ALWAYS
        self._say([Guest(identity(self.guest.id), not_after=until)], cancel=False)

    def at_work(self, *, crowded: bool) -> None:
        """An engine gets a task of the guest, maybe where others wait: now may be the time to take the share back, or very soon."""
        self.patience = min(self.patience, 2 if crowded else self.patience) - 1
        if self.patience == 0:
            self.clock.after(self.random.choice((0.0, 0.0, 0.0, 0.02)), self._take_back, self.round)

    def _take_back(self, which: int) -> None:
        """By a date that is soon, by word, or by both; and perhaps share again."""
        random = self.random
        if which != self.round or self.taken:
            return
        self.taken = True
        by = random.choice(('date', 'word', 'word', 'both'))
        if by != 'word':
            self._let_in(self.clock.now + random.choice((0.05, 0.5, 2.0)))
        if by != 'date':
            self.clock.after(random.choice((0.05, 0.7, 3.0)) if by == 'both' else 0.0, self._unshare)
        if self.again and not self.world.chaos_over:
            self.again -= 1
            self.clock.after(random.choice((0.1, 1.0, 10.0)), self._share)

    def _unshare(self) -> None:
        self.clock.tally.faults['unshared'] += 1
        self._say([], cancel=self.random.random() < 0.5)

    def _say(self, guests: list[Guest], *, cancel: bool) -> None:
        data = issue_share(OWNER, self.site.id, self.last.serial + 1, guests, cancel=cancel).data
        self.last = self.said[data] = Statement(self.last.serial + 1, guests[0].not_after if guests else 0.0, cancel, data)
        self._tell(self.last)

    def _tell(self, statement: Statement) -> None:
        """Until the relay has it, or the owner has said something else."""
        row = self.world.relay.store._accounts[self.site.id]
        self.waits = '' if row.share == statement.data or self.site.id in self.world.removed else 'the owner is not heard'
        if statement is not self.last or not self.waits:
            return
        terms = {self.guest.id.hex(): {'policy': 'any', 'until': statement.until}} if statement.until else {}
        verb = 'share' if statement.until else 'unshare'
        word = {'statement': statement.data, 'serial': statement.serial, 'after': row.share_serial, 'terms': terms}
        self._process(self.owner).administer(verb, id=self.site.id, account=self.guest.id, **word)
        self.clock.after(AGAIN, self._tell, statement)

    def _process(self, user: Account) -> ClientProcess:
        return next(each for each in self.world.clients if each.account is user)

    def _submit(self, count: int, tries: int) -> None:
        """As soon as the relay lets it, while there are tries left; else it tries, and is told."""
        if tries and self.open_since == NEVER and not self.world.chaos_over:
            self.clock.after(0.25, self._submit, count, tries - 1)
        elif self.guest.id not in self.world.revoked:
            self._process(self.guest).submit(self.site, count)

    def _break(self, statement: str) -> None:
        for each in self.world.endpoints:
            if each.account is self.site:
                each.failing[statement] = 0

    def _bring(self) -> None:
        """Whoever has the relay shows what does not hold: an older statement, one of a stranger, one about another endpoint."""
        forged = [issue_share(STRANGER, self.site.id, 1 << 40, [Guest(identity(self.guest.id))]).data]
        forged.append(issue_share(OWNER, OTHER, 1 << 40, [Guest(identity(self.guest.id))]).data)
        data = self.random.choice([*self.said, *forged])
        for each in self.world.endpoints:
            if each.account is self.site and each.up and not self.world.chaos_over:
                each.dealer.inbox.append(Welcome(each.reactor._books.link.session, self.clock.now, share=data))
                each.wake()

    # -- judged ---------------------------------------------------------------

    def inspect(self) -> None:
        """What the relay has committed."""
        shut = self.is_shut()
        if shut and self.shut_since == NEVER:
            self.open_since, self.shut_since = NEVER, self.clock.now
        elif not shut and self.open_since == NEVER:
            self.open_since, self.shut_since = self.clock.now, NEVER

    def is_shut(self) -> bool:
        """Whether the relay lets no guest pass now."""
        return self.guest.id not in self.world.relay.store._accounts[self.site.id].shared

    def of_guest(self, spec: Spec) -> bool:
        """Whether this is a task of the guest for what is shared with it."""
        return spec.account == self.guest.id and spec.header.endpoint == self.site.id

    def accepted(self, spec: Spec) -> None:
        """The relay takes a task: of the guest none that was made when it was none any more."""
        if self.of_guest(spec):
            shut = self.shut_since < spec.made and self.is_shut()
            self.world.invariants.check(not shut, '6: a task is accepted of an account that is no guest any more')

    def not_let_in(self, spec: Spec) -> bool:
        """Whether the relay may say that there is no such endpoint: it was not shared at some time since the task was made."""
        late = self.of_guest(spec) and self.open_since > spec.made
        self.clock.tally.faults['guest not let in'] += late
        return late

    def listed(self, row: dict[str, Any], account: Id) -> bool:
        """Whether a guest is shown the endpoint, and nothing about others."""
        return account == self.guest.id and row.get('id') == self.site.id and not row.keys() & {'share', 'shared', 'share_serial'}

    def denied(self, spec: Spec, reason: str) -> None:
        """A task ends as one that may not run."""
        self.world.invariants.check(spec.header.task_id in self.refused, 'refused for nothing: %s', reason)
        self.clock.tally.faults['guest refused'] += 1
