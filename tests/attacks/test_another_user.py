"""Another user of the host looks into homes, processes and engines: real processes, and a look from under another uid."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.attacks.test_secrets import HTEX, forms, keys_under
from tests.integration.commands import Commands, commands

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != 'linux' or os.geteuid() != 0, reason='takes root, to look as somebody else: run it as root'),
]

SNOOP = r"""
import json, os, socket, stat, sys
asked = json.load(sys.stdin)
if asked['uid']:
    os.setgroups([])
    os.setgid(asked['uid'])
    os.setuid(asked['uid'])
reached = []
def attempt(what, act):
    try:
        act()
    except OSError:
        return
    reached.append(what)
def touch(path, flags):
    os.close(os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC))
def dial(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)
def look(pid, name):
    with open(f'/proc/{pid}/{name}', 'rb') as file:
        if name != 'mem':
            file.read(1)
for path in asked['paths']:
    attempt(f'list {path}', lambda: os.listdir(path))
    attempt(f'read {path}', lambda: touch(path, os.O_RDONLY))
    attempt(f'write {path}', lambda: touch(path, os.O_WRONLY))
    attempt(f'connect {path}', lambda: dial(path))
    if asked['change']:
        attempt(f'put a file into {path}', lambda: touch(path + '/planted', os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        attempt(f'remove {path}', lambda: os.rename(path, path + '.moved'))
for pid in asked['pids']:
    for name in ('environ', 'mem', 'maps', 'auxv', 'syscall', 'stack', 'io'):
        attempt(f'{name} of {pid}', lambda: look(pid, name))
    for name in ('fd', 'task/%d/fd' % pid, 'map_files'):
        attempt(f'{name} of {pid}', lambda: os.listdir(f'/proc/{pid}/{name}'))
    for name in ('cwd', 'root', 'exe'):
        attempt(f'{name} of {pid}', lambda: os.readlink(f'/proc/{pid}/{name}'))
    attempt(f'signal {pid}', lambda: os.kill(pid, 0))
json.dump(reached, sys.stdout)
"""
"""Says what it could reach. It changes its user when it has loaded what it needs: the interpreter may be where nobody else gets in."""
NOBODY = 65534


def snoop(uid: int, paths: list[str], pids: list[int], *, change: bool = False) -> list[str]:
    """What a user reaches of these files and processes; `change`: also tries to put and remove files."""
    asked = json.dumps({'uid': uid, 'paths': paths, 'pids': pids, 'change': change})
    done = subprocess.run([sys.executable, '-c', SNOOP], check=False, input=asked, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture
def cli() -> Iterator[Commands]:
    """A home in a place that everybody may pass through, with an umask that keeps nothing from anybody."""
    base = Path(tempfile.mkdtemp(prefix='relay-parsl-open-', dir='/tmp'))
    before = os.umask(0)
    try:
        base.chmod(0o755)
        with commands(base / 'home') as made:
            yield made
    finally:
        os.umask(before)
        shutil.rmtree(base)


CLIENT = """
import sys, time
import relay_parsl as rp
with rp.Executor('site') as executor:
    print(executor.submit(pow, 2, 10).result(60), flush=True)
    sys.stdin.read()
"""


def opened(processes: list[psutil.Process]) -> set[str]:
    """The files and sockets with a place in the file system that these processes have open."""
    found = {each.path for process in processes for each in process.open_files()}
    return found | {each.laddr for process in processes for each in process.net_connections('unix') if each.laddr}


@pytest.mark.slow
@pytest.mark.attack(31)
def test_nothing_of_a_client_an_endpoint_or_a_relay_is_open_to_another_user(cli: Commands) -> None:
    cli.relay()
    cli.endpoint('site', HTEX)
    client = subprocess.Popen(
        [sys.executable, '-c', CLIENT], env=cli.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=cli.cwd
    )
    with client:
        assert client.stdout is not None
        assert client.stdout.readline() == '1024\n'
        processes = cli.processes()
        pids = [each.pid for each in processes]
        assert len(pids) >= 6, 'relay, endpoint, engine, interchange, manager, worker, client'
        files = {str(path) for path in (cli.root, *cli.root.rglob('*'))}
        ours = {path for path in opened(processes) if not path.startswith(('/proc/', '/dev/', '/sys/'))}
        paths = sorted(files | ours)
        mine = snoop(0, paths, pids)
        assert len(mine) > len(paths), 'root gets in everywhere, so it is the user that the others lack'
        assert snoop(NOBODY, paths, pids, change=True) == []
        told = b''.join(Path(f'/proc/{pid}/cmdline').read_bytes() for pid in pids)
        secrets = keys_under(cli.root)
        assert len(secrets) == 3 * 4, 'relay, operator, alice and site'
        assert [form for secret in secrets for form in forms(secret) if form in told] == [], 'everybody sees command lines'
        assert client.stdin is not None
        client.stdin.close()
