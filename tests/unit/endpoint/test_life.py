"""Every top-level key of Globus Compute's files: taken, ignored with a word, or refused with what to do instead; never unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_parsl.endpoint.config import EndpointConfig, load_endpoint_config
from relay_parsl.endpoint.life import Life
from relay_parsl.errors import ConfigError

TAKEN = {
    'display_name': 'x', 'debug': 'true', 'allowed_functions': '["' + '0' * 64 + '"]', 'endpoint_setup': 'echo', 'endpoint_teardown': 'echo',
    'idle_heartbeats_soft': '10', 'idle_heartbeats_hard': '5760',
}  # fmt: skip
WARNED = {
    'subscription_id': 'x', 'amqp_port': '443', 'heartbeat_period': '30', 'heartbeat_threshold': '120', 'environment': 'production',
    'local_compute_services': 'false', 'mu_child_ep_grace_period_s': '30', 'email': 'a@b.c', 'high_assurance': 'false', 'public': 'false',
    'multi_user': 'false',
}  # fmt: skip
REFUSED = {
    'high_assurance': 'true', 'authentication_policy': 'x', 'admins': '[x]', 'paths': '{endpoint_dir: x}', 'public': 'true',
    'identity_mapping_config_path': 'x', 'audit_log_path': 'x', 'pam': '{enable: true}', 'multi_user': 'true', 'force_mu_allow_same_user': 'true',
    'detach_endpoint': 'true', 'executors': '[]', 'scaling_enabled': 'true',
}  # fmt: skip


def load(tmp_path: Path, text: str) -> EndpointConfig:
    path = tmp_path / 'config.yaml'
    path.write_text('engine: {type: ThreadPoolEngine}\n' + text)
    return load_endpoint_config(path)


@pytest.mark.parametrize('key', TAKEN)
def test_taken(key: str, tmp_path: Path) -> None:
    assert load(tmp_path, f'{key}: {TAKEN[key]}\n').warnings == ()


@pytest.mark.parametrize('key', WARNED)
def test_ignored_with_a_word(key: str, tmp_path: Path) -> None:
    (warning,) = load(tmp_path, f'{key}: {WARNED[key]}\n').warnings
    assert f': {key}: warning: ' in warning


@pytest.mark.parametrize('key', REFUSED)
def test_refused_by_name(key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f'{key}: {REFUSED[key]}\n')
    (line,) = str(caught.value).splitlines()
    assert f': {key}: ' in line
    assert 'unknown' not in line
    assert len(line.split(f': {key}: ')[1]) > 20


def test_idle_heartbeats_are_counted_in_heartbeats(tmp_path: Path) -> None:
    life = load(tmp_path, 'idle_heartbeats_soft: 10\n').life
    assert life == Life(idle_soft=300.0)
    life = load(tmp_path, 'heartbeat_period: 60\nidle_heartbeats_soft: 2\nidle_heartbeats_hard: 1440\n').life
    assert life == Life(idle_soft=120.0, idle_hard=86_400.0)
    clamped = load(tmp_path, 'idle_heartbeats_soft: 9\nidle_heartbeats_hard: 9\n')
    assert clamped.life == Life(idle_soft=270.0, idle_hard=300.0)
    assert 'idle_heartbeats_hard: warning: counts as 10' in clamped.warnings[0]
    assert load(tmp_path, '').life == Life(), 'a task of a week is not ended by default'
