"""How long a provider waits for one program of a scheduler, where the test has that one hang."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from relay_parsl.providers import batch, pbspro, slurm
from relay_parsl.providers.command import Ran, run


def give_up(monkeypatch: pytest.MonkeyPatch, program: str, seconds: float) -> None:
    """So soon on this program, and on no other: those that answer take what Python takes to start, which is long on a busy machine."""

    def hurried(arguments: Sequence[str], timeout: float, cwd: str | None = None) -> Ran:
        return run(arguments, seconds if arguments[0] == program else timeout, cwd)

    for module in (batch, pbspro, slurm):
        monkeypatch.setattr(module, 'run', hurried)
