"""A run's event log as it grows: drawn in a terminal, line by line elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from relay_parsl.cli.flow_lines import (
    BAD,
    GOOD,
    MARKS,
    NOW,
    WARNING,
    Line,
    current,
    duration,
    history,
    line_of,
    settled,
    starts,
    state_of,
    timed,
    worded,
)

if TYPE_CHECKING:
    from relay_parsl.flows.journal import Journal

STYLES = {GOOD: 'green', NOW: 'bold blue', WARNING: 'yellow', BAD: 'bold red'}
LOOK = 0.1
"""Seconds between two looks at the journal's version, which takes microseconds."""
REDRAW = 0.25
"""Seconds between two drawings of the line that goes on."""


def follow(journal: Journal, run_id: str, *, as_json: bool = False, alive: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Show what a run does until it ends.

    Args:
        journal: Where it is.
        run_id: Whole.
        as_json: A JSON object a line, for each entry.
        alive: Called at each look; raises where nobody drives the run any more.

    Returns:
        The run at its end, as the journal tells of it.
    """
    if as_json:
        return _watch(journal, run_id, _Records(), alive)
    if not sys.stdout.isatty():
        return _watch(journal, run_id, _Plain(), alive)
    with ExitStack() as stack:
        screen = _Screen()
        stack.enter_context(screen.live)
        return _watch(journal, run_id, screen, alive)


def wait(journal: Journal, run_id: str, alive: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """The same without a word, unless the run waits for somebody to act: then that is said on stderr, or nobody would know."""
    return _watch(journal, run_id, _Waiting(run_id), alive)


def _watch(journal: Journal, run_id: str, sink: _Silent, alive: Callable[[], None]) -> dict[str, Any]:
    seq, version, drawn = 0, -1, 0.0
    while True:
        seen = journal.version()
        if seen != version:
            version, run = seen, journal.run(run_id)  # before the log: what ended then has all its entries
            for entry in journal.log(run_id, after=seq):
                seq = entry['seq']
                sink.entry(entry)
            if run['status'] not in ('ACTIVE', 'INACTIVE'):
                sink.end(run)
                return run
        alive()
        if time.monotonic() - drawn > REDRAW:
            drawn = time.monotonic()
            sink.draw(run)
        time.sleep(LOOK)


class _Silent:
    """Somebody who is told of entries, of how a run stands between them, and of its end."""

    def entry(self, entry: dict[str, Any]) -> None:
        """Something happened."""

    def draw(self, run: dict[str, Any]) -> None:
        """A quarter of a second went by."""

    def end(self, run: dict[str, Any]) -> None:
        """It is over."""


class _Waiting(_Silent):
    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    def entry(self, entry: dict[str, Any]) -> None:
        if entry['code'] == 'FlowInactive':
            click.echo(f'INACTIVE: {line_of(entry).why}; mend that, then `relay-parsl flow resume {self.run_id}`', err=True)
        elif entry['code'] == 'AwaitWebInputStarted':
            click.echo('a question waits for an answer: `relay-parsl flow web-inputs`', err=True)


class _Records(_Silent):
    def entry(self, entry: dict[str, Any]) -> None:
        click.echo(json.dumps(entry))


class _Plain(_Silent):
    """For a file or a pipe: a line for each entry when it comes; what a state took is on the line of its end."""

    def __init__(self) -> None:
        self.begun: dict[str, float] = {}

    def entry(self, entry: dict[str, Any]) -> None:
        line, name = line_of(entry), state_of(entry)
        if starts(entry):
            self.begun[name] = line.time
        elif name in self.begun and not str(entry['code']).startswith('Flow'):
            line = timed(line, line.time - self.begun.pop(name))
        click.echo(worded(line))


class _Screen(_Silent):
    """For a terminal: what is settled scrolls away, the state that goes on is redrawn in place with its time and its action's progress."""

    def __init__(self) -> None:
        self.pending: list[dict[str, Any]] = []
        self.live = Live(console=Console(highlight=False), auto_refresh=False, transient=True)

    def entry(self, entry: dict[str, Any]) -> None:
        lines, self.pending = settled([*self.pending, entry])
        if lines:
            self.live.update(Text(''))
        for line in lines:
            self.live.console.print(styled(line))

    def draw(self, run: dict[str, Any]) -> None:
        line = current(self.pending, run, time.time())
        text = styled(line) if line else Text('')
        text.no_wrap, text.overflow = True, 'ellipsis'
        self.live.update(text, refresh=True)

    def end(self, run: dict[str, Any]) -> None:
        self.live.update(Text(''), refresh=True)
        for line in history(self.pending):
            self.live.console.print(styled(line))


def styled(line: Line) -> Text:
    """A line with its colours. Names are text: markup in them has no effect."""
    took = f' ({duration(line.took)})' if line.took is not None else ''
    text = Text(f'{MARKS[line.tone]} ', style=STYLES[line.tone])
    text.append(line.text, style='bold' if line.tone == NOW else 'default')
    text.append(took, style='cyan')
    if line.why:
        text.append(f'  {line.why}', style='dim' if line.tone in (GOOD, NOW) else STYLES[line.tone])
    return text
