"""`python -m relay_parsl` is the command line, so that PATH does not matter."""

from __future__ import annotations

from relay_parsl.cli.main import main

if __name__ == '__main__':
    main(prog_name='relay-parsl')
