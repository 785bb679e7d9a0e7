"""Sizes as people write them."""

from __future__ import annotations

import re

import click

UNITS = (
    {'': 1, 'b': 1}
    | {f'{letter}b': 1000**power for power, letter in enumerate('kmgt', 1)}
    | {f'{letter}ib': 1024**power for power, letter in enumerate('kmgt', 1)}
)
"""Bytes in each, whatever the case of its letters."""


def read_size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """The callback of an option: `500MB` (of 1000), `1.5GiB` (of 1024), or a number of bytes, as whole bytes, one at least.

    Raises:
        click.BadParameter: it is none; the text says how sizes are written.
    """
    if value is None:
        return None
    match = re.fullmatch(r'(\d+(?:\.\d+)?)\s*([a-z]*)', value.strip().lower())
    size = int(float(match[1]) * UNITS.get(match[2], 0)) if match else 0
    if not 0 < size < 1 << 62:
        raise click.BadParameter(
            f'{value!r} is no size: write a number of bytes, or one with kB, MB, GB, TB (of 1000) or KiB, MiB, GiB, TiB (of 1024)'
        )
    return size


def read_limit(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """The callback of an option: `unlimited` as -1, a number from 0, or a size as `read_size` takes it.

    Raises:
        click.BadParameter: it is none of them.
    """
    if value is None or value.strip().lower() == 'unlimited':
        return None if value is None else -1
    if re.fullmatch(r'\d+(?:\.\d+)?', value.strip()):
        return float(value) if '.' in value else int(value)
    if param.name != 'size':
        raise click.BadParameter(f'{value!r} is no number: write one, or unlimited')
    return read_size(ctx, param, value)
