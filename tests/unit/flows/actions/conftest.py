"""Transfers between two directories of this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.flows.actions.transfer import TransferAction
from tests.unit.flows.storage.desk import Desk, desk


@pytest.fixture
def transfer(tmp_path: Path) -> Iterator[Desk]:
    with desk(TransferAction, tmp_path, here=tmp_path / 'here', there=tmp_path / 'there') as made:
        yield made


@pytest.fixture
def here(tmp_path: Path, transfer: Desk) -> Path:
    return tmp_path / 'here'


@pytest.fixture
def there(tmp_path: Path, transfer: Desk) -> Path:
    return tmp_path / 'there'
