"""Collections: the names and UUIDs by which flows speak of storage, and the root behind each. Pure: reads the settings, opens nothing."""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from relay_parsl.errors import ConfigError
from relay_parsl.flows.actions.keys import Fault, unknown
from relay_parsl.flows.storage.faults import Outside
from relay_parsl.flows.storage.paths import Parts, parse, text, within

KEYS = (
    'root', 'uuid', 'title', 'description', 'allowed', 'read_only', 'home', 'owner', 'groups', 'parallel', 'insecure', 'private_key',
    'known_hosts', 'ca_file',
)  # fmt: skip
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._@ -]{0,63}')
PARALLEL = 4
"""Files at once, where the collection says nothing."""


@dataclass(frozen=True)
class Collection:
    """One entry of `collections`.

    Attributes:
        root: `/path`, `sftp://user@host/path`, `https://host/path`.
        allowed: The only places that flows may touch; empty for the whole root.
        home: Where `/~/` is.
        owner: Who may do everything and edit the access list; '' for the account itself.
        groups: Members by the group's name, lower case.
        parallel: Files that are copied at once from or to it.
        insecure: Whether `http:` may be spoken with other machines.
        private_key: An SSH key file; '' for the usual ones and the agent.
        known_hosts: A file of host keys; '' for `~/.ssh/known_hosts`.
        parent: Of a guest collection, the name of the one that it is a part of.
        base: Of a guest collection, its directory there.
        ca_file: Certificates that an HTTPS server's must lead to; '' for those of the system.
    """

    name: str
    root: str
    uuid: str = ''
    title: str = ''
    description: str = ''
    allowed: tuple[Parts, ...] = ()
    read_only: bool = False
    home: Parts = ()
    owner: str = ''
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    parallel: int = PARALLEL
    insecure: bool = False
    private_key: str = ''
    known_hosts: str = ''
    ca_file: str = ''
    parent: str = ''
    base: Parts = ()

    @property
    def id(self) -> str:
        """How documents speak of it: its UUID, or its name where it has none."""
        return self.uuid or self.name

    @property
    def scheme(self) -> str:
        """`file`, `sftp`, `https` or `http`."""
        return scheme_of(self.root)

    def check(self, parts: Parts) -> None:
        """Raises Outside for a path that is under none of the allowed ones."""
        if self.allowed and not any(within(parts, prefix) for prefix in self.allowed):
            allowed = ', '.join(text(prefix, directory=True) for prefix in self.allowed)
            raise Outside(f'{text(parts)}: outside of what collection {self.name!r} allows: {allowed}')


class Collections:
    """All that the settings name.

    Args:
        settings: The section: mappings by name.

    Raises:
        ConfigError: with every fault, a line each.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        problems = faults(settings)
        if problems:
            raise ConfigError('\n'.join(problems))
        self.by_name = {name: _collection(name, given) for name, given in settings.items()}
        self._by_uuid = {each.uuid: each for each in self.by_name.values() if each.uuid}

    def find(self, key: object) -> Collection:
        """The collection of this name or UUID.

        Raises:
            LookupError: there is none; names those that there are.
        """
        found = self.by_name.get(str(key)) or self._by_uuid.get(str(key).lower())
        if found is None:
            known = ', '.join(f'{each.name} ({each.uuid})' if each.uuid else each.name for each in self.by_name.values())
            remedy = f'known are {known}; add it' if known else 'none is known; add it'
            remedy += ' under `collections` in flows.yaml, with its `root` and, if flows name it so, its `uuid`'
            raise LookupError(f'no collection {str(key)[:80]!r}: {remedy}')
        return found


def scheme_of(root: str) -> str:
    """The scheme of a root's URL; `file` for a path."""
    found = re.match(r'([A-Za-z][A-Za-z0-9+.-]*):', root)
    return found[1].lower() if found else 'file'


def _collection(name: str, given: Mapping[str, Any]) -> Collection:
    plain = {key: value for key, value in given.items() if value is not None and key not in ('allowed', 'home', 'groups', 'uuid')}
    return Collection(
        name=name,
        uuid=str(uuid.UUID(str(given['uuid']))) if given.get('uuid') else '',
        allowed=tuple(parse(path) for path in given.get('allowed') or ()),
        home=parse(given['home']) if given.get('home') else (),
        groups={group.lower(): frozenset(str(member).lower() for member in members) for group, members in (given.get('groups') or {}).items()},
        **plain,
    )


# --- faults ------------------------------------------------------------------------------------------------------------------------------------


def faults(settings: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with the section, each with its place and the remedy."""
    spelled = ((''.join(f'[{step}]' if isinstance(step, int) else f'.{step}' for step in place), problem) for place, problem in placed(settings))
    return [f'collections{place}: {problem}' for place, problem in spelled]


def placed(settings: Mapping[str, Any]) -> Iterable[Fault]:
    """The same, each with the keys that lead to it."""
    for name, given in settings.items():
        if not _NAME.fullmatch(str(name)):
            yield (str(name),), 'no name; 1 to 64 letters, digits, spaces, ".", "_", "@" or "-"'
        for problem in _problems(given):
            place, _, words = problem.partition(': ')
            yield (str(name), *(int(step) if step.isdigit() else step for step in re.findall(r'[^.\[\]]+', place))), words
    yield from _twice(settings)


def _problems(given: Any) -> Iterable[str]:
    if not isinstance(given, Mapping) or not isinstance(given.get('root'), str) or not given['root']:
        yield ': needs a `root`: a path, sftp://user@host/path or https://host/path'
        return
    yield from (f'.{key}: {unknown(key, KEYS, "a collection")}' for key in given if key not in KEYS)
    yield from _root_problems(given['root'], given.get('insecure') is True)
    yield from _uuid_problems(given.get('uuid'))
    for key in ('title', 'description', 'owner', 'private_key', 'known_hosts', 'ca_file'):
        if not isinstance(given.get(key) or '', str):
            yield f'.{key}: must be a text'
    for key in ('read_only', 'insecure'):
        if not isinstance(given.get(key) or False, bool):
            yield f'.{key}: must be true or false'
    parallel = given.get('parallel', PARALLEL)
    if parallel is not None and (not isinstance(parallel, int) or isinstance(parallel, bool) or not 1 <= parallel <= 64):
        yield '.parallel: must be a number from 1 to 64: files that are copied at once'
    yield from _path_problems(given)
    yield from _group_problems(given.get('groups'))


def _root_problems(root: str, insecure: bool) -> Iterable[str]:
    scheme = scheme_of(root)
    if scheme == 'file':
        if not re.match(r'(file:(//)?)?[/~]', root):
            yield f'.root: {root!r} is not absolute; begin it with "/"'
        return
    try:
        url = urlsplit(root)
        host, _ = url.hostname, url.port
    except ValueError as error:
        yield f'.root: {root!r} is no URL: {error}'
        return
    if scheme not in ('sftp', 'https', 'http'):
        yield f'.root: no storage by {scheme!r}; give a path, sftp://user@host/path or https://host/path'
    elif not host:
        yield f'.root: {root!r} names no host'
    elif url.password or (scheme != 'sftp' and url.username):
        yield '.root: no password in a URL; SSH takes keys (`private_key`, or an agent)'
    elif scheme == 'http' and not insecure and not loopback(url):
        yield '.root: "http:" shows the data to everybody on the way; write "https:", or set `insecure: true`'


def loopback(url: SplitResult) -> bool:
    """Whether the URL means this machine."""
    try:
        return url.hostname == 'localhost' or ipaddress.ip_address(url.hostname or '').is_loopback
    except ValueError:
        return False


def _uuid_problems(given: Any) -> Iterable[str]:
    try:
        uuid.UUID(str(given or uuid.NAMESPACE_URL))
    except ValueError:
        yield f'.uuid: {given!r} is no UUID'


def _path_problems(given: Mapping[str, Any]) -> Iterable[str]:
    allowed = given.get('allowed') or ()
    if not isinstance(allowed, list | tuple):
        yield '.allowed: must be a list of paths from the root'
        allowed = ()
    for key, path in [('home', given.get('home') or '/'), *((f'allowed[{at}]', path) for at, path in enumerate(allowed))]:
        if (problem := _path_problem(path)) is not None:
            yield f'.{key}: {problem}'


def _path_problem(path: object) -> str | None:
    try:
        parse(path)
    except Outside as error:
        return str(error)
    return None


def _group_problems(groups: Any) -> Iterable[str]:
    if groups is None:
        return
    if not isinstance(groups, Mapping) or not all(isinstance(members, list) for members in groups.values()):
        yield '.groups: must be lists of members by the name or UUID of the group'


def _twice(settings: Mapping[str, Any]) -> Iterable[Fault]:
    seen: dict[str, str] = {}
    for name, given in settings.items():
        key = str(given.get('uuid') or '').lower() if isinstance(given, Mapping) else ''
        if key and key in seen:
            yield (str(name), 'uuid'), f'collection {seen[key]!r} has the same'
        seen.setdefault(key, str(name))
