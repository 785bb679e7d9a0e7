"""A whole Parsl workflow inside one task: the last case of the article.

`survey` travels to an endpoint, and there loads a Parsl configuration of its own: an interchange, a block and workers beside the ones that
run the task. That is how a login node's endpoint becomes the door to a workflow that is too chatty for the way in between. On a cluster the
provider below is the site's: take it from an endpoint file with `rp.load_config('configs/polaris/gpu.yaml')`.

    python workflow_in_a_task.py            # on a private relay and endpoint of this machine, gone at the end
    python workflow_in_a_task.py polaris    # on an endpoint of your own
"""

from __future__ import annotations

import contextlib
import sys

import relay_parsl as rp

IMAGES = ('moon', 'coins', 'cell', 'clock', 'brick', 'grass', 'gravel', 'camera')


def survey(names: tuple[str, ...]) -> dict[str, float]:
    """The entropy [bit] of the histogram of each image, each in a Parsl worker of its own workflow."""
    import tempfile

    import parsl
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

    @parsl.python_app
    def entropy(name: str) -> float:
        import numpy as np
        from skimage import data

        counts = np.bincount(getattr(data, name)().ravel(), minlength=256)
        share = counts[counts > 0] / counts.sum()
        return float(-(share * np.log2(share)).sum())

    with tempfile.TemporaryDirectory() as scratch:
        workers = HighThroughputExecutor(
            label='inner', address='127.0.0.1', max_workers_per_node=2, encrypted=True, provider=LocalProvider(max_blocks=1)
        )
        with parsl.load(parsl.Config(executors=[workers], run_dir=scratch, initialize_logging=False)):
            futures = {name: entropy(name) for name in names}
            return {name: future.result() for name, future in futures.items()}  # values, never futures: those live here only


def main(endpoint: str | None = None) -> int:
    """Print the answer, most telling image first."""
    with contextlib.ExitStack() as stack:
        if endpoint is None:
            stack.enter_context(rp.local(workers=1))
        executor = stack.enter_context(rp.Executor(endpoint or 'local'))
        answer = executor.submit(survey, IMAGES).result()
    for name, bits in sorted(answer.items(), key=lambda item: -item[1]):
        print(f'{name:8} {bits:.4f} bit')
    return 0 if set(answer) == set(IMAGES) else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
