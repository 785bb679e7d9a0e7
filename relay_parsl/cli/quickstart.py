"""`relay-parsl quickstart`: the main job on this machine, in a minute."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import click

from relay_parsl.cli.show import BadInput

EXAMPLE = 'two_sites.py'
NEEDS = {'skimage': 'scikit-image', 'numpy': 'numpy', 'scipy': 'scipy'}
"""What the example imports, and the package that has it."""


@click.command()
@click.pass_context
def quickstart(ctx: click.Context) -> None:
    """Run one workflow through two sites, both played by this machine.

    A private relay and the endpoints "perlmutter" and "polaris" start, each in processes of its own. The Hubble Deep Field passes through both and is
    checked against the same computation without them. Nothing is left behind, and ~/.relay_parsl is not touched.
    """
    missing = [package for name, package in NEEDS.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise BadInput(f'the example needs {" and ".join(missing)}: pip install {" ".join(missing)}')
    try:
        ctx.exit(subprocess.run([sys.executable, str(examples() / EXAMPLE)], check=False).returncode)  # noqa: S603  our own program
    except KeyboardInterrupt:
        ctx.exit(130)


def examples() -> Path:
    """Where the examples are: installed beside the package, or in the source tree. Raises BadInput."""
    installed = importlib.util.find_spec('relay_parsl.examples')
    places = [Path(place) for place in (installed.submodule_search_locations if installed else None) or []]
    for place in [*places, Path(__file__).parents[2] / 'examples']:
        if (place / EXAMPLE).is_file():
            return place
    raise BadInput(f'{EXAMPLE} was not installed with this package: take examples/ from the source')
