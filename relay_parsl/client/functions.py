"""Registered functions: kept in the account's home, so that a later process of it may run them by their id."""

from __future__ import annotations

from relay_parsl.client.orders import Function, as_function
from relay_parsl.errors import HomeError, NotFound
from relay_parsl.home import Home, read_private, write_private

SUFFIX = '.function'


class Library:
    """Functions by their UUIDs, which follow from their bytes."""

    def __init__(self, home: Home) -> None:
        """`home` keeps them, readable by its owner alone."""
        self._home = home
        self._known: dict[str, Function] = {}

    def add(self, function: Function) -> str:
        """Keep it; its UUID. Raises HomeError when the home cannot be written."""
        if function.id not in self._known:
            write_private(self._home.directory('functions') / f'{function.id}{SUFFIX}', function.blob)
            self._known[function.id] = function
        return function.id

    def get(self, function_id: str) -> Function:
        """Raises NotFound for one that was not registered from this home, HomeError for one that was changed since."""
        known = self._known.get(function_id)
        if known is None:
            known = self._known[function_id] = self._load(function_id)
        return known

    def remove(self, function_id: str) -> None:
        """Forget it. Raises NotFound."""
        function = self.get(function_id)
        (self._home.directory('functions') / f'{function.id}{SUFFIX}').unlink(missing_ok=True)
        self._known.pop(function.id, None)

    def _load(self, function_id: str) -> Function:
        for path in self._home.directory('functions').glob(f'*{SUFFIX}'):
            if path.name == f'{function_id}{SUFFIX}':
                function = as_function(read_private(path))
                if function.id != function_id:
                    raise HomeError(f'{path} is not what was registered under that name: remove it and register the function again')
                return function
        raise NotFound(f"no function {function_id!r} was registered from this account's home: register_function returns the id")
