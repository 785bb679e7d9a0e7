"""The systems, each a context manager that starts it on this machine and ends it without a trace. A system's libraries load only where it runs."""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.aims import GLOBUS, HTEX, OURS

PATIENCE = 120.0
"""Seconds that anything may take to start or to end."""
QUICKLY = 0.1
"""Seconds between two looks of Parsl's scaling: with its own 5 s each first block would start 5 s late, and nobody runs short tasks so."""

Submit = Callable[..., Any]


def results(futures: Sequence[Any], timeout: float) -> list[Any]:
    """What the futures hold; `timeout` [s] for each."""
    return [future.result(timeout=timeout) for future in futures]


@dataclass(frozen=True)
class Desk:
    """A system that runs: where to hand in calls, and how to wait for what they give.

    Attributes:
        submit: `submit(fn, *args)` gives something like a future.
        collect: `collect(futures, timeout)` gives the values, and raises what a task raised.
        ways: More that can be called, by name.
        serves: Whether tasks end; not so where no endpoint is online.
    """

    submit: Submit
    collect: Callable[[Sequence[Any], float], list[Any]] = results
    ways: dict[str, Submit] = field(default_factory=dict)
    serves: bool = True


@dataclass(frozen=True)
class Shape:
    """What every system is given.

    Attributes:
        workers: Processes that run tasks.
        accelerators: One name for each worker; empty without.
    """

    workers: int = 2
    accelerators: tuple[str, ...] = ()


@contextmanager
def relay_parsl(shape: Shape) -> Iterator[Desk]:
    """The whole path: executor, relay with its store on disk (every commit waits for it), endpoint, HtexEngine; CURVE and seals, as always."""
    import relay_parsl as rp

    blocks = {'type': 'LocalProvider', 'init_blocks': 1, 'min_blocks': 1, 'max_blocks': 1}
    engine = {'type': 'HtexEngine', 'max_workers_per_node': shape.workers, 'cores_per_worker': 0.001, 'provider': blocks}
    if shape.accelerators:
        engine['available_accelerators'] = list(shape.accelerators)
    with rp.local(endpoints={'local': engine}), rp.Executor('local') as executor:
        yield Desk(executor.submit, ways={'cancel': lambda future: future.cancel()})


@contextmanager
def many_endpoints(shape: Shape) -> Iterator[Desk]:
    """One relay with as many endpoints as there are to be workers, each with one thread; calls go to all in turn."""
    import relay_parsl as rp

    names = [f'site-{number}' for number in range(shape.workers)]
    with rp.local(endpoints={name: {'type': 'ThreadPoolEngine', 'max_workers': 1} for name in names}), ExitStack() as stack:
        executors = [stack.enter_context(rp.Executor(name)) for name in names]
        turn = cycle(executors)
        yield Desk(lambda fn, *args: next(turn).submit(fn, *args))


@contextmanager
def lone_client(_shape: Shape) -> Iterator[Desk]:
    """A client of the relay in `$RELAY_PARSL_HOME`, whose endpoint is offline. `ways`: `flush`; `sit`, which opens idle sessions."""
    import relay_parsl as rp
    from relay_parsl.client.session import Session

    class Sitter(Session):
        def _idle(self) -> bool:
            return False  # else it ends when nobody uses it

    executor = rp.Executor('local', relay='local')
    sessions: list[Session] = []

    def sit(count: int) -> None:
        fresh = [Sitter(executor.target) for _ in range(count)]
        sessions.extend(fresh)
        for session in fresh:
            session.list('endpoints', timeout=PATIENCE)

    try:
        yield Desk(executor.submit, ways={'flush': executor.flush, 'sit': sit}, serves=False)
    finally:
        executor.shutdown(wait=False)
        for session in sessions:
            session.close()


def _htex(shape: Shape) -> dict[str, Any]:
    """What HighThroughputExecutor is told here, whoever drives it."""
    from parsl.providers import LocalProvider

    return {
        'address': '127.0.0.1',
        'max_workers_per_node': shape.workers,
        'cores_per_worker': 0.001,
        'available_accelerators': list(shape.accelerators),
        'provider': LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
    }


@contextmanager
def htex(shape: Shape) -> Iterator[Desk]:
    """HighThroughputExecutor without a DataFlowKernel."""
    from parsl.executors import HighThroughputExecutor
    from parsl.jobs.job_status_poller import JobStatusPoller

    options = _htex(shape)
    executor = HighThroughputExecutor(**options)
    with tempfile.TemporaryDirectory() as run_dir:
        executor.run_dir = run_dir
        scripts = Path(run_dir, 'scripts')
        scripts.mkdir()
        options['provider'].script_dir = str(scripts)
        executor.start()
        poller = JobStatusPoller(strategy='simple', max_idletime=PATIENCE, strategy_period=QUICKLY)
        poller.add_executors([executor])
        try:
            yield Desk(lambda fn, *args: executor.submit(fn, {}, *args))
        finally:
            poller.close()
            executor.shutdown()


def _apps(**options: Any) -> Submit:
    """Calls as apps of the DataFlowKernel that is loaded."""
    import parsl

    app = cache(lambda fn: parsl.python_app(fn, **options))
    return lambda fn, *args: app(fn)(*args)


@contextmanager
def parsl_dfk(shape: Shape) -> Iterator[Desk]:
    """HighThroughputExecutor behind the DataFlowKernel, without its log file, which costs it a good part of its speed."""
    import parsl
    from parsl.executors import HighThroughputExecutor

    executor = HighThroughputExecutor(**_htex(shape))
    with tempfile.TemporaryDirectory() as run_dir:
        config = parsl.Config([executor], run_dir=run_dir, strategy_period=QUICKLY, initialize_logging=False)
        with parsl.load(config):
            yield Desk(_apps())


@contextmanager
def parsl_apps(shape: Shape) -> Iterator[Desk]:
    """One DataFlowKernel with both executors; `ways` are their names."""
    import parsl
    from parsl.executors import HighThroughputExecutor

    import relay_parsl as rp

    names = {'relay-parsl': 'relay_parsl', 'htex': 'htex'}  # Parsl's labels are identifiers
    with tempfile.TemporaryDirectory() as run_dir, rp.local(workers=shape.workers):
        executors = [rp.RelayExecutor('local', label='relay_parsl'), HighThroughputExecutor(label='htex', **_htex(shape))]
        config = parsl.Config(executors, run_dir=run_dir, strategy_period=QUICKLY, initialize_logging=False)
        with parsl.load(config):
            ways = {name: _apps(executors=[label]) for name, label in names.items()}
            yield Desk(ways['relay-parsl'], ways=ways)


@contextmanager
def globus_compute_engine(shape: Shape) -> Iterator[Desk]:
    """Globus Compute's engine without its cloud: what the service and an endpoint's front do to a task (its envelope and serializer) is done here."""
    import uuid

    from globus_compute_common import messagepack
    from globus_compute_common.messagepack.message_types import Task
    from globus_compute_endpoint.engines import GlobusComputeEngine
    from globus_compute_endpoint.engines.base import GCFuture
    from globus_compute_sdk.serialize import ComputeSerializer

    engine = GlobusComputeEngine(**_htex(shape), job_status_kwargs={'strategy_period': QUICKLY})
    serializer = ComputeSerializer()
    code = cache(serializer.serialize)  # a function is registered once

    def submit(fn: Callable[..., Any], *args: Any) -> Any:
        future = GCFuture(uuid.uuid4())
        call = serializer.pack_buffers([code(fn), serializer.serialize(args), serializer.serialize({})])
        engine.submit(future, messagepack.pack(Task(task_id=future.gc_task_id, task_buffer=call)), {})
        return future

    def collect(futures: Sequence[Any], timeout: float) -> list[Any]:
        found = [messagepack.unpack(data) for data in results(futures, timeout)]
        for result in found:
            if result.is_error:
                raise RuntimeError(result.error_details.user_message or result.error_details.code)
        return [serializer.deserialize(result.data) for result in found]

    with tempfile.TemporaryDirectory() as run_dir:
        engine.start(endpoint_id=uuid.uuid4(), run_dir=run_dir)
        try:
            yield Desk(submit, collect)
        finally:
            engine.shutdown(block=True)


@contextmanager
def ray(shape: Shape) -> Iterator[Desk]:
    """Ray on this machine, without its dashboard."""
    import ray as library

    library.init(num_cpus=shape.workers, include_dashboard=False, log_to_driver=False, logging_level='ERROR', configure_logging=False)
    remote = cache(library.remote)
    try:
        yield Desk(lambda fn, *args: remote(fn).remote(*args), lambda futures, timeout: library.get(list(futures), timeout=timeout))
    finally:
        library.shutdown()


@contextmanager
def dask(shape: Shape) -> Iterator[Desk]:
    """Dask distributed: a scheduler and worker processes of one thread each."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=shape.workers, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield Desk(lambda fn, *args: client.submit(fn, *args, pure=False), lambda futures, _timeout: client.gather(list(futures)))


@contextmanager
def ipyparallel(shape: Shape) -> Iterator[Desk]:
    """IPython parallel: a controller, engines, and a load-balanced view."""
    import ipyparallel as library

    with tempfile.TemporaryDirectory() as home:
        os.environ['IPYTHONDIR'] = home
        with library.Cluster(n=shape.workers, log_level=40) as client:
            client.wait_for_engines(shape.workers, timeout=PATIENCE)
            view = client.load_balanced_view()
            yield Desk(view.apply_async, lambda futures, timeout: [future.get(timeout) for future in futures])


@dataclass(frozen=True)
class System:
    """A system by its name in the results, and the distribution whose version is reported."""

    start: Callable[[Shape], AbstractContextManager[Desk]]
    distribution: str

    @property
    def version(self) -> str | None:
        """As installed here; None where it is absent."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None


SYSTEMS: dict[str, System] = {
    OURS: System(relay_parsl, 'relay-parsl'),
    HTEX: System(htex, 'parsl'),
    GLOBUS: System(globus_compute_engine, 'globus-compute-endpoint'),
    'parsl-dfk': System(parsl_dfk, 'parsl'),
    'ray': System(ray, 'ray'),
    'dask': System(dask, 'distributed'),
    'ipyparallel': System(ipyparallel, 'ipyparallel'),
}
"""Those that stand beside each other."""
STARTS: dict[str, Callable[[Shape], AbstractContextManager[Desk]]] = {
    **{name: each.start for name, each in SYSTEMS.items()},
    'parsl-apps': parsl_apps,
    'many-endpoints': many_endpoints,
    'lone-client': lone_client,
}
"""Everything that a driver can start."""


def absent() -> list[str]:
    """The peers that are not installed."""
    return [name for name, each in SYSTEMS.items() if each.version is None]
