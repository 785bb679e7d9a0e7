"""Paths inside of a collection, as tuples of names: what a flow wrote, checked before any store sees it. Pure.

`/raw/scan 7/` is `('raw', 'scan 7')`; the root is `()`. Nothing here follows a link: stores resolve those.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from relay_parsl.flows.storage.faults import Outside

Parts: TypeAlias = tuple[str, ...]

LONGEST = 4096
"""Bytes of a whole path, as Linux has it."""

_URL = re.compile(r'(?i)([a-z][a-z0-9+.-]*://|file:)')


def parse(path: object, home: Parts = ()) -> Parts:
    """The names of a path that a flow gave.

    Args:
        path: `/a/b`, `/~/b`, `~/b` or `b`: the last three begin at `home`. A slash at the end, doubled ones and `.` mean nothing here.
        home: Where `/~/` is.

    Raises:
        Outside: it is no such path: a URL, `..`, somebody's home, a NUL, too long, no text.
    """
    if not isinstance(path, str) or not path:
        raise Outside(f'{path!r} is no path; write one like "/folder/file", from the root of the collection')
    _check_text(path)
    names = [name for name in path.split('/') if name not in ('', '.')]
    if '..' in names:
        raise Outside(f'{shown(path)}: ".." is not allowed in a path; write it from the root of the collection')
    at_home = bool(names) and names[0] == '~'
    if names and names[0].startswith('~') and not at_home:
        raise Outside(f'{shown(path)}: the home of another account; only "/~/" is known, the home of the collection')
    if at_home:
        return (*home, *names[1:])
    return tuple(names) if path.startswith('/') else (*home, *names)


def _check_text(path: str) -> None:
    if '\0' in path:
        raise Outside(f'{shown(path)}: a NUL is not allowed in a path')
    if _URL.match(path.lstrip('/')):
        raise Outside(f'{shown(path)}: a URL; write the path from the root of the collection, and the collection by its name or UUID')
    try:
        size = len(path.encode(errors='surrogateescape'))
    except UnicodeEncodeError:
        raise Outside(f'{shown(path)}: half a UTF-16 pair, which no file system can write') from None
    if size > LONGEST:
        raise Outside(f'{shown(path)}: a path of {size} bytes; {LONGEST} is the most')


def name_of(name: str) -> str:
    """The name itself, if it is that of one file in a directory: what a server lists is not believed either. Raises Outside."""
    if name in ('', '.', '..') or '/' in name or '\0' in name:
        raise Outside(f'{shown(name)} is no name of a file')
    return name


def text(parts: Parts, directory: bool = False) -> str:
    """As Globus writes it: `/a/b`, with `directory` `/a/b/`; the root is `/`."""
    return '/' + '/'.join(parts) + ('/' if directory and parts else '')


def within(parts: Parts, prefix: Parts) -> bool:
    """Whether the path is the prefix or lies beneath it: whole names, so that `/raw` does not admit `/raw2`."""
    return parts[: len(prefix)] == prefix


def shown(path: str) -> str:
    """For an error: in quotes, control characters escaped, cut to 200 characters."""
    return repr(path if len(path) <= 200 else f'{path[:197]}…')
