"""The launcher of MPIEngine: the one manager of a block, on its first node."""

from __future__ import annotations

from parsl.launchers import SimpleLauncher as ParslSimpleLauncher


class SimpleLauncher(ParslSimpleLauncher):
    """Runs the command on the first node, as Parsl's does, without its word about workers that are missing on the others.

    With MPIEngine the others are the tasks'; where they are nobody's, `endpoint check` says so, and what to use instead.
    """

    def __call__(self, command: str, tasks_per_node: int, nodes_per_block: int, script_dir: str = '') -> str:
        """The command as it is."""
        return command
