"""The few things that the relay's store keeps packed: accounts, invitations, objects, registered functions."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from relay_parsl.relay.records import LIVES, AccountRow, FunctionRow, InviteRow, ObjectRow, Usage
from relay_parsl.relay.schema import ACCOUNT, account_row
from relay_parsl.relay.sqlite.file import StoreFile
from relay_parsl.relay.store import Store
from relay_parsl.relay.sums import CONTENT, DATED, checksum, is_lower, joined
from relay_parsl.wire import codec
from relay_parsl.wire.messages import Hash, Id

log = logging.getLogger(__name__)

BRING = f"""INSERT OR IGNORE INTO objects (hash, kind, account, until, sum, data)
    VALUES (?1, ?2, ?3, ?4, ({DATED.format(until='?4')}) | joined(?5, ?2, ?3), ?6)"""  # noqa: S608  ours
OVER = f'SELECT n, sum & ~{CONTENT} IS {DATED.format(until="until")} FROM objects WHERE until <= ? LIMIT ?'  # noqa: S608  ours
KEEP = f'UPDATE objects SET until = ?1, sum = ({DATED.format(until="?1")}) | (sum & {CONTENT})'  # noqa: S608  ours


class Books(StoreFile, Store):
    """All but tasks and results. Elsewhere in the file accounts stand as small numbers."""

    def __init__(self, path: Path | str) -> None:
        """Open the file, or make it. Raises StoreError."""
        super().__init__(path)
        self._ids: dict[int, Id] = {}
        self._numbers: dict[Id, int] = {}

    # -- Accounts and objects ---------------------------------------------------------------------------------------

    def usage(self) -> dict[Id, Usage]:
        rows = self._all('SELECT u.account, u.tasks, u.bytes FROM usage u JOIN accounts a ON a.n = u.account')
        return {self._ids[number]: Usage(tasks, size) for number, tasks, size in rows}

    def put_usage(self, rows: Mapping[Id, Usage]) -> None:
        values = [(self._numbers[account], row.tasks, row.bytes) for account, row in rows.items()]
        self._many('INSERT OR REPLACE INTO usage VALUES (?1, ?2, ?3, row_sum(?1, ?2, ?3))', values)

    def accounts(self) -> list[AccountRow]:
        rows = self._all('SELECT n, id, data FROM accounts')
        self._ids = {number: Id(account) for number, account, _ in rows}
        self._numbers = {account: number for number, account in self._ids.items()}
        return [account_row(codec.unpack(data)) for _, _, data in rows]

    def put_account(self, row: AccountRow) -> None:
        data = codec.pack([getattr(row, name) for name in ACCOUNT])
        self._run('INSERT INTO accounts (id, data) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data', (row.id, data))
        self._run('UPDATE accounts SET sum = row_sum(n, id, data) WHERE id = ?', (row.id,))
        if row.id not in self._numbers:
            number = self._one('SELECT n FROM accounts WHERE id = ?', (row.id,))[0]
            self._ids[number], self._numbers[row.id] = row.id, number

    def invites(self) -> list[InviteRow]:
        return [InviteRow(curve, *codec.unpack(data)) for curve, data in self._all('SELECT curve, data FROM invites')]

    def put_invite(self, row: InviteRow) -> None:
        until = [row.until] if row.until else []  # a version before this one reads rows without it
        data = codec.pack([row.token, row.name, row.role, row.owner, row.expires, *until])
        self._run('INSERT OR REPLACE INTO invites VALUES (?1, ?2, row_sum(?1, ?2))', (row.curve, data))

    def drop_invite(self, curve: bytes) -> None:
        self._run('DELETE FROM invites WHERE curve = ?', (curve,))

    def known_objects(self, hashes: Collection[Hash], account: Id) -> dict[Hash, float]:
        return dict(self._in('SELECT hash, until FROM objects WHERE hash IN ({}) AND account = ?', hashes, self._numbers[account]))

    def objects(self, hashes: Collection[Hash], whose: Collection[Id]) -> list[ObjectRow]:
        found = self._in('SELECT n, account FROM objects WHERE hash IN ({})', hashes)  # of others no byte is read: that would take its time
        own = [n for n, account in found if self._ids.get(account) in whose]
        rows = self._in('SELECT hash, kind, account, data, until, sum, n FROM objects WHERE n IN ({})', own)
        whole = [row for row in rows if is_lower(joined(checksum(row[0], row[3]), row[1], row[2]), row[5])]
        if len(whole) < len(rows):  # gone, so that it is missed, and the next client that has it brings it anew
            log.error('%s: %d objects are damaged on the disk, and dropped', self._path, len(rows) - len(whole))
            self._many('DELETE FROM objects WHERE n = ?', [row[6:] for row in rows if row not in whole])
        return [ObjectRow(digest, kind, self._ids[account], data, until) for digest, kind, account, data, until, *_ in whole]

    def put_objects(self, rows: Sequence[ObjectRow]) -> None:
        values = [(row.hash, row.kind, self._numbers[row.account], row.until, checksum(row.hash, row.data), row.data) for row in rows]
        self._many(BRING, values)

    def keep_objects(self, hashes: Collection[Hash], account: Id, until: float) -> None:
        number = self._numbers[account]
        self._many(f'{KEEP} WHERE hash = ?2 AND account = ?3 AND until < ?1', [(until, digest, number) for digest in hashes])

    def drop_objects(self, now: float, limit: int) -> int:
        over = self._all(OVER, (now, limit))
        self._many('DELETE FROM objects WHERE n = ?', [(n,) for n, whole in over if whole])
        early = [(now + LIVES, n) for n, whole in over if not whole]  # tasks may need it: the disk has changed its date
        self._many(f'{KEEP} WHERE n = ?2', early)
        return len(over)

    def objects_size(self) -> dict[Id, int]:
        return {self._ids[number]: size for number, size in self._all('SELECT account, sum(length(data)) FROM objects GROUP BY account')}

    def put_function(self, row: FunctionRow) -> None:
        self._run(
            'INSERT INTO functions VALUES (?, ?, ?, ?, ?, ?)'
            ' ON CONFLICT (account, id) DO UPDATE SET size = excluded.size, sum = excluded.sum, data = excluded.data',
            (self._numbers[row.account], row.id, row.registered, row.size, checksum(row.id, row.data), row.data),
        )

    def function(self, account: Id, function: Id) -> FunctionRow | None:
        rows = self._all('SELECT registered, size, data, sum FROM functions WHERE account = ? AND id = ?', (self._numbers[account], function))
        if rows and checksum(function, rows[0][2]) != rows[0][3]:
            log.error('%s: a registered function is damaged on the disk', self._path)
            return None
        return FunctionRow(account, function, *rows[0][:3]) if rows else None

    def functions(self, account: Id, after: Id, limit: int) -> list[FunctionRow]:
        rows = self._all('SELECT id, registered, size FROM functions WHERE account = ? AND id > ? ORDER BY id LIMIT ?',
                         (self._numbers[account], after, limit))  # fmt: skip
        return [FunctionRow(account, *row) for row in rows]

    def functions_size(self, account: Id, without: Id) -> int:
        return self._one('SELECT ifnull(sum(size), 0) FROM functions WHERE account = ? AND id != ?', (self._numbers[account], without))[0]  # type: ignore[no-any-return]

    def drop_function(self, account: Id, function: Id) -> bool:
        return self._run('DELETE FROM functions WHERE account = ? AND id = ?', (self._numbers[account], function)).rowcount > 0
