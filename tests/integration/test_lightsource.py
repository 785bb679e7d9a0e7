"""The example of a light source: end to end, and with its engine killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.integration.commands import marked, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180), pytest.mark.xdist_group('heavy')]

EXAMPLE = Path(__file__).parents[2] / 'examples' / 'lightsource'
WAY = [
    'FlowStarted',
    'SourceTransfer - ActionStarted',
    'SourceTransfer - ActionCompleted',
    'XpcsCorr - ActionStarted',
    'XpcsCorr - ActionCompleted',
    'ResultTransferChoice - ChoiceStarted',
    'ResultTransferChoice - ChoiceCompleted',
    'ResultTransferSkipTransfer - PassStarted',
    'ResultTransferSkipTransfer - PassCompleted',
    'ResultTransferDone - PassStarted',
    'ResultTransferDone - PassCompleted',
    'MakeCorrPlots - ActionStarted',
    'MakeCorrPlots - ActionCompleted',
]
"""How the log of the hosted service's screen goes on."""


def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    for module in ('numpy', 'scipy', 'matplotlib'):
        pytest.importorskip(module)
    environment = {**os.environ, 'RELAY_PARSL_HOME': str(tmp_path / 'home'), 'TMPDIR': str(tmp_path), 'RELAY_PARSL_TEST_XPCS': str(tmp_path)}
    program = [sys.executable, str(EXAMPLE / 'lightsource.py'), '--out', str(tmp_path / 'out')]
    done = subprocess.run(program, check=False, env=environment, capture_output=True, text=True, timeout=150, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    second = done.stdout.split('speckles_0002  SUCCEEDED\n')[1].splitlines()
    assert [line[2:].split(' (')[0] for line in second[: len(WAY)]] == WAY
    assert done.stdout.count(' equal\n') == 2
    lines = [json.loads(line) for line in (tmp_path / 'out' / 'xpcs.jsonl').read_text().splitlines()]
    assert sorted((line['subject'], line['content']['quality']) for line in lines) == [
        ('xpcs/speckles_0001', 'relaxes'),
        ('xpcs/speckles_0002', 'too short'),
    ]
    for name in ('speckles_0001', 'speckles_0002'):
        assert (tmp_path / 'out' / f'{name}.png').read_bytes().startswith(b'\x89PNG')
        assert 'SUCCEEDED' in ''.join(ElementTree.parse(tmp_path / 'out' / f'{name}.svg').getroot().itertext())  # noqa: S314  our own
    until(lambda: not marked('RELAY_PARSL_TEST_XPCS', str(tmp_path)))
    assert not (tmp_path / 'home').exists()
    assert not list(tmp_path.glob('relay-parsl-*'))


# -- kill -9 of the engine


def correlated(directory: str, name: str, geometry: dict[str, Any]) -> dict[str, Any]:
    """In the place of `correlate`: quick, and it leaves a line for each time that it is called."""
    import time
    from pathlib import Path

    import numpy as np

    with Path(directory, 'calls.txt').open('a') as file:
        file.write(f'correlate {name}\n')
    time.sleep(0.5)
    mean = float(np.load(Path(directory, 'raw', f'{name}.npy')).mean())
    Path(directory, 'results', f'{name}.json').write_text(f'{{"mean": {mean!r}}}')
    return {'name': name, 'keep': True, 'relaxing': 1, 'mean': mean}


def plotted(directory: str, name: str, geometry: dict[str, Any]) -> dict[str, Any]:
    """In the place of `plot`."""
    import time
    from pathlib import Path

    with Path(directory, 'calls.txt').open('a') as file:
        file.write(f'plot {name}\n')
    time.sleep(0.5)
    Path(directory, 'plots', f'{name}.png').write_bytes(b'a picture')
    return {'path': f'/plots/{name}.png'}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The example's world with a real file in the beamline's folder, and functions that count their calls."""
    pytest.importorskip('numpy')
    monkeypatch.syspath_prepend(str(EXAMPLE))
    lightsource: Any = __import__('lightsource')
    monkeypatch.setattr(lightsource.steps, 'correlate', correlated)
    monkeypatch.setattr(lightsource.steps, 'plot', plotted)
    with lightsource.world(tmp_path / 'out') as (scratch, known):
        lightsource.detector(scratch / 'beamline' / 'raw', {'one': 20, 'two': 20}, 0.0)
        yield scratch, known
    for name in ('lightsource', 'steps', 'watch'):
        sys.modules.pop(name, None)


class Engine:
    """`relay-parsl flow serve`, which is killed again and again."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        words = [sys.executable, '-m', 'relay_parsl', 'flow', 'serve']
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(30) == 0


def ended(run: Any, engine: Engine, moments: list[str]) -> list[str]:
    """Let a run end, with the engine killed when the log has each of these entries; the codes of the log."""
    left = list(moments)
    deadline = time.monotonic() + 90
    while run.status == 'ACTIVE' or left:
        assert time.monotonic() < deadline, (run.describe(), left)
        if left and left[0] in codes(run):
            left.pop(0)
            engine.kill()
            time.sleep(0.05)
            engine.start()
        time.sleep(0.01)
    return codes(run)


def codes(run: Any) -> list[str]:
    """The log as state and code."""
    return [f'{entry["details"].get("state_name", "")} {entry["code"]}'.strip() for entry in run.log()]


def test_an_engine_that_is_killed_in_the_middle_changes_nothing(place: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """The same payload, the same codes, each function and each file once."""
    scratch, known = place
    watch = sys.modules['watch']
    flow = watch.flow()
    engine = Engine()
    try:
        quiet = flow.run(watch.body(known, 'one.npy'), label='one', serve=False)
        expected = ended(quiet, engine, [])
        hunted = flow.run(watch.body(known, 'two.npy'), label='two', serve=False)
        moments = [
            'FlowStarted',
            'SourceTransfer ActionStarted',
            'XpcsCorr ActionStarted',
            'ResultTransfer ActionStarted',
            'MakeCorrPlots ActionStarted',
        ]
        assert ended(hunted, engine, [*moments, 'Publish ActionStarted']) == expected
    finally:
        engine.kill()
    assert (quiet.status, hunted.status) == ('SUCCEEDED', 'SUCCEEDED')
    assert {**hunted.result()['result'], 'name': 'one'} == quiet.result()['result']
    assert sorted((scratch / 'facility' / 'calls.txt').read_text().splitlines()) == ['correlate one', 'correlate two', 'plot one', 'plot two']
    index = [json.loads(line)['subject'] for line in (tmp_path / 'out' / 'xpcs.jsonl').read_text().splitlines()]
    assert sorted(index) == ['xpcs/one', 'xpcs/two']
    for name in ('one', 'two'):
        assert sorted(path.name for path in (scratch / 'beamline' / 'results').glob(f'{name}.*')) == [f'{name}.json', f'{name}.png']
        assert (scratch / 'facility' / 'raw' / f'{name}.npy').read_bytes() == (scratch / 'beamline' / 'raw' / f'{name}.npy').read_bytes()
    strays = [path.name for path in scratch.rglob('*') if path.is_file() and 'part' in path.name]
    assert not strays
