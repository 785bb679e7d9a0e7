"""The relay and the endpoints of a private home, each a process: `python -m relay_parsl.local.parties ROLE ROOT NAME`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from relay_parsl.daemon import READY, guard_memory
from relay_parsl.errors import RelayError
from relay_parsl.local.words import GRACE, NAME, say

_orphaned = threading.Event()
"""The keeper died without ending this process."""


def relay(root: str, _name: str) -> None:
    """Be the relay of a private home; everybody in it is in the store from the start."""
    from relay_parsl.endpoint.founding import founders  # noqa: PLC0415  each process loads its own party
    from relay_parsl.home import Home  # noqa: PLC0415  as above
    from relay_parsl.relay.server import RelayServer  # noqa: PLC0415  as above

    home = Home(root)
    everybody = founders(home)
    port = orders()['port']
    server = RelayServer(home, f'tcp://127.0.0.1:{port}', bootstrap=everybody)
    server.start()
    say(ready='', port=server.port)
    server.run()
    if _orphaned.is_set():
        sweep(root)


def sweep(root: str) -> None:
    """Remove the files in the keeper's place; the endpoints may write for a moment yet."""
    end = time.monotonic() + GRACE
    while os.path.exists(root) and time.monotonic() < end:
        shutil.rmtree(root, ignore_errors=True)
        time.sleep(0.2)


def endpoint(root: str, name: str) -> None:
    """Be an endpoint of a private home; its libraries load while the relay finds its port."""
    from relay_parsl.endpoint.ahead import start_engine_process  # noqa: PLC0415  each process loads its own party

    start_engine_process(Path(root, 'endpoints', name, 'endpoint.yaml'))  # before what follows imports as much

    from relay_parsl.endpoint.config import load_endpoint_config  # noqa: PLC0415  as above
    from relay_parsl.endpoint.endpoint import Endpoint  # noqa: PLC0415  as above
    from relay_parsl.endpoint.place import Place  # noqa: PLC0415  as above
    from relay_parsl.home import Credentials, Home, RelayEntry  # noqa: PLC0415  as above

    home = Home(root)
    place = Place(home, name)
    config = load_endpoint_config(place.config)
    credentials = Credentials.load(place.key)
    relay = Credentials.load(home.directory('relay') / 'relay.key')
    entry = RelayEntry(NAME, f'tcp://127.0.0.1:{orders()["port"]}', relay.keys.curve_public, '')
    say_when_ready(name)
    sys.exit(Endpoint(place.root, config, entry, credentials, grace=GRACE / 2).run())


def say_when_ready(name: str) -> None:
    """Pass on what `daemon.ready` tells whoever started an endpoint."""
    read, write = os.pipe()
    os.environ[READY] = str(write)

    def listen() -> None:
        if os.read(read, 4096):
            say(ready=name)

    threading.Thread(target=listen, name='relay-parsl-ready', daemon=True).start()


def orders() -> dict[str, Any]:
    """What the keeper says first. From then on its silence is watched: the end of the pipe is the end of this process."""
    data = b''
    while not data.endswith(b'\n'):
        chunk = os.read(0, 4096)
        if not chunk:
            sys.exit(0)
        data += chunk
    threading.Thread(target=_watch, name='relay-parsl-keeper', daemon=True).start()
    told: dict[str, Any] = json.loads(data)
    return told


def _watch() -> None:
    """The keeper is gone when its pipe closes: stop as for SIGTERM, and do not take for ever."""
    while os.read(0, 4096):
        pass
    _orphaned.set()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(2 * GRACE)
    os._exit(1)


def main(role: str, root: str, name: str) -> None:
    """Be one of them."""
    guard_memory()
    try:
        {'relay': relay, 'endpoint': endpoint}[role](root, name)
    except RelayError as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main(*sys.argv[1:])
