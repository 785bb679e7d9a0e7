"""Which accelerator a worker sees: Parsl's own mapping, put right on the node (reference: `worker` in Parsl's process_worker_pool).

Parsl sets the masks of all three vendors to a worker's own name, and divides that of CUDA by workers for each GPU. This is wrong for five to
seven workers on four GPUs, for a name that stands twice, for MIG, for AMD, whose HIP applies CUDA's mask again to what ROCr has left (Parsl's issue
3858), and for Intel's tiles where the driver shows each as a device. A worker imports this, so it is light: it looks into /dev and /sys only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass

Environment = dict[str, str | None]
"""Variables to set; None: to unset."""

NAMES = 'RELAY_PARSL_ACCELERATORS'
"""The variable in which a manager is told the names of all accelerators, joined by `JOINT`; a worker takes it away from user code."""
JOINT = '+'
"""In no name of a device, and no quotes are needed for it on the way through launchers and shells."""
VENDOR = 'RELAY_PARSL_VENDOR'
"""Says what a node has where looking would not: `nvidia`, `nvidia:4` (devices), `intel:6:2` (tiles of each); any other word is no vendor."""
HIERARCHY = 'ZE_FLAT_DEVICE_HIERARCHY'
COMPOSITE = 'COMPOSITE'

CUDA, ROCR, LEVEL_ZERO = 'CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES', 'ZE_AFFINITY_MASK'
MASKS = (CUDA, ROCR, 'HIP_VISIBLE_DEVICES', 'GPU_DEVICE_ORDINAL', LEVEL_ZERO)
"""All that hides devices. ROCr, and then HIP again, renumber what they leave: with two of the AMD ones a worker but the first sees nothing."""
OWN = {'nvidia': (CUDA,), 'amd': (ROCR,), 'intel': (LEVEL_ZERO,), '': (CUDA, LEVEL_ZERO)}
"""The masks that each vendor's workers get. Where no vendor is found: what Parsl sets, but for the two that harm each other."""

INTEGRATED = '0000:00:02.0'
"""Where Intel's processors have their own graphics: nobody's accelerator."""


@dataclass(frozen=True)
class Node:
    """What a node has.

    Attributes:
        vendor: `nvidia`, `amd`, `intel`, or '' where it is unknown.
        devices: How many this process may use; for Intel cards, not tiles. 0: unknown.
        tiles: Of each card; 0: unknown.
        hierarchy: Intel's `ZE_FLAT_DEVICE_HIERARCHY`; '' where it is not set, which is FLAT to the driver.
    """

    vendor: str = ''
    devices: int = 0
    tiles: int = 0
    hierarchy: str = ''


def environments(names: Sequence[str], workers: int, node: Node) -> list[Environment]:
    """The variables of each worker of a node, by rank.

    Args:
        names: As in `available_accelerators`: ordinals, UUIDs, MIG names, tiles like `0.1`, several for a worker like `0,1`.
        workers: How many share them.
        node: What is there.
    """
    masks: Environment = dict.fromkeys(MASKS)
    more: Environment = {HIERARCHY: COMPOSITE} if node.vendor == 'intel' and not node.hierarchy and any(map(_tiles_in, names)) else {}
    return [{**masks, **dict.fromkeys(OWN[node.vendor], share), **more} for share in shares(names, workers, node)]


def shares(names: Sequence[str], workers: int, node: Node) -> list[str]:
    """What each worker sees, as its vendor's runtime names it; empty without names. More workers than devices share them in contiguous groups."""
    given = list(names)[:workers]
    units = _units(given, _existing(len(given), node))
    if node.vendor == 'intel' and node.hierarchy not in ('', COMPOSITE):
        tiles = node.tiles or max([2, *(1 + tile for name in names for _, tile in _tiles_in(name))])
        units = [_flat(unit, tiles) for unit in units]
    return [units[rank * len(units) // workers if workers > len(units) else rank] for rank in range(workers if units else 0)]


def _units(names: list[str], existing: list[str]) -> list[str]:
    """A list of names means what it says. A mere count (Parsl makes it `0`, `1`, …) means workers, which share what exists."""
    counted = names == [str(rank) for rank in range(len(names))]
    return existing if counted and existing and not set(names) <= set(existing) else names


def _existing(wanted: int, node: Node) -> list[str]:
    """The ordinals of what a node has, tile by tile where there are more workers than cards; empty where it is unknown."""
    if node.vendor != 'intel':
        return [str(device) for device in range(node.devices)]
    if node.hierarchy != COMPOSITE:
        return [str(tile) for tile in range(node.devices * node.tiles)]
    if wanted <= node.devices or not node.tiles:
        return [str(card) for card in range(node.devices)]
    return [f'{card}.{tile}' for card in range(node.devices) for tile in range(node.tiles)]


def _tiles_in(name: str) -> list[tuple[int, int]]:
    """Card and tile of each part like `5.1` in a name."""
    pairs = (part.strip().split('.') for part in name.split(','))
    return [(int(pair[0]), int(pair[1])) for pair in pairs if len(pair) == 2 and all(map(str.isdecimal, pair))]


def _flat(name: str, tiles: int) -> str:
    """A mask of tiles as the driver counts them when each is a device; any other name as it is."""
    found = _tiles_in(name)
    return ','.join(str(card * tiles + tile) for card, tile in found) if len(found) == name.count(',') + 1 else name


def told(names: Sequence[str]) -> str:
    """What goes before a manager's command, so that its workers know the names of all; '' without any. Unquoted, as Parsl writes the same names."""
    return f'env {NAMES}={JOINT.join(" ".join(names).split())} ' if names else ''


def correct(environment: MutableMapping[str, str], root: str = '') -> None:
    """Put right what Parsl has set in a worker's environment. Does nothing where no accelerators were given: the batch system's own masks hold then.

    Args:
        environment: Of the worker, with Parsl's `PARSL_WORKER_RANK` and `PARSL_WORKER_COUNT`.
        root: What stands before `/dev` and `/sys`.
    """
    names = environment.pop(NAMES, '').split(JOINT)
    rank, workers = (environment.get(f'PARSL_WORKER_{each}', '') for each in ('RANK', 'COUNT'))
    if names == [''] or not rank.isdecimal() or not workers.isdecimal() or int(rank) >= int(workers):
        return
    for name, value in environments(names, int(workers), find(environment.get(VENDOR), environment.get(HIERARCHY, ''), root))[int(rank)].items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value


def find(said: str | None = None, hierarchy: str = '', root: str = '') -> Node:
    """What this node has.

    Args:
        said: As in `VENDOR`; None: look.
        hierarchy: As in `Node`.
        root: What stands before `/dev` and `/sys`.
    """
    vendor, devices, tiles = _said(said) if said is not None else _found(root)
    return Node(vendor, devices, tiles, hierarchy.strip().upper())


def _said(text: str) -> tuple[str, int, int]:
    vendor, *numbers = text.strip().lower().split(':')
    devices, tiles = ([int(number) if number.isdecimal() else 0 for number in numbers] + [0, 0])[:2]
    return (vendor, devices, tiles) if vendor in OWN else ('', 0, 0)


def _found(root: str) -> tuple[str, int, int]:
    """NVIDIA first: a processor with AMD's or Intel's graphics may stand beside its GPUs."""
    if nvidia := sum(1 for path in _ordinals(f'{root}/dev', 'nvidia') if os.access(path, os.R_OK | os.W_OK)):
        return 'nvidia', nvidia, 0  # a batch job's control group hides the others' GPUs from `access`, not from the directory
    if os.path.exists(f'{root}/dev/kfd'):
        return 'amd', sum(_read(f'{path}/gpu_id') not in ('', '0') for path in _ordinals(f'{root}/sys/class/kfd/kfd/topology/nodes', '')), 0
    cards = list(_intel(root))
    # Only the xe driver says how many tiles there are: i915 counts an engine for media like one.
    return ('intel', len(cards), sum(1 for _ in _ordinals(cards[0], 'tile'))) if cards else ('', 0, 0)


def _intel(root: str) -> Iterator[str]:
    """Directories of Intel's cards."""
    for path in _ordinals(f'{root}/sys/class/drm', 'renderD'):
        device = os.path.realpath(f'{path}/device')
        usable = os.access(f'{root}/dev/dri/{os.path.basename(path)}', os.R_OK | os.W_OK)
        if usable and os.path.basename(device) != INTEGRATED and _read(f'{device}/vendor') == '0x8086':
            yield device


def _ordinals(directory: str, prefix: str) -> Iterator[str]:
    """Paths of what is called `prefix` and a number."""
    try:
        entries = sorted(os.listdir(directory))
    except OSError:
        return
    yield from (f'{directory}/{entry}' for entry in entries if entry.startswith(prefix) and entry[len(prefix) :].isdecimal())


def _read(path: str) -> str:
    """The text of a small file; '' where it cannot be read."""
    try:
        with open(path, encoding='ascii') as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return ''
