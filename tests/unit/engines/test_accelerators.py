"""Which accelerator each worker sees, as a table; and how a node's own are found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relay_parsl.engines import accelerators
from relay_parsl.engines.accelerators import Environment, Node, correct, environments, find, shares

A100, ONE, UNSURE = Node('nvidia', 4), Node('nvidia', 1), Node('nvidia')
MI250X = Node('amd', 8)
FLAT, COMPOSITE = Node('intel', 6, 2, 'FLAT'), Node('intel', 6, 2, 'COMPOSITE')
TILES = [f'{card}.{tile}' for card in range(6) for tile in range(2)]
MIG = ['MIG-1c4a', 'MIG-GPU-77/1/0', 'GPU-8932f937']


def count(number: int) -> list[str]:
    """What Parsl makes of a number."""
    return [str(each) for each in range(number)]


@pytest.mark.parametrize(
    ('names', 'workers', 'node', 'expected'),
    [
        # NVIDIA: what exists, each GPU's workers side by side
        (count(4), 4, A100, '0 1 2 3'),
        (count(8), 8, A100, '0 0 1 1 2 2 3 3'),
        (count(5), 5, A100, '0 0 1 2 3'),
        (count(6), 6, A100, '0 0 1 2 2 3'),
        (count(7), 7, A100, '0 0 1 1 2 2 3'),
        (count(32), 6, A100, '0 0 1 2 2 3'),
        (count(32), 3, A100, '0 1 2'),
        (count(4), 6, A100, '0 0 1 2 2 3'),
        (count(3), 3, A100, '0 1 2'),
        (count(4), 4, ONE, '0 0 0 0'),
        (count(6), 6, UNSURE, '0 1 2 3 4 5'),
        # lists mean what they say
        (['0', '0', '1', '1'], 4, Node('nvidia', 2), '0 0 1 1'),
        (['0', '0', '1', '1'], 4, A100, '0 0 1 1'),
        (['0', '1', '0', '1'], 4, Node('nvidia', 2), '0 1 0 1'),
        (['0', '0', '1', '2', '2', '3'], 6, A100, '0 0 1 2 2 3'),
        (['3', '2', '1', '0'], 4, A100, '3 2 1 0'),
        (MIG, 3, ONE, ' '.join(MIG)),
        (MIG, 6, ONE, ' '.join(each for each in MIG for _ in range(2))),
        (['0,1', '2,3'], 2, A100, '0,1 2,3'),
        ([], 2, A100, ''),
        # AMD
        (count(8), 8, MI250X, '0 1 2 3 4 5 6 7'),
        (count(12), 12, MI250X, '0 0 1 2 2 3 4 4 5 6 6 7'),
        (['4,5', '6,7'], 2, MI250X, '4,5 6,7'),
        # Intel: one list of tiles in both hierarchies, and a count
        (TILES, 12, COMPOSITE, ' '.join(TILES)),
        (TILES, 12, FLAT, ' '.join(count(12))),
        (TILES, 12, Node('intel', 0, 0, 'COMBINED'), ' '.join(count(12))),
        (['0.0', '5.0'], 2, Node('intel', 6, 0, 'FLAT'), '0 10'),
        (['0.0,0.1', '5.0,5.1'], 2, FLAT, '0,1 10,11'),
        (['0.0,0.1', '5.0,5.1'], 2, COMPOSITE, '0.0,0.1 5.0,5.1'),
        (['0.0', '0.0', '0.1', '0.1'], 4, FLAT, '0 0 1 1'),
        (count(12), 12, FLAT, ' '.join(count(12))),
        (count(24), 24, FLAT, ' '.join(str(each // 2) for each in range(24))),
        (count(12), 12, Node('intel', 6), ' '.join(count(12))),
        (count(12), 12, COMPOSITE, ' '.join(TILES)),
        (count(8), 8, COMPOSITE, ' '.join(TILES[:8])),
        (count(6), 6, COMPOSITE, ' '.join(count(6))),
        (count(12), 12, Node('intel', 6, 0, 'COMPOSITE'), ' '.join(str(each // 2) for each in range(12))),
        (['card', '0.x'], 2, FLAT, 'card 0.x'),
        # no vendor: names as they are
        (count(6), 6, Node(), ' '.join(count(6))),
        (['fpga0', 'fpga1'], 4, Node(), 'fpga0 fpga0 fpga1 fpga1'),
    ],
)
def test_each_worker_sees_what_exists(names: list[str], workers: int, node: Node, expected: str) -> None:
    assert shares(names, workers, node) == expected.split()
    assert [next(value for value in own.values() if value is not None) for own in environments(names, workers, node)] == expected.split()


@pytest.mark.parametrize('gpus', range(1, 9))
@pytest.mark.parametrize('workers', range(1, 20))
def test_any_number_of_workers_on_any_number_of_gpus(workers: int, gpus: int) -> None:
    seen = [int(name) for name in shares(count(workers), workers, Node('nvidia', gpus))]
    assert seen == sorted(seen), 'groups are contiguous'
    assert set(seen) == set(range(min(workers, gpus))), 'all that exist, and no other'
    groups = [seen.count(each) for each in set(seen)]
    assert max(groups) - min(groups) <= 1


UNSET = ('CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES', 'HIP_VISIBLE_DEVICES', 'GPU_DEVICE_ORDINAL', 'ZE_AFFINITY_MASK')


@pytest.mark.parametrize(
    ('node', 'name', 'expected'),
    [
        (A100, '1', {'CUDA_VISIBLE_DEVICES': '1'}),
        (MI250X, '1', {'ROCR_VISIBLE_DEVICES': '1'}),
        (FLAT, '0.1', {'ZE_AFFINITY_MASK': '1'}),
        (COMPOSITE, '0.1', {'ZE_AFFINITY_MASK': '0.1'}),
        (Node('intel', 6), '0.1', {'ZE_AFFINITY_MASK': '0.1', 'ZE_FLAT_DEVICE_HIERARCHY': 'COMPOSITE'}),
        (Node('intel', 6), '1', {'ZE_AFFINITY_MASK': '1'}),
        (Node(), '1', {'CUDA_VISIBLE_DEVICES': '1', 'ZE_AFFINITY_MASK': '1'}),
    ],
)
def test_each_vendor_has_its_own_mask_and_no_other(node: Node, name: str, expected: Environment) -> None:
    assert environments([name], 1, node) == [{**dict.fromkeys(UNSET), **expected}]


def parsl(rank: int, name: str, workers: int, cuda: str | None = None, **more: str) -> dict[str, str]:
    """What Parsl's worker leaves behind."""
    masks = {'CUDA_VISIBLE_DEVICES': cuda or name, 'ROCR_VISIBLE_DEVICES': name, 'ZE_AFFINITY_MASK': name, 'ZE_ENABLE_PCI_ID_DEVICE_ORDER': '1'}
    return {'PARSL_WORKER_RANK': str(rank), 'PARSL_WORKER_COUNT': str(workers), **masks, **more}


def masks_of(environment: dict[str, str]) -> dict[str, str]:
    return {name: environment[name] for name in UNSET if name in environment}


def test_a_worker_puts_right_what_parsl_has_set() -> None:
    environment = parsl(1, '0', 4, RELAY_PARSL_ACCELERATORS='0+0+1+1', RELAY_PARSL_VENDOR='amd:2', HIP_VISIBLE_DEVICES='0')
    correct(environment)
    assert masks_of(environment) == {'ROCR_VISIBLE_DEVICES': '0'}
    assert 'RELAY_PARSL_ACCELERATORS' not in environment, 'an engine within a task has accelerators of its own'
    environment = parsl(4, '4', 6, RELAY_PARSL_ACCELERATORS='0+1+2+3+4+5', RELAY_PARSL_VENDOR='nvidia:4')
    correct(environment)
    assert masks_of(environment) == {'CUDA_VISIBLE_DEVICES': '2'}
    environment = parsl(11, '5.1', 12, RELAY_PARSL_ACCELERATORS='+'.join(TILES), RELAY_PARSL_VENDOR='intel:6:2', ZE_FLAT_DEVICE_HIERARCHY='flat')
    correct(environment)
    assert masks_of(environment) == {'ZE_AFFINITY_MASK': '11'}
    assert environment['ZE_FLAT_DEVICE_HIERARCHY'] == 'flat'


@pytest.mark.parametrize(
    'environment',
    [
        {'CUDA_VISIBLE_DEVICES': '2,3', 'ROCR_VISIBLE_DEVICES': '2,3', 'PARSL_WORKER_RANK': '0', 'PARSL_WORKER_COUNT': '2'},
        {'CUDA_VISIBLE_DEVICES': '2', 'RELAY_PARSL_ACCELERATORS': '0+1'},
        {'CUDA_VISIBLE_DEVICES': '2', 'RELAY_PARSL_ACCELERATORS': '0+1', 'PARSL_WORKER_RANK': '3', 'PARSL_WORKER_COUNT': '2'},
    ],
)
def test_the_batch_systems_masks_hold_where_nothing_was_asked(environment: dict[str, str]) -> None:
    before = masks_of(environment)
    correct(environment)
    assert masks_of(environment) == before


def test_names_reach_the_workers_through_a_shell() -> None:
    assert accelerators.told([]) == ''
    assert accelerators.told(['0', '1,2', 'MIG-GPU-7/1/0', '5.1']) == 'env RELAY_PARSL_ACCELERATORS=0+1,2+MIG-GPU-7/1/0+5.1 '
    assert accelerators.told(['0 1', '2']) == 'env RELAY_PARSL_ACCELERATORS=0+1+2 ', 'Parsl splits them, too'


@pytest.mark.parametrize(
    ('said', 'expected'),
    [
        ('nvidia', Node('nvidia')),
        ('NVIDIA:4', Node('nvidia', 4)),
        ('intel:6:2', Node('intel', 6, 2)),
        ('amd:many', Node('amd')),
        ('none', Node()),
        ('', Node()),
        ('nvidia:4:0:9', Node('nvidia', 4)),
    ],
)
def test_a_word_replaces_looking(said: str, expected: Node, tmp_path: Path) -> None:
    assert find(said, root=str(tmp_path)) == expected


def write(root: Path, **files: str) -> None:
    """Files by their paths, with `__` for `/`."""
    for name, text in files.items():
        path = root / name.replace('__', '/')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def intel(root: Path, number: int, place: str, vendor: str = '0x8086', tiles: int = 0) -> None:
    """A graphics card as the kernel shows it."""
    device = root / 'sys/devices' / place
    for tile in range(tiles):
        (device / f'tile{tile}').mkdir(parents=True)
    write(device, vendor=f'{vendor}\n')
    write(root, **{f'dev__dri__renderD{number}': ''})
    card = root / f'sys/class/drm/renderD{number}'
    card.mkdir(parents=True)
    (card / 'device').symlink_to(device)


def test_nvidia_is_found_by_its_devices(tmp_path: Path) -> None:
    assert find(root=str(tmp_path)) == Node()
    write(tmp_path, dev__nvidiactl='', dev__nvidia0='', dev__nvidia1='', dev__nvidia_uvm='', dev__kfd='')
    assert find(root=str(tmp_path)) == Node('nvidia', 2)


def test_gpus_of_other_jobs_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, dev__nvidia0='', dev__nvidia1='', dev__nvidia2='')
    monkeypatch.setattr(os, 'access', lambda path, _mode: not str(path).endswith('nvidia1'))
    assert find(root=str(tmp_path)) == Node('nvidia', 2)


def test_amd_is_found_by_the_nodes_of_its_driver(tmp_path: Path) -> None:
    write(tmp_path, dev__kfd='')
    assert find(root=str(tmp_path)) == Node('amd')
    nodes = 'sys__class__kfd__kfd__topology__nodes'
    write(tmp_path, **{f'{nodes}__0__gpu_id': '0\n', f'{nodes}__1__gpu_id': '51234\n', f'{nodes}__2__gpu_id': '7\n', f'{nodes}__3__name': ''})
    assert find(root=str(tmp_path)) == Node('amd', 2)


def test_intel_is_found_by_its_cards_but_not_by_a_processors_graphics(tmp_path: Path) -> None:
    intel(tmp_path, 128, '0000:00:02.0')
    intel(tmp_path, 129, '0000:01:00.0', vendor='0x1a03')
    assert find(root=str(tmp_path)) == Node()
    intel(tmp_path, 130, '0000:18:00.0', tiles=2)
    intel(tmp_path, 131, '0000:2a:00.0', tiles=2)
    assert find(hierarchy=' composite', root=str(tmp_path)) == Node('intel', 2, 2, 'COMPOSITE')


def test_this_machine_can_be_looked_at() -> None:
    assert find().vendor in accelerators.OWN


def test_it_costs_a_worker_nothing_to_import() -> None:
    code = 'import sys; before = set(sys.modules); import relay_parsl.engines.accelerators; print(sorted(set(sys.modules) - before))'
    extra = subprocess.run([sys.executable, '-S', '-c', code], capture_output=True, text=True, check=True, timeout=30).stdout
    assert 'relay_parsl.engines.accelerators' in extra
    for heavy in ('subprocess', 'parsl.', 'zmq', 'pathlib', 'logging'):
        assert f"'{heavy}" not in extra
