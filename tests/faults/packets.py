"""Two networks joined by a wire that loses, delays and reorders packets, as `tc qdisc … netem` does where the kernel has it: this needs tun only.

```
with Wire(loss=0.2, delay=0.5, jitter=0.3) as wire:
    subprocess.run([*wire.inside(0), 'ping', wire.ADDRESSES[1]])
```
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import pytest

WHY = 'no networks in namespaces of their own here: needs root, /dev/net/tun, ip and nsenter'
NEW_NETWORK = 0x40000000
"""CLONE_NEWNET."""
SET_NAME, PLAIN_PACKETS = 0x400454CA, 0x1001
"""TUNSETIFF; IFF_TUN and IFF_NO_PI."""
NAME = 'wire'


class Wire:
    """Both ends are in networks of their own, in which there is nothing else. Each packet has its fate for itself.

    Attributes:
        bad: The ends whose packets suffer, as with `netem` on the device of an end.
        loss: Probability that a packet is lost.
        delay: Seconds that one takes, give or take `jitter`: so later ones overtake it.
        sent: Packets so far.
        lost: Of these.
        overtaken: Of these.
    """

    ADDRESSES = ('10.99.0.1', '10.99.0.2')

    def __init__(self, *, loss: float = 0.0, delay: float = 0.0, jitter: float = 0.0, seed: int = 0) -> None:
        """Nothing is made yet. Skips the test where that cannot be."""
        self.bad = {0, 1}
        self.loss, self.delay, self.jitter = loss, delay, jitter
        self.sent = self.lost = self.overtaken = 0
        self._dice = random.Random(seed)
        self._tuns: list[int] = []
        self._networks: list[int] = []
        self._ended = False
        self._files = ExitStack()
        self._thread = threading.Thread(target=self._run, name='wire', daemon=True)

    def inside(self, end: int) -> list[str]:
        """What goes before a command so that it runs at this end."""
        return ['nsenter', f'--net=/proc/{os.getpid()}/fd/{self._networks[end]}']

    def __enter__(self) -> Wire:
        try:
            for address in self.ADDRESSES:
                self._make(address)
        except BaseException:
            self._files.close()
            raise
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._ended = True
        self._thread.join(10)
        self._files.close()
        assert not self._thread.is_alive()

    def _make(self, address: str) -> None:
        """A network belongs to a thread, and to its children: so a thread makes it and ends."""
        errors: list[Exception] = []
        maker = threading.Thread(target=self._network, args=(address, errors))
        maker.start()
        maker.join()
        if errors:
            pytest.skip(f'{WHY} ({errors[0]})')

    def _network(self, address: str, errors: list[Exception]) -> None:
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK):
                raise OSError(ctypes.get_errno(), 'unshare')
            tun = self._open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(tun, SET_NAME, struct.pack('16sH22x', NAME.encode(), PLAIN_PACKETS))
            self._tuns.append(tun)
            self._networks.append(self._open(f'/proc/self/task/{threading.get_native_id()}/ns/net', os.O_RDONLY))
            for words in (f'addr add {address}/24 dev {NAME}', f'link set {NAME} up', 'link set lo up'):
                subprocess.run(['ip', *words.split()], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            errors.append(error)

    def _open(self, path: str, flags: int) -> int:
        made = os.open(Path(path), flags)
        self._files.callback(os.close, made)
        return made

    def _run(self) -> None:
        flying: list[tuple[float, int, int, bytes]] = []
        latest = dict.fromkeys(self._tuns, 0)
        while not self._ended:
            now = time.monotonic()
            while flying and flying[0][0] <= now:
                _, number, sink, packet = heapq.heappop(flying)
                self.overtaken += number < latest[sink]
                latest[sink] = max(number, latest[sink])
                os.write(sink, packet)
            wait = min(flying[0][0] - now, 0.05) if flying else 0.05
            for source in select.select(self._tuns, [], [], wait)[0]:
                packet, end = os.read(source, 65536), self._tuns.index(source)
                self.sent += 1
                due = time.monotonic()
                if end in self.bad:
                    if self._dice.random() < self.loss:
                        self.lost += 1
                        continue
                    due += max(0.0, self.delay + self._dice.uniform(-self.jitter, self.jitter))
                heapq.heappush(flying, (due, self.sent, self._tuns[1 - end], packet))
