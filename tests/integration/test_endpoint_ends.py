"""How an endpoint's loop ends: because it is not the one, or because it is told to."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from relay_parsl.endpoint import endpoint as loop
from relay_parsl.endpoint import link
from relay_parsl.endpoint.books import EndpointSettings
from relay_parsl.errors import ConfigError, HomeError, StoreError
from relay_parsl.wire import codec, payload
from relay_parsl.wire.messages import (
    Goodbye,
    Hello,
    Objects,
    Ping,
    Pong,
    Recorded,
    Refused,
    Returned,
)
from relay_parsl.wire.seal import Keys, curve_public
from tests.integration.hand_relay import Bench, Config, Site, double, site_in

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_in(tmp_path / 'home') as made:
        yield made


# -- Who may be this endpoint ----------------------------------------------------------------------------------------


def test_who_is_superseded_ends_with_3(site: Site) -> None:
    party = site.serve()
    site.relay.say(Goodbye('superseded'))
    assert party.end() == 3
    assert site.engine.stopped


def test_a_twin_is_named_after_a_while(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, 'TWIN_FOR', 1.0)
    monkeypatch.setattr(link, 'TWIN_AGAIN', 0.5)
    party = site.begin()
    site.relay.answer(Hello, Refused('duplicate', 'it is connected'), lambda: party.error is not None)
    with pytest.raises(ConfigError, match='--take-over'):
        party.end()


def test_take_over_is_passed_on(site: Site) -> None:
    site.begin(take_over=True)
    assert site.relay.until(Hello).takeover


def test_a_second_process_on_the_same_directory_is_refused_before_it_speaks(site: Site) -> None:
    site.serve()
    with pytest.raises(StoreError, match='in use'):
        site.begin(Config(Bench())).end()


@pytest.mark.attack(4)
def test_a_relay_with_another_key_is_one_clear_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, 'STRANGER', 1.0)
    party = site.begin(entry=replace(site.relay.entry, key=curve_public(Keys.generate().curve)))
    site.relay.answer(Hello, Goodbye('?'), lambda: party.error is not None)
    with pytest.raises(ConfigError, match='another key'):
        party.end()


def test_a_directory_without_trust_is_refused(site: Site) -> None:
    (site.place / 'trusted.json').unlink()
    with pytest.raises(HomeError, match=r'trusted\.json'):
        site.begin().end()


# -- Stopping --------------------------------------------------------------------------------------------------------


def test_what_never_ran_goes_back_and_what_runs_is_waited_for_up_to_the_grace(site: Site) -> None:
    party = site.serve(grace=1.0)
    blob = payload.dump_function(double)
    function = site.sender.function(blob)
    room = 4 + EndpointSettings({}).margin
    tasks = [site.sender.task(function, blob, (number,)) for number in range(room + 32)]
    site.relay.dispatch(*tasks)
    site.relay.say(Objects((site.sender.grant_object, function)))
    running = {site.engine.work(number).task_id for number in range(room)}
    party.endpoint.stop()
    returned = site.relay.until(Returned)
    assert {each.task_id for each in returned.tasks} == set(site.sender.headers) - running
    site.relay.say(Recorded(returned.tasks))
    assert 'grace' in site.relay.until(Goodbye).reason
    assert party.end() == 0


def test_what_waits_inside_the_engine_goes_back_too(site: Site) -> None:
    party = site.serve()
    task = site.give(double, 1)
    site.engine.work()
    site.engine.cancels = True
    party.endpoint.stop()
    assert [each.task_id for each in site.relay.until(Returned).tasks] == [codec.task_header(task.header).task_id]


SCRIPT = """
import sys, pathlib
from relay_parsl.home import Credentials, RelayEntry
from relay_parsl.endpoint.endpoint import Endpoint
from tests.integration.hand_relay import Bench, Config
place, url, key = pathlib.Path(sys.argv[1]), sys.argv[2], bytes.fromhex(sys.argv[3])
sys.exit(Endpoint(place, Config(Bench()), RelayEntry('hand', url, key, ''), Credentials.load(place / 'endpoint.key')).run())
"""


@pytest.mark.fault(50)
def test_sigterm_drains(site: Site) -> None:
    site.credentials.save(site.place / 'endpoint.key')
    entry = site.relay.entry
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, '-c', SCRIPT, str(site.place), entry.url, entry.key.hex()], cwd=root)
    try:
        site.relay.welcome()
        process.send_signal(signal.SIGTERM)
        site.relay.until(Ping)
        site.relay.say(Pong(site.relay.session, 0))
        assert site.relay.until(Goodbye).reason == 'drained'
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
