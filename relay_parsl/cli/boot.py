"""`relay-parsl endpoint enable-on-boot`: a systemd unit of the user's own, which starts an endpoint with this host and keeps it running."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay_parsl.cli.names import names_here, place_of
from relay_parsl.cli.show import json_option, outcome

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
@json_option
def enable(name: str, as_json: bool) -> None:
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
    refusal, left = order(['daemon-reload'], ['enable', unit_name(name)])
    lingers = Path('/var/lib/systemd/linger', getuser()).exists()
    lines = [f'{path} {"is there already" if known else "is written"}']
    lines.append(by_hand(refusal, left) or f'endpoint {name!r} starts with {platform.node()}')
    lines += [] if lingers else [f'once, so that it runs while you are not logged in:  {LINGER.format(user=getuser())}']
    lines.append(f'to start it now:  systemctl --user start {unit_name(name)}')
    told = {'name': name, 'unit': path, 'written': not known, 'host': platform.node(), 'enabled': not refusal, 'lingers': lingers}
    outcome('\n'.join(lines), {**told, 'refusal': refusal or None, 'by_hand': left}, as_json=as_json)


@click.command('disable-on-boot')
@name_argument
@json_option
def disable(name: str, as_json: bool) -> None:
    """Take `enable-on-boot` back. An endpoint that runs goes on."""
    text, told = remove(name)
    missing = f'endpoint {name!r} does not start with this host: there is no {told["unit"]}'
    outcome(text or missing, {'name': name, **told}, as_json=as_json)


def remove(name: str) -> tuple[str, dict[str, Any]]:
    """Disable and delete the unit of an endpoint; what to say of it, in words ('' where there was none) and for programs."""
    path = unit_path(name)
    if not path.exists():
        return '', {'unit': path, 'removed': False, 'refusal': None, 'by_hand': []}
    refusal, left = order(['disable', unit_name(name)])
    path.unlink()
    again, more = order(['daemon-reload'])
    lines = [by_hand(refusal, left), f'{path} is removed: endpoint {name!r} does not start with this host any more', by_hand(again, more)]
    told = {'unit': path, 'removed': True, 'refusal': refusal or again or None, 'by_hand': left + more}
    return '\n'.join(filter(None, lines)), told


def order(*orders: list[str]) -> tuple[str, list[str]]:
    """Give systemd the orders; why it refused ('' where it did not), and the commands that are left to be given by hand."""
    for number, each in enumerate(orders):
        if refusal := systemctl(*each):
            return refusal, [f'systemctl --user {" ".join(one)}' for one in orders[number:]]
    return '', []


def by_hand(refusal: str, left: list[str]) -> str:
    """A refusal and its remedy in words."""
    return '\n  '.join([f'{refusal}; where there is a systemd for users:', *left]) if refusal else ''
