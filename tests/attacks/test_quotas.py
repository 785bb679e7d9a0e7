"""Accounts that take what they can get, with real processes: one floods, one fetches nothing, and what others and they themselves see of it."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands import Commands, commands, until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

FLOOD = """
import pathlib, time
import relay_parsl as rp
def held(futures):
    return [each for each in futures if not each.done() and 'tasks a second' in each.detail.get('why', '')]
with rp.Executor({endpoint!r}, serializer='json') as executor:
    done = 0
    while not pathlib.Path('enough').exists():
        flood = [executor.submit(abs, -number) for number in range(2000)]
        done += sum(each.result(120) == number for number, each in enumerate(flood))
        pathlib.Path('done').write_text(str(done))
    print('between two', flush=True)
    while not pathlib.Path('limited').exists():
        time.sleep(0.05)
    flood = [executor.submit(abs, -number) for number in range({count})]
    while not held(flood):
        assert not all(each.is_accepted for each in flood), 'nothing holds them'
        time.sleep(0.05)
    print('held', flush=True)
    before = sum(each.is_accepted for each in flood)
    assert before < {count}
    while sum(each.is_accepted for each in flood) < before + 20:
        assert all(each.exception(0) is None for each in flood if each.done())
        time.sleep(0.05)
    print('some more', flush=True)
    print(all(each.result(120) == number for number, each in enumerate(flood)), flush=True)
"""
OTHER = """
import relay_parsl as rp
with rp.Executor('site') as executor:
    print([executor.submit(abs, -number).result(60) for number in range(20)] == list(range(20)))
"""
Party = Callable[[str], Commands]
PATIENCE = 100.0
"""Seconds for a script to come to its next word, before the test's own limit ends it without a word of what was missing."""


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Party]:
    """A machine by its name, each with a home of its own."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(commands(tmp_path / name))


@contextmanager
def script(user: Commands, code: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, '-c', code], env=user.environment, cwd=user.cwd, stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[bytes]) -> str:
    """What it says next, '' at its end. It is read without a buffer: so a line that has come is seen."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], PATIENCE)[0], f'it has said nothing for {PATIENCE:g} s'
    return process.stdout.readline().decode().strip()


def read(path: Path) -> int:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return 0


def about(user: Commands, *words: str) -> Any:
    return json.loads(user.ok(*words, '--json'))


@pytest.mark.attack(35)
def test_who_sends_as_fast_as_it_can_is_told_when_to_come_again_and_others_are_served(party: Party) -> None:
    alice, bob = party('alice'), party('bob')
    alice.relay()
    bob.ok('join', alice.ok('invite', 'bob', '--role', 'user').strip())
    alice.endpoint('site')
    guest = next(row['id'] for row in about(bob, 'account', 'list') if row['you'])
    alice.ok('endpoint', 'share', 'site', guest, '--yes')
    until(lambda: all(row['state'] == 'in force' for row in about(alice, 'endpoint', 'shares', 'site')))
    site = about(alice, 'endpoint', 'show', 'site')['id']
    with script(bob, FLOOD.format(endpoint=site, count=3000)) as flood:
        until(lambda: read(bob.cwd / 'done') > 0)
        seen = read(bob.cwd / 'done')
        assert alice.python(OTHER).stdout.strip() == 'True', 'served beside a flood that no quota holds'
        until(lambda: read(bob.cwd / 'done') > seen)

        (bob.cwd / 'enough').touch()
        assert line(flood) == 'between two', 'what is on its way when the quota comes would take minutes'
        alice.ok('account', 'quota', 'bob', '--rate', '10', '--credentials', 'operator')
        (bob.cwd / 'limited').touch()
        assert line(flood) == 'held'
        assert alice.python(OTHER).stdout.strip() == 'True'
        assert line(flood) == 'some more', 'what was refused comes again by itself'
        assert flood.poll() is None
        alice.ok('account', 'quota', 'bob', '--rate', 'unlimited', '--credentials', 'operator')
        assert line(flood) == 'True', 'and nothing of it was lost'
        assert flood.wait(60) == 0


MAKE = """
import os
import relay_parsl as rp
def make(size):
    return bytes(size)
with rp.Executor('site') as executor:
    futures = [executor.submit(make, 200_000) for _ in range({count})]
    executor.flush(60)
    print(*[each.task_id for each in futures], flush=True)
    if {leaves}:
        os._exit(0)
    for each in futures:
        assert each.result(60) == bytes(200_000)
"""
FETCH = """
import relay_parsl as rp
with rp.Executor('site') as executor:
    for each in executor.reload_tasks(task_ids={ids!r}):
        error = each.exception(60)
        print(each.result() == bytes(200_000) if error is None else f'{{type(error).__name__}}: {{error}}', flush=True)
"""
MORE = """
import pathlib, time
import relay_parsl as rp
with rp.Executor('site') as executor:
    print(executor.submit(len, bytes(50_000)).result(120), flush=True)
    while not pathlib.Path('tighter').exists():
        time.sleep(0.05)
    larger = executor.submit(len, bytes(200_000))
    while 'bytes that it may have' not in larger.detail.get('why', ''):
        assert not larger.is_accepted, 'nothing holds it'
        time.sleep(0.05)
    print('waits', flush=True)
    print(larger.result(120) == 200_000, flush=True)
"""


@pytest.mark.attack(37)
def test_results_that_nobody_fetches_cost_their_own_account_and_what_was_received_goes_first(party: Party) -> None:
    alice, bob = party('alice'), party('bob')
    alice.relay()
    bob.ok('join', alice.ok('invite', 'bob', '--role', 'user').strip())
    alice.endpoint('site')
    bob.endpoint('site')
    received = made(alice, count=8)
    left = made(alice, count=8, leaves=True)
    until(lambda: {row['state'] for row in about(alice, 'task', 'list')} == {'success'})
    alice.ok('account', 'quota', 'alice', '--bytes', '2700kB', '--credentials', 'operator')
    with script(alice, MORE) as more:
        assert line(more) == '50000', 'what it had received made room'
        gone = alice.python(FETCH.format(ids=received)).stdout.splitlines()
        assert (gone[0] == 'True', gone[-1]) == (False, 'True'), 'the oldest first'
        alice.ok('account', 'quota', 'alice', '--bytes', '1750kB', '--credentials', 'operator')
        (alice.cwd / 'tighter').touch()
        assert line(more) == 'waits'
        assert bob.python(OTHER).stdout.strip() == 'True', 'another account has room'
        assert more.poll() is None
        assert alice.python(FETCH.format(ids=left)).stdout.split() == ['True'] * 8, 'what nobody had fetched is all there'
        assert line(more) == 'True', 'fetched, it makes room, and what waited is taken'
        assert more.wait(60) == 0


def made(user: Commands, *, count: int, leaves: bool = False) -> list[str]:
    """Large results, received or not; the ids of their tasks."""
    done = user.python(MAKE.format(count=count, leaves=leaves))
    ids = done.stdout.split()
    assert len(ids) == count, done.stderr
    return ids
