"""Where an endpoint file is: a path, or a site configuration that is installed with us."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from relay_parsl.errors import ConfigError


def find_file(given: str | Path) -> Path:
    """The file at this path; else the site configuration of this name: `polaris/gpu`, `configs/polaris/gpu.yaml`.

    Raises:
        ConfigError: there is neither; lists the site configurations.
    """
    path = Path(given)
    if path.is_file():
        return path
    sites = site_files()
    name = path.with_suffix('').as_posix().removeprefix('configs/')
    if name in sites:
        return sites[name]
    raise ConfigError(f'{given}: no such file, and no site configuration of this name (there are: {", ".join(sites)})')


def site_files() -> dict[str, Path]:
    """The endpoint files that are installed with us, by name."""
    root = Path(str(files('relay_parsl.configs')))
    return {path.relative_to(root).with_suffix('').as_posix(): path for path in sorted(root.rglob('*.yaml'))}
