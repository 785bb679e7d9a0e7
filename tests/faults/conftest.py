"""A site of real processes for each test that wants one."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.rig import Site, Work, site

BEFORE = 'ff48683c304f2142f7889f1e28d157618596019e'
ROOT = Path(__file__).parents[2]


@pytest.fixture(name='site')
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    for name in ('RELAY_PARSL_RELAY', 'RELAY_PARSL_CREDENTIALS'):
        monkeypatch.delenv(name, raising=False)
    with site(tmp_path / 'home') as made:
        yield made


@pytest.fixture
def work(site: Site) -> Iterator[Callable[..., Work]]:
    """Clients in this process; their relay and endpoints must be known by then."""
    made: list[Work] = []

    def begin(endpoint: str = 'one') -> Work:
        made.append(Work(site, endpoint))
        return made[-1]

    yield begin
    for each in made:
        each.close()


@pytest.fixture(scope='session')
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the version before this one."""
    git = shutil.which('git')
    if git is None:
        pytest.skip('there is no git to get the version before this one with')
    made = subprocess.run([git, 'archive', '--format=tar', BEFORE, 'relay_parsl'], check=False, cwd=ROOT, capture_output=True)
    if made.returncode:
        pytest.skip(f'commit {BEFORE} is not in this clone: {made.stderr.decode().strip()}')
    target = tmp_path_factory.mktemp('before')
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extractall(target, filter='data')
    return target
