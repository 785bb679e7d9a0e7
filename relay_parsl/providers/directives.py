"""What a user's own directives for PBS say, and where they contradict the options of the provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

OWN = {'walltime': '`walltime`', 'select': '`nodes_per_block`, with `cpus_per_node` and `select_options`,'}
"""Resources that a provider always asks for, and the options that say how much."""


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
    return [(name, f'given twice, as `{name}` and in `scheduler_options`; keep one of them') for name in twice] + own
