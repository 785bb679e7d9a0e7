"""What is installed beside us: `python -m tests.dependencies audit` asks whether any of it has a known hole, `... sbom` lists it (CycloneDX)."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import uuid
from importlib.metadata import Distribution, distributions
from typing import Any

AUDIT = [sys.executable, '-m', 'pip_audit', '--local', '--skip-editable', '--progress-spinner', 'off', '--format', 'json']
PATIENCE = 120.0


def audit() -> tuple[list[str], int]:
    """What pip-audit finds, and an exit code."""
    try:
        done = subprocess.run(AUDIT, check=False, capture_output=True, text=True, timeout=PATIENCE)
        report = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        report = None
    return verdict(report)


def verdict(report: Any) -> tuple[list[str], int]:
    """Lines and an exit code from a report of pip-audit, None if there was none. Where there are no advisories nothing fails, and a line says so."""
    rows = report.get('dependencies', []) if isinstance(report, dict) else []
    holes = [
        f'{row["name"]} {row["version"]}: {hole["id"]}, mended in {", ".join(hole["fix_versions"]) or "no version yet"}'
        for row in rows
        for hole in row.get('vulns', ())
    ]
    asked = sum('vulns' in row for row in rows)
    if holes:
        return holes, 1
    if not asked:
        return ['pip-audit: no advisories can be had from here, so nothing was checked'], 0
    return [f'pip-audit: no known hole in {asked} of {len(rows)} packages; of the others there are no advisories to be had'], 0


def sbom() -> dict[str, Any]:
    """Everything installed in this environment, as CycloneDX 1.5 in JSON; the hash of each is that of its RECORD, which holds those of its files."""
    found = {each.metadata['Name'].lower(): each for each in distributions()}
    components = [_component(found[name]) for name in sorted(found)]
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(components, sort_keys=True))
    return {'bomFormat': 'CycloneDX', 'specVersion': '1.5', 'serialNumber': f'urn:uuid:{serial}', 'version': 1, 'components': components}


def _component(package: Distribution) -> dict[str, Any]:
    name = package.metadata['Name']
    record = package.read_text('RECORD')
    words = package.metadata.get('License-Expression') or (package.metadata.get('License') or '').partition('\n')[0]
    return {
        'type': 'library',
        'name': name,
        'version': package.version,
        'purl': f'pkg:pypi/{name.lower().replace("_", "-")}@{package.version}',
        **({'licenses': [{'license': {'name': words}}]} if words else {}),
        **({'hashes': [{'alg': 'SHA-256', 'content': hashlib.sha256(record.encode()).hexdigest()}]} if record else {}),
    }


def main(arguments: list[str]) -> int:
    """What the module's docstring says."""
    lines, code = audit() if arguments == ['audit'] else ([json.dumps(sbom(), indent=1)], 0)
    sys.stdout.write('\n'.join(lines) + '\n')
    return code


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
