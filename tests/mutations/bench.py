"""A copy of the project with one break in it, and what the tests say there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutations.entry import ROOT, Mutation

PARTS = ('relay_parsl', 'tests', 'configs', 'examples', 'pyproject.toml', 'setup.cfg')
"""What quick tests read."""
LONGEST, LONGEST_TEST = 300, 60
"""Seconds for all tests of a mutation, and for each of them."""
LONGEST_OF_ALL = 1800
"""Seconds for the tests of all mutations together, without a break."""
CRASHES = re.compile(r'\b(SyntaxError|NameError|ImportError|ModuleNotFoundError)\b')
"""A break that only crashes shows nothing: any test would see it."""
WHERE = 'import relay_parsl, tests; print(relay_parsl.__file__, tests.__file__)'


@dataclass(frozen=True)
class Verdict:
    """What came of the tests.

    Attributes:
        missing: Tests that should have failed and did not.
        failures: Why the others failed, by node id.
        trouble: Why the tests said nothing; else empty.
    """

    missing: tuple[str, ...] = ()
    failures: dict[str, str] = field(default_factory=dict)
    trouble: str = ''

    @property
    def caught(self) -> bool:
        """Whether each of the tests has failed, and for a reason of its own."""
        return not (self.missing or self.trouble)


@contextmanager
def copied() -> Iterator[Path]:
    """A copy that is imported in the place of what is installed, for a while."""
    with tempfile.TemporaryDirectory(prefix='relay-parsl-mutation-') as where:
        root = Path(where).resolve()
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, root / part)
            else:
                shutil.copy2(ROOT / part, root / part)
        yield root


def _environment(root: Path) -> dict[str, str]:
    """No bytecode is written: one of the same second and size would be taken for that of the next break."""
    return {**os.environ, 'PYTHONPATH': str(root), 'PYTHONDONTWRITEBYTECODE': '1', 'COLUMNS': '1000'}


def imported_from(root: Path) -> list[Path]:
    """The directories that package and tests come from there."""
    found = subprocess.run([sys.executable, '-c', WHERE], cwd=root, env=_environment(root), capture_output=True, text=True, check=True)
    return [Path(each).parent for each in found.stdout.split()]


def run_tests(root: Path, tests: Sequence[str], longest: float = LONGEST) -> tuple[int, str]:
    """Exit code of pytest, and what it printed; -1 when it took too long."""
    command = [sys.executable, '-m', 'pytest', '--quiet', '--tb=no', '-rfE', '--timeout', str(LONGEST_TEST), *tests]
    with tempfile.TemporaryFile('w+') as out:
        process = subprocess.Popen(command, cwd=root, env=_environment(root), stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(longest)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            with suppress(ProcessLookupError):  # what a broken product has left running
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.seek(0)
        return code, out.read()


def read(code: int, said: str, wanted: Sequence[str]) -> Verdict:
    """What pytest's exit code and summary say about tests that should have failed."""
    failures = dict(re.findall(r'^FAILED (\S+(?: \S+)*?)(?: - (.*))?$', said, re.MULTILINE))
    if code not in (0, 1):
        return Verdict(tuple(wanted), failures, f'pytest ended with {code}: {said.strip()[-300:]}')
    missing = tuple(each for each in wanted if not any(_is(name, each) for name in failures))
    crash = next((reason for reason in failures.values() if CRASHES.search(reason)), '')
    return Verdict(missing, failures, f'it merely crashes: {crash}' if crash else '')


def _is(node: str, wanted: str) -> bool:
    return node == wanted or node.startswith((f'{wanted}[', f'{wanted}::'))


def judge(mutation: Mutation) -> Verdict:
    """Break a copy, and ask the tests that should notice."""
    try:
        broken = mutation.text()
    except (ValueError, OSError) as error:
        return Verdict(mutation.caught, trouble=str(error))
    with copied() as root:
        target = root / mutation.file
        target.write_text(broken)
        for stale in (target.parent / '__pycache__').glob(f'{target.stem}.*'):
            stale.unlink()
        return read(*run_tests(root, mutation.caught), mutation.caught)
