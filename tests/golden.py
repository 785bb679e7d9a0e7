"""The batch scripts of the files for sites, as people can read them in tests/data/golden. After a change: `python -m tests.golden`."""

from __future__ import annotations

from pathlib import Path

from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.endpoint.script import batch_script

CONFIGS = Path(__file__).parents[1] / 'configs'
GOLDEN = Path(__file__).parent / 'data' / 'golden'
SITES = sorted(CONFIGS.glob('*/*.yaml'))


def golden(file: Path) -> Path:
    """Where the script of a site's file is kept."""
    return GOLDEN / f'{file.parent.name}-{file.stem}.sh'


def rendered(file: Path) -> str:
    """The script that the file's one pool would submit now."""
    return batch_script(load_endpoint_config(file).pools[''])


if __name__ == '__main__':
    for file in SITES:
        golden(file).write_text(rendered(file))
