"""Client and endpoint under two minor versions of Python, each in an environment of its own: told before anything runs."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay_parsl.daemon import READY
from tests.faults.rig import PROCESSES, Site, until

pytestmark = [pytest.mark.integration, pytest.mark.fault(53), pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
MINORS = (13, 12, 11, 10)
CLIENT = """
import sys
import relay_parsl as rp

def note(path):
    open(path, 'a').write('ran')

with rp.Executor('one') as executor:
    future = executor.submit(note, sys.argv[1])
    future.accepted(60) if sys.argv[2] == 'unknown' else None
    print('sent', flush=True)
    error = future.exception(60)
    print(type(error).__name__, error)
    triple = executor.register_source_code('def triple(x):\\n    return 3 * x\\n', 'triple')
    print(executor.submit_to_registered_function(triple, (14,)).result(60))
"""
"""What is sent by value is bytecode; source runs everywhere."""


def pythons() -> Iterator[str]:
    """Other minor versions than ours, the newest first, where a system or pyenv keeps them."""
    for minor in MINORS:
        kept = sorted(Path.home().glob(f'.pyenv/versions/3.{minor}.*/bin/python3.{minor}'))
        for program in (shutil.which(f'python3.{minor}'), *map(str, kept)):
            if program and minor != sys.version_info.minor and version(program) == f'3.{minor}':
                yield program


def version(program: str) -> str:
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([program, '-c', code], check=False, capture_output=True, text=True, timeout=30).stdout.strip()


def needed() -> list[str]:
    """What this package is installed with."""
    file = configparser.ConfigParser()
    file.read(ROOT / 'setup.cfg')
    return file['options']['install_requires'].split()


@pytest.fixture(scope='module')
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program of an environment with another Python and all that we need."""
    program = next(pythons(), None)
    if program is None:
        pytest.skip('there is no second minor version of Python here')
    place = tmp_path_factory.mktemp('other') / 'venv'
    made = subprocess.run([program, '-m', 'venv', str(place)], check=False, capture_output=True, text=True)
    if made.returncode == 0:
        made = subprocess.run([str(place / 'bin' / 'python'), '-m', 'pip', 'install', '-q', *needed()], check=False, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f'{program} gets no environment here: {made.stderr.strip()[-300:]}')
    return str(place / 'bin' / 'python')


@contextmanager
def endpoint(site: Site, program: str) -> Iterator[None]:
    """One that serves under that Python."""
    read, write = os.pipe()
    with (site.cli.cwd / 'one.log').open('ab') as log:
        words = [program, '-m', 'relay_parsl', 'endpoint', 'start', 'one']
        environment = {**site.cli.environment, READY: str(write), 'PYTHONPATH': str(ROOT)}
        process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[write], cwd=site.cli.cwd)
    os.close(write)
    try:
        assert os.read(read, 4096), (site.cli.cwd / 'one.log').read_text()
        yield
    finally:
        os.close(read)
        process.terminate()
        process.wait(60)


@contextmanager
def client(site: Site, program: str, known: str) -> Iterator[subprocess.Popen[str]]:
    """Tries what goes and what does not; says when its first task is with the relay, or nowhere."""
    (site.cli.cwd / 'client.py').write_text(CLIENT)
    process = subprocess.Popen(
        [program, 'client.py', str(site.record), known],
        env={**site.cli.environment, 'PYTHONPATH': str(ROOT)},
        cwd=site.cli.cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == 'sent\n', process.communicate(timeout=60)
        yield process
    finally:
        process.kill()
        process.wait(60)


def told(process: subprocess.Popen[str], site: Site, other: str) -> None:
    """The mismatch with both versions, nothing that ran, and what does run."""
    out, err = process.communicate(timeout=120)
    mismatch, triple = out.splitlines() or [err, '']
    assert mismatch.startswith('VersionMismatch '), mismatch
    for each in (version(other), version(sys.executable)):
        assert f'Python {each}' in mismatch
    assert 'register_source_code' in mismatch
    assert triple == '42', err
    assert not site.record.exists()


@pytest.mark.parametrize('which', ['client', 'endpoint'])
def test_bytecode_for_another_python_never_runs_and_source_does(site: Site, other: str, which: str) -> None:
    """First before anybody knows the Python of the workers, so that the endpoint finds it; then the client knows it by itself."""
    programs = (other, sys.executable) if which == 'client' else (sys.executable, other)
    site.start('relay')
    site.configure('one', config=PROCESSES)
    with client(site, programs[0], 'unknown') as first:
        assert 'waiting' in site.cli.ok('task', 'list')
        with endpoint(site, programs[1]):
            told(first, site, other)
            with client(site, programs[0], 'known') as second:
                told(second, site, other)
            until(lambda: 'waiting' not in site.cli.ok('task', 'list'))
