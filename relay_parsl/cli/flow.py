"""`relay-parsl flow`: start runs, see how they stand, end them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay_parsl.cli.flow_follow import follow, wait
from relay_parsl.cli.flow_lines import reason
from relay_parsl.cli.flow_names import complete_answers, complete_runs, complete_web_inputs, open_journal, read_body
from relay_parsl.cli.flow_serve import serve, stays
from relay_parsl.cli.flow_show import disclosed_run, list_runs, log, show, told, web_inputs
from relay_parsl.cli.flow_validate import validate
from relay_parsl.cli.show import BadInput, Failure, json_option, outcome
from relay_parsl.errors import FlowError

if TYPE_CHECKING:
    from relay_parsl.flows.flow import Flow
    from relay_parsl.flows.journal import Journal

PATIENCE = 30.0
"""Seconds that `cancel` and `resume` wait for the engine."""
ABSENT = 5.0
"""Seconds without an engine after which a follower is told."""
runs_argument = click.argument('run_ids', nargs=-1, required=True, metavar='RUN...', shell_complete=complete_runs)
by_hand = click.option('--wait', 'seconds', default=PATIENCE, show_default=True, metavar='SECONDS', help='How long to wait until the engine did it.')


@click.group()
def flow() -> None:
    """Run definitions in the language of Globus Flows on machines of your own.

    A run is written down before it begins, and goes on after a crash of whatever drives it.

    \b
      relay-parsl flow validate my-flow.json
      relay-parsl flow run my-flow.json --body '{"input": {}}' --follow
      relay-parsl flow serve --detach        an engine that stays, so that runs need no terminal
      relay-parsl flow list
      relay-parsl flow show RUN --graph run.svg

    Collections, endpoints and limits are in flows.yaml of ~/.relay_parsl (or $RELAY_PARSL_HOME).
    """  # noqa: D301  click takes the backspaces for its marks


@flow.command()
@click.argument('file', type=click.Path(), metavar='FILE')
@click.option('--input-schema', metavar='FILE', help="The input schema, where it is a file of its own; instead of the definition's.")
@click.option('--body', default='{}', show_default=True, metavar='FILE|JSON|-', help='The input: a file, an object, or - for stdin.')
@click.option(
    '--label',
    default='',
    metavar='TEXT',
    help='What the run is called, up to 64 characters.  [default: the title of the flow, else the name of FILE]',
)
@click.option('--tag', 'tags', multiple=True, metavar='WORD', help='May be given several times.')
@click.option('--follow', 'following', is_flag=True, help='Draw the event log until the run ends.')
@click.option(
    '--wait/--detach',
    'waiting',
    default=None,
    help='Wait for the end, with a word only where somebody must act, or leave the run to the engine that serves.',
)
@click.option('--json', 'as_json', is_flag=True, help='Print the run as JSON; with --follow, a line for each entry of its log.')
def run(
    file: str,
    body: str,
    input_schema: str | None,
    label: str,
    tags: tuple[str, ...],
    following: bool,
    waiting: bool | None,
    as_json: bool,
) -> None:
    """Start a run of the flow in FILE, a bare or a wrapped definition.

    Where `flow serve` runs, it gets the run, and this command ends at once unless it is told to --wait or --follow. Where it does not, this command
    is the engine itself, until the run ends.

    \b
      relay-parsl flow run my-flow.json --body input.json --label 'scan 7' --follow
      echo '{"input": {"n": 3}}' | relay-parsl flow run my-flow.json --body - --wait --json | jq .payload

    Exit code 0: it was started, or SUCCEEDED where one waits for it; 1: it FAILED or was cancelled; 2: definition or body are wrong, nothing began.
    """  # noqa: D301  click takes the backspaces for its marks
    if following and waiting is False:
        raise BadInput('--follow waits for the end, --detach does not: leave one of them out')
    chosen, given = read_flow(file, input_schema), read_body(body)
    with open_journal() as journal:
        served = stays(journal)
        name = label or chosen.title[:64] or Path(file).stem[:64]
        run_id = chosen.run(given, label=name, tags=tags, serve=not served and waiting is not False).run_id
        watched = following or waiting or (waiting is None and not served)
        if not as_json:
            click.echo(f'run {run_id}', err=watched)
        if not watched:
            _left(journal, run_id, served, as_json)
            return
        if not served and not as_json:
            click.echo('no `flow serve` runs here, so this command is the engine (`relay-parsl flow serve --detach` starts one that stays)', err=True)
        _finish(journal, run_id, following, served, as_json)


def read_flow(file: str, input_schema: str | None) -> Flow:
    """The flow in a file, with the schema in another one. Raises BadInput, DefinitionInvalid with every fault."""
    from relay_parsl.flows.flow import Flow

    path = Path(file)
    if not path.is_file():
        raise BadInput(f'{file}: {"is a directory" if path.is_dir() else "no such file"}; give the file that holds the definition, JSON or YAML')
    flow = Flow.from_file(path, input_schema=read_body(input_schema) if input_schema else None)
    _ = flow.definition
    return flow


def _left(journal: Journal, run_id: str, served: bool, as_json: bool) -> None:
    """Say how one comes back to a run that goes on without us."""
    if as_json:
        click.echo(json.dumps(disclosed_run(journal.run(run_id)), indent=2))
    elif not served:
        click.echo('no engine serves this home: the run waits for `relay-parsl flow serve --detach`', err=True)
    else:
        click.echo(f'follow it: relay-parsl flow log {run_id} --follow', err=True)


def _finish(journal: Journal, run_id: str, following: bool, served: bool, as_json: bool) -> None:
    """Watch a run to its end. Raises Failure when that is not SUCCEEDED, click.Abort after Ctrl-C, when it was said how to come back."""
    try:
        watch = Absent(journal) if served else lambda: None
        ended = follow(journal, run_id, as_json=as_json, alive=watch) if following else wait(journal, run_id, watch)
    except KeyboardInterrupt:
        hint = f'relay-parsl flow log {run_id} --follow'
        said = (
            f'the run goes on; follow it again: {hint}'
            if served
            else f'the run is kept as it stands; go on with it: relay-parsl flow serve, then {hint}'
        )
        click.echo(f'\n{said}', err=True)
        raise SystemExit(130) from None
    if as_json and not following:
        click.echo(json.dumps(disclosed_run(ended), indent=2))
    elif not as_json:
        click.echo(told(ended), err=True)
    if ended['status'] != 'SUCCEEDED':
        raise Failure(f'run {run_id} is {ended["status"]}: {reason(ended["details"]) or "no reason was given"}; see `relay-parsl flow show {run_id}`')


class Absent:
    """Tells a follower, once, that nobody drives the run."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.since: float | None = None
        self.next = 0.0
        self.told = False

    def __call__(self) -> None:
        """Look, at most once a second."""
        now = time.monotonic()
        if self.told or now < self.next:
            return
        self.next = now + 1.0
        if self.journal.engine() is not None:
            self.since = None
        elif self.since is None:
            self.since = now
        elif now - self.since > ABSENT:
            self.told = True
            click.echo('note: no engine serves this home: the run goes on with `relay-parsl flow serve`', err=True)


@flow.command()
@runs_argument
@by_hand
@json_option
def cancel(run_ids: tuple[str, ...], seconds: float, as_json: bool) -> None:
    """End runs: their actions are told to stop, and they are ENDED, with the code FlowCanceled.

    The request is kept where no engine serves, and carried out by the next one.
    """
    _ask(run_ids, 'cancel', seconds, lambda status: status not in ('ACTIVE', 'INACTIVE'), as_json=as_json)


@flow.command()
@runs_argument
@by_hand
@json_option
def resume(run_ids: tuple[str, ...], seconds: float, as_json: bool) -> None:
    """Go on with runs that are INACTIVE, when what they waited for was mended: `flow show` says what that is."""
    _ask(run_ids, 'resume', seconds, lambda status: status != 'INACTIVE', as_json=as_json)


def _ask(run_ids: tuple[str, ...], kind: str, seconds: float, done: Callable[[str], bool], *, as_json: bool) -> None:
    with open_journal() as journal:
        whole, refused = _asked(journal, run_ids, kind)
        end = time.monotonic() + (seconds if journal.engine() else 0.0)
        statuses = {each: journal.status(each) for each in whole}
        while time.monotonic() < end and not all(map(done, statuses.values())):
            time.sleep(0.05)
            statuses = {each: journal.status(each) for each in whole}
        rows = [{'run_id': each, 'status': status} for each, status in statuses.items()]
        outcome('\n'.join('{run_id}  {status}'.format(**row) for row in rows), rows, as_json=as_json)
        if not all(map(done, statuses.values())):
            why = 'the engine has not done it yet' if journal.engine() else 'no engine serves this home: `relay-parsl flow serve`'
            raise Failure(f'asked to {kind}, and {why}; the request stays')
        if refused:
            raise BadInput('\n'.join(refused))


def _asked(journal: Journal, run_ids: tuple[str, ...], kind: str) -> tuple[list[str], list[str]]:
    """Ask for all of them: whole ids of those who take it, and why others do not. Raises NotFound before anything was asked."""
    whole = [journal.find(each) for each in run_ids]
    answers = {each: _refusal(journal, each, kind) for each in whole}
    return [each for each, refusal in answers.items() if not refusal], [refusal for refusal in answers.values() if refusal]


def _refusal(journal: Journal, run_id: str, kind: str) -> str:
    """Ask; why it is refused, '' when it is not."""
    try:
        journal.ask(run_id, kind)
    except FlowError as error:
        return str(error)
    return ''


@flow.command()
@runs_argument
@json_option
def release(run_ids: tuple[str, ...], as_json: bool) -> None:
    """Forget runs that are over, with their logs and payloads.

    Without it they are kept for the time that flows.yaml says (limits: keep_days).
    """
    with open_journal() as journal:
        whole, refused = _asked(journal, run_ids, 'release')
        outcome('\n'.join(f'{each}  released' for each in whole), [{'run_id': each, 'released': True} for each in whole], as_json=as_json)
        if refused:
            raise BadInput('\n'.join(refused))


@flow.command()
@click.argument('web_input', metavar='WEB_INPUT', shell_complete=complete_web_inputs)
@click.argument('value', metavar='VALUE', shell_complete=complete_answers)
@click.option('--by', default='', metavar='WHO', help='Who answers, a name or a URN, where it is not this account.')
@json_option
def respond(web_input: str, value: str, by: str, as_json: bool) -> None:
    """Answer a question that a run asks: VALUE is one of its options.

    \b
      relay-parsl flow web-inputs
      relay-parsl flow respond 4f0c approve
    """  # noqa: D301  click takes the backspaces for its marks
    with open_journal() as journal:
        journal.respond(web_input, value, by)
        served = journal.engine() is not None
        outcome(f'answered {value!r}', {'web_input_id': web_input, 'value': value, 'served': served}, as_json=as_json)
        if not served:
            click.echo('no engine serves this home: the run goes on with `relay-parsl flow serve`', err=True)


for command in (validate, list_runs, show, log, web_inputs, serve):
    flow.add_command(command)
