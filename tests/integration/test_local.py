"""`rp.local()`: a private relay and its endpoints, and nothing left of them, however the block ends."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import relay_parsl as rp
from relay_parsl.client import defaults
from tests.integration.commands import marked, until

pytestmark = pytest.mark.integration

THREADS = {'type': 'ThreadPoolEngine', 'max_workers': 2}
MARK = 'RELAY_PARSL_TEST_LOCAL'


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """All processes that the test starts carry it, and are gone at its end."""
    monkeypatch.setenv(MARK, str(tmp_path))
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    monkeypatch.setattr('tempfile.tempdir', None)
    yield str(tmp_path)
    left = marked(MARK, str(tmp_path))
    names = [process.name() for process in left]
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    assert not left, names


def homes(mark: str) -> list[Path]:
    return [path for path in Path(mark).glob('relay-parsl-*') if path.is_dir()]


@pytest.mark.attack(33)
def test_a_task_runs_and_nothing_is_left(mark: str) -> None:
    with rp.local(workers=1) as relay:
        assert relay.endpoints == ('local',)
        (home,) = homes(mark)
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        with rp.Executor('local') as executor:
            assert executor.submit(divmod, 17, 5).result(timeout=60) == (3, 2)
            spool = Path(executor.session.spool().directory)
            assert (spool.parent, stat.S_IMODE(spool.stat().st_mode)) == (Path(mark), 0o700)
        with rp.Executor() as executor:
            assert executor.submit(pow, 2, 5).result(timeout=60) == 32, 'the only endpoint is meant when none is named'
    assert homes(mark) == []
    until(lambda: not marked(MARK, mark))
    assert not spool.exists()
    assert not (Path(mark) / 'home').exists(), 'the home of the user is not touched'


def test_two_endpoints_of_ones_own_choice(mark: str, tmp_path: Path) -> None:
    file = tmp_path / 'b.yaml'
    file.write_text('engine:\n  type: ThreadPoolEngine\n  max_workers: 1\n')
    with rp.local(endpoints={'a': THREADS, 'b': file}) as relay, rp.Executor('a', relay=relay) as a, rp.Executor('b') as b:
        assert a.submit(pow, 2, 3).result(timeout=60) == 8
        assert b.submit(pow, 2, 4).result(timeout=60) == 16


def test_blocks_stand_in_one_another(mark: str) -> None:
    with rp.local(endpoints={'x': THREADS}) as outer:
        with rp.local(endpoints={'x': THREADS}) as inner:
            assert defaults.choose() is inner.target
        assert defaults.choose() is outer.target
        with rp.Executor('x') as executor:
            assert executor.submit(pow, 2, 3).result(timeout=60) == 8


@pytest.mark.parametrize(
    ('endpoints', 'words'),
    [
        ({}, 'has no endpoint'),
        ({'x': 0}, 'positive integer'),
        ({'x': True}, 'positive integer'),
        ({'x': '/nonesuch.yaml'}, "endpoint 'x': /nonesuch.yaml cannot be read"),
        ({'x': {'type': object()}}, 'plain values only'),
    ],
)
def test_what_cannot_be_an_endpoint(mark: str, endpoints: dict[str, object], words: str) -> None:
    with pytest.raises(rp.errors.ConfigError, match=words):
        rp.local(endpoints=endpoints)  # type: ignore[arg-type]
    assert homes(mark) == []


def test_a_wrong_endpoint_file_is_told_at_once(mark: str) -> None:
    with pytest.raises(rp.errors.ConfigError, match=r"endpoint 'x' did not start") as raised:
        rp.local(endpoints={'x': {'type': 'HtexEngine', 'max_workers_per_nod': 1}}).start()
    assert 'max_workers_per_node' in str(raised.value)
    until(lambda: not marked(MARK, mark))
    assert homes(mark) == []


def test_it_is_used_inside_its_block_only(mark: str) -> None:
    relay = rp.local(endpoints={'x': THREADS})
    with pytest.raises(rp.errors.ConfigError, match='with'):
        _ = relay.target
    with relay:
        pass
    with pytest.raises(rp.errors.ConfigError, match='with'):
        _ = relay.target


PROGRAM = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background may have it ignored
import relay_parsl as rp
with rp.local(endpoints={'x': {'type': 'HtexEngine', 'max_workers_per_node': 1, 'provider': {'type': 'LocalProvider', 'init_blocks': 1}}}):
    executor = rp.Executor('x')
    print(executor.submit(pow, 2, 10).result(timeout=60), flush=True)
    executor.submit(time.sleep, 600)
    time.sleep(600)
"""


def program(code: str = PROGRAM, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_program_is_ended(mark: str, number: signal.Signals) -> None:
    process = program()
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == '1024\n'
        assert len(marked(MARK, mark)) >= 5, 'program, keeper, relay, endpoint, engine'
        process.send_signal(number)
        process.wait(40)
        until(lambda: not marked(MARK, mark), 40)
        assert homes(mark) == []
    finally:
        process.kill()
        process.communicate()


def test_nothing_is_left_when_the_keeper_dies_too(mark: str) -> None:
    process = program()
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == '1024\n'
        keeper = next(each for each in psutil.Process(process.pid).children() if 'relay_parsl.local.keeper' in each.cmdline())
        keeper.kill()
        process.kill()
        process.wait()
        until(lambda: not marked(MARK, mark), 40)
        assert homes(mark) == [], 'the relay sweeps in its place'
    finally:
        process.kill()
        process.communicate()


def test_an_endpoint_that_dies_is_started_again(mark: str) -> None:
    with rp.local(endpoints={'x': THREADS}) as relay, rp.Executor('x') as executor:
        assert executor.submit(pow, 2, 3).result(timeout=60) == 8
        file = next(each for each in marked(MARK, mark) if each.cmdline()[-3:-2] == ['endpoint'])
        file.kill()
        assert executor.submit(pow, 2, 4).result(timeout=60) == 16
        assert relay.target is not None


EMBEDDED = """
import relay_parsl as rp
with rp.Executor() as executor:
    print(executor.submit(pow, 2, 10).result(timeout=60))
with rp.Executor() as executor:
    print(executor.submit(pow, 2, 11).result(timeout=60))
"""


def test_an_executor_that_is_told_nothing_runs_here(mark: str) -> None:
    out, err = program(EMBEDDED).communicate(timeout=100)
    assert out == '1024\n2048\n', err
    until(lambda: not marked(MARK, mark))
    assert homes(mark) == []


FORKED = """
import os
import relay_parsl as rp
with rp.local(endpoints={'x': {'type': 'ThreadPoolEngine'}}) as relay:
    child = os.fork()
    if child == 0:
        relay.close()
        os._exit(0)
    os.waitpid(child, 0)
    with rp.Executor('x') as executor:
        print(executor.submit(pow, 2, 10).result(timeout=60))
"""


def test_a_forked_child_ends_nothing(mark: str) -> None:
    out, err = program(FORKED).communicate(timeout=100)
    assert out == '1024\n', err
    assert json.loads(out) == 1024
    until(lambda: not marked(MARK, mark))


def test_the_parent_is_watched_even_while_its_forked_child_holds_the_pipe(mark: str) -> None:
    code = FORKED.replace('relay.close()', 'import time; time.sleep(600)').replace('os.waitpid(child, 0)', 'print(child, flush=True)')
    process = program(code.replace('print(executor', 'os.kill(os.getpid(), 9); print(executor'))
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        process.wait(60)
        until(lambda: {each.pid for each in marked(MARK, mark)} <= {child}, 40)
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()
    until(lambda: not marked(MARK, mark))
