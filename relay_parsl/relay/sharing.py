"""Which other accounts may submit to an endpoint: the first gate. The endpoint goes by its owner's statement, which is kept here unread. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from relay_parsl.relay.accounts import Denied
from relay_parsl.relay.core import Core
from relay_parsl.relay.records import AccountRow, Standing
from relay_parsl.wire.messages import NO_ID, Id

STATEMENT = 32 * 1024
"""Bytes of what an owner signs about the guests of one endpoint, at most."""
GUESTS = 100

Row = dict[str, Any]


class Sharing:
    """The verbs `share` and `unshare`, and what lists tell of them."""

    def __init__(self, core: Core, find: Callable[[AccountRow, Row], AccountRow]) -> None:
        """`find` looks up an account that the asker rules."""
        self._core = core
        self._find = find

    def share(self, asker: AccountRow, args: Row, _now: float) -> Row:
        """One more account may submit. Raises Denied."""
        return self._change(asker, args, add=True)

    def unshare(self, asker: AccountRow, args: Row, _now: float) -> Row:
        """One less. Raises Denied."""
        return self._change(asker, args, add=False)

    def about(self, row: AccountRow, asker: AccountRow, *, whole: bool) -> Row:
        """What a list tells of who may use an endpoint: its owner all, a guest its own terms. `whole`: the statement too."""
        if asker.id in row.shared:
            return {'terms': row.terms.get(asker.id.hex(), {})}
        if asker.id != row.owner and asker.role != 'operator':
            return {}
        return {'shared': list(row.shared), 'share_serial': row.share_serial, **({'share': row.share} if whole else {})}

    def by_id(self, asker: AccountRow, wanted: Row) -> Row | None:
        """The card of an account that a user knows by its whole id, to share something with it: not its name, nor whose it is."""
        named = wanted.get('id')
        row = self._core.accounts.get(Id(named)) if isinstance(named, bytes) and asker.role == 'user' else None
        if row is None or row.role not in ('user', 'service') or row.standing != Standing.ACTIVE:
            return None
        return {'id': row.id, 'name': '', 'role': row.role, 'card': row.card, 'mac': b'', 'owner': NO_ID, 'voucher': b''}

    def _change(self, asker: AccountRow, args: Row, *, add: bool) -> Row:
        """Which account it is comes as a UUID: names of others are not looked up here."""
        row, other = self._find(asker, args), args.get('account')
        if row.role != 'endpoint' or row.owner != asker.id or not (isinstance(other, bytes) and len(other) == 16):
            raise Denied('not-found', 'no such endpoint of yours, or no account id')
        if 'statement' in args:
            row = self._stated(row, args)
        else:
            others = {each for each in row.shared if each != other} | ({Id(other)} if add else set())
            row = replace(row, shared=tuple(sorted(others)))
        self._core.put_account(row)
        session = self._core.endpoints.get(row.id)
        if session is not None:
            self._core.welcome(session)
        return {'id': row.id, 'name': row.name, 'guest': other, 'shared': list(row.shared), 'serial': row.share_serial}

    def _stated(self, row: AccountRow, args: Row) -> AccountRow:
        """With a statement that follows the one that is here; the same one may come again. `after` is the serial that its signer saw here."""
        statement, serial, after, terms = (args.get(key) for key in ('statement', 'serial', 'after', 'terms'))
        if not (isinstance(statement, bytes) and 0 < len(statement) <= STATEMENT and isinstance(serial, int) and isinstance(terms, dict)):
            raise Denied('malformed', f'a share needs a statement of 1 to {STATEMENT} bytes, its serial, and terms')
        if len(terms) > GUESTS or not all(_are_terms(key, value) for key, value in terms.items()):
            raise Denied('malformed', f'terms are for {GUESTS} accounts at most: by id in hex, a policy and an end')
        if statement != row.share and (after != row.share_serial or serial <= row.share_serial):
            raise Denied('conflict', 'the shares of this endpoint were changed by another machine meanwhile: do it again')
        shared = tuple(sorted(Id(bytes.fromhex(key)) for key in terms))
        return replace(row, shared=shared, share=statement, share_serial=serial, terms=terms)


def _are_terms(account: Any, terms: Any) -> bool:
    if not (isinstance(account, str) and len(account) == 32 and set(account) <= set('0123456789abcdef') and isinstance(terms, dict)):
        return False
    return set(terms) == {'policy', 'until'} and isinstance(terms['policy'], str) and isinstance(terms['until'], (int, float))
