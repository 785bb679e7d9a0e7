"""What the metadata says is what the tree holds."""

import configparser
import subprocess
from pathlib import Path

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


def test_no_path_of_a_machine_is_committed() -> None:
    home = str(Path.home()) + '/'
    tracked = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        text = (ROOT / name).read_text(errors='replace') if (ROOT / name).is_file() else ''
        assert home not in text, name
        assert f'{ROOT.parent}/' not in text, name
