"""What a user's own directives for Slurm say, and where they contradict what the provider writes: Slurm would take the last one, and say nothing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

LONG = {
    'A': 'account', 'a': 'array', 'b': 'begin', 'B': 'extra-node-info', 'C': 'constraint', 'c': 'cpus-per-task', 'D': 'chdir', 'd': 'dependency',
    'e': 'error', 'F': 'nodefile', 'G': 'gpus', 'H': 'hold', 'i': 'input', 'J': 'job-name', 'k': 'no-kill', 'L': 'licenses', 'M': 'clusters',
    'm': 'distribution', 'N': 'nodes', 'n': 'ntasks', 'o': 'output', 'O': 'overcommit', 'p': 'partition', 'q': 'qos', 'S': 'core-spec',
    's': 'oversubscribe', 't': 'time', 'W': 'wait', 'w': 'nodelist', 'x': 'exclude',
}  # fmt: skip
"""Long names of sbatch's short options."""

FLAGS = frozenset((
    'contiguous', 'exclusive', 'get-user-env', 'hold', 'ignore-pbs', 'no-kill', 'no-requeue', 'overcommit', 'oversubscribe', 'parsable', 'quiet',
    'reboot', 'requeue', 'spread-job', 'test-only', 'use-min-nodes', 'verbose', 'wait',
))  # fmt: skip
"""Options of sbatch without a value, or with one behind `=` only."""

OPTIONS = {
    'account': ('account',), 'partition': ('partition',), 'qos': ('qos',), 'constraint': ('constraint',), 'clusters': ('clusters', 'cluster'),
    'cores_per_node': ('cpus-per-task',), 'mem_per_node': ('mem', 'mem-per-cpu', 'mem-per-gpu'), 'gpus_per_node': ('gpus-per-node',),
    'gres': ('gres',),
}  # fmt: skip
"""Options of the provider that are written where they are given, and the directives that say the same."""

OWN = {
    'time': 'is what `walltime` says; write it there',
    'nodes': 'is what `nodes_per_block` says; write it there',
    'requeue': 'is what `requeue` says; write it there',
    'no-requeue': 'is what `requeue` says; write it there',
    'no-kill': 'is what `no_kill` says; write it there',
    **dict.fromkeys(('ntasks', 'ntasks-per-node'), 'would start more managers; one on each node starts the workers: write `max_workers_per_node`'),
    'job-name': 'is given to each block, which is found by it; leave it out',
    **dict.fromkeys(('output', 'error'), 'is given to each block, and read when it fails; leave it out'),
    'array': 'makes several jobs of one block; use nodes_per_block or max_blocks',
}
"""What is always written, or never can be."""

SHARING = ('exclusive', 'oversubscribe')

WORDS = sorted({*(word for words in OPTIONS.values() for word in words), *OWN, *SHARING})


def option(words: list[str]) -> tuple[str, str | None]:
    """The next option of sbatch, by its long name, taken from the words; None for a value that it has not."""
    word = words.pop(0)
    if word.startswith('--'):
        name, equals, value = word[2:].partition('=')
        if equals:
            return name, value
        return name, None if name in FLAGS or not words or words[0].startswith('--') else words.pop(0)
    name = LONG.get(word[1:2], word)
    if not word.startswith('-') or name in FLAGS:
        return name, None
    return name, word[2:].removeprefix('=') or (words.pop(0) if words else None)


def given(scheduler_options: str) -> dict[str, str | None]:
    """What directives say, by the long names of their options: `{'time': '06:00:00', 'hold': None}`."""
    found: dict[str, str | None] = {}
    for text in re.findall(r'^#SBATCH[ \t]+(.*)$', scheduler_options, re.MULTILINE):
        try:
            words = shlex.split(text, comments=True)
        except ValueError:  # an open quote: the words as they are
            words = text.split()
        while words:
            name, value = option(words)
            found[name] = value
    return found


def _whole(name: str) -> str:
    """The long name that one of its beginnings means: sbatch takes `--part` for `--partition`. `--gpus` is an option of its own."""
    return name if name in WORDS or name == 'gpus' else next((word for word in WORDS if word.startswith(name)), name)


def fault(line: str) -> str:
    """Why a line of `scheduler_options` is no directive, with the remedy; '' for one, and for a comment."""
    words = line.strip()
    return f'{words!r} is no directive; write `#SBATCH {words.removeprefix("#SBATCH").strip()}`' if words and not line.startswith('#') else ''


def conflicts(scheduler_options: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What would be asked for twice, as names of options and what is wrong with them.

    Args:
        scheduler_options: The user's own directives.
        options: The others, as far as they are given.
    """
    theirs = {_whole(name): value for name, value in given(scheduler_options).items()}
    twice = [name for name, words in OPTIONS.items() if options.get(name) and not theirs.keys().isdisjoint(words)]
    found = [(name, f'given twice, as `{name}` and in `scheduler_options`; keep one of them') for name in twice]
    found += [('scheduler_options', f'`--{name}` {why}') for name, why in OWN.items() if name in theirs]
    other = [name for name in SHARING if name in theirs and (name, theirs[name]) != ('exclusive', None)]
    if other and options.get('exclusive', True):
        found.append(('scheduler_options', f'`--{other[0]}` shares nodes, and `exclusive` does not; write `exclusive: false`, too'))
    return found
