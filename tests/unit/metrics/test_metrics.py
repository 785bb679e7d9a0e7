"""Metrics as text, in a file and over HTTP."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_parsl.errors import ConfigError
from relay_parsl.metrics import BIND, FILE, Family, Histogram, Publisher, counter, gauge, is_loopback, published, render
from relay_parsl.metrics import publisher as publishing
from tests.unit.metrics.strict import read


def test_families_are_what_prometheus_reads() -> None:
    durations = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        durations.observe(seconds)
    text = render(
        [
            gauge('tasks', 'Tasks.', {'queued': 3, 'leased': 0.5}, 'state'),
            counter('sent_total', 'Sent.', 1 << 60),
            durations.family('turn_seconds', 'T.'),
        ]
    )
    found = read(text)
    assert found['relay_parsl_tasks', (('state', 'queued'),)] == 3
    assert found['relay_parsl_sent_total', ()] == 1 << 60
    assert [found['relay_parsl_turn_seconds_bucket', (('le', bound),)] for bound in ('0.1', '1.0', '+Inf')] == [2, 3, 4]


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_no_label_breaks_the_format(label: str, value: float) -> None:
    [(_, labels)] = read(
        render(
            [
                gauge(
                    'tasks',
                    'Tasks.',
                    {label.replace('\r', ' ').translate(dict.fromkeys((11, 12, 28, 29, 30, 133, 8232, 8233), ' ')): value},
                    'pool',
                )
            ]
        )
    )
    assert labels[0][0] == 'pool'


@pytest.mark.parametrize('family', [gauge('sent_total', 'A.', 1), Family('relay_parsl_sent', 'counter', 'A.', ()), gauge('no name', 'A.', 1)])
def test_names_that_prometheus_forbids_are_refused(family: Family) -> None:
    with pytest.raises(ValueError, match='is no name'):
        render([family])


def test_the_file_is_replaced_at_once_and_others_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / 'relay.prom'
    made = Publisher(file)
    assert made.due()
    made.publish([gauge('tasks', 'Tasks.', 1)])
    assert not made.due(), 'a census is taken every few seconds'
    assert read(file.read_text()) == {('relay_parsl_tasks', ()): 1}
    assert file.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ['relay.prom']
    first = file.stat().st_ino
    made.publish([gauge('tasks', 'Tasks.', 2)])
    assert file.stat().st_ino != first


def test_a_directory_that_is_gone_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError, match='no directory'):
        Publisher(tmp_path / 'none' / 'relay.prom')
    (tmp_path / 'some').mkdir()
    made = Publisher(tmp_path / 'some' / 'relay.prom')
    (tmp_path / 'some').rmdir()
    for _ in range(2):
        made.publish([gauge('tasks', 'Tasks.', 1)])
    assert len(caplog.records) == 1


def ask(port: int, path: str, method: str = 'GET') -> tuple[int, str]:
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_http_serves_metrics_and_nothing_else() -> None:
    made = Publisher(bind='127.0.0.1:0')
    try:
        made.publish([gauge('tasks', 'Tasks.', 7)])
        assert ask(made.port, '/metrics') == (200, '# HELP relay_parsl_tasks Tasks.\n# TYPE relay_parsl_tasks gauge\nrelay_parsl_tasks 7\n')
        assert ask(made.port, '/../etc/passwd')[0] == 404
        assert ask(made.port, '/metrics', 'POST')[0] == 501
    finally:
        made.close()


def test_a_reader_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, 'PATIENCE', 0.3)
    made = Publisher(bind='127.0.0.1:0')
    try:
        made.publish([gauge('tasks', 'Tasks.', 7)])
        with socket.create_connection(('127.0.0.1', made.port)):
            assert ask(made.port, '/metrics')[0] == 200
    finally:
        made.close()
    assert not [each for each in threading.enumerate() if each.name == 'relay-parsl metrics' and each.is_alive()]


def test_the_environment_hands_the_options_on_and_does_not_keep_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FILE, str(tmp_path / 'x.prom'))
    monkeypatch.setenv(BIND, '127.0.0.1:0')
    with published() as made:
        assert made.wanted
        assert made.port
    assert FILE not in os.environ
    assert BIND not in os.environ
    with published() as made:
        assert not made.due()


def test_addresses_of_this_machine_are_known() -> None:
    assert [is_loopback(each) for each in ('127.0.0.1:1', '[::1]:1', 'localhost:1', '0.0.0.0:1', 'relay.example.org:1')] == [True] * 3 + [False] * 2


def test_an_address_that_cannot_be_had_is_told() -> None:
    with socket.create_server(('127.0.0.1', 0)) as taken, pytest.raises(ConfigError, match='--metrics-bind'):
        Publisher(bind=f'127.0.0.1:{taken.getsockname()[1]}')
