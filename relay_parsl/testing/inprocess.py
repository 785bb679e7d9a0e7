"""A relay and its endpoints in threads of this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay_parsl.client.defaults import Target
from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.endpoint.endpoint import Endpoint
from relay_parsl.endpoint.founding import found, founders
from relay_parsl.endpoint.place import Place
from relay_parsl.home import Credentials, Home, RelayEntry
from relay_parsl.relay.server import RelayServer
from relay_parsl.testing.expecting import PATIENCE


@dataclass(frozen=True)
class InProcessRelay:
    """What `relay` yields: give it, or its `target`, as `relay=`."""

    target: Target
    home: Home


@contextmanager
def relay(directory: Path, engines: Mapping[str, Mapping[str, Any]]) -> Iterator[InProcessRelay]:
    """A relay and its endpoints in threads of this process.

    Args:
        directory: Empty; the home of all of them. Give `tmp_path`.
        engines: By the endpoints' names what stands under `engine` in an endpoint file.

    Raises:
        ConfigError: a name or an engine is wrong.
        TimeoutError: at the end, when a party does not stop.
    """
    home = Home(directory / 'home')
    keys, user = found(home, {name: json.dumps({'display_name': name, 'engine': engine}).encode() for name, engine in engines.items()})
    with ExitStack() as stack:
        server = RelayServer(home, 'tcp://127.0.0.1:0', bootstrap=founders(home))
        server.start()
        stack.enter_context(_thread('relay', server.run, server.stop))
        entry = RelayEntry('testing', f'tcp://127.0.0.1:{server.port}', keys.keys.curve_public, f'accounts/{user.name}.key')
        home.add_relay(entry)
        for name in engines:
            endpoint = _endpoint(Place(home, name), entry)
            stack.enter_context(_thread(name, endpoint.run, endpoint.stop))
        yield InProcessRelay(Target(entry, user, home, next(iter(engines)) if len(engines) == 1 else ''), home)


def _endpoint(place: Place, entry: RelayEntry) -> Endpoint:
    return Endpoint(place.root, load_endpoint_config(place.config), entry, Credentials.load(place.key), grace=1.0)


@contextmanager
def _thread(name: str, run: Callable[[], object], stop: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=run, name=f'testing {name}', daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(PATIENCE)
        if thread.is_alive():
            raise TimeoutError(f'{name} did not stop within {PATIENCE:g} s')
