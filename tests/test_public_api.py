"""What `import relay_parsl as rp` gives, and what every error must be able to do."""

from __future__ import annotations

import concurrent.futures
import inspect
import pickle
import subprocess
import sys

import pytest

import relay_parsl as rp
from relay_parsl import errors

NAMES = {
    *('Executor', 'TaskFuture', 'Client', 'RelayExecutor', 'local', 'load_config', 'errors', 'RelayError', '__version__'),
    *('ShellFunction', 'ShellResult', 'MPIFunction'),
    'flows',
}
ERRORS = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.RelayError)]


def test_the_names_are_these() -> None:
    assert set(rp.__all__) == NAMES
    assert set(dir(rp)) >= NAMES


@pytest.mark.parametrize('name', sorted(NAMES))
def test_each_name_is_there_and_documented(name: str) -> None:
    value = getattr(rp, name)
    assert value is getattr(rp, name)
    assert isinstance(value, str) or inspect.getdoc(value)


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match='nonesuch'):
        rp.nonesuch  # noqa: B018  the look-up is the test


def test_the_executor_and_its_futures_are_real_ones() -> None:
    assert issubclass(rp.Executor, concurrent.futures.Executor)
    assert issubclass(rp.TaskFuture, concurrent.futures.Future)


def test_local_can_be_called_whoever_imported_its_module_first() -> None:
    code = 'import relay_parsl.local; import relay_parsl as rp; assert callable(rp.local); assert rp.local(workers=3).endpoints == ("local",)'
    subprocess.run([sys.executable, '-c', code], check=True)


def test_importing_the_package_loads_no_party() -> None:
    code = 'import sys, relay_parsl; print([name for name in ("parsl", "zmq", "cryptography", "rich", "click") if name in sys.modules])'
    assert subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout.strip() == '[]'


@pytest.mark.parametrize('module', ['relay_parsl.relay.server', 'relay_parsl.client.executor', 'relay_parsl.cli.main'])
def test_only_parties_that_need_parsl_load_it(module: str) -> None:
    code = f'import sys, {module}; print("parsl" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout.strip() == 'False'


def test_an_executor_without_a_relay_has_somewhere_to_run() -> None:
    from relay_parsl.client import defaults

    assert rp.Executor is not None
    assert callable(defaults.embedded)


def test_there_is_one_root() -> None:
    assert all(issubclass(error, errors.RelayError) for error in ERRORS)
    assert len(ERRORS) > 20


@pytest.mark.parametrize('error', ERRORS, ids=lambda error: error.__name__)
def test_every_error_pickles_and_says_what_it_is(error: type[errors.RelayError]) -> None:
    made = error('what', 7)
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is error
    assert again.args == ('what', 7)
    assert error.__doc__


@pytest.mark.parametrize('error', ERRORS, ids=lambda error: error.__name__)
def test_the_tree_in_the_docstring_is_complete(error: type[errors.RelayError]) -> None:
    assert error.__name__ in (errors.__doc__ or '')


def test_errors_are_also_what_the_standard_library_would_raise() -> None:
    assert issubclass(errors.TaskCancelled, concurrent.futures.CancelledError)
    assert issubclass(errors.TaskTimeout, TimeoutError)
    assert issubclass(errors.RemoteExit, Exception)
