"""Options of what runs for days: how it logs, and where its metrics go. A process that is started detached has them from its environment."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from relay_parsl import logs
from relay_parsl.metrics import BIND, FILE, is_loopback

F = TypeVar('F', bound=Callable[..., Any])


log = logging.getLogger(__name__)


def log_format(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    """Log so from here on, also in a process that this one starts."""
    if value:
        os.environ[logs.VARIABLE] = value
        logs.use(value)


def metrics_file(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    """Hand the file on, as an absolute path."""
    if value:
        os.environ[FILE] = os.path.abspath(value)


def metrics_bind(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    """Hand the address on. Metrics name nobody, but how much one computes is nobody's business either. Raises click.BadParameter."""
    if value:
        host, colon, port = value.rpartition(':')
        if not (colon and host and port.isdigit()):
            raise click.BadParameter(f'{value!r} is no HOST:PORT, such as 127.0.0.1:9400', param_hint='--metrics-bind')
        if not is_loopback(value):
            click.echo(f'note: {value} is reached from other hosts; metrics have no password', err=True)
        os.environ[BIND] = value


log_option = click.option(
    '--log-format', type=click.Choice(logs.FORMATS), envvar=logs.VARIABLE, expose_value=False, callback=log_format,
    help='Lines for people, or a JSON object each.  [default: text]',
)  # fmt: skip
metrics_option = click.option(
    '--metrics', metavar='FILE', envvar=FILE, expose_value=False, callback=metrics_file,
    help='Keep metrics in FILE, in the format of Prometheus: NAME.prom in the directory of the textfile collector of node_exporter.',
)  # fmt: skip
bind_option = click.option(
    '--metrics-bind', metavar='HOST:PORT', envvar=BIND, expose_value=False, callback=metrics_bind,
    help='Serve metrics over HTTP too, at /metrics: 127.0.0.1:9400.',
)  # fmt: skip


def serving_options(command: F) -> F:
    """`--log-format` and `--metrics`."""
    return log_option(metrics_option(command))


def serves(text: str) -> None:
    """Say that this process serves, to whoever reads its output and to whoever has started it."""
    from relay_parsl import daemon

    if logs.as_json():
        log.info('%s', text)
    else:
        click.echo(text)
    daemon.ready(text)


def detached(arguments: Sequence[str], file: Path, timeout: float) -> str:
    """As `daemon.detach`; of lines that are objects people are told the words."""
    from relay_parsl import daemon
    from relay_parsl.errors import ConfigError

    try:
        return daemon.detach(arguments, file, timeout)
    except ConfigError as error:
        raise ConfigError('\n'.join(map(logs.said, str(error).splitlines()))) from None
