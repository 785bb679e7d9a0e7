"""`relay-parsl flow validate`: what is wrong with definitions, what is dangerous in them, and where they may go."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay_parsl.cli.flow_lines import printable
from relay_parsl.cli.show import FAILED, BadInput, Failure

if TYPE_CHECKING:
    from relay_parsl.flows.catalogue import Catalogue
    from relay_parsl.flows.flow import Validation

WAYS = 10
"""Traversals that are told to people."""


@click.command()
@click.argument('files', nargs=-1, required=True, metavar='FILE...', type=click.Path())
@click.option('--body', metavar='FILE|JSON|-', help='Check this input, too: would a run begin with it?')
@click.option('--input-schema', metavar='FILE', help="The input schema, where it is a file of its own; instead of the definition's.")
@click.option('--strict', is_flag=True, help='Warnings are faults, too.')
@click.option('--json', 'as_json', is_flag=True, help='Print a JSON list, an object for each file.')
def validate(files: tuple[str, ...], body: str | None, input_schema: str | None, strict: bool, as_json: bool) -> None:
    """Say everything that is wrong with flow definitions, and what is legal but dangerous.

    A FILE, JSON or YAML (- for stdin), has a definition, or an object with `definition`, `input_schema` and `title`. Each fault comes with its JSON
    path and, where something like it exists, with what was probably meant. Exit code 0: all of them can be run; 1: one cannot; 2: a file cannot be
    read.

    \b
      relay-parsl flow validate my-flow.json --body input.json
      relay-parsl flow validate flows/*.json --json | jq -r '.[] | select(.valid) | .file'
    """  # noqa: D301  click takes the backspaces for its marks
    from relay_parsl.flows.catalogue import here

    schema, given = (_json(path) if path else None for path in (input_schema, body))
    known = here()
    told = [_told(path, schema, given, known, strict=strict, wanted=body is not None) for path in files]
    if as_json:
        click.echo(json.dumps(told, indent=2))
        if not all(each['valid'] for each in told):
            sys.exit(FAILED)
        return
    for each in told:
        _tell(each)
    bad = [str(each['file']) for each in told if not each['valid']]
    if bad:
        raise Failure(f'{len(bad)} of {len(told)} cannot be run: {", ".join(bad)}' if len(told) > 1 else f'{bad[0]} cannot be run')


def _json(source: str) -> Any:
    """The object in a file, on stdin (`-`), or given as it is."""
    from relay_parsl.flows.language.documents import load, parse
    from relay_parsl.flows.language.faults import Faults

    faults = Faults()
    if source == '-' or source.lstrip().startswith('{'):
        found = parse(sys.stdin.buffer.read() if source == '-' else source, faults)
    else:
        found = load(_there(source), faults)
    if faults.faults:
        raise BadInput('\n'.join(f'{source[:60]}: {fault}' for fault in faults.faults))
    return found


def _there(path: str) -> Path:
    if not Path(path).is_file():
        raise BadInput(f'{path}: {"is a directory" if Path(path).is_dir() else "no such file"}')
    return Path(path)


def _told(path: str, schema: Any, body: Any, known: Catalogue, *, strict: bool, wanted: bool) -> dict[str, Any]:
    """What is to be said of a file."""
    from relay_parsl.errors import InputInvalid
    from relay_parsl.flows.flow import Flow

    if path == '-':
        flow = Flow.from_text(sys.stdin.buffer.read(), input_schema=schema, catalogue=known)
    else:
        flow = Flow.from_file(_there(path), input_schema=schema, catalogue=known)
    found = flow.validate(strict)
    violations: list[dict[str, str]] = []
    if wanted and found.valid:
        try:
            flow.check(body)
        except InputInvalid as error:
            violations = [_split(line) for line in str(error).splitlines()]
    return {
        'file': path,
        'title': flow.title,
        'valid': found.valid and not violations,
        'flow_id': flow.flow_id if found.valid else None,
        **_plain(found),
        'body': violations,
    }


def _plain(found: Validation) -> dict[str, Any]:
    listed = {
        'count': found.traversals.count,
        'complete': found.traversals.complete,
        'listed': [list(way) for way in found.traversals.listed],
    }
    return {
        'faults': [{'path': fault.path, 'message': fault.message} for fault in found.faults],
        'warnings': [{'path': fault.path, 'message': fault.message} for fault in found.warnings],
        'scopes': dict(found.scopes or {}),
        'actions': list(found.actions),
        'traversals': listed,
    }


def _split(line: str) -> dict[str, str]:
    path, _, message = line.partition(': ')
    return {'path': path, 'message': message}


def _tell(told: dict[str, Any]) -> None:
    """The same for people."""
    title = f'  {printable(told["title"])}' if told['title'] else ''
    verdict = 'valid' if told['valid'] else 'not valid'
    click.secho(f'{told["file"]}: {verdict}{title}', bold=True)
    _list('faults', told['faults'], 'red')
    _list('the input', told['body'], 'red')
    _list('warnings', told['warnings'], 'yellow')
    if not told['flow_id']:
        return
    ways = told['traversals']
    count = f'{ways["count"]}{"" if ways["complete"] else " and more"}'
    click.echo(f'  possible state traversals: {count}')
    for way in ways['listed'][:WAYS]:
        click.echo(f'    {" → ".join(map(printable, way))}')
    if ways['count'] > WAYS:
        click.echo(f'    … {ways["count"] - WAYS} more: --json lists {len(ways["listed"])}')
    if told['actions']:
        click.echo(f'  actions: {", ".join(told["actions"])}')
    for role, scopes in told['scopes'].items():
        click.echo(f'  scopes of {role}, at the hosted service: {" ".join(scopes)}')
    click.echo(f'  flow id: {told["flow_id"]}')


def _list(title: str, faults: list[dict[str, str]], colour: str) -> None:
    if faults:
        click.echo(f'  {title}:')
        for fault in faults:
            click.echo(f'    {click.style(printable(fault["path"]), fg=colour)}: {printable(fault["message"])}')
