"""A private relay and its endpoints, in processes of their own, for as long as a block runs.

```
 this process ──stdin──► keeper ──stdin──► relay          every party stops when its stdin closes, so that a kill -9
                                └─stdin──► endpoint, …    of any of them leaves nothing behind, keys included
```

The parties are the real ones: sockets on a free port of 127.0.0.1, keys, seals, a store on disk. The home is a temporary directory (0700) that the
keeper removes at the end. They stand in a session of their own, where a Ctrl-C does not reach them before this process has dealt with it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Union

from relay_parsl.errors import ConfigError, RelayUnavailable
from relay_parsl.local.words import GRACE, NAME, START, said

if TYPE_CHECKING:
    from relay_parsl.client.defaults import Target

EngineSpec = Union[int, Mapping[str, Any], str, 'os.PathLike[str]']
"""What an endpoint runs tasks on: a number of workers, an endpoint file as a mapping, its `engine` alone, or the path of a file."""
FEW_CORES = 0.001
"""Cores that a worker is counted for: HTEX starts no more workers than the machine has such shares, and as many were asked for."""


def local(workers: int = 2, *, endpoints: Mapping[str, EngineSpec] | None = None) -> Local:
    """A private relay with one endpoint, or several: `with rp.local(workers=2) as relay: …`.

    Inside the block it is the relay that `Executor`, `Client` and `RelayExecutor` mean when they are told none. When the block ends everything is
    gone: processes, files and keys; so it is after Ctrl-C, and after a kill -9 of this process.

    Args:
        workers: Processes of the endpoint "local" that run tasks, on Parsl's HighThroughputExecutor.
        endpoints: Instead of "local": endpoints by name, each a number of workers, an endpoint file (a mapping, or its path), its `engine` alone,
            or a template (`*.j2`).

    Returns:
        Not started yet: `with` starts it, or `start()`.

    Raises:
        ConfigError: a name or a value is wrong; an endpoint file with mistakes is found at the start.
    """
    return Local({NAME: workers} if endpoints is None else endpoints)


_embedded: Local | None = None
_embedding = threading.Lock()


def embedded() -> Target:
    """The relay of an `Executor()` that was told nothing: one for a process, started when first asked for, gone with the process."""
    global _embedded  # noqa: PLW0603  it is one for a process
    with _embedding:
        if _embedded is None:
            _embedded = local().start()
        return _embedded.target


class Local:
    """The parties of one block. `target` is the relay, for `relay=`; `endpoints` are the names."""

    def __init__(self, endpoints: Mapping[str, EngineSpec]) -> None:
        """Raises ConfigError."""
        if not endpoints:
            raise ConfigError('rp.local(endpoints={}) has no endpoint: leave it out for one named "local"')
        self._files = {name: endpoint_file(name, spec) for name, spec in endpoints.items()}
        self.endpoints = tuple(endpoints)
        self._target: Target | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._root: Path | None = None
        self._owner = 0

    def __repr__(self) -> str:
        """The endpoints, and where the relay is while it runs."""
        where = self._target.relay.url if self._target else 'not running'
        return f'<rp.local() with {", ".join(self.endpoints)}: {where}>'

    @property
    def target(self) -> Target:
        """The relay, and who one is there. Raises ConfigError before the start and after the end."""
        if self._target is None:
            raise ConfigError('this rp.local() does not run: use it inside its `with` block')
        return self._target

    def __enter__(self) -> Local:
        """Start, and be the relay that is meant in this block."""
        from relay_parsl.client import defaults  # noqa: PLC0415  the keeper runs this file too, and needs no client

        self.start()
        defaults.enter(self.target)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """End everything."""
        from relay_parsl.client import defaults  # noqa: PLC0415  as above

        defaults.leave(self.target)
        self.close()

    def start(self) -> Local:
        """Start the parties and wait until they serve; `close` ends them, at the latest the end of this process does.

        Raises:
            ConfigError: an endpoint file is wrong, or its engine cannot start.
            RelayUnavailable: they do not serve within a minute.
        """
        if self._keeper is not None:
            raise ConfigError('this rp.local() runs already: make another one')
        self._owner = os.getpid()
        self._root = Path(tempfile.mkdtemp(prefix='relay-parsl-'))
        atexit.register(self.close)
        try:
            self._target = self._begin(self._root)
        except BaseException:
            self.close()
            raise
        return self

    def _begin(self, root: Path) -> Target:
        from relay_parsl.client.defaults import Target  # noqa: PLC0415  as above
        from relay_parsl.endpoint.founding import found  # noqa: PLC0415  as above
        from relay_parsl.home import Home, RelayEntry  # noqa: PLC0415  as above

        home = Home(root)
        relay, user = found(home, self._files)
        with (root / 'keeper.log').open('wb') as log:
            self._keeper = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, '-m', 'relay_parsl.local.keeper', str(root)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={
                    **os.environ,
                    'PYTHONPATH': os.pathsep.join(filter(None, [os.environ.get('PYTHONPATH'), os.getcwd()])),
                },
            )
        port = _wait_for_parties(self._keeper, set(self.endpoints), root)
        entry = RelayEntry(NAME, f'tcp://127.0.0.1:{port}', relay.keys.curve_public, f'accounts/{user.name}.key')
        home.add_relay(entry)
        return Target(entry, user, home, self.endpoints[0] if len(self.endpoints) == 1 else '')

    def close(self) -> None:
        """End the parties and remove their files; a second time does nothing. A forked child leaves its parent's alone."""
        if self._root is None or self._owner != os.getpid():
            return
        atexit.unregister(self.close)
        root, self._root, self._target = self._root, None, None
        if self._keeper is not None:
            _end_keeper(self._keeper)
        shutil.rmtree(root, ignore_errors=True)


def _end_keeper(keeper: subprocess.Popen[bytes]) -> None:
    for pipe in (keeper.stdin, keeper.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    try:
        keeper.wait(3 * GRACE)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(keeper.pid, signal.SIGKILL)
        keeper.wait()


def _wait_for_parties(keeper: subprocess.Popen[bytes], names: set[str], root: Path) -> int:
    """The relay's port, once everyone serves."""
    assert keeper.stdout is not None  # noqa: S101  it was asked for
    port = 0
    left = set(names)
    for word in said(keeper.stdout.fileno(), time.monotonic() + START):
        port = int(word.get('port', port))
        left.discard(word.get('ready', ''))
        if 'failed' in word:
            raise ConfigError(f'{word["failed"]}: {word["reason"]}')
        if port and not left:
            return port
    words = (root / 'keeper.log').read_text(errors='replace').strip()
    raise RelayUnavailable(f'the private relay and {", ".join(sorted(left or names))} did not start within {START:g} s. {words}'.strip())


def endpoint_file(name: str, spec: EngineSpec) -> bytes:
    """The text of an endpoint file. YAML contains JSON. Raises ConfigError."""
    if isinstance(spec, bool) or (isinstance(spec, int) and spec < 1):
        raise ConfigError(f'endpoint {name!r}: the number of workers is a positive integer, not {spec!r}')
    if isinstance(spec, int):
        blocks = {'type': 'LocalProvider', 'init_blocks': 1, 'min_blocks': 1, 'max_blocks': 1}
        spec = {'type': 'HtexEngine', 'max_workers_per_node': spec, 'cores_per_worker': FEW_CORES, 'provider': blocks}
    if isinstance(spec, Mapping):
        whole = spec if 'engine' in spec or 'pools' in spec or 'type' not in spec else {'display_name': name, 'engine': spec}
        try:
            return json.dumps(whole, indent=1).encode()
        except TypeError as error:
            raise ConfigError(f'endpoint {name!r}: an endpoint file holds plain values only: {error}') from None
    if str(spec).endswith('.j2'):  # a template stays where it is, with its schema and what it includes
        return json.dumps({'display_name': name, 'user_config_template_path': str(Path(spec).absolute())}).encode()
    try:
        return Path(spec).read_bytes()
    except OSError as error:
        raise ConfigError(f'endpoint {name!r}: {spec} cannot be read: {error.strerror}') from None


class _CallableModule(ModuleType):
    """`rp.local` is this module, whoever imports it and when; calling it calls `local`."""

    def __call__(self, workers: int = 2, *, endpoints: Mapping[str, EngineSpec] | None = None) -> Local:
        """As `local`."""
        return local(workers, endpoints=endpoints)


sys.modules[__name__].__class__ = _CallableModule
