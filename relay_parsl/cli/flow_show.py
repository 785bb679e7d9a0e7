"""`relay-parsl flow list|show|log|web-inputs`: what the journal knows."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay_parsl.cli.flow_follow import follow, styled
from relay_parsl.cli.flow_lines import duration, history, printable, progress, reason
from relay_parsl.cli.flow_names import STATUSES, complete_known, open_journal, run_argument
from relay_parsl.cli.show import BadInput, Failure, facts, json_option, listing
from relay_parsl.flows.graph import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay_parsl.flows.journal import Journal

ROWS = 100
"""Runs that `list` shows when it is told no other number."""


@click.command('list')
@click.option('--status', type=click.Choice(STATUSES, case_sensitive=False), help='Only those of this status.')
@click.option('--label', metavar='TEXT', shell_complete=complete_known('label'), help='Only those with this in their label.')
@click.option('--tag', metavar='WORD', shell_complete=complete_known('tags'), help='Only those with this tag.')
@click.option('--limit', type=click.IntRange(1), default=ROWS, show_default=True, metavar='N', help='The newest so many.')
@json_option
def list_runs(status: str | None, label: str | None, tag: str | None, limit: int, as_json: bool) -> None:
    """List runs, newest last.

    \b
      relay-parsl flow list --status FAILED --limit 10
      relay-parsl flow list --tag xpcs --json | jq -r '.[].run_id'
    """  # noqa: D301  click takes the backspaces for its marks
    with open_journal() as journal:
        rows = journal.runs(status=status, label=label, tag=tag, limit=limit)
    shown = rows if as_json else [{**row, 'label': printable(row['label']), 'took': took(row), 'started': local(row['start_time'])} for row in rows]
    columns = ['run_id', 'status', 'label', 'state', 'started', 'took']
    listing(shown, columns, as_json=as_json, empty='no such runs' if status or label or tag else 'no runs: `relay-parsl flow run FILE` starts one')


def took(row: Mapping[str, Any]) -> str:
    """How long a run took, or has taken so far."""
    end = seconds(row['completion_time']) if row['completion_time'] else time.time()
    return duration(max(end - seconds(row['start_time']), 0.0))


def local(when: Any) -> str:
    """A time of the journal in this machine's words."""
    return time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds(when))) if when else ''


@click.command()
@run_argument
@click.option('--graph', metavar='OUT.svg', type=click.Path(), help='Draw the states into this file, with the way that the run took; - for stdout.')
@click.option('--definition', is_flag=True, help='Print the definition that the run began with, and nothing else.')
@json_option
def show(run_id: str, graph: str | None, definition: bool, as_json: bool) -> None:
    """How a run stands: where it is, how far its action is, what it waits for, its payload.

    \b
      relay-parsl flow show 4f0c
      relay-parsl flow show 4f0c --graph run.svg     states, times, the way that was taken
      relay-parsl flow show 4f0c --json | jq .payload

    Fields that the flow keeps private are hidden, in all but --definition.
    """  # noqa: D301  click takes the backspaces for its marks
    with open_journal() as journal:
        run = journal.run(run_id)
        if definition:
            click.echo(json.dumps(run['definition'], indent=2))
            return
        if graph:
            draw(journal, run, graph)
            if graph == '-':
                return
        asked = journal.web_inputs(run['run_id'])
    if as_json:
        click.echo(json.dumps({**disclosed_run(run), 'web_inputs': asked}, indent=2))
        return
    facts(described(run), as_json=False)
    click.echo('payload\n' + json.dumps(run['payload'], indent=2, ensure_ascii=True))
    if asked:
        tell_questions(asked)


def disclosed_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """What `--json` prints of a run: its definition has no value of a private parameter, for such output ends in tickets and logs."""
    from relay_parsl.flows.machine.parameters import disclosed

    return {**run, 'definition': disclosed(run['definition'])}


def draw(journal: Journal, run: Mapping[str, Any], out: str) -> None:
    """Write the picture of a run. Raises Failure."""
    from relay_parsl.flows.graph.picture import svg

    title = ' · '.join(word for word in (run['flow_title'], run['label']) if word)
    text = svg(run['definition'], title=title, run=run, log=journal.log(run['run_id']))
    if out == '-':
        click.echo(text, nl=False)
        return
    try:
        Path(out).write_text(text, encoding='utf-8')
    except OSError as error:
        raise Failure(f'{out} cannot be written: {error.strerror}') from None
    click.echo(f'drawn: {out}', err=True)


def described(run: Mapping[str, Any]) -> dict[str, Any]:
    """What people want to know of a run, in this order; what there is not is left out."""
    action = run['action'] or {}
    known = {
        'run': run['run_id'],
        'label': printable(run['label']),
        'flow': printable(run['flow_title'] or run['flow_id']),
        'tags': ', '.join(map(printable, run['tags'])),
        'status': run['status'],
        'state': printable(run['state'] or ''),
        'action': ' '.join(printable(word) for word in (action.get('action'), action.get('action_id')) if word),
        'progress': progress(run['action']) if run['status'] == 'ACTIVE' else '',
        'why': reason(run['details']) if run['status'] != 'SUCCEEDED' else '',
        'started': local(run['start_time']),
        'ended': local(run['completion_time']),
        'took': took(run),
    }
    return {key: value for key, value in known.items() if value}


def told(run: Mapping[str, Any]) -> str:
    """How a run ended, in a line."""
    return f'{run["status"]} after {took(run)}'


@click.command()
@run_argument
@click.option('-f', '--follow', 'following', is_flag=True, help='Go on until the run ends, or Ctrl-C.')
@click.option('--reverse', is_flag=True, help='The newest entry first.')
@click.option('--limit', type=click.IntRange(1), metavar='N', help='The first so many entries; with --reverse, the last.')
@click.option('--json', 'as_json', is_flag=True, help='Print the entries as a JSON list, with their details; with --follow, one a line.')
def log(run_id: str, following: bool, reverse: bool, limit: int | None, as_json: bool) -> None:
    """What happened in a run, with how long each state took.

    \b
      relay-parsl flow log 4f0c --follow
      relay-parsl flow log 4f0c --json | jq '.[] | select(.code == "ActionFailed")'
    """  # noqa: D301  click takes the backspaces for its marks
    with open_journal() as journal:
        whole = journal.find(run_id)
        if following:
            if reverse or limit:
                raise BadInput('--follow shows every entry, the oldest first: leave out --reverse and --limit')
            pursue(journal, whole, as_json)
            return
        entries = journal.log(whole, limit=limit, reverse=reverse)
    if as_json:
        click.echo(json.dumps(entries, indent=2))
        return
    lines = history(entries[::-1] if reverse else entries)
    for line in lines[::-1] if reverse else lines:
        echo(line)
    if not lines:
        click.echo('nothing has happened yet', err=True)


def echo(line: Any) -> None:
    """Print a line: with colours in a terminal."""
    from rich.console import Console

    from relay_parsl.cli.flow_lines import worded

    console = Console(highlight=False, soft_wrap=True)
    if console.is_terminal:
        console.print(styled(line))
    else:
        click.echo(worded(line))


def pursue(journal: Journal, run_id: str, as_json: bool) -> None:
    """Follow a run that somebody else drives; its status decides on the exit code. Ctrl-C ends the command only."""
    if journal.engine() is None and journal.status(run_id) in ('ACTIVE', 'INACTIVE'):
        click.echo('note: no engine serves this home: the run goes on with `relay-parsl flow serve`', err=True)
    try:
        ended = follow(journal, run_id, as_json=as_json)
    except KeyboardInterrupt:
        click.echo(f'\nthe run goes on; follow it again: relay-parsl flow log {run_id} --follow', err=True)
        raise SystemExit(130) from None
    if not as_json:
        click.echo(told(ended), err=True)
    if ended['status'] != 'SUCCEEDED':
        raise Failure(f'run {run_id} is {ended["status"]}: {reason(ended["details"]) or "no reason was given"}')


@click.command('web-inputs')
@click.option('--all', 'everything', is_flag=True, help='Those that were answered or have expired, too.')
@json_option
def web_inputs(everything: bool, as_json: bool) -> None:
    """List the questions that runs ask people, the oldest first; `flow respond` answers one."""
    with open_journal() as journal:
        rows = journal.web_inputs(open_only=not everything)
    if as_json or not rows:
        listing(rows, [], as_json=as_json, empty='no questions' if everything else 'no open questions')
    else:
        tell_questions(rows)


def tell_questions(rows: list[dict[str, Any]]) -> None:
    """Each question with its text, its options, and the command that answers it."""
    for row in rows:
        click.echo(f'\nquestion {row["web_input_id"]}  {row["status"]}  of run {row.get("run_id", "-")}')
        for text in asked(row.get('context')):
            click.echo(f'  {text}')
        for option in row.get('options', []):
            words = ': '.join(printable(str(option[key])) for key in ('Label', 'Description') if option.get(key))
            click.echo(f'  {json.dumps(option["Value"])}  {words}')
        if row['status'] == 'OPEN':
            click.echo(f'  answer: relay-parsl flow respond {row["web_input_id"]} VALUE')


def asked(context: Any) -> list[str]:
    """The lines of a question: its title, its text or its table."""
    if not isinstance(context, dict):
        return []
    rows = [f'{row.get("Field")}: {row.get("Value")}' for row in context.get('Rows') or [] if isinstance(row, dict)]
    return [printable(str(each)) for each in (context.get('Title'), context.get('Text'), *rows) if each]
