"""An operator's limits: what is refused names them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.commands import THREADS, Commands, commands

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
SCRIPT = """
import relay_parsl as rp

with rp.Executor('site') as executor:
    executor.submit(len, b'').accepted(timeout=30)
    try:
        executor.submit(len, bytes(1_000_000)).accepted(timeout=30)
    except Exception as error:
        print(type(error).__name__, error)
    executor.submit(len, b'').accepted(timeout=30)
    many, said = executor.submit(len, b''), ''
    while 'the relay' not in said:
        try:
            said = f'accepted {many.accepted(timeout=0.5)} by the relay'
        except Exception as error:
            said = f'{type(error).__name__} {error}'
    print(said)
    executor.shutdown(wait=False, cancel_futures=True)
"""
RETURNS = """
import relay_parsl as rp

with rp.Executor('site') as executor:
    too_much, less = executor.submit(bytes, 1_000_000), executor.submit(bytes, 1_000)
    print(repr(too_much.exception(30)))
    print(len(less.result(30)))
"""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'home') as made:
        yield made


@pytest.mark.fault(31)
def test_what_is_over_a_limit_is_refused_by_its_number(cli: Commands) -> None:
    cli.relay('--body-limit', '400kB', '--queue-limit', '2', '--store-limit', '1GiB')
    (cli.cwd / 'site.yaml').write_text(THREADS)
    cli.ok('endpoint', 'configure', 'site', '--endpoint-config', str(cli.cwd / 'site.yaml'))
    done = cli.python(SCRIPT)
    large, many = done.stdout.splitlines()
    assert large == (
        'TaskRejected the arguments have 1.0 MB serialized, more than the 0.4 MB that the relay takes (its operator may raise --body-limit)'
    )
    assert re.fullmatch(
        r'TimeoutError task \S+ was not accepted within 0.5 s: the relay has no room for it yet \(quota\): 2 tasks of this account wait already', many
    )


@pytest.mark.slow
@pytest.mark.fault(33)
def test_a_result_that_is_over_the_limit_fails_its_task_alone(cli: Commands) -> None:
    cli.relay('--body-limit', '400kB')
    cli.endpoint('site')
    said, other = cli.python(RETURNS).stdout.splitlines()
    assert re.search(r'its result of 1\d{6} bytes is larger than the relay takes \(400000 bytes\): .*--body-limit', said)
    assert other == '1000'
    cli.ok('endpoint', 'stop', 'site')
    assert not list((cli.root / 'endpoints' / 'site' / 'spool').iterdir()), 'its body is not kept'
