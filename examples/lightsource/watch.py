"""A run for each new file of a folder: what stands beside a detector.

A file is taken when it has not changed for a while, so never one that is still being written. The run's id follows from the file's name, size and
time: whoever watches again after a crash submits the same run, and the journal has it already. No list of what was done, and nothing runs twice.

    python watch.py /data/xpcs/raw site.json        # site.json: the `input` of the flow, without `name` and the file's path

`relay-parsl flow serve --detach` beside it runs the flows; this program submits them.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from relay_parsl.flows.flow import Flow
from relay_parsl.flows.run import Run

HERE = Path(__file__).parent
LOOK = 0.5
"""Seconds between two looks at the folder."""
QUIET = 2.0
"""Seconds without a change after which a file is complete."""
RUNS = uuid.UUID('7c1e9d3a-5c0b-4f0e-9f5d-2a6c1f0f8b11')
"""The namespace of the runs' ids."""


class Stamp(NamedTuple):
    """What changes with a file: its size [bytes] and its time [ns]."""

    size: int
    changed: int


class Settling:
    """Decides which files are complete. It touches nothing: listings and times are handed in."""

    def __init__(self, quiet: float = QUIET) -> None:
        """`quiet`: seconds without a change."""
        self.quiet = quiet
        self.seen: dict[str, tuple[Stamp, float]] = {}
        self.given: dict[str, Stamp] = {}

    def look(self, files: Mapping[str, Stamp], now: float) -> list[str]:
        """The names that became complete, each once; one that is written again afterwards is new. Empty and hidden files are none."""
        ready = []
        for name, stamp in sorted(files.items()):
            known = self.seen.get(name)
            if known is None or known[0] != stamp:
                self.seen[name] = stamp, now
            elif now - known[1] >= self.quiet and stamp.size and not name.startswith('.') and self.given.get(name) != stamp:
                self.given[name] = stamp
                ready.append(name)
        for name in self.seen.keys() - files.keys():
            del self.seen[name]
        return ready


def listing(folder: Path, pattern: str = '*.npy') -> dict[str, Stamp]:
    """The files of a folder, and how they stand; one that goes away meanwhile is none."""
    found = {}
    for path in folder.glob(pattern):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found[path.name] = Stamp(status.st_size, status.st_mtime_ns)
    return found


def run_id(name: str, stamp: Stamp) -> str:
    """The id of the run of a file: the same for the same file."""
    return str(uuid.uuid5(RUNS, f'{name} {stamp.size} {stamp.changed}'))


def watch(folder: Path, begin: Callable[[str, str], Run], quiet: float = QUIET, look: float = LOOK) -> Iterator[Run]:
    """Begin a run for each complete file, for ever.

    Args:
        folder: Where files come.
        begin: Given a file's name and the run's id, submits the run.
        quiet: Seconds without a change.
        look: Seconds between two looks.
    """
    settling = Settling(quiet)
    while True:
        files = listing(folder)
        for name in settling.look(files, time.monotonic()):
            yield begin(name, run_id(name, files[name]))
        time.sleep(look)


def flow() -> Flow:
    """The flow of this example."""
    return Flow.from_file(HERE / 'definition.json', input_schema=json.loads((HERE / 'input_schema.json').read_text()), title='XPCS')


def body(site: Mapping[str, Any], file: str) -> dict[str, Any]:
    """The input of the run of a file.

    Args:
        site: What is the same for all: collections, endpoint, functions, geometry, index. `beamline.path` is the folder in its collection.
        file: The file's name.
    """
    beamline = {**site['beamline'], 'path': f'{site["beamline"]["path"].rstrip("/")}/{file}'}
    return {'input': {**site, 'name': Path(file).stem, 'beamline': beamline}}


def main(folder: str, site: str) -> None:
    """Submit runs until Ctrl-C."""
    chosen, known = flow(), json.loads(Path(site).read_text())
    chosen.validate().need()
    needed = set(chosen.input_schema['properties']['input']['required']) - {'name'}
    if needed - known.keys():
        sys.exit(f'{site}: needs {", ".join(sorted(needed - known.keys()))}, as input_schema.json says')

    def begin(name: str, identity: str) -> Run:
        return chosen.run(body(known, name), label=name[:64], tags=['xpcs'], run_id=identity, serve=False)

    for run in watch(Path(folder), begin):
        print(f'{run.label}  {run.run_id}  {run.status}', flush=True)


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(sys.argv[1], sys.argv[2])
    except KeyboardInterrupt:
        sys.exit(130)
