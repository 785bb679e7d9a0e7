"""The batch script of a block, as text on any host: nothing is submitted, and no command of a scheduler runs.

What only a start knows stands there as a word in capitals: `ADDRESS` and `PORT` of the interchange, `RUN_DIR` of the engine, `PYTHON` for the
interpreter, `ENGINE` for the engine process that a block on its own host is tied to.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Callable, Mapping
from string import Template
from typing import Any, NoReturn, cast

from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider
from parsl.providers.base import ExecutionProvider
from parsl.providers.cluster_provider import ClusterProvider

from relay_parsl import interpreter
from relay_parsl.engines import launch, leash
from relay_parsl.errors import ConfigError
from relay_parsl.providers.batch import BatchProvider

ADDRESS, PORT, RUN_DIR, PYTHON, ENGINE = 'ADDRESS', 'PORT', 'RUN_DIR', 'PYTHON', 'ENGINE'

MOMENT = re.compile(r'(\.block-0)\.\d+\.\d+')
"""What Parsl's providers put behind the name of a job, so that no two are the same."""


def render(plan: Mapping[str, Any], kind: Callable[..., HighThroughputExecutor]) -> str:
    """The script that the plan's provider would submit for its first block; '' where it submits none.

    Args:
        plan: As for `launch.build`, without token and directory; its provider made with a class from `silent`.
        kind: The executor's class.

    Raises:
        ConfigError: `launch_cmd` has names in braces that HTEX does not know.
    """
    with tempfile.TemporaryDirectory() as directory:
        htex = launch.prepare({**plan, 'token': '', 'directory': directory}, kind)
        provider = cast('ExecutionProvider', htex.provider)
        text = submitted(provider, _command(htex), f'parsl.{htex.label}.block-0')
    for actual, word in {directory: RUN_DIR, shlex.join(interpreter.PYTHON): f'{PYTHON} -m', leash.identity(os.getpid()): ENGINE}.items():
        text = text.replace(actual, word)
    return MOMENT.sub(r'\1', text)


def _command(htex: HighThroughputExecutor) -> str:
    """A manager's command line, filled in by HTEX itself."""
    htex.all_addresses = {ADDRESS}
    vars(htex).update(worker_port=PORT, cert_dir=f'{htex.logdir}/certificates' if htex.encrypted else None, logconf_path=None)
    try:
        htex.initialize_scaling()
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(f'launch_cmd: HighThroughputExecutor cannot fill it in: {error!r}') from error
    return re.sub(' +', ' ', str(htex._get_launch_command('0'))).strip()


def submitted(provider: ExecutionProvider, command: str, job_name: str) -> str:
    """What a provider would submit for a command."""
    if isinstance(provider, BatchProvider):
        return provider.script(command, 1, job_name)
    if isinstance(provider, LocalProvider):
        launched = provider.launcher(command, 1, provider.nodes_per_block)
        return '\n'.join(part.strip('\n') for part in (str(provider.worker_init), launched) if part.strip()) + '\n'
    if not isinstance(provider, ClusterProvider):
        return ''
    try:
        provider.submit(command, 1, job_name)
    except _Written as written:
        return written.text
    return ''


class _Written(BaseException):
    """Carries a script away from a provider that is about to submit it; no provider catches it."""

    def __init__(self, text: str, command: str) -> None:
        super().__init__(text)
        self.text = f'{text.rstrip()}\n# submitted by: {" ".join(command.split())}\n'


def silent(factory: Callable[..., Any]) -> Callable[..., Any]:
    """A provider's class that asks no scheduler and submits nothing; ours and those without a scheduler are so already."""
    if not isinstance(factory, type) or not issubclass(factory, ClusterProvider) or issubclass(factory, BatchProvider):
        return factory
    return type(factory.__name__, (_Silent, factory), {})


class _Silent(ClusterProvider):
    """Goes in front of one of Parsl's, some of which ask their scheduler in the constructor already."""

    _text = ''

    def execute_wait(self, cmd: str, timeout: float | None = None) -> tuple[int, str, str]:
        del timeout
        if self._text:
            self._submitted(cmd)
        return 1, '', ''

    def _submitted(self, cmd: str) -> NoReturn:
        raise _Written(self._text, cmd)

    def _write_submit_script(self, template: str, script_filename: str, job_name: str, configs: Mapping[str, Any]) -> None:
        del script_filename
        self._text = self._text or Template(template).substitute(jobname=job_name, **configs)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Engines try whether their provider can be sent to another process: this one stays here."""
        return object, ()
