"""Accounts and invitations as the reactor looks them up: all in memory, for they are few and every message needs one. Pure.

Who may do what stands here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relay_parsl.relay.records import AccountRow, InviteRow, Standing
from relay_parsl.wire.messages import NO_ID, Id

MAY_INVITE = {'user': {'endpoint', 'service'}, 'operator': {'user', 'operator', 'service'}}
"""Which roles an account of a role may invite."""
MAY_SUBMIT = {'user', 'service'}
CLIENTS = {'user', 'service', 'operator'}
"""Roles that say `Hello` as a client."""
PEOPLE = {'user', 'operator'}
"""Roles whose names are unique at the relay; the names of all others are so among those of one owner."""


class Denied(Exception):
    """Not for this asker."""

    def __init__(self, code: str, reason: str) -> None:
        """As in `Refused`."""
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class Directory:
    """Every account by id and by key, every open invitation by its one-use key."""

    def __init__(self, accounts: Iterable[AccountRow], invites: Iterable[InviteRow]) -> None:
        self._accounts: dict[Id, AccountRow] = {}
        self._keys: dict[bytes, Id] = {}
        self.invites = {each.curve: each for each in invites}
        for row in accounts:
            self.put(row)

    def put(self, row: AccountRow) -> None:
        """Add it, or replace the one of its id."""
        before = self._accounts.get(row.id)
        if before is not None:
            self._keys.pop(before.curve, None)
            self._keys.pop(before.old_curve, None)
        self._accounts[row.id] = row
        self._keys[row.curve] = row.id
        if row.old_curve:
            self._keys[row.old_curve] = row.id

    def __iter__(self) -> Iterator[AccountRow]:
        return iter(self._accounts.values())

    def get(self, account: Id) -> AccountRow | None:
        """The account of this id."""
        return self._accounts.get(account)

    def named(self, name: str, owner: Id) -> AccountRow | None:
        """The account that `owner` invited under this name, and that is not revoked."""
        return next((row for row in self if row.name == name and row.owner == owner and row.standing == Standing.ACTIVE), None)

    def taken(self, name: str, role: str, owner: Id) -> bool:
        """Whether `owner` may not have a `role` of this name, for there is one: its own, or for people anybody's."""
        people = role in PEOPLE and any(row.name == name and row.role in PEOPLE and row.standing == Standing.ACTIVE for row in self)
        return people or self.named(name, owner) is not None

    def promised(self, name: str, role: str, owner: Id) -> bool:
        """As `taken`, by an open invitation."""
        same = [each for each in self.invites.values() if each.name == name]
        return any(each.owner == owner or (role in PEOPLE and each.role in PEOPLE) for each in same)

    def active(self, key: bytes, now: float) -> AccountRow | None:
        """The account that a key speaks for, unless that is over."""
        row = self._accounts.get(self._keys.get(key, Id(b'')))
        if row is None or (key == row.old_curve and now >= row.old_until):
            return None
        return row if self.counts(row.id, now) else None

    def is_taken(self, key: bytes) -> bool:
        """Whether a key speaks, or has spoken, for an account."""
        return key in self._keys

    def knows(self, account: Id, key: bytes) -> bool:
        """Whether somebody has this identity or this key: cards are public, and what comes under a key counts as said by one account."""
        return account in self._accounts or self.is_taken(key)

    def counts(self, account: Id, now: float) -> bool:
        """Whether an account is neither revoked nor past its time; a service ends with its owner."""
        row = self._accounts.get(account)
        if row is None or row.standing != Standing.ACTIVE or now >= row.not_after:
            return False
        return row.role != 'service' or row.owner not in self._accounts or self.counts(row.owner, now)

    def ending_with(self, row: AccountRow) -> set[Id]:
        """The accounts that are over when this one is: itself and its services."""
        return {row.id, *[each.id for each in self if each.role == 'service' and each.owner == row.id]}

    def invited(self, key: bytes, now: float) -> InviteRow | None:
        """The open invitation of a one-use key; who is out has none."""
        invite = self.invites.get(key)
        return invite if invite and now < invite.expires and self.counts(invite.owner, now) else None

    def admits(self, key: bytes, now: float) -> bool:
        """Whether a key may connect at all."""
        return self.active(key, now) is not None or self.invited(key, now) is not None

    def usable(self, account: AccountRow, endpoint: Id) -> AccountRow | None:
        """The endpoint, if this account may submit to it; else it is as if absent."""
        row = self._accounts.get(endpoint)
        if row is None or row.role != 'endpoint' or row.standing != Standing.ACTIVE:
            return None
        owned = row.owner == account.id or (account.role == 'service' and account.owner not in (NO_ID, b'') and row.owner == account.owner)
        return row if owned or account.id in row.shared else None

    def visible(self, account: AccountRow, other: AccountRow) -> bool:
        """Whether an account may know of another: itself, its own, its owner, endpoints that it may use; operators see all."""
        mine = account.id in (other.id, other.owner) or other.id == account.owner
        return mine or account.role == 'operator' or self.usable(account, other.id) is not None
