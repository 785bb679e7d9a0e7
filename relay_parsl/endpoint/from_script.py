"""A batch script becomes a commented endpoint file: directives a provider, masks of GPUs accelerators, what runs a Python function. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from relay_parsl.endpoint.directives import Settings, settings_of
from relay_parsl.endpoint.joblines import Line, numbers_of, spans
from relay_parsl.endpoint.jobplan import Plan, plan_of
from relay_parsl.endpoint.jobscript import JobScript, read_script
from relay_parsl.endpoint.jobwork import Work, work_of
from relay_parsl.endpoint.snippet import Program, snippet
from relay_parsl.endpoint.spec import slug

PLAIN = re.compile(r'[A-Za-z_/][\w./@=+: -]*')
SHOWN = 80
"""Characters of a line of the script that a note repeats, at most."""
WORDS_OF_YAML = frozenset(['true', 'false', 'yes', 'no', 'on', 'off', 'null', 'y', 'n', '~'])


def from_script(data: bytes, name: str) -> str:
    """The endpoint file that a batch script means, with the comments that a person needs to trust it.

    Args:
        data: The script.
        name: What it is called, without directories.

    Raises:
        ConfigError: It is no batch script of PBS or Slurm; says what it is.
    """
    script = read_script(data, name)
    settings = settings_of(script)
    work = work_of(script, settings.nodes)
    return '\n'.join(_file(script, settings, work, plan_of(script, settings, work), name)) + '\n'


# --- the file ----------------------------------------------------------------------------------------------------------------------------------


def _file(script: JobScript, settings: Settings, work: Work, plan: Plan, name: str) -> Iterator[str]:
    title = settings.name or name.rpartition('.')[0] or name
    named = [directive.line for directive in script.directives if directive.option in ('-N', 'job-name') and settings.name]
    yield f'# Made from {_safe(name)} by `relay-parsl endpoint from-script`. Read it through, then `relay-parsl endpoint check` it.'
    yield from _notes(script, settings, work)
    yield _row(0, 'display_name', scalar(title), spans(named) if named else '')
    yield ''
    yield 'engine:'
    yield from _engine(plan)
    yield from _provider(script, settings, work, plan)
    yield ''
    yield from snippet(Program(script, settings, work, plan, slug(title)))


def _safe(text: str) -> str:
    """Text that ends no comment."""
    return ' '.join(re.sub(r'[^\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd]', ' ', text).split())


def _notes(script: JobScript, settings: Settings, work: Work) -> Iterator[str]:
    lines = [
        *script.notes,
        *(f'line {line}: {words}' if line else words for line, words in sorted([*settings.notes, *work.notes], key=lambda note: note[0])),
        *_left(script, settings, work),
    ]
    if lines:
        yield '#'
        yield '# What is not taken over as it was:'
        yield from (f'#   {_safe(line)}' for line in lines)
    yield ''


def _left(script: JobScript, settings: Settings, work: Work) -> Iterator[str]:
    """Lines that are neither in the file nor in the program, by their reason; then any that nothing above speaks of."""
    reasons: dict[str, list[Line]] = {}
    for line, why in work.left:
        reasons.setdefault(why, []).append(line)
    for why, lines in sorted(reasons.items(), key=lambda reason: reason[1][0].number):
        shown = f' (`{lines[0].text}`)' if len(lines) == 1 and '\n' not in lines[0].text and len(lines[0].text) <= SHOWN else ''
        yield f'{spans(numbers_of(lines))}{shown}: {why}'
    told = {
        *(line for key, line in settings.lines.items() if key in settings.provider),
        *(each.line for each in settings.kept),
        *(line for line, _ in [*settings.notes, *work.notes]),
    }
    named = {each.line for each in script.directives if each.option in ('-N', 'job-name')}
    rest = {each.line for each in script.directives} - told - named
    in_body = {number for step in work.steps for number in step.lines}
    in_body.update(numbers_of([*work.setup, *work.begin, *work.end, *work.moved, *(line for line, _ in work.left)]))
    rest |= set(numbers_of(script.body)) - in_body
    if rest:
        yield f'{spans(rest)}: nothing in this file speaks of it'


def _row(indent: int, key: str, value: str, comment: str = '') -> str:
    text = f'{" " * indent}{key}: {value}'
    return f'{text:<35} # {_safe(comment)}' if comment else text


def _engine(plan: Plan) -> Iterator[str]:
    yield f'  type: {"MPIEngine" if plan.mpi else "HtexEngine"}'
    if plan.mpi:
        yield _row(2, 'mpi_launcher', plan.launcher)
        yield _row(2, 'max_workers_per_block', str(plan.workers), f'MPI applications at once in a block; {plan.why}')
    else:
        yield _row(2, 'max_workers_per_node', str(plan.workers), plan.why)
    if plan.masks:
        counted = plan.masks == [str(index) for index in range(len(plan.masks))]
        yield _row(
            2, 'available_accelerators', str(len(plan.masks)) if counted else json.dumps(plan.masks), 'worker 0 sees the first only, and so on'
        )
    if plan.bindings:
        yield _row(2, 'cpu_affinity', json.dumps('list:' + ':'.join(plan.bindings)), 'the CPUs of each worker')
    yield from (f'  # {_safe(hint)}' for hint in plan.hints)
    yield _row(2, 'max_retries_on_system_failure', '2', "a dead worker, node or job is not the task's fault")
    yield '  job_status_kwargs: {max_idletime: 300}   # s; an idle job ends after that'
    yield '  # Where compute nodes reach this host by another network than that of its default route:'
    yield '  # address: {type: address_by_interface, ifname: hsn0}'


def _provider(script: JobScript, settings: Settings, work: Work, plan: Plan) -> Iterator[str]:
    yield '  provider:'
    yield f'    type: {"PBSProProvider" if script.scheduler == "PBS" else "SlurmProvider"}'
    for key, value in {'nodes_per_block': 1, **settings.provider}.items():
        line = settings.lines.get(key)
        yield _row(4, key, scalar(value), f'line {line}' if line else 'not asked for' if key == 'exclusive' else '')
    yield _row(4, 'init_blocks', '0', 'a job is asked for when the first task is there')
    yield _row(4, 'max_blocks', '1', 'jobs at once, at most')
    if settings.kept:
        where = spans(directive.line for directive in settings.kept)
        yield from _text('scheduler_options', [directive.text for directive in settings.kept], f'{where}: directives that have no key of their own')
    on_node = plan.mpi or settings.nodes == 1
    init = sorted([*work.setup, *(work.begin if on_node else [])], key=lambda line: line.number)
    ended = work.end if on_node else []
    if init or ended:
        traps = [f'trap {shlex.quote("; ".join(line.text for line in ended))} EXIT'] if ended else []
        yield from _text('worker_init', [*(line.text for line in init), *traps], spans(numbers_of([*init, *ended])))
    yield from _launcher(script, settings, work, on_node)


def _text(key: str, lines: Sequence[str], comment: str) -> Iterator[str]:
    text = '\n'.join(lines)
    if re.search(r'[^\x20-\x7e\n\u00a0-\ud7ff\ue000-\ufffd]', text):
        yield _row(4, key, scalar(text + '\n'))
        return
    yield _row(4, key, '|', comment)
    yield from (f'      {line.strip()}' for line in text.split('\n'))


def _launcher(script: JobScript, settings: Settings, work: Work, on_node: bool) -> Iterator[str]:
    """What starts managers; with what starts and ends a service on each node."""
    if on_node:
        yield _row(4, 'launcher', '{type: SimpleLauncher}', 'what runs on one node of the block; for more, a launcher that starts a manager on each')
        return
    if script.scheduler == 'Slurm':
        kind, why = 'SrunLauncher', 'a manager on each node'
    elif 'system' in settings.provider or any(command.pals for command in work.commands):
        kind, why = 'PalsMpiexecLauncher', "a manager on each node, by Cray's mpiexec"
    else:
        kind, why = 'HydraLauncher', "a manager on each node, by MPICH's mpiexec"
    services = [(key, lines) for key, lines in (('node_init', work.begin), ('node_exit', work.end)) if lines]
    if not services:
        yield _row(4, 'launcher', f'{{type: {kind}}}', why)
        return
    yield '    launcher:'
    yield _row(6, 'type', kind, why)
    for key, lines in services:
        yield _row(6, key, scalar('\n'.join(line.text for line in lines)), spans(numbers_of(lines)))


def scalar(value: Any) -> str:
    """A value as YAML: bare where nothing can be mistaken, else in quotes."""
    if isinstance(value, bool | int):
        return json.dumps(value)
    text = str(value)
    bare = PLAIN.fullmatch(text) and text == text.strip() and ': ' not in f'{text} ' and text.lower() not in WORDS_OF_YAML
    if bare or re.fullmatch(r'\d+:[0-5]\d:[0-5]\d', text):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
