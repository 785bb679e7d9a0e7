"""Runs a party's real command in this process and kills it, with SIGKILL, when a named step of its loop is passed for the n-th time.

```
python tests/faults/failpoints.py --at relay:after_commit/Submit 1 --armed FILE --set relay_parsl.endpoint.link:DEAD_AFTER=3 -- relay start …
```

The product knows nothing of this: steps are wrapped here, from outside, before the command begins. A word after the slash counts only passes that
have to do with that message. Passes count once `FILE` is there, so that a test can start the party whole and then say what is to go wrong; of those
before, `FILE.passed` tells that there was one. A `client` is a party too: see `pusher.py`. `--set` gives a module's constant, or a field of the
relay's settings (`relay:dead=3`), another value: timeouts of half a minute take a second then.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Words = Callable[..., set[str]]


def _none(*_args: object) -> set[str]:
    return set()


def _message(_self: object, *args: object) -> set[str]:
    return {type(each).__name__ for each in args}


@dataclass(frozen=True)
class Step:
    """A method of the product: the kill falls before or after it. `words` says what a pass has to do with."""

    module: str
    method: str
    when: str
    words: Words = _none


_noted: set[str] = set()
"""What the relay heard in this turn, or what the endpoint's journal is to write."""


def _turn(*_args: object) -> set[str]:
    return set(_noted)


def _written(*_args: object) -> set[str]:
    return set(_noted)


def _effect(_self: object, effect: object, *_args: object) -> set[str]:
    return {type(effect).__name__}


STEPS = {
    'relay:recv': Step('relay_parsl.relay.server', 'RelayServer._hear', 'before', _message),
    'relay:before_commit': Step('relay_parsl.relay.sqlite', 'SqliteStore.commit', 'before', _turn),
    'relay:after_commit': Step('relay_parsl.relay.sqlite', 'SqliteStore.commit', 'after', _turn),
    'relay:before_send': Step('relay_parsl.transport.router', 'Router.send', 'before', _message),
    'relay:after_send': Step('relay_parsl.transport.router', 'Router.send', 'after', _message),
    'endpoint:taken': Step('relay_parsl.endpoint.reactor', 'EndpointReactor.receive', 'after', _message),
    'endpoint:before_commit': Step('relay_parsl.endpoint.journal', 'SqliteJournal.commit', 'before', _written),
    'endpoint:after_commit': Step('relay_parsl.endpoint.journal', 'SqliteJournal.commit', 'after', _written),
    'endpoint:before_submit': Step('relay_parsl.endpoint.hands', 'Hands._start', 'before'),
    'endpoint:after_submit': Step('relay_parsl.endpoint.crew', 'Crew.flush', 'after'),
    'endpoint:finished': Step('relay_parsl.endpoint.hands', 'Hands.hear', 'before', _effect),
    'endpoint:before_send': Step('relay_parsl.transport.dealer', 'Dealer.send', 'before', _message),
    'endpoint:after_send': Step('relay_parsl.transport.dealer', 'Dealer.send', 'after', _message),
    'client:before_seal': Step('relay_parsl.client.routes', 'Routes.send', 'before'),
    'client:before_send': Step('relay_parsl.transport.dealer', 'Dealer.send', 'before', _message),
    'client:after_send': Step('relay_parsl.transport.dealer', 'Dealer.send', 'after', _message),
    'client:before_take': Step('relay_parsl.client.reactor', 'ClientReactor.receive', 'before', _message),
    'client:after_take': Step('relay_parsl.client.reactor', 'ClientReactor.receive', 'after', _message),
}
"""By party and name, in the order of a turn."""
RELAY = (
    'relay:recv/Submit', 'relay:before_commit/Submit', 'relay:after_commit/Submit', 'relay:before_send/Accepted', 'relay:after_send/Accepted',
    'relay:before_send/Dispatch', 'relay:after_send/Dispatch',
    'relay:recv/Results', 'relay:before_commit/Results', 'relay:after_commit/Results', 'relay:before_send/Recorded', 'relay:after_send/Recorded',
    'relay:before_send/Deliver', 'relay:after_send/Deliver', 'relay:recv/Received', 'relay:before_commit/Received', 'relay:after_commit/Received',
)  # fmt: skip
"""The steps that a task passes at the relay."""
ENDPOINT = (
    'endpoint:taken/Dispatch', 'endpoint:before_submit', 'endpoint:after_submit', 'endpoint:finished/Finished', 'endpoint:before_send/Results',
    'endpoint:after_send/Results', 'endpoint:taken/Recorded', 'endpoint:before_commit/spend', 'endpoint:after_commit/spend',
)  # fmt: skip
"""And at the endpoint: the last two write down that it never runs again."""
CLIENT = (
    'client:before_seal', 'client:before_send/Submit', 'client:after_send/Submit', 'client:before_take/Accepted', 'client:after_take/Accepted',
    'client:before_take/Deliver', 'client:after_take/Deliver', 'client:before_send/Received', 'client:after_send/Received',
)  # fmt: skip
"""And at the client."""


class Fuse:
    """Counts passes and kills this process at the last one."""

    def __init__(self, count: int, armed: str) -> None:
        """`armed`: a file; passes before it is there do not count. '': all count."""
        self._left = count
        self._armed = armed

    def passed(self) -> None:
        """One more."""
        if self._armed and not Path(self._armed).exists():
            passed_by(self._armed).touch()
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def passed_by(armed: str | Path) -> Path:
    """The file that is there once a step was passed before `armed` was."""
    return Path(f'{armed}.passed')


def wrap(point: str, fuse: Fuse) -> None:
    """Have each pass of `point` counted."""
    name, _, word = point.partition('/')
    step = STEPS[name]

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            counts = not word or word in step.words(*args)
            if counts and step.when == 'before':
                fuse.passed()
            value = original(*args, **kwargs)
            if counts and step.when == 'after':
                fuse.passed()
            return value

        return method

    _replace(step.module, step.method, counted)
    if step.words is _turn:
        _replace('relay_parsl.relay.server', 'RelayServer._hear', _listened)
        _replace('relay_parsl.relay.server', 'RelayServer._decide', _fresh)
    if step.words is _written:
        _replace('relay_parsl.endpoint.journal', 'SqliteJournal.begin', _fresh)
        for name in ('keep', 'spend', 'forget'):
            _replace('relay_parsl.endpoint.journal', f'SqliteJournal.{name}', _wrote)


def _listened(original: Callable[..., Any]) -> Callable[..., Any]:
    def hear(self: Any, peer: Any, message: Any, now: float) -> Any:
        _noted.add(type(message).__name__)
        return original(self, peer, message, now)

    return hear


def _wrote(original: Callable[..., Any]) -> Callable[..., Any]:
    def write(*args: Any) -> Any:
        _noted.add(original.__name__)
        return original(*args)

    return write


def _fresh(original: Callable[..., Any]) -> Callable[..., Any]:
    def begin(*args: Any) -> Any:
        _noted.clear()
        return original(*args)

    return begin


def _replace(module: str, method: str, change: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    kind, _, name = method.partition('.')
    owner = getattr(importlib.import_module(module), kind)
    setattr(owner, name, change(getattr(owner, name)))


def change(setting: str) -> None:
    """`module:NAME=VALUE`, `relay:FIELD=VALUE`, or `clock:file=PATH`."""
    place, _, value = setting.partition('=')
    module, _, name = place.partition(':')
    if module == 'clock':
        return _set_clock(Path(value))
    if module == 'relay':
        reactor = importlib.import_module('relay_parsl.relay.reactor')
        own = [(name, float, float(value))]  # another default of the field, in a class with all that the settings can do
        reactor.RelaySettings = dataclasses.make_dataclass('RelaySettings', own, bases=(reactor.RelaySettings,), frozen=True)  # type: ignore[attr-defined]
        return None
    owner = importlib.import_module(module)
    assert hasattr(owner, name), setting
    return setattr(owner, name, float(value))


def _set_clock(file: Path) -> None:
    """From now on this process's wall clock is off by the seconds that stand in the file, once it is there. The steady one goes on."""
    seconds, nanoseconds = time.time, time.time_ns

    def off() -> float:
        return float(file.read_text() or 0) if file.exists() else 0.0

    time.time = lambda: seconds() + off()
    time.time_ns = lambda: nanoseconds() + int(off() * 10**9)


def main(arguments: list[str]) -> None:
    """What the module's docstring says."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--at', nargs=2, default=None)
    parser.add_argument('--armed', default='')
    parser.add_argument('--set', action='append', default=[])
    split = arguments.index('--')
    options = parser.parse_args(arguments[:split])
    for setting in options.set:
        change(setting)
    if options.at:
        wrap(options.at[0], Fuse(int(options.at[1]), options.armed))
    words = arguments[split + 1 :]
    if words[0] == 'client':
        from tests.faults.pusher import main as push

        push(words[1:])
    else:
        from relay_parsl.cli.main import main as command

        command(words, prog_name='relay-parsl')


if __name__ == '__main__':
    sys.path[0] = str(Path(__file__).parents[2])  # not this directory, which holds other modules of the tests
    main(sys.argv[1:])
