"""How a module is started in a process of its own: as by `python -m`, which however looks for every module in the working directory first.

Others may write there, or a task may: then `zmq.py` beside an endpoint would run with its keys, and `numpy.py` in the place of a listed function.
"""

from __future__ import annotations

import sys

_WITHOUT = 'import sys; del sys.path[0], sys.argv[0]; from runpy import _run_module_as_main as run; run(sys.argv[0])'
PYTHON = [sys.executable, '-P', '-m'] if sys.version_info >= (3, 11) else [sys.executable, '-c', _WITHOUT]
"""What stands before the name of a module. Python 3.10 has no option for it."""


def command(module: str, *arguments: object) -> list[str]:
    """The command line that runs a module with these arguments."""
    return [*PYTHON, module, *map(str, arguments)]
