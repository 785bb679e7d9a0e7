"""`Executor`: `concurrent.futures` for endpoints that this process cannot reach, by way of a relay."""

from __future__ import annotations

import concurrent.futures
import os
import time
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from relay_parsl.client import defaults, hardware
from relay_parsl.client.functions import Library
from relay_parsl.client.futures import TaskFuture
from relay_parsl.client.orders import EXPIRES, PLAIN, Function, Functions, Options, Order, arguments_of, as_function, as_id, new_id
from relay_parsl.client.session import ANSWER, Session
from relay_parsl.client.submitting import Request, Submitter, plain, specified
from relay_parsl.client.trust import judge, question
from relay_parsl.errors import ConfigError, RelayError
from relay_parsl.wire import payload
from relay_parsl.wire.codec import pack
from relay_parsl.wire.messages import INLINE, Id

PICKLE, SAFE = 'cloudpickle', 'json'
"""Serializers of arguments: the default, and the one for what is imported by name."""
FUNCTIONS = Functions()
"""What this process has serialized, shared by its executors."""
_groups: dict[int, str] = {}
"""The task group of this process, under its number: a child of `fork` has one of its own."""


class Executor(Submitter):
    """Runs functions on an endpoint, by way of a relay; a script for `globus_compute_sdk.Executor` runs as it is.

    Each setting may be changed between two submits and counts for the tasks that come after. After Ctrl-C its `with` block does not wait:
    what the relay has taken runs on, and `reload_tasks` finds it.

    Args:
        endpoint_id: an endpoint's name or UUID. None: to be set later, or the only one of `relay_parsl.local`.
        client: of the cloud, as are the next ones marked so: they warn and do nothing.
        task_group_id: a UUID under which `reload_tasks` finds these tasks again; by default one for each process.
        resource_specification: for the engine, as in Parsl; `pool` names one of the endpoint's engines.
        user_endpoint_config: what an endpoint whose file is a template fills in.
        label: for people.
        batch_size: of the cloud.
        amqp_port: of the cloud.
        api_burst_limit: of the cloud.
        api_burst_window_s: of the cloud.
        serializer: of arguments: `cloudpickle`, `json`, or one of your own. By default `json` for importable names and `cloudpickle` for all else.
            Endpoints whose function policy is not `any` take `json` only.
        result_serializers: what the worker tries in turn for the result.
        relay: a name, a URL, or what `relay_parsl.local` yields; by default `$RELAY_PARSL_RELAY`, or the only one that was joined.
        credentials: a path or an account's name; by default `$RELAY_PARSL_CREDENTIALS`, or the relay's.
    """

    def __init__(  # noqa: PLR0913, PLR0917  the parameters of globus_compute_sdk 4.19, in their order
        self,
        endpoint_id: uuid.UUID | str | None = None,
        client: Any = None,
        task_group_id: uuid.UUID | str | None = None,
        resource_specification: Mapping[str, Any] | None = None,
        user_endpoint_config: Mapping[str, Any] | None = None,
        label: str = '',
        batch_size: int | None = None,
        amqp_port: int | None = None,
        api_burst_limit: int | None = None,
        api_burst_window_s: int | None = None,
        serializer: Any = None,
        result_serializers: Sequence[Any] | None = None,
        *,
        relay: Any = None,
        credentials: str | None = None,
    ) -> None:
        """Connect in the background.

        Raises:
            ConfigError: no relay or several fit, or an argument is wrong; says which and what to do.
            HomeError: keys on disk cannot be used.
        """
        _warn(client=client, batch_size=batch_size, amqp_port=amqp_port, api_burst_limit=api_burst_limit, api_burst_window_s=api_burst_window_s)
        self.label = label
        self.endpoint_id = endpoint_id
        self.task_group_id = task_group_id
        self.resource_specification = resource_specification
        self.user_endpoint_config = user_endpoint_config
        self.serializer = serializer
        self.result_serializers = result_serializers
        self.target = defaults.choose(relay, credentials, endpoint=self.endpoint_id or '')
        self.endpoint_id = self.endpoint_id or self.target.endpoint or None
        self.task_count_submitted = 0
        self.library = Library(self.target)
        self._shut = False
        self._connect()

    def __repr__(self) -> str:
        return f'<Executor {self.label or self.endpoint_id} at relay {self.target.relay.name}>'

    # -- Settings ---------------------------------------------------------------------------------------------------

    @property
    def endpoint_id(self) -> str | None:
        """The endpoint's name or UUID."""
        return self._endpoint_id

    @endpoint_id.setter
    def endpoint_id(self, value: uuid.UUID | str | None) -> None:
        self._endpoint_id = None if value is None else str(value)

    @property
    def task_group_id(self) -> str:
        """The UUID under which `reload_tasks` finds these tasks again."""
        return str(uuid.UUID(bytes=bytes(self._group)))

    @task_group_id.setter
    def task_group_id(self, value: uuid.UUID | str | None) -> None:
        try:
            self._group = as_id(value or _groups.setdefault(os.getpid(), str(uuid.uuid4())))
        except ValueError:
            raise ConfigError(f'task_group_id is a UUID, not {value!r}') from None

    @property
    def resource_specification(self) -> Mapping[str, Any] | None:
        """For the engine, and `pool`, which names one of the endpoint's engines; copied into each task."""
        return self._resource_specification

    @resource_specification.setter
    def resource_specification(self, value: Mapping[str, Any] | None) -> None:
        specified(value)
        self._resource_specification = value

    @property
    def user_endpoint_config(self) -> Mapping[str, Any] | None:
        """What an endpoint whose file is a template fills in; copied into each task."""
        return self._user_endpoint_config

    @user_endpoint_config.setter
    def user_endpoint_config(self, value: Mapping[str, Any] | None) -> None:
        plain('user_endpoint_config', value)
        self._user_endpoint_config = value

    @property
    def serializer(self) -> str:
        """The name of the arguments' serializer, for what is no importable name if none was chosen."""
        return self._serializer or PICKLE

    @serializer.setter
    def serializer(self, value: Any) -> None:
        self._serializer = None if value is None else payload.serializer_name(value)

    @property
    def result_serializers(self) -> list[str] | None:
        """The names of what the worker tries in turn for the result; None leaves it to the endpoint."""
        return None if self._result_serializers is None else list(self._result_serializers)

    @result_serializers.setter
    def result_serializers(self, value: Sequence[Any] | None) -> None:
        self._result_serializers = None if value is None else tuple(payload.serializer_name(each) for each in value)

    @property
    def options(self) -> Options:
        """What each task is given, as the settings stand."""
        if not (self._resource_specification or self._user_endpoint_config):
            return PLAIN
        return Options(resource_specification=self._resource_specification, user_endpoint_config=self._user_endpoint_config)

    # -- Tasks ------------------------------------------------------------------------------------------------------

    def send(self, request: Request) -> TaskFuture:
        """What `submit` does. Raises RuntimeError after `shutdown`, ValueError without an endpoint."""
        session = self.session
        endpoint = request.endpoint or self._endpoint_id
        if self._shut:
            raise RuntimeError('cannot schedule new futures after shutdown')
        if not endpoint:
            raise ValueError('no endpoint_id: set it to the name or UUID of an endpoint')
        known = session.board.futures.get(request.task_id) if request.task_id is not None else None
        if known is not None:
            return known
        future = TaskFuture(request.task_id or new_id(), session, self)
        try:
            order = self._order(session, future.id, endpoint, request)
        except (RelayError, OSError) as error:
            future.fail(error)
            return future
        self.task_count_submitted += 1
        session.submit(order, future)
        return future

    def _order(self, session: Session, task_id: Id, endpoint: str, request: Request) -> Order:
        options, sealed = request.options, self._sealed(request.options)
        function = self._function(request.function)
        room = INLINE - (len(pack(sealed)) if sealed else 0)
        serializer = self._serializer_for(function)
        arguments, key, length = arguments_of(session.spool, task_id, (request.args, request.kwargs), serializer, room)
        group, expires = request.group or self._group, request.expires or time.time() + EXPIRES
        return Order(task_id, group, endpoint, function, arguments, key, length, serializer, options, sealed, expires)

    def _function(self, function: Callable[..., Any] | Function | str) -> Function:
        if isinstance(function, str):
            return self.library.get(function, self.session)
        return function if isinstance(function, Function) else FUNCTIONS.get(function)

    def _serializer_for(self, function: Function) -> str:
        """Where functions are imported by name, only JSON may be allowed."""
        return self._serializer or (SAFE if function.info.how == 'import' else PICKLE)

    def check(self, fn: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> None:
        """Have a call make its way into bytes and out of them in this process, with this executor's serializer; nothing is sent.

        Args:
            fn: what `submit` takes, or `submit_to_registered_function`.
            args: its arguments.
            kwargs: its arguments.

        Raises:
            SerializationError: names what fails: the function, what it refers to, or the argument.
            NotFound: nothing was registered under this id.
        """
        function = self._function(fn)
        payload.check(function.blob, args, kwargs, self._serializer_for(function))

    def _sealed(self, options: Options) -> dict[str, Any]:
        sealed = options.sealed()
        if sealed:
            for name in sealed.keys() & {'resource_specification', 'user_endpoint_config'}:
                sealed[name] = plain(name, sealed[name])
        if self._result_serializers is not None:
            sealed['result_serializers'] = list(self._result_serializers)
        return sealed

    def register_function(self, fn: Callable[..., Any] | str, function_id: str | None = None) -> str:
        """Have the relay keep the function, sealed to this account; the UUID under which `submit_to_registered_function` runs it.

        Later processes of the account may do so too, on any machine. Waits for the relay.

        Args:
            fn: a function, or the importable name of one that the endpoint has, `package.module:function`; nothing is imported here.
            function_id: its UUID, where that is known already.

        Raises:
            SerializationError: it cannot be serialized, or is no importable name.
            RelayUnavailable: the relay did not answer.
            AccessDenied, ConfigError, StoreError: it refused: role, size or quota, a full disk.
            ValueError: `function_id` is given and is not the one that follows from the function.
        """
        function = as_function(payload.dump_importable(fn)) if isinstance(fn, str) else FUNCTIONS.get(fn)
        found = self.library.add(function, self.session)
        if function_id is not None and function_id != found:
            raise ValueError(f'the id of this function is {found}: ids follow from the bytes here and cannot be chosen')
        return found

    def register_source_code(self, source: str, function_name: str) -> str:
        """As `register_function`, for the function of that name in source text: it runs under any Python. Raises what that raises."""
        return self.library.add(as_function(payload.dump_source(source, function_name)), self.session)

    def reload_tasks(self, task_group_id: uuid.UUID | str | None = None, *, task_ids: Iterable[uuid.UUID | str] | None = None) -> list[TaskFuture]:
        """Futures of tasks that another process of this account submitted, on whatever machine; also of those that are done.

        Args:
            task_group_id: all tasks of this group; by default the executor's.
            task_ids: these tasks instead.

        Raises:
            RuntimeError: after `shutdown`.
            RelayUnavailable: the relay did not answer.
        """
        session = self.session
        if self._shut:
            raise RuntimeError('cannot reload tasks after shutdown')
        if task_ids is not None:
            ids = [as_id(each) for each in task_ids]
        else:
            group = self._group if task_group_id is None else as_id(task_group_id)
            ids = [as_id(row['id']) for row in session.list('tasks', {'group': group})]
        known = {each: session.board.futures.get(each) for each in ids}
        futures = [known[each] or TaskFuture(each, session, self) for each in ids]
        session.follow([each for each in futures if known[each.id] is None])
        return futures

    def find_endpoint(self, reference: str, timeout: float = ANSWER) -> str:
        """The UUID of an endpoint that this account may use, by its name or UUID. Waits for the relay, `timeout` seconds at most.

        Raises:
            NotFound: there is none, as far as this account may know.
            SealError: what the relay shows under this name or id is not what is known under it.
            RelayUnavailable: the relay did not answer.
        """
        home, me = self.target.home, self.target.credentials
        wanted = question(home, reference)
        return str(uuid.UUID(bytes=bytes(judge(home, me, reference, self.session.list('cards', wanted, timeout)).card.id)))

    def get_worker_hardware_details(self) -> str:
        """What one of the endpoint's workers tells of its machine. Waits for it."""
        function = as_function(payload.dump_source(hardware.SOURCE, hardware.NAME))
        return str(self.send(Request(function, (), {}, self.options)).result())

    def outstanding(self) -> int:
        """How many futures are not done."""
        return len(self._mine())

    # -- The end ----------------------------------------------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the relay has every task of this executor on disk.

        Args:
            timeout: seconds; None waits for as long as it takes.

        Raises:
            TimeoutError: says how many it has not, and why, as far as that is known.
        """
        left = self.session.board.wait_accepted(self._mine(), timeout)
        if left:
            why = next(filter(None, [each.why_unsent for each in left]), '') or self.session.trouble(timeout or 0.0)
            text = f'{len(left)} tasks were not accepted by relay {self.target.relay.name!r} within {timeout:g} s'
            raise TimeoutError(f'{text}: {why}' if why else text)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks. What was submitted goes on, and with `wait` its futures are waited for.

        Args:
            wait: until all futures are done.
            cancel_futures: cancel those that are not done.
        """
        self._shut = True
        mine = self._mine()
        if cancel_futures:
            for future in mine:
                future.cancel()
        try:
            if wait:
                concurrent.futures.wait(mine)
        finally:  # also after a Ctrl-C meanwhile
            self._release()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """`shutdown`. After Ctrl-C it waits for nothing: the tasks are the relay's, and `reload_tasks` finds them."""
        self.shutdown(wait=not isinstance(error, KeyboardInterrupt))

    @property
    def session(self) -> Session:
        """This process's session with the relay; a child of `fork` gets its own."""
        if not self._session.usable and not self._shut:
            self._connect()
        return self._session

    def _connect(self) -> None:
        self._session = Session.shared(self.target)
        self._release = weakref.finalize(self, self._session.release)
        self._release.atexit = False  # the session flushes at exit by itself

    def _mine(self) -> list[TaskFuture]:
        return [each for each in list(self._session.board.futures.values()) if each.owner is self and not each.done()]


def _warn(**cloud: Any) -> None:
    given = [name for name, value in cloud.items() if value is not None]
    if given:
        warnings.warn(f'{", ".join(given)}: settings of a cloud service that is not there; nothing is done with them', UserWarning, stacklevel=3)
