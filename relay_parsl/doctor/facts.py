"""What the doctor has seen. Times in seconds, sizes in bytes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Seen:
    """A file or directory of the home: `kind` is directory, file, link or other; `secret`: a file that is refused when others may read it."""

    path: str
    kind: str
    mode: int
    uid: int
    secret: bool = False


@dataclass(frozen=True)
class Key:
    """Credentials, or why they cannot be used."""

    path: str
    name: str = ''
    role: str = ''
    not_after: float = 0.0
    fault: str = ''


@dataclass(frozen=True)
class Process:
    """A pid file: `state` is running, elsewhere (another host's), dead or damaged; `start` is the command that begins it anew."""

    what: str
    path: str
    state: str
    who: str
    start: str


@dataclass(frozen=True)
class Disk:
    """The filesystem of a directory."""

    what: str
    path: str
    kind: str
    free: int
    total: int
    inodes_free: int
    inodes: int


@dataclass(frozen=True)
class Relay:
    """A relay as this host reaches it.

    Attributes:
        name: What this home calls it; `url`: where it is.
        state: answers, admits (the key; nothing was asked, for it is an endpoint's), unreachable, handshake, unknown-key, silent, or refused.
        fault: Its own words where it refused.
        took: Seconds until the CURVE handshake was over.
        skew: How far its clock is before ours, None where it did not tell.
        versions: What it runs.
        full: Whether its disk is; `audit`: how its audit log stands, '' where it did not tell.
        own: Whether it is the relay of this home, and `pid` its process, 0 for none.
        since: From when it has the next key that it has announced, in seconds since 1970; 0 for none.
        port_of: Who listens on its port on this host, '' for nobody or unknown; `bound`: at which address.
    """

    name: str
    url: str
    state: str
    fault: str = ''
    took: float = 0.0
    skew: float | None = None
    versions: dict[str, str] = field(default_factory=dict)
    full: bool = False
    audit: str = ''
    own: bool = False
    pid: int = 0
    since: float = 0.0
    port_of: str = ''
    bound: str = ''


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as a relay tells of it."""

    name: str
    online: bool
    version: str
    audit: str = ''
    clock: str = ''


@dataclass(frozen=True)
class Limits:
    """Of this process and its control group; -1 is no limit."""

    files: int
    most_files: int
    processes: int
    memory: int
    memory_used: int
    umask: int


@dataclass(frozen=True)
class Checked:
    """A log or a store that was read: `faults` are lines about what is wrong; `note` says why it was not read."""

    what: str
    path: str
    faults: tuple[str, ...] = ()
    note: str = ''


@dataclass(frozen=True)
class Leftover:
    """A process of an endpoint's engine whose endpoint does not run."""

    pid: int
    endpoint: str
    command: str


@dataclass(frozen=True)
class Secret:
    """A line of an endpoint file that looks like a password or a token."""

    path: str
    line: int
    key: str


@dataclass
class Facts:
    """All of it. `late` names looks that did not end in time."""

    home: str = ''
    uid: int = 0
    own: str = ''
    versions: dict[str, str] = field(default_factory=dict)
    oldest: dict[str, str] = field(default_factory=dict)
    curve: bool = True
    seen: list[Seen] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    disks: list[Disk] = field(default_factory=list)
    relays: list[Relay] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)
    limits: Limits | None = None
    audits: list[Checked] = field(default_factory=list)
    stores: list[Checked] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
