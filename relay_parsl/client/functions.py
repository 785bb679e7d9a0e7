"""Registered functions: at the relay, sealed to their account, so that any machine of it may run them by their id; the home keeps copies."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relay_parsl.client.defaults import Target
from relay_parsl.client.orders import Function, as_function, as_id
from relay_parsl.client.session import Session
from relay_parsl.errors import HomeError, NotFound
from relay_parsl.home import read_private, write_private
from relay_parsl.wire import payload
from relay_parsl.wire.seal import open_function, seal_function

SUFFIX = '.function'
PATIENCE = 60.0
"""Seconds that the relay may take over a function, of 8 MB at most."""


class Library:
    """Functions by their UUIDs, which follow from their bytes. `session` is the way to the relay."""

    def __init__(self, target: Target) -> None:
        """For the account of `target`; copies are kept in its home, readable by its owner alone."""
        self._keys = target.credentials.keys
        self._home = target.home
        self._known: dict[str, Function] = {}

    def add(self, function: Function, session: Session) -> str:
        """Have the relay keep it; its UUID. What the account has there already under this id is replaced by the same.

        Raises:
            RelayUnavailable: there was no answer.
            AccessDenied, ConfigError, StoreError: the relay's refusal: role, size or quota, a full disk.
            HomeError: the home cannot be written.
        """
        session.order('register', {'id': as_id(function.id), 'data': seal_function(self._keys, function.blob)}, PATIENCE)
        self._keep(function)
        return function.id

    def get(self, function_id: str, session: Session) -> Function:
        """From memory, the home, or the relay, in this order. An importable name, `package.module:function`, needs none of them.

        Raises:
            SerializationError: it looks like an importable name and is none.
            NotFound: this account has registered none of this id.
            SealError: what the relay shows is not what was registered.
            HomeError: the copy in the home was changed.
            RelayUnavailable: it is not here, and the relay did not answer.
        """
        known = self._known.get(function_id)
        if known is None:
            known = self._importable(function_id) if function_id.count(':') == 1 else self._stored(function_id, session)
        return known

    def remove(self, function_id: str, session: Session) -> None:
        """Forget it, at the relay and here; other machines that have used it may keep their copies. Raises NotFound, RelayUnavailable."""
        path = self._path(function_id)
        try:
            session.order('unregister', {'id': as_id(path.stem)})
        except NotFound:
            if not path.exists():
                raise _absent(path.stem) from None
        path.unlink(missing_ok=True)
        self._known.pop(path.stem, None)

    def rows(self, session: Session) -> Sequence[dict[str, Any]]:
        """What the relay keeps for this account: `id` (16 bytes), `size` (bytes, sealed), `registered` (seconds since 1970).

        Raises:
            RelayUnavailable: there was no answer.
        """
        return session.list('functions')

    def _importable(self, name: str) -> Function:
        self._known[name] = made = as_function(payload.dump_importable(name))
        return made

    def _stored(self, function_id: str, session: Session) -> Function:
        path = self._path(function_id)
        found = self._load(path) if path.exists() else self._fetch(path.stem, session)
        self._known[found.id] = found
        return found

    def _path(self, function_id: str) -> Path:
        """Of the copy. Raises NotFound when the id is no UUID."""
        try:
            name = uuid.UUID(function_id)
        except ValueError:
            raise NotFound(f'no function {function_id!r} was registered: that is no UUID; register_function returns it') from None
        return self._home.directory('functions') / f'{name}{SUFFIX}'

    def _load(self, path: Path) -> Function:
        function = as_function(read_private(path))
        if function.id != path.stem:
            raise HomeError(f'{path} is not what was registered under that name: remove it and register the function again')
        return function

    def _fetch(self, function_id: str, session: Session) -> Function:
        wanted = as_id(function_id)
        try:
            rows = session.list('functions', {'id': wanted}, PATIENCE)
        except NotFound:
            raise _absent(function_id) from None
        for row in rows:
            if isinstance(row.get('data'), bytes):
                function = as_function(open_function(row['data'], self._keys, wanted))
                self._keep(function)
                return function
        raise _absent(function_id)

    def _keep(self, function: Function) -> None:
        write_private(self._path(function.id), function.blob)
        self._known[function.id] = function


def _absent(function_id: str) -> NotFound:
    return NotFound(f'no function {function_id!r} was registered by this account: register_function returns the id')
