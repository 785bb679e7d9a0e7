"""What runs at the facility: two plain functions. They travel to the endpoint by value, so each imports what it needs, and return plain JSON."""

from __future__ import annotations

from typing import Any


def correlate(directory: str, name: str, geometry: dict[str, Any], rings: int = 8) -> dict[str, Any]:
    """The intensity correlation g2 of a series of speckle images, ring by ring, and how fast each relaxes.

    g2(lag) = <I(t) I(t + lag)> / (<I(t)> <I(t + lag)>): means over time, then over the pixels of a ring. The fit: base + contrast exp(-2 rate lag).

    Args:
        directory: The facility's: `raw/NAME.npy` is read, an array of (frames, height, width) photon counts; `results/NAME.json` is written.
        name: Of the series.
        geometry: `center` (row, column) [pixel], `pixel`, `distance` [mm], `wavelength` [Å], `period` [s], `first` and `width` of the rings [pixel].
        rings: How many.

    Returns:
        How many frames there were and rings relax, the fastest and slowest `rate` [1/s], and whether the result is worth keeping.
    """
    import json
    import math
    from pathlib import Path

    import numpy as np
    from scipy.optimize import curve_fit

    def relaxation(lag: Any, contrast: float, rate: float, base: float) -> Any:
        return base + contrast * np.exp(-2 * rate * lag)

    def fit(times: Any, g2: list[float]) -> dict[str, float]:
        if len(times) < 8:
            return {}
        start = (max(g2[0] - 1, 1e-3), 1 / times[len(times) // 2], 1.0)
        try:
            best, spread = curve_fit(relaxation, times, g2, start, bounds=((0, 0, 0.5), (1, 1 / times[0], 1.5)))
        except RuntimeError:
            return {}
        error = math.sqrt(spread[1, 1])
        sure = best[0] > 0.01 and error < 0.5 * best[1]
        return {'contrast': float(best[0]), 'rate': float(best[1]), 'base': float(best[2]), 'error': error} if sure else {}

    counts = np.load(Path(directory, 'raw', f'{name}.npy')).astype('float32')
    frames, height, width = counts.shape
    row, column = np.mgrid[:height, :width]
    radius = np.hypot(row - geometry['center'][0], column - geometry['center'][1])
    lit = (counts.mean(axis=0) > 0) & (counts.max(axis=0) < 60)  # neither the shadow of the beamstop nor hot pixels
    lags = [lag for lag in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48) if lag <= frames // 2]
    curves = []
    for number in range(rings):
        inner = geometry['first'] + number * geometry['width']
        series = counts[:, lit & (radius >= inner) & (radius < inner + geometry['width'])]
        g2 = [float((series[:-lag] * series[lag:]).mean(0).sum() / (series[:-lag].mean(0) * series[lag:].mean(0)).sum()) for lag in lags]
        angle = math.atan((inner + geometry['width'] / 2) * geometry['pixel'] / geometry['distance'])
        q = 4 * math.pi / geometry['wavelength'] * math.sin(angle / 2)
        curves.append({'q': q, 'pixels': series.shape[1], 'g2': g2, **fit(np.array(lags) * geometry['period'], g2)})
    rates = [curve['rate'] for curve in curves if 'rate' in curve]
    found = {'name': name, 'frames': frames, 'rings': rings, 'relaxing': len(rates), 'keep': len(rates) >= rings // 2}
    found |= {'slowest': round(min(rates), 2), 'fastest': round(max(rates), 2)} if rates else {}
    target = Path(directory, 'results', f'{name}.json')
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({**found, 'lags': [lag * geometry['period'] for lag in lags], 'curves': curves}, indent=1))
    return found


def plot(directory: str, name: str, geometry: dict[str, Any]) -> dict[str, Any]:
    """Draw the mean image with its rings, and their correlations, into `plots/NAME.png`.

    Args:
        directory: As of `correlate`, which has written `results/NAME.json`.
        name: Of the series.
        geometry: As of `correlate`.

    Returns:
        The picture's `path` under the directory and its `bytes`.
    """
    import json
    from pathlib import Path

    import numpy as np
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    result = json.loads(Path(directory, 'results', f'{name}.json').read_text())
    mean = np.load(Path(directory, 'raw', f'{name}.npy')).mean(axis=0)
    figure = Figure(figsize=(11, 4.6), layout='constrained')
    picture, graph = figure.subplots(1, 2)
    row, column = geometry['center']
    picture.imshow(np.log1p(50 * mean), cmap='magma', vmax=np.log1p(50 * np.percentile(mean, 99.5)))
    picture.set(title=f'{name}: mean of {result["frames"]} images', xticks=[], yticks=[])
    times = 1000 * np.array(result['lags'])
    fine = np.geomspace(times[0], times[-1], 200)
    for number, curve in enumerate(result['curves']):
        color = colormaps['viridis'](0.05 + 0.85 * number / result['rings'])
        picture.add_patch(Circle((column, row), geometry['first'] + number * geometry['width'], fill=False, color='white', linewidth=0.5, alpha=0.7))
        graph.semilogx(times, curve['g2'], 'o', color=color, markersize=3.5, label=f'q = {curve["q"]:.4f} 1/Å')
        if 'rate' in curve:
            graph.semilogx(fine, curve['base'] + curve['contrast'] * np.exp(-2 * curve['rate'] * fine / 1000), color=color, linewidth=1)
    graph.set_xticks([1, 2, 5, 10, 20, 50], ['1', '2', '5', '10', '20', '50'])
    graph.minorticks_off()
    graph.set(xlabel='lag [ms]', ylabel='g2', title=f'{result["relaxing"]} of {result["rings"]} rings relax')
    graph.legend(fontsize=7, ncols=2)
    target = Path(directory, 'plots', f'{name}.png')
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, dpi=100)
    return {'path': f'/plots/{name}.png', 'bytes': target.stat().st_size}
