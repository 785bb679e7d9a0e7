"""`Client`: tasks by their ids instead of futures, and what there is to know of endpoints; in the words of `globus_compute_sdk`."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import wait
from typing import Any

from relay_parsl.client import hardware
from relay_parsl.client.batch import Batch
from relay_parsl.client.executor import Executor
from relay_parsl.client.futures import TaskFuture
from relay_parsl.client.orders import Function, Options, as_function, as_id
from relay_parsl.client.submitting import Request, plain, specified
from relay_parsl.client.trust import judge, question
from relay_parsl.errors import NotFound, RelayUnavailable, TaskPending
from relay_parsl.wire import payload
from relay_parsl.wire.messages import Id, State

ENDED = frozenset(each.value for each in (State.SUCCESS, State.FAILED, State.CANCELLED, State.EXPIRED))
KEPT = 10_000
"""Futures of one's own tasks that are held."""
FETCH = 60.0
"""Seconds that the result of a finished task may take to arrive."""


class Client:
    """One account's view of its relay. Thread-safe."""

    def __init__(self, *ignored: Any, relay: Any = None, credentials: str | None = None, **cloud: Any) -> None:
        """Connect in the background.

        Args:
            ignored: settings of the cloud service; a warning, no more.
            relay: as for `Executor`.
            credentials: as for `Executor`.
            cloud: settings of the cloud service by name; a warning, no more.

        Raises:
            ConfigError: as for `Executor`.
            HomeError: as for `Executor`.
        """
        _warn(ignored, cloud)
        self._executor = Executor(relay=relay, credentials=credentials)
        self._futures: dict[str, TaskFuture] = {}

    def __enter__(self) -> Client:
        """The client itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """`close`."""
        self.close()

    def close(self) -> None:
        """Let the session go; tasks go on."""
        self._executor.shutdown(wait=False)

    # -- Functions --------------------------------------------------------------------------------------------------

    def register_function(self, function: Callable[..., Any] | str, *ignored: Any, **cloud: Any) -> str:
        """Have the relay keep the function, sealed to this account; its UUID. Descriptions and groups of the cloud service warn.

        A string is an importable name, as for `Executor.register_function`.

        Raises:
            SerializationError: it cannot be serialized.
            RelayUnavailable: the relay did not answer.
            AccessDenied, ConfigError, StoreError: it refused: role, size or quota, a full disk.
        """
        _warn(ignored, cloud)
        return self._executor.register_function(function)

    def register_source_code(self, source: str, function_name: str, *ignored: Any, **cloud: Any) -> str:
        """As `register_function`, for the function of that name in source text. Raises what that raises."""
        _warn(ignored, cloud)
        return self._executor.register_source_code(source, function_name)

    def get_function(self, function_id: str) -> dict[str, Any]:
        """What is known of a registered function. Raises NotFound, RelayUnavailable."""
        function = self._function(function_id)
        return {'function_uuid': function.id, 'function_name': function.info.name, 'how': function.info.how, 'python': function.info.python}

    def get_functions(self) -> list[dict[str, Any]]:
        """What this account has registered: `function_uuid`, `size` (bytes, sealed), `registered` (seconds since 1970). Raises RelayUnavailable."""
        rows = self._executor.library.rows(self._executor.session)
        return [{'function_uuid': str(uuid.UUID(bytes=row['id'])), 'size': row['size'], 'registered': row['registered']} for row in rows]

    def delete_function(self, function_id: str) -> None:
        """Forget a registered function; other machines that have used it may keep their copies. Raises NotFound, RelayUnavailable."""
        self._executor.library.remove(str(function_id), self._executor.session)

    def _function(self, function_id: uuid.UUID | str) -> Function:
        return self._executor.library.get(str(function_id), self._executor.session)

    # -- Tasks ------------------------------------------------------------------------------------------------------

    def run(self, *args: Any, endpoint_id: uuid.UUID | str, function_id: str, **kwargs: Any) -> str:
        """Run a registered function, or one that the endpoint can import (`package.module:function`); the task's id. Raises NotFound."""
        return self._run(self._function(function_id), args, kwargs, str(endpoint_id), self._executor.options)

    def create_batch(
        self,
        task_group_id: uuid.UUID | str | None = None,
        resource_specification: Mapping[str, Any] | None = None,
        user_endpoint_config: Mapping[str, Any] | None = None,
        **cloud: Any,
    ) -> Batch:
        """An empty batch; `add` calls to it. Raises ConfigError for options that cannot be sent."""
        _warn((), cloud)
        options = Options(
            resource_specification=specified(resource_specification),
            user_endpoint_config=plain('user_endpoint_config', user_endpoint_config),
        )
        return Batch(None if task_group_id is None else str(task_group_id), options)

    def batch_run(self, endpoint_id: uuid.UUID | str, batch: Batch) -> dict[str, Any]:
        """Run all calls of a batch: `tasks` (ids by function), `task_group_id`, `endpoint_id`. Raises NotFound for an unknown function."""
        functions = [self._function(function_id) for function_id, _, _ in batch.calls]
        tasks: dict[str, list[str]] = {}
        for function, (function_id, args, kwargs) in zip(functions, batch.calls):
            task_id = self._run(function, args, kwargs, str(endpoint_id), batch.options, batch.task_group_id)
            tasks.setdefault(function_id, []).append(task_id)
        group = batch.task_group_id or self._executor.task_group_id
        return {'tasks': tasks, 'request_id': str(uuid.uuid4()), 'task_group_id': group, 'endpoint_id': str(endpoint_id)}

    def _run(
        self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], endpoint: str, options: Options, group: str | None = None
    ) -> str:
        future = self._executor.send(Request(function, args, kwargs, options, endpoint, None if group is None else as_id(group)))
        task_id = future.task_id
        self._futures[task_id] = future
        if len(self._futures) > KEPT:  # results stay at the relay: one that is asked for later is fetched again
            oldest = next((each for each, held in list(self._futures.items()) if held.done()), None)
            self._futures.pop(oldest or '', None)
        return task_id

    def get_task(self, task_id: uuid.UUID | str) -> dict[str, Any]:
        """Where a task stands: `task_id`, `status`, `pending`, and once it is done `result` or `exception`. Raises NotFound, RelayUnavailable."""
        future = self._futures.get(str(task_id))
        status = future.state() if future is not None else self._state(str(task_id))
        row: dict[str, Any] = {'task_id': str(task_id), 'status': status, 'pending': status not in ENDED}
        return row if row['pending'] else {**row, **self._outcome(str(task_id))}

    def get_result(self, task_id: uuid.UUID | str) -> Any:
        """The result, or the task's own exception is raised.

        Raises:
            TaskPending: there is none yet.
            NotFound: the relay knows no such task of this account.
            RelayUnavailable: it did not answer.
        """
        task = self.get_task(task_id)
        if task['pending']:
            raise TaskPending(task['status'])
        if 'exception' in task:
            raise task['exception']
        return task['result']

    def get_batch_result(self, task_ids: Iterable[uuid.UUID | str]) -> dict[str, dict[str, Any]]:
        """`get_task` of each, by id. Raises NotFound, RelayUnavailable."""
        return {str(task_id): self.get_task(task_id) for task_id in task_ids}

    def cancel_task(self, task_id: uuid.UUID | str) -> bool:
        """Have a task ended; False when it is done already. Raises NotFound, RelayUnavailable."""
        future = self._futures.get(str(task_id))
        if future is None:
            if self._state(str(task_id)) in ENDED:
                return False
            future = self._follow(str(task_id))
        return future.cancel()

    def _state(self, task_id: str) -> str:
        rows = self._executor.session.list('tasks', {'id': as_id(task_id)})
        if not rows:
            raise NotFound(f'the relay knows no task {task_id} of this account')
        return str(rows[0]['state'])

    def _follow(self, task_id: str) -> TaskFuture:
        if task_id not in self._futures:
            (self._futures[task_id],) = self._executor.reload_tasks(task_ids=[task_id])
        return self._futures[task_id]

    def _outcome(self, task_id: str) -> dict[str, Any]:
        """Of a task that is done: its result is fetched."""
        future = self._follow(task_id)
        if wait([future], FETCH).not_done:
            raise RelayUnavailable(f'the result of task {task_id} did not arrive within {FETCH:g} s')
        error = future.exception()
        return {'result': future.result()} if error is None else {'exception': error}

    # -- Endpoints --------------------------------------------------------------------------------------------------

    def get_endpoints(self, role: str = 'owner') -> list[dict[str, Any]]:
        """The endpoints that one may use: `uuid`, `name`, `owner`, `status`. `role`: `owner` for one's own, `any`. Raises RelayUnavailable."""
        mine = bytes(self._executor.target.credentials.id)
        rows = self._executor.session.list('endpoints')
        return [_endpoint(row) for row in rows if role == 'any' or row.get('owner') == mine]

    def get_endpoint_status(self, endpoint_id: uuid.UUID | str) -> dict[str, Any]:
        """`status` (`online` or `offline`) and `details`: what it last reported, its backlog. Raises NotFound, RelayUnavailable."""
        row = self._endpoint_row(endpoint_id)
        return {'status': _endpoint(row)['status'], 'details': {**(row.get('report') or {}), 'backlog': row.get('backlog')}}

    def get_endpoint_metadata(self, endpoint_id: uuid.UUID | str) -> dict[str, Any]:
        """Name, owner, versions, and what it last reported. Raises NotFound, RelayUnavailable."""
        row = self._endpoint_row(endpoint_id)
        return {**_endpoint(row), 'versions': row.get('versions'), 'report': row.get('report')}

    def delete_endpoint(self, endpoint_id: uuid.UUID | str) -> dict[str, Any]:
        """Have the relay forget one of one's endpoints; its tasks end. Raises NotFound, AccessDenied, RelayUnavailable."""
        return self._executor.session.order('delete-endpoint', {'id': self._resolve(str(endpoint_id))})

    def get_worker_hardware_details(self, endpoint_id: uuid.UUID | str) -> str:
        """The id of a task whose result is what one of the endpoint's workers tells of its machine."""
        function = as_function(payload.dump_source(hardware.SOURCE, hardware.NAME))
        return self._run(function, (), {}, str(endpoint_id), self._executor.options)

    def version_check(self, _endpoint_version: str | None = None) -> None:
        """Nothing: versions are compared for each task, and a mismatch is its future's `VersionMismatch`."""

    def _resolve(self, reference: str) -> Id:
        home = self._executor.target.home
        wanted = question(home, reference)
        if 'id' in wanted:
            return Id(wanted['id'])
        return judge(home, self._executor.target.credentials, reference, self._executor.session.list('cards', wanted)).card.id

    def _endpoint_row(self, endpoint_id: uuid.UUID | str) -> dict[str, Any]:
        wanted = self._resolve(str(endpoint_id))
        for row in self._executor.session.list('endpoints', {'id': wanted}):
            if row.get('id') == wanted:
                return row
        raise NotFound(f'the relay knows no endpoint {str(endpoint_id)!r} that this account may use')


def _endpoint(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        'uuid': str(uuid.UUID(bytes=row['id'])),
        'name': row.get('name'),
        'owner': str(uuid.UUID(bytes=row['owner'])) if row.get('owner') else None,
        'status': 'online' if row.get('online') else 'offline',
    }


def _warn(ignored: tuple[Any, ...], cloud: Mapping[str, Any]) -> None:
    if ignored or cloud:
        named = ', '.join(cloud) or 'positional arguments'
        warnings.warn(f'{named}: settings of a cloud service that is not there; nothing is done with them', UserWarning, stacklevel=3)
