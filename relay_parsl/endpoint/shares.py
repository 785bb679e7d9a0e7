"""The guests of an endpoint: what its owner has signed about other accounts, as far as it can be believed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from hashlib import sha256

from relay_parsl.errors import SealError
from relay_parsl.wire.messages import Id
from relay_parsl.wire.seal import Guest, Share, read_share


class Shares:
    """The statement of the highest serial that was ever seen here, and none but that.

    It counts while its signer stands in `trusted.json`. The relay, which brings it, can withhold a newer one and cannot bring back an older.
    """

    def __init__(self, endpoint: Id, trusted: Callable[[], Collection[bytes]], data: bytes = b'') -> None:
        """`data`: the statement that the journal holds; empty for none. Raises SealError when that is damaged."""
        self._endpoint = endpoint
        self._trusted = trusted
        self._share: Share | None = read_share(data) if data else None
        self._refused = b''
        self._expelled: set[bytes] = set()

    @property
    def current(self) -> Share | None:
        """The statement itself, whether its signer is trusted now or not."""
        return self._share

    @property
    def serial(self) -> int:
        """Its number, 0 for none."""
        return self._share.serial if self._share else 0

    def take(self, data: bytes) -> bool:
        """Whether this is a new statement that holds; if so it is the one that counts.

        Raises:
            SealError: it is none of this endpoint's owner, or an older one. The same one is complained of once.
        """
        if self._share is not None and data == self._share.data:
            return False
        digest = sha256(data).digest()
        if digest == self._refused:
            return False
        self._refused = digest
        before, self._share = self._share, self._checked(data)
        self._refused = b''
        if self._share.cancel and before is not None:
            self._expelled.update([each.identity for each in before.guests])
        self._expelled -= {each.identity for each in self._share.guests}
        return True

    def expelled(self) -> set[bytes]:
        """Guests of whom also what runs is to end: taken off by a statement that says so, and not let in since. Told once."""
        found, self._expelled = self._expelled, set()
        return found

    def guest(self, identity: bytes, now: float) -> Guest | None:
        """The guest of this identity key, if there is one now."""
        if self._share is None or self._share.signer not in self._trusted():
            return None
        return self._share.guest(identity, now)

    def identities(self, now: float) -> frozenset[bytes]:
        """Of all guests of this moment."""
        if self._share is None or self._share.signer not in self._trusted():
            return frozenset()
        return frozenset(each.identity for each in self._share.guests if now <= each.not_after)

    def _checked(self, data: bytes) -> Share:
        share = read_share(data)
        if share.endpoint != self._endpoint:
            raise SealError('a share statement is about another endpoint')
        if share.signer not in self._trusted():
            raise SealError('a share statement is signed by an account that this endpoint does not trust')
        if share.serial <= self.serial:
            raise SealError(f'a share statement of serial {share.serial} came after one of {self.serial}: an older one is being brought back')
        return share
