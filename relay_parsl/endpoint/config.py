"""An endpoint file as checked values, and what is built from it: an engine for the endpoint, or a `parsl.Config` for a plain Parsl script.

```
gpu.yaml ─► read_yaml ─► layout.tidy (keys) ─► _Reader (types, values) ─► checks (what must agree) ─► EndpointConfig ─► build_engine(pool)
                                                                                                                   └─► load_config: parsl.Config
```
Nothing is built, asked or resolved before all of the file is known to be right: a check may run on any host.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from parsl.addresses import address_by_route
from parsl.config import Config
from parsl.executors import ThreadPoolExecutor
from parsl.executors.base import ParslExecutor
from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost
from parsl.providers import LocalProvider

from relay_parsl.config import Located, Report, parse_yaml, read_yaml
from relay_parsl.endpoint import checks, layout, plugins
from relay_parsl.endpoint.files import find_file
from relay_parsl.endpoint.keys import STATUS, rule_for
from relay_parsl.endpoint.life import Life, read_life
from relay_parsl.endpoint.policy import FunctionPolicy, read_policy
from relay_parsl.endpoint.rules import anything, apply, ip, line, one_of, truth, whole
from relay_parsl.endpoint.spec import EngineSpec, Spec, plain_name, slug
from relay_parsl.endpoint.summary import PoolSummary, describe, summarize
from relay_parsl.endpoint.templates import TEMPLATE, Rendered, Template, read_template
from relay_parsl.endpoint.userpools import LIMIT, UserPools
from relay_parsl.engines.base import Engine
from relay_parsl.errors import ConfigError
from relay_parsl.home.recorder import MODES

logger = logging.getLogger(__name__)

DEFAULT_POOL = 'default'
"""The pool of this name runs the tasks that name none."""


@dataclass(frozen=True)
class EndpointConfig:
    """An endpoint file, checked.

    Attributes:
        display_name: What people see; '' where the file has none.
        pools: The engines by their pools' names; `{'': …}` for one `engine:`.
        function_policy: Which functions run.
        template: What its engine is made of for each value of `user_endpoint_config`; None for a file with engines.
        life: What is run before and after, and when it ends by itself.
        debug: Whether to log in detail.
        audit: `required`: what is not on record does not run; or `best-effort`.
        file: Where it was read.
        warnings: What is worth a word, a line each.
    """

    display_name: str = ''
    pools: dict[str, EngineSpec] = field(default_factory=dict)
    function_policy: FunctionPolicy = field(default_factory=FunctionPolicy)
    life: Life = field(default_factory=Life)
    template: Template | None = None
    debug: bool = False
    audit: str = 'best-effort'
    file: str = ''
    warnings: tuple[str, ...] = ()

    def build_engine(self, pool: str = '') -> Engine:
        """Make the engine of a pool, with its provider, launcher and address; nothing is started.

        Raises:
            ConfigError: There is no such pool, a constructor refuses, or this host lacks the network interface.
        """
        if pool not in self.pools:
            raise ConfigError(f'{self.file}: there is no pool {pool!r}; the file has {", ".join(map(repr, self.pools))}')
        built: Engine = self.pools[pool].spec.build()
        return built

    @property
    def default_pool(self) -> str:
        """The pool of tasks that name none: the one `engine:`, the one called `default`, else the first of the file."""
        return DEFAULT_POOL if DEFAULT_POOL in self.pools else next(iter(self.pools), '')

    def summary(self) -> list[PoolSummary]:
        """What each pool is: engine, provider, launcher, and which worker gets which accelerator and CPUs."""
        return [summarize(spec) for spec in self.pools.values()]


def load_endpoint_config(path: str | Path) -> EndpointConfig:
    """Read and check an endpoint file.

    Args:
        path: A file, or the name of a site configuration that is installed with us: `polaris/gpu`.

    Raises:
        ConfigError: The file cannot be read, or with every mistake in it, a line each: file, line, path, what is wrong, the remedy.
    """
    path = find_file(path)
    report = Report(str(path))
    if path.suffix == '.j2':
        return _checked(Located({'user_config_template_path': Located(path.name, '', 1)}, '', 1), report, path)
    return _checked(read_yaml(path, report), report, path)


def read_rendered(rendered: Rendered, template: Path) -> EndpointConfig:
    """Check a filled-in template as any endpoint file. Raises ConfigError with every mistake in it; lines are those of the filled-in text."""
    report = Report(f'{template.name}, filled in')
    root = parse_yaml(rendered.text, report)
    for key in layout.OF_THE_ENDPOINT:
        if key in root.value:
            report.error(root.value.pop(key), 'holds for the whole endpoint: write it into its endpoint file, not into the template')
    return _checked(root, report, template.with_suffix('.j2'))  # which makes no template of it again


def _checked(root: Located, report: Report, path: Path) -> EndpointConfig:
    layout.tidy(root, report)
    config = _Reader(report, path).config(root)
    checks.check_words(root, report)
    report.verdict()
    return EndpointConfig(**{**vars(config), 'warnings': tuple(map(str, report.warnings))})


class _Reader:
    """From a tidy tree to values, noting what is wrong with them."""

    def __init__(self, report: Report, path: Path) -> None:
        self.report, self.path = report, path

    def config(self, root: Located) -> EndpointConfig:
        display_name = self.optional(root, 'display_name', line) or ''
        name = display_name or self.path.stem
        template = self.template(root)
        return EndpointConfig(
            display_name=display_name,
            pools=self.pools(root, name) if template is None else {'': self.user_pools(root, name, template)},
            template=template,
            function_policy=read_policy(root, self.report),
            life=read_life(root, self.report),
            debug=self.optional(root, 'debug', truth) or False,
            audit=self.optional(root, 'audit', one_of(*MODES)) or 'best-effort',
            file=str(self.path),
        )

    def optional(self, node: Located, key: str, rule: Callable[[Located], Any]) -> Any:
        child = node.get(key)
        return None if child is None else apply(rule, child, self.report)

    def template(self, root: Located) -> Template | None:
        """The template that the file names, or that lies beside one without engines."""
        if not layout.is_template(root, self.path):
            return None
        paths = {}
        for key, usual in (('user_config_template_path', TEMPLATE), ('user_config_schema_path', '')):
            given = self.optional(root, key, line) or usual
            paths[key] = self.path.parent / Path(given).expanduser() if given else None
        for key in ('engine', *layout.POOL_NAMES):
            if (node := root.get(key)) is not None:
                self.report.error(node, 'stands beside a template; write the engine into the template')
        try:
            return read_template(paths['user_config_template_path'] or self.path, paths['user_config_schema_path'])
        except ConfigError as error:
            if self.path.suffix == '.j2':
                raise
            self.report.error(root.get('user_config_template_path') or root, str(error))
            return Template(self.path)

    def user_pools(self, root: Located, name: str, template: Template) -> EngineSpec:
        limit = self.optional(root, 'max_user_pools', whole(1, 1000)) or LIMIT
        options = {'template': template, 'read': partial(read_rendered, template=template.path), 'limit': limit}
        return EngineSpec('', slug(name), Spec('engine', 'UserPools', UserPools, options, str(template.path)))

    def pools(self, root: Located, name: str) -> dict[str, EngineSpec]:
        given = [key for key in ('engine', *layout.POOL_NAMES) if root.get(key) is not None]
        for key in given[1:]:
            self.report.error(root.value[key], f'stands beside `{given[0]}`; write all engines under `pools`')
        if not given:
            self.report.error(root, 'has no `engine`; write `engine:` and under it `type: HtexEngine`')
        if given and not root.value[given[0]].is_mapping:
            self.report.error(root.value[given[0]], 'must be a mapping, with a `type`')
            return {}
        pools = layout.pools_of(root)
        if given and given[0] != 'engine' and not pools:
            self.report.error(root.value[given[0]], f'is empty: write at least one engine, like `{given[0]}: {{default: {{type: HtexEngine}}}}`')
        found = {pool: self.engine(pool, node, name) for pool, node in pools.items() if node is not None}
        return {pool: spec for pool, spec in found.items() if spec is not None}

    def engine(self, pool: str, node: Located, name: str) -> EngineSpec | None:
        if not plain_name(pool) and (pool or node.path != 'engine'):
            self.report.error(node, 'the name of a pool has letters, digits, `-`, `_` and `.` only, 64 at most')
        spec = self.spec('engine', node)
        if spec is None:
            return None
        checks.check_engine(spec.name, node, spec.options, self.report)
        label = node.get('label')
        return EngineSpec(pool, slug(label.text if label is not None else f'{name}-{pool}' if pool else name), spec)

    def spec(self, kind: str, node: Located) -> Spec | None:
        """An object with a `type`; None where its class is not known. All of its values are looked at either way."""
        name, factory = self.type_of(kind, node)
        if factory is None or not node.is_mapping:
            for key in layout.NESTED:
                if (child := node.get(key)) is not None:
                    self.spec(key, child)
            return None
        options = self.options(kind, node, factory)
        if kind == 'provider':
            checks.check_provider(name, node, options, self.report)
        if kind == 'address':
            checks.check_address(name, node, options, self.report)
        return Spec(kind, name, factory, options, f'{self.report.file}:{node.line}: {node.path}')

    def type_of(self, kind: str, node: Located) -> tuple[str, Callable[..., Any] | None]:
        if not node.is_mapping:
            self.report.error(node, f'must be a mapping with a `type`, like `{{type: {_example(node, kind)}}}`')
            return '', None
        name = node.get('type')
        if name is None or not isinstance(name.value, str):
            self.report.error(name or node, f'needs `type: NAME`, one of {", ".join(plugins.names(kind))}')
            return '', plugins.guess(kind, '')
        try:
            return plugins.canonical(name.value) if kind == 'engine' else name.value, plugins.find(kind, name.value)
        except ConfigError as error:
            self.report.error(name, str(error))
            return name.value, plugins.guess(kind, name.value)

    def options(self, kind: str, node: Located, factory: Callable[..., Any]) -> dict[str, Any]:
        parameters = plugins.parameters(kind, factory)
        options: dict[str, Any] = {}
        for key, child in node.children():
            if key != 'type':
                value = self.value(kind, factory, parameters.get(key), key, child)
                options |= {} if value is None else {key: value}
        for key, parameter in parameters.items():
            if parameter.default is parameter.empty and node.get(key) is None:
                self.report.error(node, f'needs `{key}`')
        return options

    def value(self, kind: str, factory: Callable[..., Any], parameter: inspect.Parameter | None, key: str, child: Located) -> Any:
        if key == 'address' and isinstance(child.value, str):
            return apply(ip, child, self.report)
        if key in layout.NESTED:
            return self.spec(key, child)
        if key == 'job_status_kwargs':
            return self.status(child)
        if parameter is None:
            return anything(child)
        return apply(rule_for(kind, factory.__module__, parameter), child, self.report)

    def status(self, node: Located) -> dict[str, Any] | None:
        if not node.is_mapping:
            self.report.error(node, f'must be a mapping with {", ".join(STATUS)}')
            return None
        values = {key: apply(STATUS[key], child, self.report) for key, child in node.children() if key in STATUS}
        return {key: value for key, value in values.items() if value is not None}


def _example(node: Located, kind: str) -> str:
    return node.value if isinstance(node.value, str) and node.value in plugins.names(kind) else plugins.names(kind)[0]


def describe_config(config: EndpointConfig) -> str:
    """The file in words for `endpoint check`: its warnings, then each pool."""
    title = f'{config.file}: ' + (config.display_name or 'no display_name')
    policy = config.function_policy
    rights = 'runs any function of a trusted account' if policy.kind == 'any' else f'runs {len(policy.allowed)} functions, by {policy.kind}'
    default = [f'tasks that name no pool run in {config.default_pool}'] if len(config.pools) > 1 else []
    return '\n'.join([*config.warnings, f'{title}, {rights}', *map(describe, config.summary()), *default])


# --- the same file in a plain Parsl script -----------------------------------------------------------------------------------------------------


def load_config(path: str | Path) -> Config:
    """The Parsl configuration that an endpoint file means: an executor for each engine, with the file's provider and launcher.

    `max_retries_on_system_failure` becomes Parsl's `retries`, spent on lost workers and nodes only. An address of a network interface that this host
    lacks is looked up again at `parsl.load`, and fails there.

    Args:
        path: The endpoint file, or the name of a site configuration: `polaris/gpu`.

    Raises:
        ConfigError: As `load_endpoint_config`, and for what plain Parsl cannot do (containers, `ProcessPoolEngine`).
    """
    endpoint = load_endpoint_config(path)
    executors = [_executor(spec) for spec in endpoint.pools.values()]
    retries = max((spec.spec.options.get('max_retries_on_system_failure', 0) for spec in endpoint.pools.values()), default=0)
    more: dict[str, Any] = {'retries': retries, 'retry_handler': _system_failures_only} if retries else {}
    return Config(executors=executors, **_scaling(endpoint), **more)


def _system_failures_only(error: Exception, record: Any) -> float:
    """What one failure costs of `retries`: a lost worker or node one, the user's own exception all."""
    return 1.0 if isinstance(error, WorkerLost | ManagerLost) else float('inf')


def _scaling(endpoint: EndpointConfig) -> dict[str, Any]:
    """Parsl scales all executors by one strategy."""
    given = []
    for spec in endpoint.pools.values():
        options = spec.spec.options
        wish = {**({'strategy': options['strategy']} if 'strategy' in options else {}), **options.get('job_status_kwargs', {})}
        if wish and wish not in given:
            given.append(wish)
    if len(given) > 1:
        raise ConfigError(f'{endpoint.file}: plain Parsl has one strategy for all executors; give every pool the same `job_status_kwargs`')
    return given[0] if given else {}


OURS_ONLY = ('max_retries_on_system_failure', 'max_blocks_per_minute', 'job_status_kwargs', 'strategy', 'run_in_sandbox', 'label')
"""Options of our engines that stand elsewhere in Parsl, or change only where a function's files go."""


def _executor(spec: EngineSpec) -> ParslExecutor:
    executor = plugins.executor_class(spec.kind)
    if executor is None:
        raise ConfigError(f'{spec.spec.place}: plain Parsl has nothing like {spec.kind}; use `HtexEngine` with a `LocalProvider`')
    options = {key: value for key, value in spec.spec.options.items() if key not in OURS_ONLY}
    container = next((key for key in options if key.startswith('container_')), None)
    if container is not None:
        raise ConfigError(f'{spec.spec.place}.{container}: plain Parsl starts no containers; use an endpoint, or start them in `worker_init`')
    if spec.kind == 'ThreadPoolEngine':
        return ThreadPoolExecutor(label=spec.label, **({'max_threads': options['max_workers']} if 'max_workers' in options else {}))
    return _on_nodes(executor, spec, options)


def _on_nodes(executor: type[Any], spec: EngineSpec, options: dict[str, Any]) -> ParslExecutor:
    address = options.pop('address', None)
    if address is None:
        local = spec.provider is None or issubclass(cast('type[Any]', spec.provider.factory), LocalProvider)
        address = '127.0.0.1' if local else Spec('address', 'address_by_route', address_by_route, {}, f'{spec.spec.place}.address')
    if spec.kind == 'MPIEngine':  # as the engine has it: MPIExecutor alone takes the default provider's launcher ill, and does not encrypt
        options = {'encrypted': True, 'provider': cast('Any', spec.spec.factory).default_provider(), **options}
    factory: Callable[..., Any] = executor
    if isinstance(address, Spec):
        try:
            address = address.build()
        except ConfigError as error:
            logger.warning('%s', error)
            address, factory = 'not known on this host', type(executor.__name__, (_AddressAtStart, executor), {'where': address})
    made: ParslExecutor = Spec('engine', executor.__name__, factory, {**options, 'address': address, 'label': spec.label}, spec.spec.place).build()
    return made


class _AddressAtStart:
    """Goes in front of an HTEX whose address this host could not tell when the file was read: it is told at start, or start fails."""

    where: Spec

    def start(self) -> None:
        self.address = self.where.build()
        self.all_addresses = {self.address}
        super().start()  # type: ignore[misc]  # HighThroughputExecutor.start, by the order of bases
