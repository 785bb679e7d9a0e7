"""What all commands share: how lists are printed, how errors end, the options that many have."""

from __future__ import annotations

import errno
import json
import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from relay_parsl.errors import RelayError, StoreFailed, TaskError
from relay_parsl.logs import as_json, escaped

TIMES = ('submitted', 'last_seen', 'seen', 'expires', 'not_after', 'since', 'running_since', 'time', 'until', 'next_key_from')
"""Columns that hold seconds since 1970."""
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What the system says of one that is full, or where no more of it may be had, or that fails."""
FAILED, BAD_INPUT = 1, 2
"""Exit codes: the work failed; what was asked for cannot be done as it was asked."""

F = TypeVar('F', bound=Callable[..., Any])
json_option = click.option('--json', 'as_json', is_flag=True, help='Print JSON, for programs, instead of text.')
relay_option = click.option(
    '--relay', metavar='NAME|URL', envvar='RELAY_PARSL_RELAY', help='The relay, by the name that `join` gave it. Not needed when you joined only one.'
)
credentials_option = click.option(
    '--credentials', metavar='FILE', envvar='RELAY_PARSL_CREDENTIALS', help='The key file to act with. Not needed when you have only one that may.'
)


def relay_options(command: F) -> F:
    """`--relay` and `--credentials`."""
    return relay_option(credentials_option(command))


def passphrase_option(text: str, *, new: bool = False) -> Callable[[F], F]:
    """`--passphrase`, asked for where it is not given; a `new` one twice. On stderr, as all questions: stdout is for results."""

    def ask(ctx: click.Context, _parameter: click.Parameter, given: str | None) -> str | None:
        if given is not None or ctx.resilient_parsing:
            return given
        return str(click.prompt(text, hide_input=True, confirmation_prompt=new, err=True))

    return click.option('--passphrase', envvar='RELAY_PARSL_PASSPHRASE', callback=ask, help='Asked for when not given.')


class Failure(click.ClickException):
    """The work failed: one clear line on stderr, which names the thing and the remedy."""

    exit_code = FAILED

    def show(self, file: Any = None) -> None:
        """Print it; where lines are objects, as one of them."""
        if as_json():
            logging.getLogger('relay_parsl').error('%s', self.message)
            return
        click.echo(f'error: {harmless(self.message)}', file=file, err=file is None)


class BadInput(Failure):
    """What was asked for cannot be done as it was asked."""

    exit_code = BAD_INPUT


@contextmanager
def one_clear_line() -> Iterator[None]:
    """Errors that we raise, and those of the system, end as `Failure`."""
    try:
        yield
    except TaskError as error:
        raise Failure(str(error)) from error
    except RelayError as error:
        raise (Failure if of_the_disk(error) else BadInput)(str(error) or type(error).__name__) from error
    except BrokenPipeError:
        raise  # whoever read our output has seen enough (`| head`): click ends without a word
    except (OSError, TimeoutError) as error:
        raise Failure(str(error)) from error


def of_the_disk(error: BaseException | None) -> bool:
    """Whether it comes of a disk that is full or fails: then nobody has asked wrongly, and a supervisor may try again."""
    while error is not None:
        if isinstance(error, StoreFailed) or (isinstance(error, OSError) and error.errno in DISK):
            return True
        error = error.__cause__ or error.__context__
    return False


def log_at(level: int) -> None:
    """What runs for days tells more than a command does: at least this level, or what -v asked for."""
    ours = logging.getLogger('relay_parsl')
    ours.setLevel(min(level, ours.getEffectiveLevel()))


def listing(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """Print rows: as a table of `columns`, or all of them as JSON. `empty` is said, on stderr, when there is none."""
    if as_json:
        click.echo(json.dumps([{key: plain(value) for key, value in row.items()} for row in rows], indent=2))
    elif not rows:
        click.echo(empty, err=True)
    else:
        table = Table(box=None, pad_edge=False, header_style='bold')
        for column in columns:
            table.add_column(column.replace('_', ' '), overflow='fold')
        for row in rows:
            table.add_row(*(Text(readable(column, row.get(column))) for column in columns))
        draw(table)


def draw(table: Table) -> None:
    """Print a table: as wide as the terminal, or 200 columns for a file or a pipe, without blanks at the ends of lines."""
    if sys.stdout.isatty():
        Console().print(table)
    else:
        console = Console(width=200)
        with console.capture() as text:
            console.print(table)
        click.echo('\n'.join(line.rstrip() for line in text.get().splitlines()))


def facts(values: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing: its facts, a line each, or as a JSON object."""
    if as_json:
        click.echo(json.dumps({key: plain(value) for key, value in values.items()}, indent=2))
        return
    width = max((len(key) for key in values), default=0)
    for key, value in values.items():
        click.echo(f'{key.replace("_", " "):{width}}  {readable(key, value)}')


def outcome(text: str, values: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print what was done: in words, or its facts as JSON."""
    if as_json:
        click.echo(json.dumps(plain(values), indent=2))
    elif text:
        click.echo(text)


def plain(value: Any) -> Any:
    """A value as JSON has it: ids as UUIDs, other bytes as hex, paths as text."""
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value)) if len(value) == 16 else value.hex()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def readable(name: str, value: Any) -> str:
    """A value for people."""
    if value is None or value == '':
        return '-'
    if name in TIMES and isinstance(value, int | float):
        return moment(float(value))
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(plain(value))
    return harmless(str(plain(value)))


def harmless(text: str) -> str:
    """Text of somebody else for a terminal: its lines stay, what would move the cursor or turn the direction is escaped."""
    return '\n'.join(escaped(line) for line in text.expandtabs().split('\n'))


def moment(when: float) -> str:
    """A time, in seconds since 1970, in local words; as it is where no calendar has it, for others may have said it."""
    try:
        return time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(when)) if when else '-'
    except (OverflowError, ValueError, OSError):
        return f'{when:g} s after 1970'
