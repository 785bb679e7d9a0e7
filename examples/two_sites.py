"""One script, two sites: measured data pass through Perlmutter, Polaris and this machine, and the answer is checked.

The Hubble Deep Field, as scikit-image ships it, is cut into tiles, one text file each in experiments/. For each file `pre_process` takes
the sky away on "perlmutter", `analysis` finds the sources on "polaris" (one worker for each of four accelerators), and `post_process` sums
them up in a Parsl worker here. `@join_app` chains the three: no worker waits for another site.

    python two_sites.py                                 # a private relay and two endpoints on this machine, gone at the end
    python two_sites.py --sites perlmutter polaris      # endpoints of your own, by name or UUID, over the relay that you joined

It exits with 0 only if every line of the table equals what the same three functions give without a relay between them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import parsl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import relay_parsl as rp

HERE = Path(__file__).parent
ROWS, COLUMNS = 4, 4


# -- The three steps: plain functions. The first two travel to their sites, so they import what they need -----------


def place(started: float) -> dict[str, Any]:
    """Where this runs, on which accelerator, and for how many seconds so far."""
    return {
        'site': os.environ.get('SITE', 'here'),
        'host': platform.node(),
        'worker': os.environ.get('PARSL_WORKER_RANK', '-'),
        'accelerator': os.environ.get('CUDA_VISIBLE_DEVICES', '-'),
        'seconds': time.monotonic() - started,
    }


def pre_process(text: str) -> dict[str, Any]:
    """The tile without the sky, in multiples of its own noise: an array of (height, width) float32."""
    import numpy as np
    from scipy import ndimage

    started = time.monotonic()
    counts = np.loadtxt(text.splitlines())
    step = 15
    coarse = ndimage.median_filter(counts[::3, ::3], size=step)  # the sky is smooth: every third pixel tells it
    sky = ndimage.zoom(coarse, np.array(counts.shape) / np.array(coarse.shape), order=1)
    noise = 1.4826 * np.median(np.abs(counts - sky - np.median(counts - sky)))
    return {'signal': ((counts - sky) / noise).astype('float32'), 'places': [place(started)]}


def analysis(data: dict[str, Any]) -> dict[str, Any]:
    """The sources in the tile: an array of (n, 4), each row the position [pixel], the size [pixel] and the brightness [noise]."""
    import numpy as np
    from skimage.feature import blob_log

    started = time.monotonic()
    signal = data['signal']
    blobs = blob_log(signal, max_sigma=10, num_sigma=30, threshold=2.0, overlap=0.3)
    peaks = [signal[int(y), int(x)] for y, x, _ in blobs]
    return {'sources': np.column_stack([blobs, np.array(peaks)]), 'places': [*data['places'], place(started)]}


def summarize(data: dict[str, Any]) -> dict[str, Any]:
    """How many sources there are, and the brightest of them."""
    started = time.monotonic()
    sources = data['sources']
    y, x, sigma, peak = (float(value) for value in max(sources, key=lambda row: float(row[3])))
    result = {'sources': len(sources), 'peak': round(peak, 3), 'at': (int(y), int(x)), 'size': round(sigma * 2**0.5, 2)}
    return {'result': result, 'places': [*data['places'], place(started)]}


post_process = parsl.python_app(summarize)


# -- The data ----------------------------------------------------------------------------------------------------------


def split_image(directory: Path) -> list[Path]:
    """Write the tiles of the Hubble Deep Field into `directory`, as counts in text."""
    import numpy as np
    from skimage import data

    directory.mkdir(exist_ok=True)
    image = data.hubble_deep_field().sum(axis=2)
    files = []
    for row, band in enumerate(np.array_split(image, ROWS, axis=0)):
        for column, tile in enumerate(np.array_split(band, COLUMNS, axis=1)):
            files.append(directory / f'hdf_{row}_{column}.txt')
            np.savetxt(files[-1], tile, fmt='%d')
    return files


# -- The workflow ------------------------------------------------------------------------------------------------------


def run(files: list[Path], perlmutter: rp.Executor, polaris: rp.Executor, console: Console) -> dict[str, dict[str, Any]]:
    """Every file through the three steps; the outcomes by the files' names."""

    @parsl.join_app
    def run_pre_process(text: str) -> rp.TaskFuture:
        return perlmutter.submit(pre_process, text)

    @parsl.join_app
    def run_analysis(data: dict[str, Any]) -> rp.TaskFuture:
        return polaris.submit(analysis, data)

    futures = {post_process(run_analysis(run_pre_process(file.read_text()))): file.name for file in files}
    outcomes = {}
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task('tiles', total=len(futures))
        for future in as_completed(futures):
            outcomes[futures[future]] = future.result()
            progress.advance(bar)
    return outcomes


def alone(files: list[Path]) -> dict[str, dict[str, Any]]:
    """The same computation without us."""
    return {file.name: summarize(analysis(pre_process(file.read_text()))) for file in files}


def closing_table(outcomes: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]) -> Table:
    """A line for each file: the result, where each step ran (site/worker), on which accelerator, for how long in all."""
    table = Table(title='Hubble Deep Field: sources by tile', box=None, pad_edge=False, header_style='bold')
    for name in ('file', 'sources', 'peak', 'pre_process', 'analysis', 'accel.', 'post', 'seconds', 'check'):
        table.add_column(name, justify='right' if name in ('sources', 'peak', 'seconds') else 'left', no_wrap=True)
    for name, outcome in sorted(outcomes.items()):
        result, (first, second, third) = outcome['result'], outcome['places']
        table.add_row(
            name.removesuffix('.txt'),
            str(result['sources']),
            f'{result["peak"]:.1f}',
            f'{first["site"]}/{first["worker"]}',
            f'{second["site"]}/{second["worker"]}',
            second['accelerator'],
            third['site'],
            f'{sum(step["seconds"] for step in (first, second, third)):.2f}',
            'equal' if result == expected[name]['result'] else '[red]DIFFERENT',
        )
    return table


@contextlib.contextmanager
def sites(names: list[str] | None) -> Iterator[tuple[rp.Executor, rp.Executor]]:
    """Executors for the two sites: endpoints of the user's own, or two on this machine for as long as the block runs."""
    with contextlib.ExitStack() as stack:
        if names is None:
            names = ['perlmutter', 'polaris']
            stack.enter_context(rp.local(endpoints={name: HERE / f'{name}.yaml' for name in names}))
        perlmutter, polaris = (stack.enter_context(rp.Executor(name)) for name in names)
        yield perlmutter, polaris


def main() -> int:
    """0 when every result equals the one that was computed without us."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sites', nargs=2, metavar=('PERLMUTTER', 'POLARIS'), help='endpoints of your own, instead of two on this machine')
    arguments = parser.parse_args()
    console = Console()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        files = split_image(Path(scratch) / 'experiments')
        console.print(f'{len(files)} files in experiments/; starting two sites')
        config = parsl.Config(run_dir=f'{scratch}/runinfo', initialize_logging=False)
        with sites(arguments.sites) as (perlmutter, polaris), parsl.load(config):
            outcomes = run(files, perlmutter, polaris, console)
        took = time.monotonic() - started
        expected = alone(files)
    console.print(closing_table(outcomes, expected))
    different = [name for name in expected if outcomes[name]['result'] != expected[name]['result']]
    accelerators = {outcome['places'][1]['accelerator'] for outcome in outcomes.values()}
    console.print(
        f'{took:.1f} s through two sites; {len(accelerators)} accelerators at work; {len(files) - len(different)} of {len(files)} results equal'
    )
    return 1 if different else 0


if __name__ == '__main__':
    sys.exit(main())
