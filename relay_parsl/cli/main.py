"""`relay-parsl`: the group of all commands, and the edge where errors become one line and an exit code."""

from __future__ import annotations

import logging
from typing import Any

import click

from relay_parsl import logs
from relay_parsl.cli.accounts import account, invite, join
from relay_parsl.cli.audit import audit
from relay_parsl.cli.backups import backup, migrate, restore
from relay_parsl.cli.doctor import doctor
from relay_parsl.cli.endpoint import endpoint
from relay_parsl.cli.flow import flow
from relay_parsl.cli.quickstart import quickstart
from relay_parsl.cli.relay import relay
from relay_parsl.cli.relay_keys import key, pin, rotate
from relay_parsl.cli.show import one_clear_line
from relay_parsl.cli.task import task
from relay_parsl.version import VERSION


class Commands(click.Group):
    """A group whose errors end as one clear line: exit code 2 for what was asked wrongly, 1 for what failed."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with one_clear_line():
            return super().invoke(ctx)


@click.group(cls=Commands, context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(VERSION, prog_name='relay-parsl')
@click.option('-v', '--verbose', count=True, help='Log what happens, on stderr; twice for everything.')
def main(verbose: int) -> None:
    """Run the tasks of a Parsl script on machines that it cannot reach.

    \b
    A relay routes tasks and results; it is the only one that listens.
    An endpoint runs tasks on a cluster; it dials out, from a login node.
    Your script dials out too:  rp.Executor('polaris').submit(f, x)

    \b
    The first time, on one machine:
      relay-parsl relay start --user alice --detach
      relay-parsl endpoint start laptop --detach
    With a cluster:
      relay-parsl invite polaris --role endpoint     here: prints a URL
      relay-parsl join 'relay-parsl://...'           there
      relay-parsl endpoint configure polaris --endpoint-config my.yaml
      relay-parsl endpoint start polaris --detach
    Definitions of Globus Flows, on machines of your own:
      relay-parsl flow run my-flow.json --body input.json --follow
    Just looking:
      relay-parsl quickstart

    Keys and state live in ~/.relay_parsl, or in $RELAY_PARSL_HOME. Exit codes: 0 done, 1 failed, 2 asked wrongly. What prints a result has --json.

    Shell completion:  eval "$(_RELAY_PARSL_COMPLETE=bash_source relay-parsl)"   (or zsh_source, fish_source)
    """  # noqa: D301  click takes the backspaces for its marks
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logs.begin(level)


for command in (backup, restore, migrate, rotate, key, pin):
    relay.add_command(command)
for command in (relay, invite, join, account, endpoint, task, flow, audit, doctor, quickstart):
    main.add_command(command)
