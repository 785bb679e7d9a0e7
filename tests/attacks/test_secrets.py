"""A whole session at the highest log level, and all that it leaves where others may look: no key, no token, nothing of what tasks carry."""

from __future__ import annotations

import base64
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from zmq.utils import z85

from relay_parsl.home import Credentials
from relay_parsl.home.records import Invitation
from tests.integration.commands import Commands, commands, until

pytestmark = pytest.mark.integration

HTEX = """
display_name: site
debug: true
engine:
  type: HtexEngine
  max_workers_per_node: 1
  worker_debug: true
  provider: {type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1}
"""
CANARIES = {name: f'canary-{name}-7f3a' for name in ('argument', 'result', 'code', 'large', 'error')}
SCRIPT = f"""
import logging, sys
logging.basicConfig(level=logging.DEBUG)
import relay_parsl as rp

def work(text):
    assert text and '{CANARIES['code']}'
    return '-'.join(['canary', 'result', '7f3a'])

def fail(text):
    raise ValueError(text)

def look(pids):
    import os
    found = {{'environment': dict(os.environ), 'files': {{}}, 'denied': []}}
    for number in os.listdir('/proc/self/fd'):
        try:
            found['files'][number] = os.readlink('/proc/self/fd/' + number)
        except OSError:
            pass
    pid = os.getppid()
    while pid > 1:
        found.setdefault('above', []).append(open(f'/proc/{{pid}}/cmdline').read() + open(f'/proc/{{pid}}/environ').read())
        pid = int(open(f'/proc/{{pid}}/stat').read().rpartition(')')[2].split()[1])
    return found

with rp.Executor('site') as executor:
    assert executor.submit(work, {CANARIES['argument']!r}).result(60) == {CANARIES['result']!r}
    assert executor.submit(work, {CANARIES['large']!r} * 100_000).result(60) == {CANARIES['result']!r}
    assert {CANARIES['error']!r} in str(executor.submit(fail, {CANARIES['error']!r}).exception(60))
    executor.register_function(work)
    print(repr(executor.submit(look, []).result(60)))
"""


@contextmanager
def party(home: Commands, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A party in the foreground that tells everything, into a file, and may dump core as far as its limits go."""
    log = home.cwd / f'{name}.log'
    with log.open('wb') as out:
        program = [sys.executable, '-m', 'relay_parsl', '-vv', *arguments]
        process = subprocess.Popen(program, env=home.environment, stdout=out, stderr=out, cwd=home.cwd)
    try:
        if name == 'relay':
            until(lambda: b'keys and store' in log.read_bytes())
        yield process
    finally:
        process.kill()
        if process.returncode is None:
            process.wait()


def forms(secret: bytes) -> set[bytes]:
    """How bytes stand in a text, without the ends that depend on what stands beside them."""
    texts = {
        secret,
        secret.hex().encode(),
        base64.b64encode(secret).rstrip(b'='),
        base64.urlsafe_b64encode(secret).rstrip(b'='),
        repr(secret)[2:-1].encode(),
    }
    return texts | ({z85.encode(secret)} if len(secret) % 4 == 0 else set()) | {repr(secret.hex()).encode(), secret.hex().upper().encode()}


def keys_under(root: Path) -> set[bytes]:
    """Every private key of every key file."""
    found = set()
    for path in [*root.glob('relay/*.key'), *root.glob('accounts/*.key'), *root.glob('endpoints/*/endpoint.key')]:
        keys = Credentials.load(path).keys
        found |= {keys.identity, keys.sealing, keys.curve}
    return found


def spread(home: Commands) -> dict[str, bytes]:
    """Whatever people and programs may come to see: logs of all kinds, Parsl's too, scripts, and every process with its arguments and environment."""
    files = [path for place in (home.root, home.cwd) for path in place.rglob('*') if path.is_file() and path.suffix not in ('.key', '.url')]
    held = {str(path): path.read_bytes() for path in files if path.suffix in ('.log', '.sh', '.txt', '.yaml', '.out', '.err')}
    for process in home.processes():
        with suppress(psutil.Error):
            held[f'process {process.pid}'] = f'{process.cmdline()} {process.environ()}'.encode()
    return held


def dumped(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process leaves a core dump when it aborts, though its limits allow one."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    with suppress(PermissionError):
        resource.prlimit(process.pid, resource.RLIMIT_CORE, unlimited)
    process.send_signal(signal.SIGABRT)
    status = os.waitpid(process.pid, 0)[1]
    process.returncode = -signal.SIGABRT
    return os.WCOREDUMP(status)


def told_apart(cwd: Path) -> bool:
    """Whether a process that nobody guards dumps core here. Where the kernel or a limit forbids all dumps, none shows anything."""
    with subprocess.Popen(['sleep', '60'], cwd=cwd) as unguarded:
        return dumped(unguarded)


def closed(process: subprocess.Popen[bytes]) -> bool:
    """Whether the kernel lets nobody look into a process: then what it shows of it in /proc belongs to root, and no core dump is written of it."""
    if os.geteuid() == 0:
        pytest.skip('no core dumps are written here, and root sees no other sign of it')
    return Path(f'/proc/{process.pid}/environ').stat().st_uid != os.geteuid()


@pytest.mark.attack(29, 31)
@pytest.mark.skipif(sys.platform != 'linux', reason='/proc')
def test_no_secret_is_anywhere_that_anybody_looks(tmp_path: Path) -> None:
    with commands(tmp_path / 'home') as home, ExitStack() as stack:
        relay = stack.enter_context(party(home, 'relay', 'relay', 'start', '--bind', '127.0.0.1:0', '--user', 'alice'))
        (home.cwd / 'site.yaml').write_text(HTEX)
        home.ok('endpoint', 'configure', 'site', '--endpoint-config', str(home.cwd / 'site.yaml'))
        site = stack.enter_context(party(home, 'site', 'endpoint', 'start', 'site'))
        invited = home.run('-vv', 'invite', 'bob', '--role', 'user')
        link = next(word.strip("'") for word in invited.stdout.split() if 'relay-parsl://' in word)
        (home.cwd / 'invite.log').write_text(invited.stderr)
        (tmp_path / 'other').mkdir()
        with commands(tmp_path / 'other' / 'home') as other:
            joined = other.run('-vv', 'join', link)
            (home.cwd / 'join.log').write_text(joined.stdout + joined.stderr)
            bob = keys_under(other.root)
        done = home.python(SCRIPT)
        assert done.returncode == 0, done.stderr
        (home.cwd / 'client.log').write_text(done.stderr)
        secrets = keys_under(home.root) | bob
        assert len(secrets) == 3 * 5, 'relay, operator, alice, site and bob'
        invitation = Invitation.read(link)
        secrets |= {invitation.token, invitation.secret, invitation.curve}
        secrets |= {
            z85.decode(line.split('"')[1])
            for path in home.root.rglob('*.key_secret')
            for line in path.read_text().splitlines()
            if 'secret-key' in line
        }
        found = spread(home)
        assert {'relay.log', 'site.log', 'client.log', 'interchange.log', 'manager.log', 'engine.log'} <= {Path(name).name for name in found}
        assert {'interchange.log', 'manager.log', 'worker_0.log', 'site.log'} <= {Path(name).name for name, text in found.items() if b'DEBUG' in text}
        assert sum(name.startswith('process') for name in found) >= 6, 'relay, endpoint, engine, interchange, manager, worker'
        found['what a task sees'] = done.stdout.encode()
        hunted = {form for secret in secrets for form in forms(secret)}
        told = [(name, form) for name, text in found.items() for form in hunted if form in text]
        told += [
            (name, canary) for name, text in found.items() for canary in CANARIES.values() if canary.encode() in text and name != 'what a task sees'
        ]
        assert not told
        kept = [not dumped(each) for each in (site, relay)] if told_apart(home.cwd) else [closed(each) for each in (site, relay)]
        assert kept == [True, True]
