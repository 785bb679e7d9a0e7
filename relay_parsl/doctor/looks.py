"""Facts about a home and this host: files, keys, processes, disks, limits, logs, stores. Thin: nothing is judged here."""

from __future__ import annotations

import os
import platform
import re
import resource
import stat
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import islice
from math import log2
from pathlib import Path

from relay_parsl.daemon import PidFile
from relay_parsl.doctor.facts import Checked, Disk, Key, Leftover, Limits, Process, Secret, Seen
from relay_parsl.endpoint.place import Place
from relay_parsl.errors import HomeError
from relay_parsl.home import Credentials, Home
from relay_parsl.home.audit import files as audit_files
from relay_parsl.home.audit import verify
from relay_parsl.relay.sqlite.checkup import quick_check
from relay_parsl.transport import libzmq

SECRETS = ('.key', '.json')
"""Endings of files that are refused when others may read them."""
LOOSE = ('runs', 'spool')
"""Directories whose content is many files, of Parsl and of spooled bodies: they stand behind a mode of 0700."""
MOST = 20_000
"""Files that are looked at."""
AUDIT_LARGEST = 256 << 20
"""Bytes of audit logs beyond which only `audit verify` reads them."""
STORE_SECONDS = 5.0
PACKAGES = ('relay-parsl', 'parsl', 'pyzmq', 'cryptography')
FEWEST_BITS, SHORTEST = 3.5, 20
"""Bits a character and characters that tell a token from a word or a path."""
_SECRET = re.compile(r'(?i)\b([A-Z0-9_.-]*(?:passw(?:or)?d|passphrase|token|secret|api_?key|access_?key)[A-Z0-9_]*)\s*[=:]\s*["\']?([^\s"\'#;]+)')
_REQUIRED = re.compile(r'([A-Za-z0-9._-]+)\s*.*?>=\s*([0-9.]+)')


def packages() -> tuple[dict[str, str], dict[str, str]]:
    """Versions of Python and of what matters, and the oldest that we take."""
    here = {'python': platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            here[name] = version(name)
    here['libzmq'] = libzmq()[0]
    wanted = [_REQUIRED.match(each) for each in (requires('relay-parsl') or [] if 'relay-parsl' in here else []) if 'extra ==' not in each]
    return here, {each[1]: each[2] for each in wanted if each and each[1] in PACKAGES}


def files(home: Home) -> Iterator[Seen]:
    """The home, and what is in it, but for what engines and spools keep."""
    if not home.root.exists():
        return
    todo = [home.root]
    while todo:
        path = todo.pop()
        yield seen(path)
        if path.is_dir() and not path.is_symlink() and path.name not in LOOSE:
            with suppress(PermissionError):  # whose it is, is told
                todo += sorted(islice(path.iterdir(), MOST))


def seen(path: Path) -> Seen:
    """What `lstat` tells."""
    found = path.lstat()
    kinds = {stat.S_IFDIR: 'directory', stat.S_IFREG: 'file', stat.S_IFLNK: 'link'}
    return Seen(str(path), kinds.get(stat.S_IFMT(found.st_mode), 'other'), stat.S_IMODE(found.st_mode), found.st_uid, path.suffix in SECRETS)


def keys(home: Home) -> Iterator[Key]:
    """Credentials of accounts, of the relay and of endpoints, and the pins."""
    places = Place.all(home)
    for path in [*sorted((home.root / 'accounts').glob('[!.]*.key')), home.root / 'relay' / 'relay.key', *[place.key for place in places]]:
        if path.exists():
            yield key(path)
    if (home.root / 'pins.json').exists():
        yield pins('pins.json', home, None)
    for place in places:
        if place.key.exists():
            yield pins('trusted.json', home, place)


def key(path: Path) -> Key:
    """One file of credentials."""
    try:
        found = Credentials.load(path)
    except HomeError as error:
        return Key(str(path), fault=str(error))
    return Key(str(path), found.name, found.role, found.card.not_after)


def pins(name: str, home: Home, place: Place | None) -> Key:
    """How many identities are confirmed; `place`: those that an endpoint trusts."""
    path = str((place.root if place else home.root) / name)
    try:
        found = place.trusted() if place else home.pins()
    except HomeError as error:
        return Key(path, fault=str(error))
    return Key(path, f'identities {"trusted" if place else "confirmed"}: {len(found)}')


def processes(home: Home) -> Iterator[Process]:
    """Every pid file."""
    yield from process(PidFile(home.root / 'relay' / 'relay.pid', 'the relay'), 'relay-parsl relay start --detach')
    yield from process(PidFile(home.root / 'flows' / 'engine.pid', 'the engine of flows'), 'relay-parsl flow serve --detach')
    for place in Place.all(home):
        yield from process(place.pid_file, f'relay-parsl endpoint start {place.name} --detach')


def process(pid: PidFile, start: str) -> Iterator[Process]:
    """What one says, if it is there."""
    try:
        found = pid.read()
    except HomeError as error:
        yield Process(pid.what, str(pid.path), 'damaged', str(error), start)
        return
    if found:
        state = 'elsewhere' if not found.here else 'running' if found.alive else 'dead'
        yield Process(pid.what, str(pid.path), state, str(found), start)


def leftovers(home: Home) -> Iterator[Leftover]:
    """Processes that name the directory of an endpoint which does not run. Linux only: elsewhere nothing is found."""
    idle = {f'{place.root}/': place.name for place in Place.all(home) if not running(place)}
    for each in Path('/proc').glob('[0-9]*') if idle else ():
        try:
            if each.stat().st_uid != os.getuid():
                continue
            command = (each / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace').strip()
        except OSError:
            continue  # it has ended
        for root, name in idle.items():
            if f'{root}runs/' in command and int(each.name) != os.getpid():
                yield Leftover(int(each.name), name, command[:200])


def running(place: Place) -> bool:
    """Whether the endpoint runs, or may run elsewhere."""
    try:
        return place.pid_file.running() is not None
    except HomeError:
        return True


def disks(home: Home) -> Iterator[Disk]:
    """The filesystems of the home, of the relay's store and spool, of endpoints and of flows; each once."""
    places = [('home', home.root), ('store of the relay', home.root / 'relay'), ('spool of the relay', home.root / 'relay' / 'spool')]
    places += [(f'endpoint {place.name}', place.root) for place in Place.all(home)]
    places += [('journal of flows', home.root / 'flows')]
    mounts = filesystems()
    for what, path in places:
        if path.exists():
            found = os.statvfs(path)
            kind = next((kind for point, kind in mounts if path.resolve().is_relative_to(point)), 'unknown')
            yield Disk(what, str(path), kind, found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, found.f_favail, found.f_files)


def filesystems() -> list[tuple[Path, str]]:
    """Mount points and kinds, the deepest first; empty where the system does not tell."""
    table = Path('/proc/self/mountinfo')
    found = []
    for line in table.read_text().splitlines() if table.exists() else ():
        before, _, after = line.partition(' - ')
        point = before.split()[4].encode().decode('unicode_escape')
        found.append((Path(point), after.split()[0]))
    return sorted(found, key=lambda each: -len(each[0].parts))


def limits() -> Limits:
    """Of this process, and the memory of its control group."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    umask = os.umask(0o077)
    os.umask(umask)
    group = Path('/sys/fs/cgroup') / own_group()
    return Limits(soft, hard, resource.getrlimit(resource.RLIMIT_NPROC)[0], number(group / 'memory.max'), number(group / 'memory.current'), umask)


def own_group() -> str:
    """The path of this process's control group, version 2."""
    table = Path('/proc/self/cgroup')
    lines = table.read_text().splitlines() if table.exists() else []
    return next((line[3:].lstrip('/') for line in lines if line.startswith('0::')), '')


def number(path: Path) -> int:
    """What such a file holds; -1 for `max`, or when it is not there."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return -1


def audits(home: Home) -> Iterator[Checked]:
    """Every audit log of the home."""
    parties = [('relay', home.root / 'relay', home.root / 'relay' / 'relay.key')]
    parties += [(f'endpoint {place.name}', place.root, place.key) for place in Place.all(home)]
    for what, root, path in parties:
        log = root / 'audit.log'
        if log.exists():
            yield audit(what, log, path)


def audit(what: str, log: Path, path: Path) -> Checked:
    """One of them, unless it is long."""
    if sum(each.stat().st_size for each in audit_files(log)) > AUDIT_LARGEST:
        return Checked(what, str(log), note=f'over {AUDIT_LARGEST >> 20} MiB, not read here: relay-parsl audit verify')
    try:
        found = verify(log, identity=Credentials.load(path).card.identity if path.exists() else None)
    except (OSError, HomeError) as error:
        return Checked(what, str(log), (str(error),))
    return Checked(what, str(log), tuple(f'{each.file}{f", line {each.line}" if each.line else ""}: {each.text}' for each in found))


def stores(home: Home) -> Iterator[Checked]:
    """Every database of the home, as SQLite sees it."""
    found = [('relay', home.root / 'relay' / 'relay.db'), ('flows', home.root / 'flows' / 'journal.db')]
    found += [(f'endpoint {place.name}', place.root / 'journal.db') for place in Place.all(home)]
    for what, path in found:
        if path.exists():
            yield Checked(what, str(path), *quick_check(path, STORE_SECONDS))


def secrets(home: Home) -> Iterator[Secret]:
    """Lines of endpoint files that give something the name of a secret and the entropy of one."""
    for place in Place.all(home):
        for path in sorted([*place.root.glob('*.yaml'), *place.root.glob('*.j2')]):
            for count, line in enumerate(path.read_text(errors='replace').splitlines(), 1):
                found = _SECRET.search(line)
                if found and is_random(found[2]):
                    yield Secret(str(path), count, found[1])


def is_random(text: str) -> bool:
    """Whether a text is too irregular to be a word, a path or a variable."""
    if len(text) < SHORTEST or text.startswith(('/', '$', '~')):
        return False
    return -sum(share * log2(share) for each in set(text) if (share := text.count(each) / len(text))) >= FEWEST_BITS
