"""A batch job on this machine: a launcher's text as a real bash script, with a fake mpiexec or srun first on the PATH."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from parsl.launchers.base import Launcher

FAKES = Path(__file__).parents[2] / 'fakes'
NODES = ('n1', 'n2')


@dataclass
class Job:
    """Directories and environment of one job.

    Attributes:
        place: A directory of its own.
        fake: Whose programs it finds: `pals`, `hydra` or `srun`.
        nodefile: Lines of `$PBS_NODEFILE`; None: it is not set.
        before: Lines that a provider's `worker_init` would put before the launcher's.
        scripts_are_in: The directory of submit scripts.
        more: More environment of the first node.
    """

    place: Path
    fake: str
    nodefile: tuple[str, ...] | None = NODES
    before: str = ''
    scripts_are_in: str = 'submit scripts'
    more: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Where the job starts: not where its script is."""
        return self.place / 'home'

    @property
    def scripts(self) -> Path:
        """Where submit scripts are."""
        return self.place / self.scripts_are_in

    def command(self, launcher: Launcher, command: str, nodes: int = 2, managers: int = 1) -> list[str]:
        """The words that run it."""
        for directory in (self.home, self.scripts):
            directory.mkdir(exist_ok=True)
        script = self.scripts / 'job'
        script.write_text(f'{self.before}\nexport JOBNAME=parsl.x.block-0\n{launcher(command, managers, nodes, str(self.scripts))}\n')
        return ['/bin/bash', str(script)]

    @property
    def environment(self) -> dict[str, str]:
        """Of the first node."""
        facts = {'PATH': f'{FAKES / self.fake}:{os.environ["PATH"]}', 'HOME': str(self.home), **self.more}
        if self.fake == 'srun':
            facts |= {'FAKE_NODELIST': ' '.join(NODES), 'SLURM_CPUS_ON_NODE': '64', 'SLURM_JOB_NUM_NODES': '2', 'SLURM_JOB_NAME': 'parsl.x.block-0'}
        elif self.nodefile is not None:
            (self.place / 'nodefile').write_text(''.join(f'{node}\n' for node in self.nodefile))
            facts['PBS_NODEFILE'] = str(self.place / 'nodefile')
        return {'LANG': 'C.UTF-8', 'FAKE_NODE': 'first', **facts}

    def run(self, launcher: Launcher, command: str, nodes: int = 2, managers: int = 1) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        words = self.command(launcher, command, nodes, managers)
        return subprocess.run(words, cwd=self.home, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
