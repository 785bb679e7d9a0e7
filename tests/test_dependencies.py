"""A known hole fails `make lint`; that nobody could be asked does not, and is said."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest

from tests.dependencies import sbom, verdict

CLEAN = {'name': 'click', 'version': '8.1', 'vulns': []}
HOLE = {'name': 'jinja2', 'version': '3.1.1', 'vulns': [{'id': 'PYSEC-1', 'fix_versions': ['3.1.6']}, {'id': 'GHSA-2', 'fix_versions': []}]}
SKIPPED = {'name': 'x', 'skip_reason': 'Dependency not found on PyPI'}


@pytest.mark.attack(45)
@pytest.mark.parametrize(
    ('report', 'lines', 'code'),
    [
        ({'dependencies': [CLEAN, HOLE]}, ['jinja2 3.1.1: PYSEC-1, mended in 3.1.6', 'jinja2 3.1.1: GHSA-2, mended in no version yet'], 1),
        ({'dependencies': [CLEAN, SKIPPED]}, ['pip-audit: no known hole in 1 of 2 packages; of the others there are no advisories to be had'], 0),
        ({'dependencies': [SKIPPED]}, ['pip-audit: no advisories can be had from here, so nothing was checked'], 0),
        (None, ['pip-audit: no advisories can be had from here, so nothing was checked'], 0),
    ],
)
def test_a_known_hole_is_named_and_fails(report: Any, lines: list[str], code: int) -> None:
    assert verdict(report) == (lines, code)


@pytest.mark.attack(45)
def test_the_bill_of_materials_has_what_is_installed() -> None:
    found = {each['name'].lower(): each for each in sbom()['components']}
    for name in ('pyzmq', 'cryptography', 'parsl'):
        assert found[name]['purl'] == f'pkg:pypi/{name}@{version(name)}'
        assert len(found[name]['hashes'][0]['content']) == 64
    assert sbom() == sbom()
