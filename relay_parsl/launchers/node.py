"""What all launchers of ours do: a script for each node beside the batch script, started once on each node (reference: parsl.launchers.launchers).

Parsl's write their files into whatever directory the job starts in, expand the variables of a manager's command on the first node, and know no
step before the manager on each node.
"""

from __future__ import annotations

import os
import shlex
from abc import abstractmethod
from collections.abc import Mapping

from parsl.launchers.base import Launcher

from relay_parsl.errors import ConfigError

END = 'END_OF_NODE_SCRIPT'

INIT = """\
# node_init: the first line that fails ends this node.
trap 'CODE=$?; echo "relay-parsl: node_init failed on $NODE with exit code $CODE: no manager starts there" >&2; exit $((CODE ? CODE : 1))' EXIT
set -e
{node_init}
set +e
trap - EXIT

"""

EXIT = """\
# node_exit: when the manager has ended, or this is told to end: once, though batch systems tell each process, and mpiexec passes it on.
node_exit() {{
trap - EXIT
trap '' TERM INT
kill "$MANAGER" 2> /dev/null && wait "$MANAGER"
{node_exit}
}}
trap 'CODE=$?; node_exit; exit $CODE' EXIT
trap "trap '' TERM INT; exit 143" TERM INT

"""

NODE = """\
NODE=$(hostname)

{node_init}{node_exit}{command}
CODE=$?
[ $CODE -eq 0 ] || echo "relay-parsl: the manager on $NODE ended with exit code $CODE" >&2
exit $CODE"""

TEXT = """\
# What each node of the block runs, written beside this script.
SCRIPT_DIR={script_dir}
if ! [ -w "$SCRIPT_DIR" ]; then
    echo "relay-parsl: $(hostname) cannot write to $SCRIPT_DIR, where the submit scripts are: the nodes must share that filesystem" >&2
    exit 1
fi
NODE_SCRIPT="$SCRIPT_DIR/node_${{JOBNAME:-$$}}.sh"
cat > "$NODE_SCRIPT" << '{end}'
{node}
{end}

# One of them on each node.
CODE=0
{start} || CODE=$?
[ $CODE -eq 0 ] || echo "relay-parsl: a manager failed or could not be started: exit code $CODE" >&2
{debug}echo "all managers have ended"
exit $CODE
"""


class NodeLauncher(Launcher):
    """Starts a script once on each node.

    Attributes:
        debug: Whether the job's stdout tells what is started.
        overrides: More words for the program that starts it, as they are; where they name an option of ours, theirs holds.
        node_init: Shell lines that run on each node before its manager, in the manager's own environment. The first that fails ends it.
        node_exit: Shell lines that run on each node when its manager has ended, at the walltime, too, as far as the batch system's grace allows.
    """

    short_options = False
    """Whether `-K0` is the option `-K`."""

    def __init__(self, debug: bool = True, overrides: str = '', node_init: str = '', node_exit: str = '') -> None:
        """What every launcher takes."""
        super().__init__(debug=debug)
        self.overrides = overrides
        self.node_init = node_init
        self.node_exit = node_exit

    def __call__(self, command: str, tasks_per_node: int, nodes_per_block: int, script_dir: str = '') -> str:
        """The lines of a batch script that run a command on each node; they end the script with the command's exit code.

        Args:
            command: Shell text. Its variables expand on the node, not in the batch script.
            tasks_per_node: How often it runs on each node; HTEX says 1.
            nodes_per_block: Nodes of the job.
            script_dir: Where the submit script is, on a filesystem that the nodes share. '': a temporary directory, which serves one node.

        Raises:
            ConfigError: `node_init` or `node_exit`, which run once on a node, with more than one manager there.
        """
        managers = tasks_per_node * self.managers_per_node
        if managers > 1 and (self.node_init.strip() or self.node_exit.strip()):
            raise ConfigError(f'`node_init` and `node_exit` run once on a node, but {managers} managers start there: start one')
        node = self._node(command)
        return TEXT.format(
            script_dir=shlex.quote(os.path.abspath(script_dir)) if script_dir else '$(mktemp -d)',
            node=node,
            end=_end(node),
            start=self.start(managers, nodes_per_block),
            debug='' if self.debug else ': ',
        )

    @property
    def managers_per_node(self) -> int:
        """How many for each that is asked for."""
        return 1

    @abstractmethod
    def start(self, managers: int, nodes: int) -> str:
        """The shell lines that run `"$NODE_SCRIPT"`; the last is a command that gives the exit code.

        Args:
            managers: How many run on each node.
            nodes: How many nodes.
        """

    def _node(self, command: str) -> str:
        init = INIT.format(node_init=self.node_init.strip('\n')) if self.node_init.strip() else ''
        if not self.node_exit.strip():
            return NODE.format(node_init=init, node_exit='', command=f'(\n{command.strip()}\n)')
        # In the background, because a shell that waits for a command hears no signal.
        waiting = f'{command.strip()} &\nMANAGER=$!\nwait "$MANAGER"'
        return NODE.format(node_init=init, node_exit=EXIT.format(node_exit=self.node_exit.strip('\n')), command=waiting)

    def words(self, options: Mapping[str, str | int | None]) -> str:
        """Options of the starting program as one line, with the overrides at their end.

        Args:
            options: From all names of one option, as `-c --cpus-per-task`, to the option as it is written; None, or '': leave it out.
        """
        given = {name for word in self.overrides.split() for name in self._names(word)}
        own = [str(text) for names, text in options.items() if text and not given & {name.lstrip('-') for name in names.split()}]
        return ' '.join([*own, *self.overrides.split('\n')]).strip()

    def _names(self, word: str) -> list[str]:
        if not word.startswith('-'):
            return []
        short = self.short_options and not word.startswith('--')
        return [word[1:2] if short else word.partition('=')[0].lstrip('-')]


def _end(text: str) -> str:
    """A word that ends a here-document and is no line of it."""
    end, lines = END, text.splitlines()
    while end in lines:
        end += '_'
    return end
