"""A Slurm of fake programs for one test: what they are told, and what they were asked."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from parsl.launchers import SimpleLauncher
from parsl.providers.base import ExecutionProvider

PROGRAMS = Path(__file__).parent / 'slurm-bin'
P = TypeVar('P', bound=ExecutionProvider)
INVALID = 'slurm_load_jobs error: Invalid job id specified'
DISABLED = 'Slurm accounting storage is disabled'


class FakeSlurm:
    """Its directory, and the programs first on PATH."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.scripts = home / 'slurm', home / 'scripts'
        self.jobs = self.home / 'jobs'
        self.jobs.mkdir(parents=True)
        self.scripts.mkdir()
        monkeypatch.setenv('FAKE_SLURM', str(self.home))
        monkeypatch.setenv('PATH', f'{PROGRAMS}:{Path(sys.executable).parent}:{os.environ["PATH"]}')

    def provider(self, kind: type[P], **options: Any) -> P:
        """Of Parsl's class or ours, ready to submit."""
        made = kind(**{'launcher': SimpleLauncher(), 'walltime': '00:05:00', **options})  # type: ignore[call-arg]
        made.script_dir = str(self.scripts)
        return made

    def tell(self, program: str, mode: str) -> None:
        """`refuse TEXT`, `hang`, `empty`, `late SECONDS`, `choke ID`; `garbage`; sbatch also `mute`; '' to behave."""
        (self.home / f'{program}.mode').write_text(mode)

    def become(self, job: str, state: str) -> None:
        """`WORD CODE:SIGNAL REASON`."""
        (self.jobs / f'{job}.state').write_text(state)

    def purge(self, job: str) -> None:
        """Nothing knows it any more."""
        (self.jobs / f'{job}.json').unlink()

    def asked(self, program: str) -> list[str]:
        """The arguments of each call so far."""
        calls = self.home / 'calls'
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [line.partition(' ')[2] for line in lines if line.startswith(f'{program} ')]

    def end(self) -> None:
        """Nothing that was started here stays."""
        for path in self.jobs.glob('*.pid'):
            with suppress(OSError, ValueError):
                os.killpg(int(path.read_text()), signal.SIGKILL)
