from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path

import pytest

from relay_parsl.client.client import Client
from relay_parsl.client.executor import Executor
from relay_parsl.errors import AccessDenied, ConfigError, NotFound, SealError, TaskPending
from relay_parsl.home import Home
from relay_parsl.wire import payload
from relay_parsl.wire.seal import Keys, seal_function
from tests.unit.client.fake_relay import FakeRelay
from tests.unit.client.test_executor import LONG, OwnError, double, fail, until


@pytest.fixture
def client(relay: FakeRelay) -> Iterator[Client]:
    with Client(relay=relay.target) as made:
        yield made


def ended(client: Client, task_id: str) -> dict:
    until(lambda: not client.get_task(task_id)['pending'])
    return client.get_task(task_id)


def test_tasks_by_their_ids(relay: FakeRelay, client: Client) -> None:
    function_id = client.register_function(double)
    assert client.get_function(function_id)['function_name'] == 'double'
    relay.runs = False
    task_id = client.run(21, endpoint_id='polaris', function_id=function_id)
    with pytest.raises(TaskPending, match=r'unsent|running|waiting'):
        client.get_result(task_id)
    relay.runs = True
    assert ended(client, task_id) == {'task_id': task_id, 'status': 'success', 'pending': False, 'result': 42}
    assert client.get_result(task_id) == 42
    bad = client.run('why', endpoint_id='polaris', function_id=client.register_function(fail))
    assert ended(client, bad)['status'] == 'failed'
    with pytest.raises(OwnError, match='why'):
        client.get_result(bad)
    client.delete_function(function_id)
    with pytest.raises(NotFound, match='no function'):
        client.run(1, endpoint_id='polaris', function_id=function_id)


def another_machine(relay: FakeRelay, tmp_path: Path) -> Client:
    """Of the same account: its keys and pins, and nothing else of its home."""
    relay.home.export_account('ada', tmp_path / 'ada.export', 'a passphrase')
    home = Home(tmp_path / 'another')
    credentials = home.import_account(tmp_path / 'ada.export', 'a passphrase')
    return Client(relay=replace(relay.target, home=home, credentials=credentials))


def test_functions_are_there_on_every_machine_of_the_account(relay: FakeRelay, client: Client, tmp_path: Path) -> None:
    function_id = client.register_function(double)
    assert client.register_function(double) == function_id
    (sealed,) = relay.functions.values()
    assert b'double' not in sealed
    with another_machine(relay, tmp_path) as other:
        assert other.get_functions() == [{'function_uuid': function_id, 'size': len(sealed), 'registered': 1.5}]
        assert other.get_function(function_id.upper())['function_name'] == 'double'
        assert ended(other, other.run(4, endpoint_id='polaris', function_id=function_id))['result'] == 8
        relay.functions.clear()
        assert other.get_function(function_id)['how'] == 'cloudpickle', 'it has a copy by now'
        other.delete_function(function_id)
        with pytest.raises(NotFound):
            other.delete_function(function_id)
        assert other.get_functions() == []


def test_a_relay_cannot_put_another_function_in_place_of_one(relay: FakeRelay, client: Client, tmp_path: Path) -> None:
    one, two = uuid.UUID(client.register_function(double)).bytes, uuid.UUID(client.register_function(fail)).bytes
    blob = payload.dump_function(double)
    with another_machine(relay, tmp_path) as other:
        for forged in (relay.functions[two], seal_function(Keys.generate(), blob), blob, b''):
            relay.functions[one] = forged
            with pytest.raises(SealError):
                other.get_function(str(uuid.UUID(bytes=one)))
        for absent in (str(uuid.uuid4()), 'double', '../accounts/ada', ''):
            with pytest.raises(NotFound, match='no function'):
                other.get_function(absent)


def test_tasks_of_another_process(relay: FakeRelay, client: Client) -> None:
    executor = Executor('polaris', relay=relay.target)
    future = executor.submit(double, 4)
    wait([future], LONG)
    executor.session.close()
    again = Client(relay=relay.target)
    assert again.get_result(future.task_id) == 8
    assert again.get_batch_result([future.task_id])[future.task_id]['status'] == 'success'
    assert not again.cancel_task(future.task_id)
    with pytest.raises(NotFound, match='the relay knows no task'):
        again.get_result(uuid.uuid4())


def test_batches(relay: FakeRelay, client: Client) -> None:
    function_id = client.register_source_code('def triple(x, by=3):\n    return x * by\n', 'triple')
    group = str(uuid.uuid4())
    batch = client.create_batch(group, resource_specification={'num_nodes': 1})
    for number in range(4):
        batch.add(function_id, (number,), {'by': 5})
    assert len(batch) == 4
    with pytest.raises(TypeError):
        batch.add(function_id, 3)  # type: ignore[arg-type]
    sent = client.batch_run('polaris', batch)
    assert sent['task_group_id'] == group
    ids = sent['tasks'][function_id]
    assert [ended(client, each)['result'] for each in ids] == [0, 5, 10, 15]
    assert {bytes(header.group) for header, _ in relay.calls.values()} == {uuid.UUID(group).bytes}
    with pytest.raises(ConfigError):
        client.create_batch(resource_specification={'x': object()})


def test_cancel(relay: FakeRelay, client: Client) -> None:
    relay.runs = False
    task_id = client.run(1, endpoint_id='polaris', function_id=client.register_function(double))
    assert client.cancel_task(task_id)
    assert client.get_task(task_id)['status'] == 'cancelled'


def test_endpoints(relay: FakeRelay, client: Client) -> None:
    known = str(uuid.UUID(bytes=bytes(relay.endpoint.id)))
    (row,) = client.get_endpoints()
    assert row == {'uuid': known, 'name': 'polaris', 'owner': str(uuid.UUID(bytes=bytes(relay.user.id))), 'status': 'online'}
    assert client.get_endpoint_status('polaris')['status'] == 'online'
    assert client.get_endpoint_metadata(known)['name'] == 'polaris'
    with pytest.raises(NotFound):
        client.get_endpoint_status(uuid.uuid4())
    with pytest.raises(AccessDenied, match='no delete-endpoint here'):
        client.delete_endpoint('polaris')
    task_id = client.get_worker_hardware_details('polaris')
    assert '== host' in ended(client, task_id)['result']
    client.version_check()


def test_settings_of_the_cloud_warn(relay: FakeRelay) -> None:
    with pytest.warns(UserWarning, match='do_version_check'):
        Client(relay=relay.target, do_version_check=False)
