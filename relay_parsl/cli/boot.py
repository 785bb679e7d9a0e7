"""`relay-parsl endpoint enable-on-boot`: a systemd unit of the user's own, which starts an endpoint with this host and keeps it running."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay_parsl.cli.names import names_here, place_of

if TYPE_CHECKING:
    from relay_parsl.endpoint.place import Place

FENCED = 3
"""Exit code of an endpoint that was replaced or revoked: started again, it would fight with its successor."""
PATIENCE = 60.0
"""Seconds that systemctl may take."""
UNIT = """\
# Made by `relay-parsl endpoint enable-on-boot {name}`; `disable-on-boot` removes it.
[Unit]
Description=relay-parsl endpoint {name}
ConditionHost={host}
StartLimitIntervalSec=3600
StartLimitBurst=20

[Service]
Type=exec
Environment={home}
ExecStart={python} -m relay_parsl endpoint start {name}
StandardOutput=append:{log}
StandardError=inherit
Restart=on-failure
RestartPreventExitStatus={fenced}
RestartSec=30
KillMode=mixed
TimeoutStopSec=120

[Install]
WantedBy=default.target
"""
LINGER = 'loginctl enable-linger {user}'
name_argument = click.argument('name', shell_complete=names_here)


def unit_name(name: str) -> str:
    """What systemd calls the endpoint."""
    return f'relay-parsl-endpoint-{name}.service'


def unit_text(place: Place, python: str, host: str) -> str:
    """The unit that runs an endpoint on this host.

    A home directory may be shared: `ConditionHost` keeps the other login nodes from starting it, too. SIGTERM goes to the endpoint alone
    (`KillMode=mixed`), which ends its own processes after the tasks that run in them.
    """
    home = _quoted(f'RELAY_PARSL_HOME={place.root.parent.parent.absolute()}')
    log = str(place.log.absolute()).replace('%', '%%')
    return UNIT.format(name=place.name, host=host, home=home, python=_quoted(python, command=True), log=log, fenced=FENCED)


def _quoted(word: str, *, command: bool = False) -> str:
    """As systemd reads words: `%` stands for its specifiers, in commands `$` for variables."""
    word = word.replace('\\', '\\\\').replace('"', '\\"').replace('%', '%%')
    return '"' + (word.replace('$', '$$') if command else word) + '"'


def unit_path(name: str) -> Path:
    """Where the user's units are."""
    base = os.environ.get('XDG_CONFIG_HOME') or os.path.join(os.path.expanduser('~'), '.config')
    return Path(base, 'systemd', 'user', unit_name(name))


def systemctl(*arguments: str) -> str:
    """Have the user's systemd do it; '' when it did, else why not."""
    command = ['systemctl', '--user', *arguments]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)  # noqa: S603  our own words
    except FileNotFoundError:
        return 'there is no systemctl here'
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    words = ' '.join((done.stderr or done.stdout).split())
    return '' if done.returncode == 0 else f'systemctl says: {words or f"exit code {done.returncode}"}'


@click.command('enable-on-boot')
@name_argument
def enable(name: str) -> None:
    """Start NAME with this host, and again when it fails.

    It writes a systemd unit of your own, so no root is needed; but it runs only while you are logged in, unless lingering is enabled for you.
    An endpoint that ends by itself (idle, stopped) is not started again, nor one that was replaced elsewhere.
    """
    place = place_of(name)
    path, text = unit_path(name), unit_text(place, sys.executable, platform.node())
    known = path.exists() and path.read_text() == text
    if not known:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    click.echo(f'{path} {"is there already" if known else "is written"}')
    report(['daemon-reload'], ['enable', unit_name(name)], done=f'endpoint {name!r} starts with {platform.node()}')
    if not Path('/var/lib/systemd/linger', getuser()).exists():
        click.echo(f'once, so that it runs while you are not logged in:  {LINGER.format(user=getuser())}')
    click.echo(f'to start it now:  systemctl --user start {unit_name(name)}')


@click.command('disable-on-boot')
@name_argument
def disable(name: str) -> None:
    """Take `enable-on-boot` back. An endpoint that runs goes on."""
    if not remove(name):
        click.echo(f'endpoint {name!r} does not start with this host: there is no {unit_path(name)}')


def remove(name: str) -> bool:
    """Disable and delete the unit of an endpoint; whether there was one."""
    path = unit_path(name)
    if not path.exists():
        return False
    report(['disable', unit_name(name)], done='')
    path.unlink()
    click.echo(f'{path} is removed: endpoint {name!r} does not start with this host any more')
    report(['daemon-reload'], done='')
    return True


def report(*orders: list[str], done: str) -> None:
    """Give systemd the orders; say `done`, or what must be done by hand."""
    for number, order in enumerate(orders):
        refusal = systemctl(*order)
        if refusal:
            left = [f'systemctl --user {" ".join(each)}' for each in orders[number:]]
            click.echo('\n  '.join([f'{refusal}; where there is a systemd for users:', *left]))
            return
    if done:
        click.echo(done)
