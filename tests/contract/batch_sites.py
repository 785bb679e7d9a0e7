"""Batch systems that the contract of our providers is tried on: a fake PBS everywhere, a real Slurm and a real PBS where there are some."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest
from parsl.jobs.states import JobState, JobStatus
from parsl.launchers import SimpleLauncher

from relay_parsl.providers import PBSProProvider, SlurmProvider
from relay_parsl.providers.batch import BatchProvider
from tests.fakes.pbs import FakePBS
from tests.slurm import cluster

PATIENCE = 90.0


class Site(Protocol):
    """What a test may know of a batch system."""

    unknown: str
    """The id of a job that there is not."""

    refused: ClassVar[dict[str, Any]]
    """Options with which no job is taken, and `said`: what the scheduler says then."""

    def make(self, **options: Any) -> BatchProvider:
        """A provider with everything that the site asks for."""

    def end(self, job: str) -> None:
        """Delete a job behind the provider's back."""


class PBS:
    """The fake."""

    unknown = '99999.polaris-pbs-01'
    refused: ClassVar[dict[str, Any]] = {'queue': 'nosuchqueue', 'said': 'Unknown queue', 'code': 170}

    def __init__(self, pbs: FakePBS) -> None:
        self.pbs = pbs

    def make(self, **options: Any) -> BatchProvider:
        given = {'account': 'Catalyst', 'queue': 'debug', 'filesystems': 'home', 'walltime': '00:05:00', 'launcher': SimpleLauncher()}
        return PBSProProvider(**{**given, **options})

    def end(self, job: str) -> None:
        cluster.run('qdel', job)


class Slurm:
    """The real one of this machine."""

    unknown = '99999999'
    refused: ClassVar[dict[str, Any]] = {'qos': 'nosuchqos', 'said': 'Invalid qos', 'code': 1}

    def make(self, **options: Any) -> BatchProvider:
        given = {'account': cluster.ACCOUNT, 'qos': cluster.QOS, 'constraint': 'gpu', 'walltime': '00:05:00', 'exclusive': False}
        return SlurmProvider(**{**given, 'cmd_timeout': 60, 'launcher': SimpleLauncher(), **options})

    def end(self, job: str) -> None:
        cluster.run('scancel', job)


REAL = os.environ.get('RELAY_PARSL_OPENPBS', '')
"""A real PBS, where there is one: options of the provider that it asks for, as JSON, with its commands on PATH."""


class OpenPBS:
    """A real one, in the place of the fake."""

    unknown = '9999999'
    refused: ClassVar[dict[str, Any]] = PBS.refused

    def make(self, **options: Any) -> BatchProvider:
        return PBSProProvider(**{'walltime': '00:05:00', 'launcher': SimpleLauncher(), **json.loads(REAL), **options})

    def end(self, job: str) -> None:
        cluster.run('qdel', job)


SLURM = pytest.param('slurm', marks=[pytest.mark.slurm, pytest.mark.xdist_group('slurm')])
SITES = ['pbs', SLURM, *(['openpbs'] if REAL else [])]


def site_of(name: str, request: pytest.FixtureRequest) -> Site:
    """The batch system of this name, or the test is skipped."""
    if name == 'pbs':
        return PBS(request.getfixturevalue('pbs'))
    if name == 'openpbs':
        return OpenPBS()
    if why := cluster.absence():
        (pytest.fail if os.environ.get('CI') == 'true' else pytest.skip)(f'{why}; `make slurm` brings one up')
    return Slurm()


class Desk:
    """Providers of one test, and their jobs."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site, self.directory = site, directory
        self.made: list[BatchProvider] = []

    def provider(self, **options: Any) -> BatchProvider:
        provider = self.site.make(**options)
        provider.script_dir = str(self.directory)
        self.made.append(provider)
        return provider

    def close(self) -> None:
        for provider in self.made:
            provider.cancel(list(provider.resources))


def status(provider: BatchProvider, job: str) -> JobStatus:
    return provider.status([job])[0]


def wait(provider: BatchProvider, job: str, *states: JobState) -> JobStatus:
    """The job's status once it is in one of these states."""
    deadline = time.monotonic() + PATIENCE
    while (said := status(provider, job)).state not in states:
        assert time.monotonic() < deadline, said
        assert not said.terminal, said
        time.sleep(0.1)
    return said
