"""What a value of an endpoint file must be: rules for single values, and which rule each key of an engine, provider or launcher has.

The tables at the end are needed because Parsl leaves most of it unchecked (PBSPro, Local, launchers: no types; affinity, strategies: no values)
and a mistake would show on the node, an hour later. A plug-in's own keys are held to the annotations of its constructor instead.
"""

from __future__ import annotations

import ipaddress
import re
import types
from collections.abc import Callable, Mapping
from functools import partial
from inspect import Parameter
from typing import Any, Union, get_args, get_origin

from relay_parsl.config import Located, Report, closest
from relay_parsl.errors import ConfigError
from relay_parsl.providers import options

Rule = Callable[[Located], Any]
"""Takes a value as it stands, returns it as it is to be used, raises `Invalid`."""


class Invalid(ValueError):
    """A value is not what its rule asks for; the text continues `engine.max_workers: …`."""


def shown(node: Located) -> str:
    """The value, for an error's text, cut to a readable length."""
    text = repr(node.plain)
    return text if len(text) <= 60 else f'{text[:57]}…'


def apply(rule: Rule, node: Located, report: Report) -> Any:
    """The value by its rule, or None where the rule refuses it, which is reported."""
    try:
        return rule(node)
    except Invalid as invalid:
        report.error(node, str(invalid))
        return None


def whole(low: int | None = 0, high: int | None = None) -> Rule:
    """A whole number within bounds."""
    bounds = f', {low} to {high}' if high is not None else '' if low is None else f', at least {low}'

    def rule(node: Located) -> int:
        value = node.value
        fits = isinstance(value, int) and not isinstance(value, bool) and (low is None or value >= low) and (high is None or value <= high)
        if not fits:
            raise Invalid(f'must be a whole number{bounds}; it is {shown(node)}')
        return int(value)

    return rule


def number(*, above: float | None = None, low: float = 0.0) -> Rule:
    """A number, at least `low` or, where it is given, greater than `above`."""

    def rule(node: Located) -> float:
        value = node.value
        fits = not isinstance(value, bool) and isinstance(value, int | float) and (value >= low if above is None else value > above)
        if not fits or value == float('inf'):
            raise Invalid(f'must be a number, {f"at least {low:g}" if above is None else f"more than {above:g}"}; it is {shown(node)}')
        return value  # type: ignore[no-any-return]  # checked in the lines above

    return rule


def truth(node: Located) -> bool:
    """True or false."""
    if not isinstance(node.value, bool):
        raise Invalid(f'must be true or false; it is {shown(node)}')
    return node.value


def text(node: Located) -> str:
    """Text, of any number of lines; a number is taken as it is written (accounts and queues may look like one)."""
    if isinstance(node.value, bool) or not isinstance(node.value, str | int | float):
        raise Invalid(f'must be text; it is {shown(node)}' + ('; put it into quotes' if isinstance(node.value, bool) else ''))
    return node.value if isinstance(node.value, str) else node.text


def line(node: Located) -> str:
    """Text of one line: it goes into a batch script or a command."""
    value = text(node)
    if not value.strip() or not value.isprintable():
        raise Invalid(f'must be one line of text; it is {shown(node)}')
    return value.strip()


def one_of(*words: str) -> Rule:
    """One of these words."""

    def rule(node: Located) -> str:
        if node.value not in words:
            near = closest(str(node.value), words)
            hint = f'; did you mean `{near}`?' if near else f'; use one of {", ".join(words)}'
            raise Invalid(f'{shown(node)} is not known{hint}')
        return str(node.value)

    return rule


def list_of(item: Rule) -> Rule:
    """A list, each item by its own rule."""

    def rule(node: Located) -> list[Any]:
        if not isinstance(node.value, list):
            raise Invalid(f'must be a list; it is {shown(node)}')
        return [item(child) for child in node.value]

    return rule


def anything(node: Located) -> Any:
    """Whatever stands there, as plain data."""
    return node.plain


def held(check: Callable[[str, Any], Any], first: Rule = line) -> Rule:
    """What a provider's constructor checks by this function, so that its mistakes, too, come with their line and all at once.

    Args:
        check: Takes a name and a value, returns the value as it is to be used, raises `ConfigError`.
        first: Looks at the value before.
    """

    def rule(node: Located) -> Any:
        try:
            return check('', first(node))
        except ConfigError as error:
            raise Invalid(str(error).removeprefix(': ')) from error

    return rule


# --- values of batch systems ---


def walltime(node: Located) -> str:
    """`HH:MM:SS`, whatever way it was written: `1:00:00`, `1-02:00:00` (days), or a number of seconds."""
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return _clock(value)
    match = re.fullmatch(r'(?:(\d+)-)?(\d+):([0-5]?\d):([0-5]?\d)', str(value))
    if match is None:
        short = isinstance(value, str) and re.fullmatch(r'\d+:\d\d', value)
        hint = f"; `{value}` is minutes and seconds to a scheduler: write '{value}:00' or '00:{value}'" if short else ''
        raise Invalid(f'must be a walltime like 01:30:00 (hours, minutes, seconds); it is {shown(node)}{hint}')
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total == 0:
        raise Invalid('a walltime of nothing: no job would ever run')
    return _clock(total)


def _clock(seconds: int) -> str:
    return f'{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}'


def filesystems(node: Located) -> str:
    """`home:eagle`, or a list of the names."""
    value = ':'.join(line(child) for child in node.value) if isinstance(node.value, list) else line(node)
    if not options.FILESYSTEMS.fullmatch(value):
        raise Invalid(f'must be names of filesystems, like home:eagle; it is {shown(node)}')
    return value


def place(node: Located) -> str:
    """How PBS places chunks."""
    value = line(node)
    if not options.PLACE.fullmatch(value):
        raise Invalid(f'must be as PBS has it, like scatter, scatter:excl or pack:shared; it is {shown(node)}')
    return value


def keep(node: Located) -> str:
    """Letters of PBS's `-k`."""
    value = line(node)
    if not options.KEEP.fullmatch(value):
        raise Invalid(f'must be letters of `doe` (d: write to their places while it runs, o: stdout, e: stderr) or `n`; it is {shown(node)}')
    return value


def ports(node: Located) -> tuple[int, int]:
    """A range of ports as a list of two: the first, and the one after the last."""
    pair = list_of(whole(1, 65_536))(node)
    if len(pair) != 2 or pair[0] >= pair[1]:
        raise Invalid(f'must be two ports, the smaller first, like [54000, 55000]; it is {shown(node)}')
    return pair[0], pair[1]


def accelerators(node: Located) -> int | list[str]:
    """How many accelerators a node has, or their names; numbers in a list become names."""
    if isinstance(node.value, list):
        names = [line(child) for child in node.value]
        if not names:
            raise Invalid('an empty list: no worker would start; leave the key out for workers without accelerators')
        return names
    if isinstance(node.value, str):
        count = node.value.isdigit()
        raise Invalid(f'must be a number or a list of names; {shown(node)} is text: ' + ('take the quotes away' if count else 'write a list'))
    return int(whole(0)(node))


AFFINITIES = ('none', 'block', 'block-reverse', 'alternating')


def affinity(node: Located) -> str:
    """How workers are bound to CPUs: a word, or `list:` with the CPUs of each worker (a YAML list of them serves, too)."""
    value = 'list:' + ':'.join(line(child) for child in node.value) if isinstance(node.value, list) else node.value
    if not isinstance(value, str) or not value.startswith('list:'):
        if value not in AFFINITIES:
            one_of(*AFFINITIES, 'list:0-7:8-15')(node)
        return str(value)
    value = re.sub(r'\s', '', value)
    for group in affinity_groups(value):
        if cpus(group) is None:
            raise Invalid(f'`{group}` is no list of CPUs; each worker has numbers and ranges, like 24-31,56-63')
    return value


def affinity_groups(value: str) -> list[str]:
    """The CPUs of each worker as `list:` names them; none where the value is a word."""
    return value.removeprefix('list:').split(':') if value.startswith('list:') else []


def cpus(group: str) -> list[int] | None:
    """`0-3,8` → [0, 1, 2, 3, 8]; None where it is no such list."""
    found: list[int] = []
    for part in group.split(','):
        match = re.fullmatch(r'(\d{1,6})(?:-(\d{1,6}))?', part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            return None
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return found


def ip(node: Located) -> str:
    """An IP address: HTEX builds its URLs from nothing else."""
    value = line(node)
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise Invalid(
            f'must be an IP address, or `type: address_by_interface` with `ifname:`; {shown(node)} is a host name '
            '(`type: address_by_hostname` looks up this host)'
        ) from None


# --- which rule a key has ---

STRATEGIES = ('none', 'simple', 'htex_auto_scale')
CONTAINERS = ('docker', 'podman', 'podman-hpc', 'apptainer', 'singularity', 'custom')

STATUS: dict[str, Rule] = {'strategy': one_of(*STRATEGIES), 'max_idletime': number(above=0), 'strategy_period': number(above=0)}

ENGINE: dict[str, Rule] = {
    'label': line,
    'max_workers': whole(1),
    'max_workers_per_node': whole(1),
    'max_workers_per_block': whole(1),
    'cores_per_worker': number(above=0),
    'mem_per_worker': number(above=0),
    'cpu_affinity': affinity,
    'available_accelerators': accelerators,
    'prefetch_capacity': whole(0),
    'max_retries_on_system_failure': whole(0, 1000),
    'max_blocks_per_minute': whole(1),
    'heartbeat_period': whole(1),
    'heartbeat_threshold': whole(1),
    'drain_period': whole(1),
    'poll_period': whole(1),
    'address_probe_timeout': whole(1),
    'loopback_address': ip,
    'worker_port': whole(1, 65_535),
    'worker_port_range': ports,
    'interchange_port_range': ports,
    'worker_debug': truth,
    'block_error_handler': truth,
    'encrypted': truth,
    'run_in_sandbox': truth,
    'working_dir': line,
    'worker_logdir_root': line,
    'launch_cmd': line,
    'interchange_launch_cmd': list_of(line),
    'mpi_launcher': one_of('mpiexec', 'srun', 'aprun'),
    'strategy': one_of(*STRATEGIES),
    'container_type': one_of(*CONTAINERS),
    'container_uri': line,
    'container_cmd_options': line,
}

PROVIDER: dict[str, Rule] = {
    'nodes_per_block': whole(1),
    'init_blocks': whole(0),
    'min_blocks': whole(0),
    'max_blocks': whole(1),
    'parallelism': number(low=0),
    'walltime': walltime,
    'cpus_per_node': whole(1),
    'cores_per_node': whole(1),
    'mem_per_node': whole(1),
    'gpus_per_node': whole(0),
    'cmd_timeout': whole(1),
    'status_batch_size': whole(1),
    'exclusive': truth,
    'filesystems': filesystems,
    'place': place,
    'keep': keep,
    'rerunnable': truth,
    'constraint': line,
    'regex_job_id': held(partial(options.expression, group='id')),
    **dict.fromkeys(('worker_init', 'scheduler_options'), held(options.lines, text)),
    **dict.fromkeys(('account', 'queue', 'partition', 'qos', 'clusters', 'gres', 'select_options', 'system', 'project'), held(options.word)),
}

LAUNCHER: dict[str, Rule] = {
    'debug': truth,
    'fail_on_any': truth,
    'cpus_per_task': whole(1),
    'depth': whole(1),
    'ppn': whole(1),
    'gpus_per_node': whole(0),
    'kill_on_bad_exit': whole(0, 1),
    **dict.fromkeys(('bash_location', 'bind_cmd', 'bind_to', 'cpu_bind', 'gpu_bind', 'bootstrap', 'bootstrap_exec', 'prepend'), line),
    **dict.fromkeys(('overrides', 'node_init', 'node_exit'), text),
}

ADDRESS: dict[str, Rule] = {'ifname': line, 'timeout': number(above=0)}

TABLES: dict[str, dict[str, Rule]] = {'engine': ENGINE, 'provider': PROVIDER, 'launcher': LAUNCHER, 'address': ADDRESS, 'manager_selector': {}}


def rule_for(kind: str, owner: str, parameter: Parameter) -> Rule:
    """The rule of one key: from our tables for Parsl's classes and our own (`owner` is the class's module), else from the annotation."""
    tables = TABLES[kind] if owner.startswith(('parsl.', 'relay_parsl.')) else {}
    return tables.get(parameter.name) or rule_of(parameter.annotation)


SIMPLE: Mapping[Any, Rule] = {bool: truth, int: whole(None), float: number(low=-float('inf')), str: text}


def rule_of(annotation: Any) -> Rule:
    """A rule from a constructor's annotation; whatever is not simple is left to the constructor."""
    if annotation in SIMPLE:
        return SIMPLE[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return either(*(rule_of(argument) for argument in arguments if argument is not type(None)))
    if origin is tuple and arguments == (int, int):
        return ports
    if origin is not None and arguments and isinstance(origin, type) and issubclass(origin, list):
        return list_of(rule_of(arguments[0]))
    return anything


def either(*choices: Rule) -> Rule:
    """What at least one of the rules takes."""

    def rule(node: Located) -> Any:
        said = []
        for choice in choices:
            try:
                return choice(node)
            except Invalid as invalid:  # noqa: PERF203  # two or three choices
                said.append(str(invalid))
        raise Invalid(' or '.join(said))

    return rule
