"""Launchers for the two programs that are both called mpiexec and understand little of each other: Cray's PALS and MPICH's Hydra."""

from __future__ import annotations

import shlex
from textwrap import indent

from relay_parsl.errors import ConfigError
from relay_parsl.launchers.node import NodeLauncher

HOSTS = """\
HOSTFILE="$SCRIPT_DIR/hosts_${{JOBNAME:-$$}}"
awk '!seen[$0]++' "$PBS_NODEFILE" | head -n {nodes} > "$HOSTFILE"    # PBS may name a host several times
HOSTS=$(wc -l < "$HOSTFILE")
if [ "$HOSTS" -ne {nodes} ]; then
    echo "relay-parsl: the job has $HOSTS of {nodes} nodes: its chunks share a node, which place=scatter prevents" >&2
fi"""

PALS = """\
if [ -z "${{PBS_NODEFILE:-}}" ]; then
    echo "relay-parsl: PBS_NODEFILE is not set on $(hostname): PalsMpiexecLauncher starts managers inside of a PBS job" >&2
    exit 1
fi
{hosts}
mpiexec -n {count} --hostfile "$HOSTFILE" {words} /bin/bash "$NODE_SCRIPT\""""

HYDRA = """\
WHERE=(-n {all})
if [ -n "${{PBS_NODEFILE:-}}" ]; then
{hosts}
    WHERE=(-n {count} -f "$HOSTFILE")
fi
mpiexec "${{WHERE[@]}}" {words} /bin/bash "$NODE_SCRIPT\""""


class PalsMpiexecLauncher(NodeLauncher):
    """Starts managers with Cray's mpiexec (PALS), as on Polaris and Aurora. A node that dies takes only its own manager along."""

    def __init__(
        self,
        debug: bool = True,
        cpu_bind: str = 'none',
        depth: int | None = None,
        ppn: int = 1,
        overrides: str = '',
        node_init: str = '',
        node_exit: str = '',
    ) -> None:
        """A launcher for Cray's PALS.

        Args:
            debug: Tell in the job's stdout what happens.
            cpu_bind: `--cpu-bind`: `none` leaves all CPUs of the node to the manager, which gives each worker its own; else `depth`, `list:…`, ….
            depth: `--depth`: CPUs of each manager, where `cpu_bind` counts them.
            ppn: `--ppn`: managers on each node. Each starts all workers, so more than one share the accelerators.
            overrides: More words for mpiexec.
            node_init: Shell lines for each node, before its manager.
            node_exit: Shell lines for each node, after its manager.

        Raises:
            ConfigError: No manager on a node, or several with `node_init`, which runs once on each.
        """
        super().__init__(debug, overrides, node_init, node_exit)
        if ppn < 1 or (ppn > 1 and (node_init.strip() or node_exit.strip())):
            raise ConfigError(f'`ppn` must be 1, or more without `node_init` and `node_exit`, which run once on a node; it is {ppn}')
        self.cpu_bind, self.depth, self.ppn = cpu_bind, depth, ppn

    @property
    def managers_per_node(self) -> int:
        """As `ppn` says."""
        return self.ppn

    def start(self, managers: int, nodes: int) -> str:
        """One mpiexec, on the hosts of `$PBS_NODEFILE`, each once: the file has a line for each chunk or rank."""
        words = self.words(
            {
                '--ppn': f'--ppn {managers}',
                '--cpu-bind': f'--cpu-bind {shlex.quote(self.cpu_bind)}',
                '-d --depth': f'--depth {self.depth}' if self.depth else None,
                '--no-abort-on-failure --abort-on-failure': '--no-abort-on-failure',
            }
        )
        return PALS.format(hosts=HOSTS.format(nodes=nodes), count=_times(managers), words=words)


class HydraLauncher(NodeLauncher):
    """Starts managers with MPICH's mpiexec (Hydra). Takes the hosts of a PBS job from `$PBS_NODEFILE`; in a Slurm job Hydra finds them itself."""

    def __init__(
        self,
        debug: bool = True,
        bind_to: str = 'none',
        bootstrap: str = '',
        bootstrap_exec: str = '',
        overrides: str = '',
        node_init: str = '',
        node_exit: str = '',
    ) -> None:
        """A launcher for MPICH's Hydra.

        Args:
            debug: Tell in the job's stdout what happens.
            bind_to: `-bind-to`: `none` leaves all CPUs of the node to the manager, which gives each worker its own; else `socket`, `core:8`, ….
            bootstrap: `-launcher`: how Hydra reaches other nodes, `ssh`, `rsh`, `slurm`, …; '': what it was built for.
            bootstrap_exec: `-launcher-exec`: the program for it.
            overrides: More words for mpiexec.
            node_init: Shell lines for each node, before its manager.
            node_exit: Shell lines for each node, after its manager.
        """
        super().__init__(debug, overrides, node_init, node_exit)
        self.bind_to, self.bootstrap, self.bootstrap_exec = bind_to, bootstrap, bootstrap_exec

    def start(self, managers: int, nodes: int) -> str:
        """One mpiexec. A manager that dies does not end the others; a node that vanishes does: Hydra 4 ends when it loses its own process there."""
        words = self.words(
            {
                '-ppn -perhost': f'-ppn {managers}',
                '-bind-to -binding': f'-bind-to {shlex.quote(self.bind_to)}',
                '-launcher -bootstrap': self.bootstrap and f'-launcher {shlex.quote(self.bootstrap)}',
                '-launcher-exec -bootstrap-exec': self.bootstrap_exec and f'-launcher-exec {shlex.quote(self.bootstrap_exec)}',
                '-disable-auto-cleanup -enable-auto-cleanup': '-disable-auto-cleanup',
            }
        )
        return HYDRA.format(hosts=indent(HOSTS.format(nodes=nodes), '    '), count=_times(managers), all=managers * nodes, words=words)


def _times(managers: int) -> str:
    """As many as there are hosts, or a multiple: in the words of the shell."""
    return '"$HOSTS"' if managers == 1 else f'"$((HOSTS * {managers}))"'
