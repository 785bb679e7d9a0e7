"""Which endpoint a command means by a name, and what a shell makes of the first letters of one."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from relay_parsl.cli.show import BadInput

if TYPE_CHECKING:
    from relay_parsl.endpoint.place import Place


def place_of(name: str, *, exists: bool = True) -> Place:
    """The directory of an endpoint. Raises BadInput, which lists those that there are."""
    from relay_parsl.endpoint.place import Place
    from relay_parsl.home import Home

    home = Home.find()
    place = Place(home, name)
    if exists and not place.exists:
        names = ', '.join(other.name for other in Place.all(home)) or 'none'
        raise BadInput(f'no endpoint {name!r} here (there are: {names}): make it with `relay-parsl endpoint configure {name}`, or join as one')
    return place


def meant_by(name: str) -> str | Path:
    """The file of this path, of this site, or of the endpoint of this name. Raises BadInput, ConfigError."""
    from relay_parsl.endpoint.files import site_files

    path = Path(name)
    if path.is_file():
        return path
    if '/' not in name and not name.startswith('.') and place_of(name, exists=False).exists:
        return place_of(name).config
    if path.is_dir() and name not in site_files():
        raise BadInput(f'{name} is a directory: give the endpoint file that is in it')
    return name if '/' in name or path.suffix in ('.yaml', '.yml', '.j2') else place_of(name).config


def refuse_typo(place: Place) -> None:
    """A name that is almost that of an endpoint makes no new one. Raises BadInput."""
    from relay_parsl.home import Home

    meant = get_close_matches(place.name, [other.name for other in type(place).all(Home.find())], n=1, cutoff=0.8)
    if meant:
        raise BadInput(f'no endpoint {place.name!r} here: did you mean {meant[0]!r}? A new one is made by `relay-parsl endpoint configure`')


def names_here(_ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """Endpoint names, for a shell that completes one."""
    from relay_parsl.endpoint.place import Place
    from relay_parsl.home import Home

    return [place.name for place in Place.all(Home.find()) if place.name.startswith(typed)]


def endpoints_known(ctx: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Names of endpoints of this home, and of those that its account has confirmed."""
    return sorted({*names_here(ctx, parameter, typed), *_pinned(typed, ('endpoint',))})


def accounts_known(_ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """Names of accounts that are confirmed here."""
    return _pinned(typed, ('user', 'service', 'operator'))


def _pinned(typed: str, kinds: tuple[str, ...]) -> list[str]:
    from relay_parsl.errors import RelayError
    from relay_parsl.home import Home

    try:
        return [name for name, pin in Home.find().pins().items() if pin.kind in kinds and name.startswith(typed)]
    except RelayError:
        return []  # a shell completes; commands tell what is wrong


def logs_or_files(ctx: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """What has an audit log, and the shell adds its files."""
    return [*[CompletionItem('relay') for _ in range('relay'.startswith(typed))], *names_or_files(ctx, parameter, typed)]


def names_or_files(ctx: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The same, and the shell adds its files."""
    return [*map(CompletionItem, names_here(ctx, parameter, typed)), CompletionItem(typed, type='file')]
