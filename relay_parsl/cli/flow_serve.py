"""`relay-parsl flow serve`: the engine, as a process that stays."""

from __future__ import annotations

import logging
import platform
import threading
from typing import TYPE_CHECKING

import click

from relay_parsl.cli.serving import detached, serves, serving_options
from relay_parsl.cli.show import BadInput, log_at

if TYPE_CHECKING:
    from relay_parsl.daemon import PidFile
    from relay_parsl.flows.journal import Journal
    from relay_parsl.home import Home

START = 30.0
"""Seconds that a detached engine has until it serves."""
GRACE = 20.0
"""Seconds that an engine has to let go of what it does; its runs go on with the next one."""


@click.command()
@serving_options
@click.option('--detach', is_flag=True, help='Go on in the background; what it writes is in flows/engine.log of the home.')
@click.option('--stop', is_flag=True, help='Stop the engine that serves this home. Runs stay as they are, and go on with the next one.')
def serve(detach: bool, stop: bool) -> None:
    """Drive the runs of this home, until Ctrl-C, SIGTERM or `flow serve --stop`.

    One engine at a time does it. All that it knows is in the journal: one that was killed loses nothing, and the next one goes on where it was.

    \b
      relay-parsl flow serve --detach
      relay-parsl flow run my-flow.json --body input.json
      relay-parsl flow serve --stop
    """  # noqa: D301  click takes the backspaces for its marks
    from relay_parsl.home import Home

    home = Home.find()
    pid = pid_file(home)
    if stop:
        stopped = pid.stop(GRACE)
        click.echo(f'engine stopped ({stopped})' if stopped else f'no engine of {home.root} runs')
        return
    running = pid.running()
    if running:
        raise BadInput(f'{pid.what} already runs as {running}: `relay-parsl flow serve --stop`, or choose another $RELAY_PARSL_HOME')
    if detach:
        click.echo(detached(['flow', 'serve'], home.directory('flows') / 'engine.log', START))
        return
    with pid.held():
        be_engine(home)


def be_engine(home: Home) -> None:
    """Serve until we are told to stop."""
    from relay_parsl import daemon
    from relay_parsl.flows.engine import Engine
    from relay_parsl.flows.journal import Journal
    from relay_parsl.flows.settings import load_settings
    from relay_parsl.metrics import published

    daemon.guard_memory()
    log_at(logging.INFO)
    stop = threading.Event()
    with published() as publisher, Journal.open(home) as journal, daemon.terminated_by(stop.set):
        engine = Engine(journal, load_settings(home), publisher=publisher)
        text = f'engine of flows ({daemon.Process.current()}), journal and settings in {home.root}'
        serves(text)
        engine.serve(stop)


def stays(journal: Journal) -> bool:
    """Whether an engine runs that stays: `flow serve`, here or on another host. That of a script or of `flow run` ends with it."""
    from relay_parsl.home import Home

    engine = journal.engine()
    return engine is not None and (engine['host'] != platform.node() or pid_file(Home.find()).running() is not None)


def pid_file(home: Home) -> PidFile:
    """Which process the engine of this home is. The directory is made where it is missing."""
    from relay_parsl.daemon import PidFile

    return PidFile(home.directory('flows') / 'engine.pid', f'the engine of {home.root}')
