"""`relay-parsl account rotate` and `endpoint rotate`: new keys under the same identity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay_parsl.cli import dates
from relay_parsl.cli.names import names_here, place_of
from relay_parsl.cli.show import json_option, outcome

if TYPE_CHECKING:
    from relay_parsl.home import RelayEntry

overlap_option = click.option(
    '--overlap', default='7d', show_default=True, callback=dates.span, metavar='TIME', help='How long the keys of before count beside the new ones.'
)
now_option = click.option('--now', 'at_once', is_flag=True, help='They count no more at once: somebody else may have them.')


@click.command()
@click.argument('name', shell_complete=names_here)
@overlap_option
@now_option
@json_option
def rotate(name: str, overlap: float, at_once: bool, as_json: bool) -> None:
    """Give NAME, an endpoint of this machine, new sealing and CURVE keys.

    Its id and identity stay. If it runs, it takes the new keys by itself. Clients look for its card every five minutes and go over to it;
    tasks that were sealed for the old keys run until the overlap ends. With --now such tasks are refused at once, and must be sent again.
    """
    place = place_of(name)
    entry, _credentials = place.identity()
    replace_keys(place.key, [entry], 0.0 if at_once else overlap, as_json=as_json)


def replace_keys(path: Path, entries: list[RelayEntry], overlap: float, *, as_json: bool) -> None:
    """Do it, and say what counts from now on."""
    from relay_parsl.client.rotation import rotate as renew

    new = renew(path, entries, overlap)
    until = f'those of before count for {overlap / 3600:g} more hours' if overlap else 'those of before count no more'
    text = f'{new.role} {new.name!r} has new keys, under a card of serial {new.card.serial}; {until}'
    outcome(text, {'name': new.name, 'role': new.role, 'id': new.id, 'serial': new.card.serial, 'overlap': overlap}, as_json=as_json)
