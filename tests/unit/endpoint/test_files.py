"""Endpoint files by path and by the name of a site."""

from pathlib import Path

import pytest

from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.endpoint.files import find_file, site_files
from relay_parsl.errors import ConfigError


def test_a_path_comes_before_a_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = Path('polaris/gpu')
    mine.parent.mkdir()
    mine.write_text('engine: {type: ThreadPoolEngine}\n')
    assert find_file('polaris/gpu') == mine


@pytest.mark.parametrize('given', ['polaris/gpu', 'configs/polaris/gpu.yaml', 'polaris/gpu.yaml'])
def test_sites_are_found_anywhere(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_endpoint_config(given).pools[''].spec.options['available_accelerators'] == 4


def test_neither(tmp_path: Path) -> None:
    assert 'perlmutter/gpu' in site_files()
    with pytest.raises(ConfigError, match=r'no such file.*polaris/gpu'):
        find_file(tmp_path / 'none.yaml')
