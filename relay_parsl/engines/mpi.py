"""`MPIEngine`: tasks that start MPI ranks on several nodes, over Parsl's MPIExecutor."""

from __future__ import annotations

from typing import Any, ClassVar

from parsl.providers import LocalProvider
from parsl.providers.base import ExecutionProvider

from relay_parsl.engines import options, ranks
from relay_parsl.engines.base import Work
from relay_parsl.engines.blocks import Htex, Mpi
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.engines.pool import refused_options
from relay_parsl.launchers import SimpleLauncher


class MPIEngine(HtexEngine):
    """Runs up to `max_workers_per_block` tasks at once in a block, each on nodes of its own, which it names in its resource specification.

    A task says `num_nodes`, `ranks_per_node` and `num_ranks` (two of them are enough), and may say `launcher_options`. It runs on the first node of
    the block, and finds the launcher's command in `$PARSL_MPI_PREFIX`: `MPIFunction` puts it before its text.

    Args: those of `HtexEngine`, and for `**htex_options` those of `parsl.executors.MPIExecutor`, `mpi_launcher` and `max_workers_per_block` among
    them. The provider's launcher must be a `SimpleLauncher`, for the ranks are started by the tasks.
    """

    kind: ClassVar[type[Htex]] = Mpi
    fuses: ClassVar[bool] = False

    @staticmethod
    def default_provider() -> ExecutionProvider:
        """One block: the allocation that the endpoint was started in, or this host alone."""
        return LocalProvider(launcher=SimpleLauncher(), nodes_per_block=options.allocated() or 1)

    def refusal(self, work: Work) -> str:
        """Why the attempt's resource specification cannot be met; '' when it can. Parsl's manager would end on it, or wait for ever."""
        specification = dict(work.options.get('resource_specification') or {})
        priority = {'priority': specification.pop('priority')} if 'priority' in specification else {}
        if reason := refused_options(work, priority):
            return reason
        try:
            self.needs(work)
        except ranks.BadSpecification as error:
            return f'resource_specification: {error}'
        return ''

    def needs(self, work: Work) -> dict[str, Any]:
        """What Parsl is told of the nodes that an attempt wants. Raises BadSpecification."""
        return ranks.resolve(work.options.get('resource_specification') or {}, int(self.provider.nodes_per_block))
