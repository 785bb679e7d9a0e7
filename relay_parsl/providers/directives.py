"""What a user's own directives for PBS say, and where they contradict the options of the provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

OWN = {'walltime': '`walltime`', 'select': '`nodes_per_block`, with `cpus_per_node` and `select_options`,'}
"""Resources that a provider always asks for, and the options that say how much."""

OLD = {'nodes': '`nodes_per_block`', 'ncpus': '`cpus_per_node`', 'ngpus': '`select_options`'}
"""Resources of a node that qsub refuses beside a selection, and the options that put them into it."""

BLOCKS = {'-N': 'the endpoint finds it by', '-o': 'the endpoint reads when it fails', '-e': 'the endpoint reads when it fails'}
"""Options of qsub that each block has its own of."""


def given(scheduler_options: str) -> set[str]:
    """What directives say: `-k`, and the names of resources of `-l`."""
    found: set[str] = set()
    for directive in re.findall(r'^[ \t]*#PBS[ \t]*(-.*)$', scheduler_options, re.MULTILINE):
        for letter, value in re.findall(r'(?:^|\s)-(\w)\s*(\S*)', directive):
            found |= {part.partition('=')[0] for part in value.split(',')} if letter == 'l' else {f'-{letter}'}
    return found


def conflicts(scheduler_options: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What PBS would settle silently one way or the other, as names of options and what is wrong with them.

    Args:
        scheduler_options: The user's own directives.
        options: `account`, `queue`, `filesystems` and `place`, as far as they are given.
    """
    theirs, letters = given(scheduler_options), {'account': '-A', 'queue': '-q'}
    twice = [name for name in ('account', 'queue', 'filesystems', 'place') if options.get(name) is not None and letters.get(name, name) in theirs]
    own = [('scheduler_options', f'`-l {name}` is what {means} says; write it there') for name, means in OWN.items() if name in theirs]
    own += [
        ('scheduler_options', f'qsub refuses `-l {name}` beside a selection of nodes; write {means}') for name, means in OLD.items() if name in theirs
    ]
    own += [
        ('scheduler_options', f'`{letter}`: each block has one of its own, which {why}; leave it out')
        for letter, why in BLOCKS.items()
        if letter in theirs
    ]
    return [(name, f'given twice, as `{name}` and in `scheduler_options`; keep one of them') for name in twice] + own
