"""What the doctor makes of facts: faults, warnings, and the command that mends each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay_parsl.doctor.facts import Checked, Disk, Endpoint, Facts, Key, Leftover, Limits, Process, Relay, Secret, Seen
from relay_parsl.doctor.findings import MANY, Finding, judge, numbers

NOW, DAY, GIB = 1_800_000_000.0, 86400.0, 1 << 30
RELAY = Relay('site', 'tcp://relay.example.org:7400', 'answers', took=0.02, skew=0.1, versions={'relay-parsl': '1.0'}, audit='written')
DISK = Disk('store of the relay', '/home/ann/.relay_parsl/relay', 'ext4', 100 * GIB, 200 * GIB, 1_000_000, 2_000_000)
LIMITS = Limits(1024, 1 << 20, -1, -1, -1, 0o077)
HEALTHY = Facts(
    home='/home/ann/.relay_parsl', uid=1000, own='1.0', versions={'parsl': '2026.11.2'}, oldest={'parsl': '2026.10.26'},
    seen=[Seen('/home/ann/.relay_parsl', 'directory', 0o700, 1000), Seen('/home/ann/.relay_parsl/accounts/ann.key', 'file', 0o600, 1000, True)],
    keys=[Key('/home/ann/.relay_parsl/accounts/ann.key', 'ann', 'user', NOW + 1000 * DAY)],
    processes=[Process('the relay', '/r/relay.pid', 'running', 'process 7 on login1', 'relay-parsl relay start --detach')],
    disks=[DISK], relays=[RELAY], endpoints=[Endpoint('polaris', True, '1.0')], limits=LIMITS,
    audits=[Checked('relay', '/r/audit.log')], stores=[Checked('relay', '/r/relay.db', note='in use')],
)  # fmt: skip


def bad(facts: Facts) -> list[Finding]:
    return [each for each in judge(facts, NOW) if each.verdict != 'ok']


def test_a_healthy_home_has_no_fault_and_every_check_speaks() -> None:
    found = judge(HEALTHY, NOW)
    assert {each.verdict for each in found} == {'ok'}
    assert {each.check for each in found} == {'versions', 'files', 'keys', 'processes', 'disk', 'limits', 'relay', 'clock', 'audit', 'store'}


def test_the_end_of_an_overlap_is_told() -> None:
    found = judge(replace(HEALTHY, relays=[replace(RELAY, since=NOW + 3 * DAY)]), NOW)
    [told] = [each for each in found if 'next key' in each.seen]
    assert (told.verdict, '2027-01-1' in told.seen, 'known here' in told.seen) == ('ok', True, True)
    [told] = [
        each for each in judge(replace(HEALTHY, relays=[replace(RELAY, own=True, pid=7, since=NOW + 30 * DAY)]), NOW) if 'next key' in each.seen
    ]
    assert told.verdict == 'ok'


KEY, PID = HEALTHY.keys[0], HEALTHY.processes[0]
CASES: dict[str, tuple[Facts, str, str, str]] = {
    'next key soon': (
        replace(HEALTHY, relays=[replace(RELAY, own=True, pid=7, since=NOW + 3 * DAY)]), 'relay', 'warning', 'relay-parsl relay rotate --until'
    ),
    'old parsl': (replace(HEALTHY, versions={'parsl': '2026.9.30'}), 'versions', 'fault', "pip install --upgrade 'parsl>=2026.10.26'"),
    'no parsl': (replace(HEALTHY, versions={}), 'versions', 'fault', "pip install 'parsl>=2026.10.26'"),
    'no curve': (replace(HEALTHY, curve=False), 'versions', 'fault', 'pip install'),
    'open key': (replace(HEALTHY, seen=[Seen('/h/a.key', 'file', 0o644, 1000, True)]), 'files', 'fault', 'chmod 600 /h/a.key'),
    'open directory': (replace(HEALTHY, seen=[Seen('/h', 'directory', 0o750, 1000)]), 'files', 'fault', 'chmod 700 /h'),
    'open log': (replace(HEALTHY, seen=[Seen('/h/relay.log', 'file', 0o644, 1000)]), 'files', 'warning', 'chmod 600 /h/relay.log'),
    'link': (replace(HEALTHY, seen=[Seen('/h/a.key', 'link', 0o777, 1000, True)]), 'files', 'fault', 'put the file itself there'),
    'owner': (replace(HEALTHY, seen=[Seen('/h/a.key', 'file', 0o600, 0, True)]), 'files', 'fault', 'sudo chown 1000 /h/a.key'),
    'no keys': (replace(HEALTHY, keys=[]), 'keys', 'warning', 'relay-parsl join'),
    'damaged key': (replace(HEALTHY, keys=[Key('/h/a.key', fault='/h/a.key is damaged')]), 'keys', 'fault', 'restore /h/a.key'),
    'open key, told': (replace(HEALTHY, keys=[Key('/h/a.key', fault='a.key is open: chmod 600 a.key')]), 'keys', 'fault', 'chmod 600'),
    'link, told': (replace(HEALTHY, keys=[Key('/h/a.key', fault='a.key is a link: put the file itself there')]), 'keys', 'fault', 'put the file'),
    'owner, told': (replace(HEALTHY, keys=[Key('/h/a.key', fault='a.key is of uid 7: chown it, or move')]), 'keys', 'fault', 'chown it, or move'),
    'damaged key of the relay': (replace(HEALTHY, keys=[Key('/h/relay/relay.key', fault='bad')]), 'keys', 'fault', 'relay-parsl relay restore'),
    'card over, its name is taken': (replace(HEALTHY, keys=[replace(KEY, not_after=NOW)]), 'keys', 'fault', 'relay-parsl account revoke ann'),
    'card of the relay over': (replace(HEALTHY, keys=[replace(KEY, role='relay', not_after=NOW)]), 'keys', 'fault', 'relay-parsl relay rotate'),
    'card over': (replace(HEALTHY, keys=[replace(KEY, not_after=NOW - DAY)]), 'keys', 'fault', 'relay-parsl invite ann --role user'),
    'card ends soon': (replace(HEALTHY, keys=[replace(KEY, not_after=NOW + 20 * DAY)]), 'keys', 'warning', 'relay-parsl invite ann'),
    'secret': (replace(HEALTHY, secrets=[Secret('/h/endpoint.yaml', 7, 'API_TOKEN')]), 'secrets', 'warning', '0600'),
    'dead process': (replace(HEALTHY, processes=[replace(PID, state='dead')]), 'processes', 'warning', 'relay-parsl relay start --detach'),
    'damaged pid file': (replace(HEALTHY, processes=[replace(PID, state='damaged')]), 'processes', 'fault', 'rm /r/relay.pid'),
    'leftover': (replace(HEALTHY, leftovers=[Leftover(77, 'polaris', 'interchange')]), 'leftovers', 'warning', 'kill 77'),
    'full disk': (replace(HEALTHY, disks=[replace(DISK, free=60 << 20)]), 'disk', 'fault', 'df -h'),
    'little room': (replace(HEALTHY, disks=[replace(DISK, free=3 * GIB)]), 'disk', 'warning', 'df -h'),
    'no inodes': (replace(HEALTHY, disks=[replace(DISK, inodes_free=12)]), 'disk', 'fault', 'df -i'),
    'network disk': (replace(HEALTHY, disks=[replace(DISK, kind='nfs4')]), 'disk', 'warning', 'local disk'),
    'memory disk': (replace(HEALTHY, disks=[replace(DISK, kind='tmpfs')]), 'disk', 'fault', 'directory on a disk'),
    'few files': (replace(HEALTHY, limits=replace(LIMITS, most_files=1024)), 'limits', 'warning', 'LimitNOFILE'),
    'few processes': (replace(HEALTHY, limits=replace(LIMITS, processes=64)), 'limits', 'warning', 'ulimit -u'),
    'memory': (replace(HEALTHY, limits=replace(LIMITS, memory=GIB, memory_used=GIB - 1)), 'limits', 'warning', 'MemoryMax'),
    'umask': (replace(HEALTHY, limits=replace(LIMITS, umask=0)), 'limits', 'warning', 'umask 077'),
    'unreachable': (replace(HEALTHY, relays=[Relay('site', 'tcp://h:7400', 'unreachable')]), 'relay', 'fault', 'nc -vz h 7400'),
    'another key': (replace(HEALTHY, relays=[Relay('site', 'tcp://h:7400', 'handshake')]), 'relay', 'fault', 'relay-parsl join'),
    'revoked': (replace(HEALTHY, relays=[Relay('site', 'tcp://h:7400', 'unknown-key')]), 'relay', 'fault', 'invitation'),
    'silent': (replace(HEALTHY, relays=[Relay('site', 'tcp://h:7400', 'silent')]), 'relay', 'fault', 'relay-parsl relay status'),
    'own and down': (replace(HEALTHY, relays=[Relay('relay', 'tcp://h:1', 'unreachable', own=True)]), 'relay', 'warning', 'relay-parsl relay start'),
    'slow': (replace(HEALTHY, relays=[replace(RELAY, took=2.0)]), 'relay', 'warning', 'ping'),
    'another version': (replace(HEALTHY, relays=[replace(RELAY, versions={'relay-parsl': '0.9'})]), 'relay', 'warning', 'update the relay first'),
    'its disk': (replace(HEALTHY, relays=[replace(RELAY, full=True)]), 'relay', 'fault', 'make room'),
    'its audit log': (replace(HEALTHY, relays=[replace(RELAY, audit='cannot be written')]), 'relay', 'fault', 'audit verify relay'),
    'clock': (replace(HEALTHY, relays=[replace(RELAY, skew=-12.0)]), 'clock', 'warning', 'timedatectl'),
    'clock far off': (replace(HEALTHY, relays=[replace(RELAY, skew=290.0)]), 'clock', 'fault', 'timedatectl'),
    'old endpoint': (replace(HEALTHY, endpoints=[Endpoint('polaris', True, '0.9')]), 'endpoints', 'warning', 'relay-parsl endpoint restart polaris'),
    'endpoint away': (replace(HEALTHY, endpoints=[Endpoint('polaris', False, '1.0')]), 'endpoints', 'warning', 'relay-parsl endpoint start polaris'),
    'endpoint halts': (replace(HEALTHY, endpoints=[Endpoint('polaris', True, '1.0', 'cannot be written')]), 'endpoints', 'fault', 'make room'),
    'endpoint clock': (replace(HEALTHY, endpoints=[Endpoint('polaris', True, '1.0', clock='9 s behind')]), 'clock', 'warning', 'timedatectl'),
    'bound to this host': (replace(HEALTHY, relays=[replace(RELAY, bound='127.0.0.1', own=True, pid=7)]), 'relay', 'fault', '--bind 0.0.0.0'),
    'audit': (replace(HEALTHY, audits=[Checked('endpoint polaris', '/a', ('line 3',))]), 'audit', 'fault', 'relay-parsl audit verify polaris'),
    'store': (replace(HEALTHY, stores=[Checked('relay', '/r/relay.db', ('malformed',))]), 'store', 'fault', 'docs/operations.md'),
    'late': (replace(HEALTHY, late=['disks']), 'disks', 'warning', ''),
}  # fmt: skip


@pytest.mark.parametrize('case', CASES)
def test_what_is_wrong_is_told_with_what_mends_it(case: str) -> None:
    facts, check, verdict, mend = CASES[case]
    [found] = bad(facts)
    assert (found.check, found.verdict) == (check, verdict)
    assert mend in found.mend


def test_of_many_of_a_kind_some_are_told_and_the_rest_counted() -> None:
    found = bad(replace(HEALTHY, seen=[Seen(f'/h/{number}.key', 'file', 0o644, 1000, True) for number in range(100)]))
    assert len(found) == MANY + 1
    assert found[-1].seen == f'{100 - MANY} more of the kind'


def test_versions_are_compared_as_numbers() -> None:
    assert numbers('2026.10.26') > numbers('2026.9.30')
    assert numbers('27.0.0b1+local') >= numbers('27')


def test_a_store_on_a_full_disk_is_not_called_damaged() -> None:
    """SQLite cannot look at it there, and says that this is an I/O error."""
    store = Checked('relay', '/h/relay/relay.db', ('disk I/O error',))
    found = [each for each in judge(replace(HEALTHY, disks=[replace(DISK, path='/h', free=0)], stores=[store]), NOW) if each.check == 'store']
    assert [(each.verdict, 'make room there first' in each.mend, 'restore' in each.mend) for each in found] == [('fault', True, False)]
