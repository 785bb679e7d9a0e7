"""Calls that are sent together, in the words of `globus_compute_sdk`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relay_parsl.client.orders import Options


class Batch:
    """Calls of registered functions; `Client.batch_run` sends them."""

    def __init__(self, task_group_id: str | None, options: Options) -> None:
        """Made by `Client.create_batch`."""
        self.task_group_id = task_group_id
        self.options = options
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __len__(self) -> int:
        return len(self.calls)

    def add(self, function_id: str, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None) -> None:
        """One more call. Raises TypeError for arguments of another kind."""
        if not isinstance(args or (), (tuple, list)):
            raise TypeError(f'args is a tuple or list, not {type(args).__name__}')
        if not isinstance(kwargs or {}, Mapping):
            raise TypeError(f'kwargs is a dictionary, not {type(kwargs).__name__}')
        self.calls.append((str(function_id), tuple(args or ()), dict(kwargs or {})))
