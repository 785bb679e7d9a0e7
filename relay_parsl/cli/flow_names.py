"""What flow commands share: the journal, bodies, and what a shell makes of the first letters of a run or a status."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from relay_parsl.cli.show import BadInput
from relay_parsl.errors import RelayError, with_article

if TYPE_CHECKING:
    from relay_parsl.flows.journal import Journal

STATUSES = ('ACTIVE', 'INACTIVE', 'SUCCEEDED', 'FAILED', 'ENDED')
NEWEST = 50
"""Runs that a shell is offered."""


def open_journal() -> Journal:
    """The journal of this home. Raises HomeError, StoreError."""
    from relay_parsl.flows.journal import Journal

    return Journal.open()


def read_body(source: str) -> Any:
    """A run's body: an object in JSON, the file that has it, or `-` for stdin. Raises BadInput."""
    from relay_parsl.flows.language.documents import parse
    from relay_parsl.flows.language.faults import Faults

    inline, faults = source.lstrip().startswith(('{', '[')), Faults()
    where = 'the body' if inline else 'stdin' if source == '-' else source
    try:
        text = source if inline else sys.stdin.read() if source == '-' else Path(source).read_bytes()
    except FileNotFoundError:
        raise BadInput(f'{source}: no such file; a body is a file, an object such as \'{{"input": {{}}}}\', or - for stdin') from None
    except (OSError, ValueError) as error:
        raise BadInput(f'{where} is no JSON: {error}') from None
    found = parse(text, faults, 'json')
    if faults.faults:
        raise BadInput(f'{where} is no JSON that a run can take: {faults.text}')
    if not isinstance(found, dict):
        raise BadInput(f'{where} is {with_article(type(found).__name__)}: a run takes a JSON object')
    return found


def complete_runs(_ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Run ids, the newest first, with what they are."""
    with suppress(RelayError, OSError), open_journal() as journal:
        rows = journal.runs(limit=10 * NEWEST)
        fits = [row for row in reversed(rows) if row['run_id'].startswith(typed)]
        return [CompletionItem(row['run_id'], help=f'{row["status"]} {row["label"]}') for row in fits[:NEWEST]]
    return []


def complete_known(field: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Labels or tags of the newest runs."""

    def complete(_ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
        with suppress(RelayError, OSError), open_journal() as journal:
            values = [row[field] for row in journal.runs(limit=10 * NEWEST)]
            words = {word for value in values for word in (value if isinstance(value, list) else [value])}
            return sorted(word for word in words if word and word.startswith(typed))[:NEWEST]
        return []

    return complete


def complete_web_inputs(_ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Open questions."""
    with suppress(RelayError, OSError), open_journal() as journal:
        rows = [row for row in journal.web_inputs() if row['web_input_id'].startswith(typed)]
        return [CompletionItem(row['web_input_id'], help=str(row.get('title') or '')) for row in rows[:NEWEST]]
    return []


def complete_answers(ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The options of the question that was named."""
    wanted = str(ctx.params.get('web_input') or '')
    with suppress(RelayError, OSError), open_journal() as journal:
        rows = [row for row in journal.web_inputs() if wanted and row['web_input_id'].startswith(wanted)]
        options = rows[0].get('options', []) if len(rows) == 1 else []
        return [CompletionItem(str(each['Value']), help=str(each.get('Label') or '')) for each in options if str(each['Value']).startswith(typed)]
    return []


run_argument = click.argument('run_id', metavar='RUN', shell_complete=complete_runs)
