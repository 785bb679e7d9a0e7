"""`relay-parsl endpoint check`: what an endpoint file means, down to the batch script, or everything that is wrong with it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from relay_parsl.cli.names import meant_by, names_or_files
from relay_parsl.cli.render import blank, tell_template
from relay_parsl.cli.show import BAD_INPUT, BadInput, json_option, listing

if TYPE_CHECKING:
    from relay_parsl.endpoint.config import EndpointConfig

COLUMNS = ('worker', 'node', 'GPU', 'CPUs')
ROWS = 128
"""Workers of a node that are told to people."""


@click.command()
@click.argument('name', metavar='FILE|NAME', shell_complete=names_or_files)
@json_option
def check(name: str, as_json: bool) -> None:
    """Say what an endpoint file means, or everything that is wrong with it.

    Each mistake comes with its file, line and path, and with what was probably meant. A file without mistakes is told in words, then the batch script
    that it would submit, and which worker gets which node, GPU and CPUs. Nothing is started and no scheduler is asked, so any host serves.

    FILE may also be a site configuration that comes with us:

    \b
      relay-parsl endpoint check my.yaml
      relay-parsl endpoint check polaris/gpu
      relay-parsl endpoint check my.yaml --json | jq -r '.pools[0].script'
    """  # noqa: D301  click takes the backspaces for its marks
    from relay_parsl.endpoint.config import load_endpoint_config
    from relay_parsl.endpoint.script import batch_script
    from relay_parsl.errors import RelayError

    try:
        file = load_endpoint_config(meant_by(name))
        empty = blank(file.template) if file.template is not None else file
        config = file if isinstance(empty, str) else empty
        scripts = [batch_script(spec) for spec in config.pools.values()]
    except (RelayError, BadInput) as error:
        if not as_json:
            raise
        click.echo(json.dumps({'errors': str(error).splitlines()}, indent=2))
        sys.exit(BAD_INPUT)
    if as_json:
        pools = [{**asdict(pool), 'script': script} for pool, script in zip(config.summary(), scripts)]
        click.echo(json.dumps({'display_name': config.display_name, 'warnings': config.warnings, 'pools': pools}, indent=2))
    elif file.template is None or tell_template(file, file.template, empty):
        tell(config, scripts)


def tell(config: EndpointConfig, scripts: list[str]) -> None:
    """For people: warnings and a summary, then for each pool its script and its workers."""
    from relay_parsl.endpoint.config import describe_config
    from relay_parsl.endpoint.summary import placed

    click.echo(describe_config(config))
    for pool, script in zip(config.summary(), scripts):
        title = f'# --- pool {pool.pool}: ' if pool.pool else '# --- '
        if script:
            kind = 'the shell script' if config.pools[pool.pool].is_local else 'the batch script'
            click.echo(f'\n{title}{kind} of a block; a start puts its own values where words stand in capitals\n\n{script.strip()}')
        click.echo(f'\n{title}who gets what\n')
        rows = placed(pool)
        listing(rows[:ROWS], COLUMNS, as_json=False, empty='')
        if len(rows) > ROWS:
            click.echo(f'… and {len(rows) - ROWS} workers more, which `--json` tells')
