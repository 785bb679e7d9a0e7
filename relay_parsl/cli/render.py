"""Endpoint files that are templates, on the command line: filled in for a look, and kept under a name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay_parsl.cli.names import meant_by, names_or_files
from relay_parsl.cli.show import BadInput

if TYPE_CHECKING:
    from relay_parsl.endpoint.config import EndpointConfig
    from relay_parsl.endpoint.place import Place
    from relay_parsl.endpoint.templates import Template

CORE = """\
# What holds for the whole endpoint; what a pool runs on is in the template, which each task's `user_endpoint_config` fills in.
display_name: {name}
user_config_template_path: {template}
"""


@click.command()
@click.argument('name', metavar='FILE|NAME', shell_complete=names_or_files)
@click.option('--user-options', metavar='FILE', help='A JSON object, the `user_endpoint_config` of a task; `-` reads stdin. Without it: no values.')
@click.option('--python', metavar='3.X', help="The user's Python, for templates that ask for `user_runtime`. Without it: this one.")
def render(name: str, user_options: str | None, python: str | None) -> None:
    """Print the endpoint file that a template makes of a user's values, checked.

    Everything that is wrong with the values or with what they make is said, as the task would be told.
    """
    from relay_parsl.endpoint.config import load_endpoint_config

    config = load_endpoint_config(meant_by(name))
    if config.template is None:
        raise BadInput(f'{config.file} is no template: `relay-parsl endpoint check {name}` says what it means')
    text, filled = fill(config.template, _options(user_options), python)
    for warning in filled.warnings:
        click.echo(warning, err=True)
    click.echo(text, nl=not text.endswith('\n'))


def _options(source: str | None) -> dict[str, Any]:
    if source is None:
        return {}
    try:
        found = json.loads(sys.stdin.read() if source == '-' else Path(source).read_text())
    except (ValueError, RecursionError) as error:
        raise BadInput(f'{source}: no JSON: {error}') from None
    if not isinstance(found, dict):
        raise BadInput(f'{source}: must be a JSON object, as a task has in `user_endpoint_config`')
    return found


def fill(template: Template, options: dict[str, Any], python: str | None = None) -> tuple[str, EndpointConfig]:
    """The filled-in text, and what it means. Raises ConfigError."""
    from relay_parsl.endpoint.config import read_rendered
    from relay_parsl.endpoint.templates import canonical, runtime_of

    rendered = template.render(canonical(options), runtime_of(python))
    return rendered.text, read_rendered(rendered, template.path)


def blank(template: Template) -> EndpointConfig | str:
    """What a task without values gets; or why it gets none, where the template needs values. Raises ConfigError for mistakes of the template."""
    from relay_parsl.endpoint.templates import OPTIONS
    from relay_parsl.errors import ConfigError

    try:
        return fill(template, {})[1]
    except ConfigError as error:
        if not str(error).startswith(OPTIONS):
            raise
        return str(error)


def tell_template(config: EndpointConfig, template: Template, empty: EndpointConfig | str) -> bool:
    """What a file with a template says by itself, for people; whether it makes anything of no values (`empty`, as `blank` says)."""
    from relay_parsl.endpoint.userpools import LIMIT

    click.echo('\n'.join([*config.warnings, f'{config.file}: {config.display_name or "no display_name"}, a template: {template.path}']))
    limit = config.pools[''].spec.options.get('limit', LIMIT)
    click.echo(f'it takes {", ".join(template.variables) or "no values"}; each value of user_endpoint_config becomes a pool, {limit} at once')
    if isinstance(empty, str):
        click.echo(f'without values a task is told:\n{empty}\n`relay-parsl endpoint render {config.file} --user-options FILE` fills it in')
    else:
        click.echo('without values:')
    return not isinstance(empty, str)


def keep_template(place: Place, core: str | None, template: str, schema: str | None) -> tuple[str, ...]:
    """Keep a template, its schema and an endpoint file for the whole; the warnings. Raises ConfigError with all mistakes; then nothing is kept."""
    from relay_parsl.endpoint.config import load_endpoint_config
    from relay_parsl.endpoint.templates import SCHEMA, TEMPLATE, read_template

    source = Path(template)
    beside = source.parent / SCHEMA
    rules = Path(schema) if schema else beside if beside.is_file() else None
    read_template(source, rules)
    before = {name: (place.root / name).read_bytes() for name in (TEMPLATE, SCHEMA, place.config.name) if (place.root / name).exists()}
    place.configure(Path(core).read_bytes() if core else CORE.format(name=place.name, template=TEMPLATE).encode())
    place.keep(TEMPLATE, source.read_bytes())
    place.keep(SCHEMA, rules.read_bytes() if rules else None)
    try:
        config = load_endpoint_config(place.config)
        if config.template is None:
            raise BadInput(f'{core}: has an engine; beside a template it must have none')
    except BaseException:
        for name in (TEMPLATE, SCHEMA, place.config.name):
            place.keep(name, before.get(name))
        raise
    return config.warnings
