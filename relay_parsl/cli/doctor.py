"""`relay-parsl doctor`: what is the matter with this home and host."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import click

from relay_parsl.cli.show import FAILED

MARKS = {'ok': 'ok     ', 'warning': 'warning', 'fault': 'FAULT  '}


@click.command()
@click.option('--offline', is_flag=True, help='Ask no relay.')
@click.option('--json', 'as_json', is_flag=True, help='Print a JSON list: check, verdict, seen, mend.')
@click.pass_context
def doctor(ctx: click.Context, offline: bool, as_json: bool) -> None:
    """Check this home and host, and say how to mend what is wrong.

    Looked at: modes and owners of files, keys and how long they are valid, versions, processes that ended without a word and what they left, disks,
    limits, relays (reached, right key, how fast, their clock and version), endpoints, audit logs, databases. It changes nothing, and takes some
    seconds at most.

    Exit code 1 when there is a fault; warnings are none.
    """
    from relay_parsl.doctor import judge
    from relay_parsl.doctor.round import gather
    from relay_parsl.home import Home

    found = judge(gather(Home.find(), offline=offline), time.time())
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
    else:
        for each in found:
            click.echo(f'{MARKS[each.verdict]}  {each.check:9}  {each.seen}')
            if each.mend:
                click.echo(f'{"":20}mend: {each.mend}')
    ctx.exit(FAILED if any(each.verdict == 'fault' for each in found) else 0)
