"""Which keys stand where in an endpoint file, and what to say about those that do not: the shape of the file without its values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from relay_parsl.config import Level, Located, Report, settle
from relay_parsl.endpoint import life, plugins
from relay_parsl.endpoint.keys import STATUS, TABLES
from relay_parsl.endpoint.templates import TEMPLATE

NESTED = ('provider', 'launcher', 'address', 'manager_selector')
"""Keys whose values are objects with a `type:` of their own, of the kind that is called so."""

TEMPLATES = ('user_config_template_path', 'user_config_schema_path', 'max_user_pools')
"""Keys of a file whose engine stands in a template."""

OF_THE_ENDPOINT = ('pools', 'engines', 'audit', 'function_policy', 'allowed_functions', *TEMPLATES)
"""Keys that hold for the whole endpoint, and so in no template, which is a user's to fill in."""

TOP = ('display_name', 'debug', 'audit', 'engine', 'pools', 'function_policy', 'allowed_functions', *life.KEYS, *TEMPLATES)

POOL_NAMES = ('pools', 'engines')
"""Two names for several engines in one file."""

IGNORED = {
    'amqp_port': 'there is no AMQP here; the one port to the relay stands in the invitation',
    'subscription_id': 'there is no subscription here',
    'environment': 'there is no service to choose; the relay was chosen by `relay-parsl join`',
    'local_compute_services': 'there is no service to choose; the relay was chosen by `relay-parsl join`',
    'heartbeat_threshold': 'the wire fixes it at 30 s; that of the nodes stands under `engine`',
    'mu_child_ep_grace_period_s': 'one endpoint is one process of one user here',
    'email': 'accounts are keys here',
}
"""Keys of Globus Compute that change nothing here: a warning each, and why."""

_SHARING = 'who may use an endpoint is decided by keys: its owner, and those with whom the owner shares it; remove this key'
_ONE_USER = 'an endpoint belongs to the user who starts it; each user configures an own one; remove this key'

REFUSED = {
    'authentication_policy': _SHARING,
    'admins': _SHARING,
    'public': _SHARING,
    'high_assurance': 'there is no such mode: every payload is sealed from client to endpoint, always; remove this key',
    'identity_mapping_config_path': _ONE_USER,
    'pam': _ONE_USER,
    'multi_user': _ONE_USER,
    'force_mu_allow_same_user': _ONE_USER,
    'audit_log_path': 'the audit log stands in the directory of the endpoint; remove this key',
    'paths': 'everything stands in ~/.relay_parsl/endpoints/NAME; to move it, set $RELAY_PARSL_HOME; remove this key',
    'detach_endpoint': 'say `relay-parsl endpoint start --detach`; remove this key',
    'executors': 'write one engine under `engine`, or several under `pools`',
    'scaling_enabled': 'write `strategy: none` under `engine.job_status_kwargs` to keep the number of blocks',
}
"""Keys of Globus Compute that would promise something which does not happen here."""

HARMLESS = {'high_assurance': False, 'public': False, 'multi_user': False, 'authentication_policy': None, 'local_compute_services': False}
"""Values that promise nothing: those keys then are warnings only."""

ADVICE = {
    'engine': {
        'executor': 'can be given in Python only; write its options here, under `engine`',
        'enable_mpi_mode': 'write `type: MPIEngine`',
        'mpi_launcher': 'is an option of `type: MPIEngine`',
        'max_workers': 'Parsl calls it `max_workers_per_node`',
        'worker_ports': 'has left Parsl, whose workers use one port; write `worker_port`',
        'allowed_serializers': 'not needed: with a `function_policy` other than `any` the endpoint takes JSON only; remove this key',
        'storage_access': 'has no form in a file; files are staged by the Parsl script',
        'remote_monitoring_radio': 'has no form in a file; remove this key',
    },
    'provider': {
        'channel': 'has left Parsl; remove this key',
        'move_files': 'has left Parsl; remove this key',
    },
}
ALWAYS = {'storage_access', 'remote_monitoring_radio'}
"""Keys that a Parsl class takes and a file cannot hold."""


def pools_of(root: Located) -> dict[str, Located | None]:
    """The engines of a file by the names of their pools: `engine:` alone is the pool ''. Under `pools:` a name may be empty, too: a mistake."""
    for key in POOL_NAMES:
        if (node := root.get(key)) is not None and node.is_mapping:
            return dict(node.children())
    return {'': root.get('engine')}


def is_template(root: Located, path: Path) -> bool:
    """Whether the engine of a file is a template: it names one, or has no engine and one lies beside it."""
    engines = any(root.get(key) is not None for key in ('engine', *POOL_NAMES))
    return any(root.get(key) is not None for key in TEMPLATES) or (not engines and (path.parent / TEMPLATE).is_file() and path.suffix != '.j2')


def tidy(root: Located, report: Report) -> None:
    """Report each key that is unknown or misplaced, each that is ignored or refused, and bring the tree into its right shape."""
    several = any(key in root.value for key in POOL_NAMES)
    for key, text in {**IGNORED, **REFUSED}.items():
        if key in root.value:
            child = root.value.pop(key)
            harmless = key in IGNORED or child.value is None or (key in HARMLESS and child.value == HARMLESS[key])
            (report.warn if harmless else report.error)(child, f'ignored: {text}' if key in IGNORED else text)
    top = Level('', root, (*TOP, *POOL_NAMES))
    if several:
        settle(lambda: [top, *_hints(root)], report)
    for name, node in pools_of(root).items():
        _tidy_pool(f'pools.{name}' if several else 'engine', name, [] if several else [top], root, node, report)


def _hints(root: Located) -> list[Level]:
    """Where keys would belong that stand at the top of a file with several pools: one cannot know in which."""
    first = next((node for node in pools_of(root).values() if node is not None and node.is_mapping), None)
    return [Level(level.path, None, level.keys) for level in engine_levels('pools.NAME', first)]


def _tidy_pool(path: str, name: str, above: list[Level], root: Located, node: Located | None, report: Report) -> None:
    def levels() -> Sequence[Level]:
        return [*above, *engine_levels(path, node if name else root.get('engine'))]

    settle(levels, report)


def engine_levels(path: str, engine: Located | None) -> list[Level]:
    """The levels of one engine as its `type`s now stand."""
    levels = [_level('engine', path, engine)]
    for kind in [key for key in NESTED if key != 'launcher' and key in levels[0].keys]:
        nested = engine.get(kind) if engine is not None else None
        levels.append(_level(kind, f'{path}.{kind}', nested))
        if kind == 'provider' and 'launcher' in levels[-1].keys:
            levels.append(_level('launcher', f'{path}.provider.launcher', nested.get('launcher') if nested is not None else None))
    if 'job_status_kwargs' in levels[0].keys:
        levels.append(Level(f'{path}.job_status_kwargs', engine.get('job_status_kwargs') if engine is not None else None, tuple(STATUS)))
    return levels


def _level(kind: str, path: str, node: Located | None) -> Level:
    found = class_of(kind, node)
    if found is None:
        keys: Collection[str] = {'type', *TABLES[kind], *_usual(kind)}
        return Level(path, node, keys, open=True)
    keys = {'type', *found} - ALWAYS
    advice: Mapping[str, str] = {key: text for key, text in ADVICE.get(kind, {}).items() if key not in keys}
    return Level(path, node, keys, advice, open=OPEN in found)


OPEN = '**'
"""Stands among the keys of a class that takes options of any name."""


def _usual(kind: str) -> tuple[str, ...]:
    return {'engine': ('provider', 'address', 'manager_selector', 'job_status_kwargs'), 'provider': ('launcher',)}.get(kind, ())


def class_of(kind: str, node: Located | None) -> set[str] | None:
    """The keys that the class of this node takes; None while there is no class that is known."""
    name = node.get('type') if node is not None else None
    if name is None or not isinstance(name.value, str):
        found = plugins.guess(kind, '') if node is not None and node.is_mapping else None
    else:
        found = plugins.guess(kind, name.value)
    if found is None:
        return None
    keys = set(plugins.parameters(kind, found))
    return keys | {OPEN} if plugins.passes_on(found) and not plugins.is_ours(found) else keys
