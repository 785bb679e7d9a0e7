"""From facts to findings. Pure: what is a fault, what a warning, and the command that mends each."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from relay_parsl.doctor.facts import Checked, Disk, Facts, Key, Limits, Process, Relay, Seen

OK, WARNING, FAULT = 'ok', 'warning', 'fault'
SOON = 30 * 86400.0
"""Seconds before the end of a card from which its end is worth a warning."""
SOON_KEY = 7 * 86400.0
"""Seconds before a relay of one's own has its next key from which that is worth a warning."""
SKEW_WARNS, SKEW_FAULTS = 5.0, 240.0
"""Seconds between two clocks. Grants bear 300: beyond, endpoints refuse what clients sign."""
SET_CLOCK = 'timedatectl set-ntp true, or chronyc makestep'
SLOW = 1.0
"""Seconds for a handshake from which it is slow."""
RESERVE = 64 << 20
"""Bytes: with less than these, or a tenth of a small disk, a relay takes no new tasks."""
FULL = 1 << 20
"""Bytes with fewer of which nothing can be judged of a store there."""
LITTLE = 5 << 30
"""Bytes on a disk under which it is worth a warning, unless a tenth of the disk is less."""
FEW_INODES = 10_000
FEW_FILES = 4096
"""Open files: each connection takes one."""
FEW_PROCESSES = 512
TIGHT = 0.9
"""Part of the memory of a control group from which it is nearly used up."""
SHARED = {
    'nfs',
    'nfs4',
    'lustre',
    'gpfs',
    'beegfs',
    'cephfs',
    'ceph',
    'panfs',
    'cifs',
    'smb3',
    'afs',
    'orangefs',
    'fuse.sshfs',
    'wekafs',
    '9p',
    'dvs',
}
"""Filesystems that several hosts mount."""
FLEETING = {'tmpfs', 'ramfs'}
MANY = 20
"""Findings of one check that are told one by one."""


@dataclass(frozen=True)
class Finding:
    """One check: its verdict, what was seen, and what mends it."""

    check: str
    verdict: str
    seen: str
    mend: str = ''


def judge(facts: Facts, now: float) -> list[Finding]:
    """Every check, the gravest of each first; what did not end in time is a warning. `now` in seconds since 1970."""
    checks: tuple[tuple[str, Callable[[Facts, float], Iterator[Finding]]], ...] = (
        ('versions', versions), ('files', files), ('keys', keys), ('secrets', secrets), ('processes', processes), ('leftovers', leftovers),
        ('disk', disks), ('limits', limits), ('relay', relays), ('clock', clocks), ('endpoints', endpoints), ('audit', audits), ('store', stores),
    )  # fmt: skip
    found: list[Finding] = []
    for _, check in checks:
        some = sorted(check(facts, now), key=lambda each: (FAULT, WARNING, OK).index(each.verdict))
        found += some[:MANY]
        if len(some) > MANY:
            found.append(Finding(some[0].check, some[0].verdict, f'{len(some) - MANY} more of the kind'))
    found += [
        Finding(what, WARNING, 'the look did not end in time, or could not be made: a filesystem or a name server hangs, or a mode forbids it')
        for what in facts.late
    ]
    return found


# -- This home -----------------------------------------------------------------------------------------------------------


def versions(facts: Facts, _now: float) -> Iterator[Finding]:
    """What is installed, against what we need."""
    for name, oldest in facts.oldest.items():
        here = facts.versions.get(name, '')
        if not here:
            yield Finding('versions', FAULT, f'{name} is not installed', f"pip install '{name}>={oldest}'")
        elif numbers(here) < numbers(oldest):
            yield Finding('versions', FAULT, f'{name} is {here}, and {oldest} is needed', f"pip install --upgrade '{name}>={oldest}'")
    if not facts.curve:
        yield Finding('versions', FAULT, 'the libzmq of this pyzmq knows no CURVE', 'pip install --force-reinstall --only-binary :all: pyzmq')
    yield Finding('versions', OK, ', '.join(f'{name} {version}' for name, version in facts.versions.items()))


def numbers(version: str) -> tuple[int, ...]:
    """The numbers at the beginning of a version, for comparing."""
    return tuple(int(each) for each in re.findall(r'\d+', version.split('+', maxsplit=1)[0])[:4])


def files(facts: Facts, _now: float) -> Iterator[Finding]:
    """Nobody else may read or write what is in the home."""
    bad = [finding for each in facts.seen for finding in file_faults(each, facts.uid)]
    yield from bad
    if not facts.seen:
        yield Finding('files', OK, f'there is nothing at {facts.home} yet')
    elif not bad:
        yield Finding('files', OK, f'{len(facts.seen)} files and directories of {facts.home} are yours alone')


def file_faults(seen: Seen, uid: int) -> Iterator[Finding]:
    """What is wrong with one of them."""
    mode = '700' if seen.kind == 'directory' else '600'
    if seen.kind in ('link', 'other'):
        yield Finding('files', FAULT, f'{seen.path} is {"a symbolic link" if seen.kind == "link" else "no file"}', 'put the file itself there')
    elif seen.uid != uid:
        yield Finding('files', FAULT, f'{seen.path} belongs to uid {seen.uid}', f'sudo chown {uid} {seen.path}')
    elif seen.mode & 0o077:
        refused = seen.secret or seen.kind == 'directory'
        yield Finding('files', FAULT if refused else WARNING, f'{seen.path} is open to others (mode {seen.mode:04o})', f'chmod {mode} {seen.path}')


def keys(facts: Facts, now: float) -> Iterator[Finding]:
    """Credentials can be used, and for how long."""
    for key in facts.keys:
        yield key_finding(key, now)
    if not facts.keys:
        mend = "relay-parsl join 'relay-parsl://…', or relay-parsl relay start for a relay of your own"
        yield Finding('keys', WARNING, 'there are no keys here: this home never joined a relay', mend)


def key_finding(key: Key, now: float) -> Finding:
    """About one of them."""
    if key.fault:
        return key_fault(key)
    left, name = key.not_after - now, f'{key.role} {key.name!r}'
    if key.path.endswith('pins.json') or key.path.endswith('trusted.json'):
        return Finding('keys', OK, f'{key.path}: {key.name}')
    mend = f'relay-parsl account revoke {key.name}, then relay-parsl invite {key.name} --role {key.role}, where the account that invited it is'
    mend += f'; here move {key.path} away, then relay-parsl join with what that prints'
    mend = 'relay-parsl relay rotate' if key.role == 'relay' else mend
    if left <= 0:
        return Finding('keys', FAULT, f'the card of {name} ended {-left / 86400:.0f} days ago ({key.path})', mend)
    if left < SOON:
        return Finding('keys', WARNING, f'the card of {name} ends in {left / 86400:.0f} days ({key.path})', mend)
    return Finding('keys', OK, f'{name}: its card is valid for {left / 86400:.0f} more days')


def key_fault(key: Key) -> Finding:
    """About one that cannot be used: a remedy that is in the words already, or where to get it from."""
    cause, _, remedy = key.fault.rpartition(': ')
    if remedy.startswith(('chmod ', 'chown ', 'put ')):
        return Finding('keys', FAULT, cause, remedy)
    again = 'join again with a new invitation'
    if key.path.endswith('relay/relay.key'):  # who joined knows this one and no other
        again = 'relay-parsl relay restore FILE --force, which brings back store and key of a backup'
    return Finding('keys', FAULT, key.fault, f'restore {key.path} from a backup, or move it away and {again}')


def secrets(facts: Facts, _now: float) -> Iterator[Finding]:
    """Endpoint files become batch scripts, which the whole cluster may read."""
    for each in facts.secrets:
        mend = 'keep it in a file of mode 0600 and have `worker_init` read that'
        yield Finding('secrets', WARNING, f'{each.path}, line {each.line}: {each.key} looks like a secret, and batch scripts are readable', mend)


def processes(facts: Facts, _now: float) -> Iterator[Finding]:
    """Pid files of processes that ended without a word."""
    for each in facts.processes:
        yield process_finding(each)


def process_finding(each: Process) -> Finding:
    """About one of them."""
    if each.state == 'damaged':
        return Finding('processes', FAULT, f'{each.what}: {each.who}', f'rm {each.path}')
    if each.state == 'dead':
        return Finding('processes', WARNING, f'{each.what} ended without a word: {each.who} does not run, its pid file is left', each.start)
    return Finding('processes', OK, f'{each.what} runs as {each.who}' + (', which only that host can tell' if each.state == 'elsewhere' else ''))


def leftovers(facts: Facts, _now: float) -> Iterator[Finding]:
    """Processes of engines whose endpoint is gone."""
    for each in facts.leftovers:
        yield Finding(
            'leftovers', WARNING, f'process {each.pid} is of an engine of endpoint {each.endpoint!r}, which does not run', f'kill {each.pid}'
        )


# -- This host -----------------------------------------------------------------------------------------------------------


def disks(facts: Facts, _now: float) -> Iterator[Finding]:
    """Room, and whether the filesystem is one for a store."""
    for each in facts.disks:
        yield from disk_findings(each)


def disk_findings(disk: Disk) -> Iterator[Finding]:
    """About one of them."""
    free = f'{disk.what}: {size(disk.free)} of {size(disk.total)} are free ({disk.kind}, {disk.path})'
    if disk.free < min(RESERVE, disk.total // 10):
        yield Finding('disk', FAULT, f'{free}: nothing new is taken in', f'df -h {disk.path}; make room there, or move $RELAY_PARSL_HOME')
    elif disk.free < min(LITTLE, disk.total // 10):
        yield Finding('disk', WARNING, free, f'df -h {disk.path}; make room there, or move $RELAY_PARSL_HOME')
    else:
        yield Finding('disk', OK, free)
    if disk.inodes and disk.inodes_free < min(FEW_INODES, disk.inodes // 10):
        yield Finding('disk', FAULT, f'{disk.what}: only {disk.inodes_free} more files can be made ({disk.path})', f'df -i {disk.path}; delete files')
    if disk.kind in SHARED and disk.what != 'home':
        mend = 'set $RELAY_PARSL_HOME to a directory on a local disk, and start it on one host only'
        yield Finding('disk', WARNING, f'{disk.what} is on {disk.kind}, where locks and syncs of SQLite depend on servers ({disk.path})', mend)
    if disk.kind in FLEETING and disk.what != 'home':
        yield Finding(
            'disk', FAULT, f'{disk.what} is in memory ({disk.kind}): a reboot loses all of it', 'set $RELAY_PARSL_HOME to a directory on a disk'
        )


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ('B', 'KiB', 'MiB', 'GiB'):
        if count < 1024:
            return f'{count:.0f} {unit}'
        count /= 1024
    return f'{count:.1f} TiB'


def limits(facts: Facts, _now: float) -> Iterator[Finding]:
    """What this user's processes may use."""
    if facts.limits is not None:
        found = list(limit_faults(facts.limits))
        yield from found
        if not found:
            most = 'no limit' if facts.limits.most_files < 0 else str(facts.limits.most_files)
            yield Finding('limits', OK, f'open files up to {most}, umask {facts.limits.umask:04o}')


def limit_faults(limits: Limits) -> Iterator[Finding]:
    """What is too little of it."""
    if 0 <= limits.most_files < FEW_FILES:
        mend = 'LimitNOFILE=65536 in the unit, or a `nofile` line in /etc/security/limits.conf'
        yield Finding('limits', WARNING, f'only {limits.most_files} files may be open, and each connection takes one', mend)
    if 0 <= limits.processes < FEW_PROCESSES:
        yield Finding(
            'limits', WARNING, f'only {limits.processes} processes may run', 'ulimit -u 4096, or a `nproc` line in /etc/security/limits.conf'
        )
    if limits.memory > 0 and limits.memory_used > TIGHT * limits.memory:
        seen = f'{size(limits.memory_used)} of the {size(limits.memory)} of this control group are in use'
        yield Finding('limits', WARNING, seen, 'end what you do not need here, or set MemoryMax of the unit higher')
    if not limits.umask & 0o022:
        yield Finding('limits', WARNING, f'the umask is {limits.umask:04o}: whatever your tasks write, others may change', 'umask 077')


# -- Relays --------------------------------------------------------------------------------------------------------------


def relays(facts: Facts, now: float) -> Iterator[Finding]:
    """They are reached, and are what they should be."""
    for each in facts.relays:
        yield from relay_findings(each, facts.own)
        if each.since:
            yield next_key(each, now)


def next_key(relay: Relay, now: float) -> Finding:
    """Its key changes: whoever hears of that goes over by itself."""
    when = time.strftime('%Y-%m-%d %H:%M', time.localtime(relay.since))
    if not relay.own:
        return Finding('relay', OK, f'relay {relay.name!r} has announced its next key, from {when} on; it is known here')
    seen = f'the relay of this home has its next key from {when} on: whoever has not connected until then must be told it (relay-parsl relay key)'
    mend = 'relay-parsl account list, for who was not seen since it was announced; relay-parsl relay rotate --until DATE gives them longer'
    return Finding('relay', WARNING, seen, mend) if relay.since - now < SOON_KEY else Finding('relay', OK, seen)


def relay_findings(relay: Relay, own: str) -> Iterator[Finding]:
    """About one of them."""
    where = f'relay {relay.name!r} at {relay.url}'
    faults = {
        'unreachable': (
            'nothing answers there',
            f'nc -vz {relay.url.removeprefix("tcp://").replace(":", " ")}; a firewall, or the relay is not started',
        ),
        'handshake': (
            f'what answers there is no relay, or has another key{relay.port_of and f" ({relay.port_of})"}',
            "relay-parsl relay pin KEY if its key was replaced (relay-parsl relay key, on its host); relay-parsl join 'relay-parsl://…' if made anew",
        ),
        'unknown-key': (
            'it does not know our key: revoked, or its store is an older one',
            'relay-parsl account rotate, or endpoint rotate NAME, if it was restored from a backup; else ask its operator for a new invitation',
        ),
        'silent': ('it is reached and says nothing: overloaded, or a middle box keeps what we send', 'relay-parsl relay status, on its host'),
        'refused': (relay.fault, 'ask its operator'),
    }
    if relay.own and not relay.pid:
        other = f', and {relay.port_of} listens on its port' if relay.port_of else ''
        mend = f'end {relay.port_of}, or relay-parsl relay start --bind HOST:PORT --detach' if other else 'relay-parsl relay start --detach'
        yield Finding('relay', WARNING, f'the relay of this home does not run{other}', mend)
    elif relay.state in faults:
        yield Finding('relay', FAULT, f'{where}: {faults[relay.state][0]}', faults[relay.state][1])
    else:
        slow = relay.took > SLOW
        yield Finding(
            'relay', WARNING if slow else OK, f'{where}: handshake in {relay.took * 1000:.0f} ms', 'ping it; look at its load' if slow else ''
        )
    yield from relay_says(relay, where, own)


def relay_says(relay: Relay, where: str, own: str) -> Iterator[Finding]:
    """What it tells of itself."""
    theirs = relay.versions.get('relay-parsl', '')
    if theirs and theirs != own:
        yield Finding('relay', WARNING, f'{where} runs relay-parsl {theirs}, this is {own}', 'update the relay first, then endpoints, then clients')
    if relay.bound.startswith('127.') and not relay.url.removeprefix('tcp://').startswith(('127.', 'localhost')):
        seen = f'{where}: it listens at {relay.bound} only, where no other host reaches it'
        yield Finding('relay', FAULT, seen, 'relay-parsl relay stop, then relay-parsl relay start --bind 0.0.0.0:PORT --detach')
    if relay.full:
        yield Finding('relay', FAULT, f'{where}: its disk is full, new tasks are refused', 'make room on its host')
    if relay.audit not in ('', 'written'):
        yield Finding(
            'relay', FAULT, f'{where}: its audit log {relay.audit}', 'on its host: make room, then look with relay-parsl audit verify relay'
        )


def clocks(facts: Facts, _now: float) -> Iterator[Finding]:
    """Ours against those of relays: grants and invitations have times in them."""
    for each in facts.relays:
        if each.skew is not None:
            apart = abs(each.skew)
            seen = f'this clock and that of relay {each.name!r} are {apart:.1f} s apart' + (
                f', {"its" if each.skew > 0 else "this"} is ahead' if apart > 1 else ''
            )
            verdict = FAULT if apart >= SKEW_FAULTS else WARNING if apart >= SKEW_WARNS else OK
            yield Finding('clock', verdict, seen, '' if verdict == OK else f'{SET_CLOCK}, on the host that is wrong')


def endpoints(facts: Facts, _now: float) -> Iterator[Finding]:
    """As the relay tells of them."""
    for each in facts.endpoints:
        if each.version and each.version != facts.own:
            seen = f'endpoint {each.name!r} runs relay-parsl {each.version}, this is {facts.own}'
            yield Finding('endpoints', WARNING, seen, f'on its host: update, then relay-parsl endpoint restart {each.name} --detach')
        if each.audit:
            yield Finding('endpoints', FAULT, f'endpoint {each.name!r}: its audit log {each.audit}', 'make room on its host')
        if each.clock:
            yield Finding('clock', WARNING, f'endpoint {each.name!r}: its clock is {each.clock}', f'{SET_CLOCK}, there')
        if not each.online:
            yield Finding(
                'endpoints', WARNING, f'endpoint {each.name!r} is not connected', f'on its host: relay-parsl endpoint start {each.name} --detach'
            )


# -- What is on disk -----------------------------------------------------------------------------------------------------


def audits(facts: Facts, _now: float) -> Iterator[Finding]:
    """Logs are whole."""
    for each in facts.audits:
        yield from checked(
            each, 'audit', f'relay-parsl audit verify {each.what.removeprefix("endpoint ")}; compare with a copy of audit.head kept elsewhere'
        )


def stores(facts: Facts, _now: float) -> Iterator[Finding]:
    """Databases are whole. On a full disk SQLite cannot even look, and says that it is an I/O error: nothing is lost by that."""
    full = [disk.path for disk in facts.disks if disk.free < FULL]
    for each in facts.stores:
        said = replace(each, note=each.note or 'whole, as SQLite sees it; the sums of its rows are looked at by a start')
        mend = f'stop it, keep a copy of {each.path}, and restore a backup: see docs/operations.md'
        if path := next((path for path in full if each.path.startswith(f'{path}/')), ''):
            mend = f'df -h {path}; make room there first, and then look again with relay-parsl doctor'
        yield from checked(said, 'store', mend)


def checked(each: Checked, check: str, mend: str) -> Iterator[Finding]:
    """What was read, and what is wrong with it."""
    for fault in each.faults:
        yield Finding(check, FAULT, f'{each.what}: {fault}', mend)
    if not each.faults:
        yield Finding(check, OK, f'{each.what}: {each.note or "whole"}')
