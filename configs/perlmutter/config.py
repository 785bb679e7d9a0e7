"""Perlmutter for a plain Parsl script, from the same files that endpoints use: `with parsl.load(fresh_config()): …`."""

from __future__ import annotations

from pathlib import Path

from parsl.config import Config

from relay_parsl.endpoint.config import load_config


def fresh_config(name: str = 'gpu') -> Config:
    """A new Parsl configuration, with executors of its own.

    Args:
        name: Which file of this directory: `gpu` (a worker for each GPU), `mps` (four on each GPU), `cpu` (one for each core), or `mpi` (tasks of
            several nodes).

    Raises:
        ConfigError: There is no such file, or it has been changed into something wrong; says what.
    """
    return load_config(Path(__file__).with_name(f'{name}.yaml'))
