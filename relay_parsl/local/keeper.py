"""The keeper: starts the parties of a private relay, starts one again that died, ends all of them with its parent, removes their files.

`python -m relay_parsl.local.keeper ROOT`. It loads nothing but the standard library, for everybody waits for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relay_parsl.local.words import GRACE, say

RESTARTS = 5
"""How often a party is started again that died."""


@dataclass
class Party:
    """A process that the keeper answers for. `orders` is what it is told first."""

    name: str
    role: str
    log: Path
    process: subprocess.Popen[bytes]
    orders: dict[str, Any] = field(default_factory=dict)
    ready: bool = False


class Keeper:
    """Starts the relay and the endpoints at once; the endpoints load their libraries while the relay finds its port."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.parent = os.getppid()
        self.parties: list[Party] = []
        self.left = RESTARTS
        self.port = 0

    def run(self) -> None:
        """Until the parent closes the pipe, or is gone."""
        names = sorted(path.name for path in (self.root / 'endpoints').iterdir())
        self.parties.append(self.spawn('relay', 'relay', self.root / 'relay' / 'relay.log'))
        self.tell(self.parties[0], {'port': 0})
        self.parties += [self.spawn(name, 'endpoint', self.root / 'endpoints' / name / 'endpoint.log') for name in names]
        while os.getppid() == self.parent:
            pipes = {party.process.stdout.fileno(): party for party in self.parties if party.process.stdout}
            readable = select.select([0, *pipes], [], [], 0.5)[0]
            if 0 in readable and not os.read(0, 4096):
                return
            for fd in readable:
                if fd in pipes:
                    self.hear(pipes[fd], os.read(fd, 65536))

    def spawn(self, name: str, role: str, log: Path) -> Party:
        """Start a party; it does nothing that matters before it is told its orders."""
        with log.open('ab') as file:
            os.fchmod(file.fileno(), 0o600)
            process = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, '-m', 'relay_parsl.local.parties', role, str(self.root), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            )
        return Party(name, role, log, process)

    def tell(self, party: Party, orders: dict[str, Any]) -> None:
        """Give a party what it waits for."""
        assert party.process.stdin is not None  # noqa: S101  it was asked for
        party.orders = orders
        with contextlib.suppress(OSError):  # it is dead, which is heard in a moment
            party.process.stdin.write(json.dumps(orders).encode() + b'\n')
            party.process.stdin.flush()

    def hear(self, party: Party, data: bytes) -> None:
        """A party's word, or its end."""
        if not data:
            self.ended(party)
            return
        for line in data.splitlines():
            word = json.loads(line)
            party.ready = party.ready or 'ready' in word
            if 'port' in word and not self.port:
                self.port = word['port']
                for other in self.parties[1:]:
                    self.tell(other, {'port': self.port})
                party.orders = {'port': self.port}
            say(**word)

    def ended(self, party: Party) -> None:
        """A party died: one that has served is started again, for nobody else would; one that has not, cannot."""
        _reap(party.process, 0.0)
        self.parties.remove(party)
        if not party.ready or self.left == 0:
            words = party.log.read_text(errors='replace').strip().splitlines()
            say(failed=f'{party.role} {party.name!r} did not start', reason='\n'.join(words[-20:]) or f'exit code {party.process.returncode}')
            return
        self.left -= 1
        again = self.spawn(party.name, party.role, party.log)
        self.tell(again, party.orders)
        self.parties.append(again)

    def close(self) -> None:
        """End the endpoints, then the relay: they hand back what they hold. Then the files go."""
        for role in ('endpoint', 'relay'):
            some = [party.process for party in self.parties if party.role == role]
            for process in some:
                process.terminate()
            end = time.monotonic() + GRACE
            for process in some:
                _reap(process, end - time.monotonic())
        shutil.rmtree(self.root, ignore_errors=True)


def _reap(process: subprocess.Popen[bytes], patience: float) -> None:
    try:
        process.wait(max(0.5, patience))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def keep(root: str) -> None:
    """Be the keeper. Only its own end of the pipe, or SIGTERM, ends it."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    keeper = Keeper(Path(root))
    try:
        keeper.run()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        keeper.close()


if __name__ == '__main__':
    keep(sys.argv[1])
