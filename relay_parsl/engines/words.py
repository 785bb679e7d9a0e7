"""Words that engines know, and words that stand unquoted in the command of a manager: a blank, quote or `;` in one would run something else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

STRATEGIES = ('none', 'simple', 'htex_auto_scale')
"""Parsl's strategies of scaling."""
DOCKERS = ('docker', 'podman', 'podman-hpc')
APPTAINERS = ('apptainer', 'singularity')
CONTAINERS = (*DOCKERS, *APPTAINERS, 'custom')
"""Values of `container_type`."""
MOST_WORKERS = 4096
"""Workers, and accelerators, of a node."""

PLAIN = re.compile(r'[A-Za-z0-9_@%+=:,./-]+')
"""What every shell leaves as it is."""
PLACES = re.compile(r'\{EXECUTOR_(?:RUNDIR|LAUNCH_CMD)\}')
"""The braces that `container_cmd_options` may have; Parsl would fill in any other pair of them."""
IN_COMMAND = ('cpu_affinity', 'worker_logdir_root', 'mpi_launcher')
"""Options that HTEX writes into the command of a manager, beside its numbers and the names of accelerators."""


def fault(value: str) -> str:
    """Why a value is no plain word, with the remedy; '' where it is one."""
    if PLAIN.fullmatch(value) and not value.startswith('-'):
        return ''
    return (
        'must be one plain word, of letters, digits and `_ @ % + = : , . / -`, not beginning with `-`: '
        'it stands unquoted in a command; write paths in full, and no blanks, quotes or variables'
    )


def brace(options: str) -> str:
    """Why `container_cmd_options` cannot stay as they are, with the remedy; '' where they can."""
    if not re.search(r'[{}]', PLACES.sub('', options)):
        return ''
    return 'may have braces in {EXECUTOR_LAUNCH_CMD} and {EXECUTOR_RUNDIR} only, as Parsl fills in all others; put them into a script, and name that'


def faults(options: Mapping[str, Any]) -> Iterator[str]:
    """What in the options of an engine would not be one word of its command, and accelerators without end."""
    names = options.get('available_accelerators') or ()
    if (names if isinstance(names, int) else len(names)) > MOST_WORKERS:
        yield f'available_accelerators: at most {MOST_WORKERS}'
    given = [('available_accelerators', name) for name in (() if isinstance(names, int) else names)]
    given += [(name, options[name]) for name in IN_COMMAND if options.get(name)]
    yield from (f'{name}: {value!r} {why}' for name, value in given if (why := fault(str(value))))
