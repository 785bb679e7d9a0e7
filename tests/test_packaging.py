"""What the metadata says is what the tree holds."""

import configparser
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg')
    return parser


def test_every_package_is_listed() -> None:
    listed = set(setup()['options']['packages'].split())
    ours = {path.parent.relative_to(ROOT).as_posix().replace('/', '.') for path in (ROOT / 'relay_parsl').rglob('__init__.py')}
    beside = [path for room in ('configs', 'examples') for path in (ROOT / room).rglob('__init__.py')]
    assert listed == ours | {f'relay_parsl.{path.parent.relative_to(ROOT).as_posix()}'.replace('/', '.') for path in beside}


def test_nothing_stands_in_both_files() -> None:
    assert '[project]' not in (ROOT / 'pyproject.toml').read_text()
    assert not (ROOT / 'setup.py').exists()


def committed() -> list[Path]:
    """What git tracks; of a tree without git, everything that is text and ours."""
    if (ROOT / '.git').exists():
        listed = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
        return [ROOT / name for name in listed]
    return [path for folder in ('relay_parsl', 'tests', 'docs', 'examples', 'configs', 'benchmarks') for path in (ROOT / folder).rglob('*.*')]


def test_no_path_of_a_machine_is_committed() -> None:
    homes = [f'{path}/' for path in (Path.home(), ROOT.parent) if len(path.parts) > 1]
    for path in committed():
        text = path.read_text(errors='replace') if path.is_file() else ''
        assert not [home for home in homes if home in text], path


@pytest.mark.xdist_group('together')
def test_tests_of_one_group_are_kept_together(request: pytest.FixtureRequest) -> None:
    """With some versions of pytest and pytest-xdist they silently are not: two tests then have the one Slurm at once."""
    if request.config.getoption('loadgroup', default=False):
        assert request.node.nodeid.endswith('@together')
