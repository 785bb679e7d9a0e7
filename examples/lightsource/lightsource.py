"""From a detector's folder to a plot and an index: X-ray photon correlation spectroscopy as one flow, on real images.

A beamline, a facility with a relay endpoint, and an index are played by this machine. Two series of images come into the beamline's folder: a whole
one, and one that was broken off after a few images. Each becomes a run of `definition.json`, in the language of Globus Flows: transfer in,
correlate, choose, transfer the results out, plot, publish. At the end the numbers are compared with those of the same functions without a flow.

    python lightsource.py                   # leaves plots, index and pictures of the runs in lightsource-results/
    python lightsource.py --out elsewhere
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import steps  # beside this file
import watch
import yaml

import relay_parsl as rp

HERE = Path(__file__).parent
BEAMLINE, FACILITY = '74defd5b-5f61-42fc-bcc4-834c9f376a4f', '9d2cf5dc-4f0a-4b5b-8d5e-3b8d4d3bd7a7'
"""The collections' UUIDs, as a definition or its input names them."""
GEOMETRY = {'center': [132, 143], 'pixel': 0.108, 'distance': 2230, 'wavelength': 1.546, 'period': 0.00130068, 'first': 20, 'width': 6}
SERIES = {'speckles_0001': 100, 'speckles_0002': 8}
"""The series that the detector takes, and their images."""
NEEDS = {'numpy': 'numpy', 'scipy': 'scipy', 'matplotlib': 'matplotlib'}
PIECES = 5
"""Pieces in which the detector writes a file."""


def images() -> Any:
    """The real ones: an array of (image, row, column) uint16."""
    import numpy as np

    with lzma.open(HERE / 'data' / 'speckles.npy.xz') as file:
        return np.ascontiguousarray(np.moveaxis(np.load(file), -1, 0))


def detector(folder: Path, series: dict[str, int] = SERIES, pause: float = 0.1) -> None:
    """Write the series into the folder, each in pieces, as a detector does: whoever takes a file too early gets half of it."""
    import io

    import numpy as np

    for name, count in series.items():
        raw = io.BytesIO()
        np.save(raw, images()[:count])
        step = -(-len(raw.getvalue()) // PIECES)
        with (folder / f'{name}.npy').open('wb') as file:
            for start in range(0, len(raw.getvalue()), step):
                file.write(raw.getvalue()[start : start + step])
                file.flush()
                time.sleep(pause)


def site(home: Path, place: Path, out: Path, relay: rp.local.Local) -> dict[str, Any]:
    """Make the collections, `flows.yaml` in the home, and register the functions; what is the same in the input of all runs."""
    for folder in ('beamline/raw', 'beamline/results', 'facility/raw', 'facility/results', 'facility/plots'):
        (place / folder).mkdir(parents=True, exist_ok=True)
    settings = {
        'collections': {
            'beamline': {'root': str(place / 'beamline'), 'uuid': BEAMLINE, 'allowed': ['/raw', '/results']},
            'facility': {'root': str(place / 'facility'), 'uuid': FACILITY},
        },
        'search': {'directory': str(out)},
    }
    (home / 'flows.yaml').write_text(yaml.safe_dump(settings, sort_keys=False))
    client = rp.Client(relay=relay.target)
    functions = {name: client.register_function(getattr(steps, name)) for name in ('correlate', 'plot')}
    return {
        'beamline': {'id': BEAMLINE, 'path': '/raw'},
        'facility': {'id': FACILITY},
        'compute': {'endpoint': relay.endpoints[0], **functions, 'directory': str(place / 'facility')},
        'geometry': GEOMETRY,
        'index': 'xpcs',
    }


@contextmanager
def world(out: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A beamline and a facility for as long as the block runs: the directory of both, and what all inputs share. The relay's home is the flows'."""
    with tempfile.TemporaryDirectory(prefix='relay-parsl-lightsource-') as scratch, rp.local(endpoints={'facility': 2}) as relay:
        place, home = Path(scratch), relay.target.home.root
        before = os.environ.get('RELAY_PARSL_HOME')
        os.environ['RELAY_PARSL_HOME'] = str(home)
        try:
            yield place, site(home, place, out, relay)
        finally:
            from relay_parsl.flows.engine.background import stop

            stop()
            os.environ.pop('RELAY_PARSL_HOME')
            if before is not None:
                os.environ['RELAY_PARSL_HOME'] = before


def command(*words: str) -> str:
    """What a command of ours prints."""
    return subprocess.run([sys.executable, '-m', 'relay_parsl', *words], check=True, capture_output=True, text=True).stdout


def alone(place: Path) -> dict[str, dict[str, Any]]:
    """The same numbers without a flow."""
    return {name: steps.correlate(str(place / 'facility'), name, GEOMETRY) for name in SERIES}


def take(place: Path, known: dict[str, Any]) -> list[watch.Run]:
    """Let the detector write, and run the flow for each file; the runs when all have ended."""
    flow = watch.flow()
    flow.validate().need()
    folder = place / 'beamline' / 'raw'
    threading.Thread(target=detector, args=(folder,), daemon=True).start()
    runs = []
    for run in watch.watch(folder, lambda name, identity: flow.run(watch.body(known, name), label=name, tags=['xpcs'], run_id=identity), 0.5, 0.1):
        print(f'{run.label} is complete: run {run.run_id}', flush=True)
        runs.append(run)
        if len(runs) == len(SERIES):
            break
    for run in runs:
        run.wait(120)
    return runs


def tell(run: watch.Run, place: Path, out: Path) -> dict[str, Any] | None:
    """Print a run's log, keep its pictures, and return its result; None where it did not succeed."""
    label = Path(run.label).stem
    print(f'\n{label}  {run.status}\n{command("flow", "log", run.run_id)}', end='')
    command('flow', 'show', run.run_id, '--graph', str(out / f'{label}.svg'))
    if run.status != 'SUCCEEDED':
        return None
    shutil.copy(place / 'beamline' / 'results' / f'{label}.png', out)
    result: dict[str, Any] = run.result(1)['result']
    return result


def summary(results: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The numbers, a line for each series."""
    yield '\nseries         images  rings that relax  rates [1/s]      kept  check'
    for name, result in sorted(results.items()):
        rates = f'{result["slowest"]:.1f} to {result["fastest"]:.1f}' if 'slowest' in result else '-'
        same = 'equal' if result == expected[name] else 'DIFFERENT'
        kept = 'yes' if result['keep'] else 'no'
        yield f'{name:13}  {result["frames"]:6}  {result["relaxing"]} of {result["rings"]:<11}  {rates:15}  {kept:4}  {same}'


def main() -> int:
    """0 when every run succeeded with the numbers that the functions give by themselves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', default='lightsource-results', help='where the plots, the index and the pictures of the runs go')
    out = Path(parser.parse_args().out).absolute()
    missing = [package for name, package in NEEDS.items() if importlib.util.find_spec(name) is None]
    if missing:
        print(f'error: the example needs {" and ".join(missing)}: pip install {" ".join(missing)}', file=sys.stderr)
        return 2
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    (out / 'xpcs.jsonl').unlink(missing_ok=True)
    with world(out) as (place, known):
        print(f'a relay and the endpoint "facility" run; the detector writes {" and ".join(SERIES)}', flush=True)
        runs = take(place, known)
        took = time.monotonic() - began
        told = [tell(run, place, out) for run in runs]
        results = {result['name']: result for result in told if result}
        expected = alone(place) if len(results) == len(SERIES) else {}
    if not expected:
        return 1
    print('\n'.join(summary(results, expected)))
    lines = [json.loads(line) for line in (out / 'xpcs.jsonl').read_text().splitlines()]
    print(f'\n{took:.1f} s; index: {out / "xpcs.jsonl"} ({len(lines)} entries)')
    print('plots: ' + ', '.join(str(out / f'{name}.png') for name in sorted(results)))
    print('ways of the runs: ' + ', '.join(str(out / f'{name}.svg') for name in sorted(results)))
    return 0 if results == expected and len(lines) == len(SERIES) else 1


if __name__ == '__main__':
    sys.exit(main())
