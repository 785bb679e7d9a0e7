"""A launcher for Slurm that gives each manager its whole node, and lets one node die alone."""

from __future__ import annotations

import shlex

from parsl.launchers import SrunLauncher as ParslSrunLauncher

from relay_parsl.launchers.node import NodeLauncher

SRUN = """\
export CORES="${{SLURM_CPUS_ON_NODE:-$(getconf _NPROCESSORS_ONLN)}}" NODES="${{SLURM_JOB_NUM_NODES:-{nodes}}}"
{debug}echo "$NODES nodes of $CORES CPUs"
srun {words} /bin/bash "$NODE_SCRIPT\""""


class SrunLauncher(NodeLauncher, ParslSrunLauncher):
    """Starts managers with srun, in the place of Parsl's launcher of this name, whose options it takes, too.

    Parsl's gives the manager of each node one CPU, unless `overrides` says otherwise, and ends all managers when one of them ends badly.
    """

    short_options = True

    def __init__(  # noqa: PLR0913  # one for each option of srun that sites document
        self,
        debug: bool = True,
        overrides: str = '',
        *,
        cpus_per_task: int | None = None,
        cpu_bind: str = 'none',
        gpus_per_node: int | None = None,
        gpu_bind: str = '',
        kill_on_bad_exit: int = 0,
        node_init: str = '',
        node_exit: str = '',
    ) -> None:
        """A launcher for Slurm.

        Args:
            debug: Tell in the job's stdout what happens.
            overrides: More words for srun.
            cpus_per_task: `--cpus-per-task`: CPUs of each manager and so of all its workers; None: all that the job has on the node.
            cpu_bind: `--cpu-bind`: `none` leaves them all to the manager, which gives each worker its own.
            gpus_per_node: `--gpus-per-node`: of the managers' step; None: those of the job.
            gpu_bind: `--gpu-bind`, as `none` or `closest`; '': Slurm's default.
            kill_on_bad_exit: `--kill-on-bad-exit`: 1 ends all managers when one of them ends badly.
            node_init: Shell lines for each node, before its manager.
            node_exit: Shell lines for each node, after its manager.
        """
        super().__init__(debug, overrides, node_init, node_exit)
        self.cpus_per_task, self.cpu_bind = cpus_per_task, cpu_bind
        self.gpus_per_node, self.gpu_bind = gpus_per_node, gpu_bind
        self.kill_on_bad_exit = kill_on_bad_exit

    def start(self, managers: int, nodes: int) -> str:
        """One step over all nodes; `--no-kill` keeps it when a node of it dies."""
        all_cpus = '"$CORES"' if managers == 1 else f'"$((CORES / {managers}))"'
        words = self.words(
            {
                '-N --nodes': f'--nodes={nodes}',
                '-n --ntasks': f'--ntasks={managers * nodes}',
                '--ntasks-per-node': f'--ntasks-per-node={managers}',
                '-c --cpus-per-task': f'--cpus-per-task={self.cpus_per_task or all_cpus}',
                '--cpu-bind': f'--cpu-bind={shlex.quote(self.cpu_bind)}',
                '--gpus-per-node': self.gpus_per_node and f'--gpus-per-node={self.gpus_per_node}',
                '--gpu-bind': self.gpu_bind and f'--gpu-bind={shlex.quote(self.gpu_bind)}',
                '-K --kill-on-bad-exit': f'--kill-on-bad-exit={self.kill_on_bad_exit}',
                '-k --no-kill': '--no-kill',
                '-l --label': '--label',
            }
        )
        return SRUN.format(nodes=nodes, debug='' if self.debug else ': ', words=words)
