"""The parts of the light source's example: which files are taken, and what is computed of them."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[3] / 'examples' / 'lightsource'
NAMES = ('watch', 'steps', 'lightsource')


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """Its modules, as its programs have them: they import one another by their bare names."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield {name: __import__(name) for name in NAMES}
    for name in NAMES:
        sys.modules.pop(name, None)


def looks(watch: Any, *sizes: dict[str, int]) -> list[list[str]]:
    """What is complete at each second, with files of these sizes."""
    settling = watch.Settling(quiet=2.0)
    return [settling.look({name: watch.Stamp(size, size) for name, size in each.items()}, float(now)) for now, each in enumerate(sizes)]


def test_a_file_that_grows_is_not_complete(example: dict[str, Any]) -> None:
    assert looks(example['watch'], *({'a': size} for size in (1, 2, 3, 4, 4, 4, 4, 4))) == [[], [], [], [], [], ['a'], [], []]


def test_a_file_is_taken_once_and_again_when_it_is_written_anew(example: dict[str, Any]) -> None:
    assert looks(example['watch'], *[{'a': 1}] * 5, *[{'a': 2}] * 4) == [[], [], ['a'], [], [], [], [], ['a'], []]


def test_hidden_and_empty_files_are_none(example: dict[str, Any]) -> None:
    assert looks(example['watch'], *[{'.a.part': 5, 'b': 0, 'c': 1}] * 4) == [[], [], ['c'], []]


def test_a_file_that_went_away_is_forgotten(example: dict[str, Any]) -> None:
    assert looks(example['watch'], {'a': 1}, {}, {'a': 1}, {'a': 1}, {'a': 1}) == [[], [], [], [], ['a']]


def test_the_run_of_a_file_has_the_same_id_after_a_restart(example: dict[str, Any], tmp_path: Path) -> None:
    watch = example['watch']
    (tmp_path / 'a.npy').write_bytes(b'1')
    (tmp_path / 'other.txt').write_bytes(b'1')
    first, second = watch.listing(tmp_path), watch.listing(tmp_path)
    assert list(first) == ['a.npy']
    assert watch.run_id('a.npy', first['a.npy']) == watch.run_id('a.npy', second['a.npy'])
    (tmp_path / 'a.npy').write_bytes(b'12')
    assert watch.run_id('a.npy', watch.listing(tmp_path)['a.npy']) != watch.run_id('a.npy', first['a.npy'])


def test_the_definition_is_one_without_faults_and_takes_its_own_body(example: dict[str, Any]) -> None:
    lightsource, watch = example['lightsource'], example['watch']
    flow = watch.flow()
    found = flow.validate()
    assert found.valid, found.faults
    assert not found.warnings
    assert set(found.actions) == {'compute', 'transfer', 'search_ingest', 'notify'}
    site = {
        'beamline': {'id': lightsource.BEAMLINE, 'path': '/raw'},
        'facility': {'id': lightsource.FACILITY},
        'compute': {'endpoint': 'facility', 'correlate': 'f', 'plot': 'g', 'directory': '/data'},
        'geometry': lightsource.GEOMETRY,
        'index': 'xpcs',
    }
    body = watch.body(site, 'speckles_0001.npy')
    assert body['input']['name'] == 'speckles_0001'
    assert body['input']['beamline']['path'] == '/raw/speckles_0001.npy'
    jsonschema = pytest.importorskip('jsonschema')
    jsonschema.validate(body, json.loads((EXAMPLE / 'input_schema.json').read_text()))


def test_real_speckles_relax_faster_at_larger_angles(example: dict[str, Any], tmp_path: Path) -> None:
    numpy = pytest.importorskip('numpy')
    pytest.importorskip('scipy')
    steps, lightsource = example['steps'], example['lightsource']
    images = lightsource.images()
    assert images.shape == (100, 256, 256)
    assert int(images.sum()) == 4_389_466
    (tmp_path / 'raw').mkdir()
    numpy.save(tmp_path / 'raw' / 'whole.npy', images)
    numpy.save(tmp_path / 'raw' / 'broken_off.npy', images[:8])
    whole = steps.correlate(str(tmp_path), 'whole', lightsource.GEOMETRY)
    assert (whole['frames'], whole['relaxing'], whole['keep']) == (100, 8, True)
    curves = json.loads((tmp_path / 'results' / 'whole.json').read_text())['curves']
    assert all(1.0 < curve['g2'][0] < 1.1 for curve in curves)
    assert all(curve['g2'][0] > curve['g2'][-1] for curve in curves)
    assert curves[-1]['rate'] > 1.5 * curves[0]['rate']
    broken_off = steps.correlate(str(tmp_path), 'broken_off', lightsource.GEOMETRY)
    assert (broken_off['frames'], broken_off['relaxing'], broken_off['keep']) == (8, 0, False)


def test_a_watcher_that_starts_again_begins_nothing_twice(example: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is being written is waited for; its run is in the journal once, however often somebody watches."""
    from relay_parsl.flows.journal import Journal

    watch, lightsource = example['watch'], example['lightsource']
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    folder = tmp_path / 'raw'
    folder.mkdir()
    (folder / 'scan.npy').write_bytes(b'half')
    site = {'beamline': {'id': lightsource.BEAMLINE, 'path': '/raw'}, 'facility': {'id': lightsource.FACILITY}, 'index': 'xpcs'}
    site |= {'compute': {'endpoint': 'e', 'correlate': 'f', 'plot': 'g', 'directory': '/data'}, 'geometry': lightsource.GEOMETRY}
    flow = watch.flow()

    def begin(name: str, identity: str) -> Any:
        assert (folder / name).read_bytes() == b'half and the rest'
        return flow.run(watch.body(site, name), label=name, run_id=identity, serve=False)

    def first() -> str:
        return str(next(watch.watch(folder, begin, quiet=0.3, look=0.02)).run_id)

    watcher = threading.Thread(target=lambda: found.append(first()))
    found: list[str] = []
    watcher.start()
    with (folder / 'scan.npy').open('ab') as file:
        for piece in (b' and', b' the', b' rest'):
            time.sleep(0.1)
            file.write(piece)
            file.flush()
    watcher.join(60)
    assert found == [first()]
    with Journal.open() as journal:
        assert [run['label'] for run in journal.runs()] == ['scan.npy']
