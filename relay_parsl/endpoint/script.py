"""The batch script that a pool's provider would submit, on any host."""

from __future__ import annotations

from dataclasses import replace

from relay_parsl.endpoint.spec import EngineSpec, Spec
from relay_parsl.engines.script import silent


def batch_script(spec: EngineSpec) -> str:
    """The text of the script for the pool's first block; '' for an engine without blocks, and for a provider without scripts.

    Nothing is submitted, no scheduler is asked and no network interface looked for. Words in capitals stand for what only a start knows, as
    `relay_parsl.engines.script` lists them.

    Raises:
        ConfigError: A constructor refuses its options.
    """
    engine = _indoors(spec.spec).build()
    render = getattr(engine, 'batch_script', None)
    return str(render(spec.label)) if render is not None else ''


def _indoors(spec: Spec) -> Spec:
    """The engine without its address, and with a provider that runs no command."""
    options = {key: value for key, value in spec.options.items() if key != 'address'}
    provider = options.get('provider')
    if isinstance(provider, Spec):
        options['provider'] = replace(provider, factory=silent(provider.factory))
    return replace(spec, options=options)
