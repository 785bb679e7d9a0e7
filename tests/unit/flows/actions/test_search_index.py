from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.flows.actions.base import Call, Surroundings
from relay_parsl.flows.actions.search import SearchDelete, SearchIngest
from relay_parsl.flows.actions.search_index import Index, is_name
from relay_parsl.testing import MemoryRecords


def entry(subject: str, **more: Any) -> dict[str, Any]:
    return {'subject': subject, 'id': None, 'content': {}, **more}


def test_the_latest_of_a_subject_and_id_counts(tmp_path: Path) -> None:
    index = Index(tmp_path, 'xpcs')
    index.add('r:A:1', [entry('a', content={'n': 1}), entry('b'), entry('a', id='plot')], again=False)
    index.add('r:B:1', [entry('a', content={'n': 2})], again=False)
    assert {key: each['content'] for key, each in index.entries().items()} == {('a', None): {'n': 2}, ('b', None): {}, ('a', 'plot'): {}}
    index.add('r:C:1', [{'subject': 'a', 'deleted': True, 'id': 'plot'}], again=False)
    assert set(index.entries()) == {('a', None), ('b', None)}
    index.add('r:D:1', [{'subject': 'a', 'deleted': True}], again=False)
    assert set(index.entries()) == {('b', None)}


@pytest.mark.parametrize('kept', range(0, 130, 13))
def test_a_write_that_was_cut_anywhere_is_completed_and_not_doubled(tmp_path: Path, kept: int) -> None:
    index = Index(tmp_path, 'xpcs')
    index.add('r:Before:1', [entry('x')], again=False)
    before = index.path.stat().st_size
    lines = [entry('a'), entry('b'), entry('ü')]
    index.add('r:A:1', lines, again=False)
    whole = index.path.read_bytes()
    os.truncate(index.path, min(before + kept, len(whole)))
    index.add('r:Other:1', [entry('y')], again=False)
    index.add('r:A:1', lines, again=True)
    found = [json.loads(line) for line in index.path.read_text().splitlines()]
    assert sorted(each['subject'] for each in found) == sorted(['x', 'y', 'a', 'b', 'ü'])


def test_threads_and_instances_share_a_file(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: Index(tmp_path, 'i').add(f'r:{number}:1', [entry(str(number))] * 3, again=False), range(40)))
    assert len((tmp_path / 'i.jsonl').read_text().splitlines()) == 120


@pytest.mark.parametrize('name', ['', '.hidden', '..', '../x', 'a/b', 'a\0', 'ü', 'a' * 101, '-x'])
def test_a_name_leads_nowhere_else(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    ('body', 'subjects'),
    [
        ({'subject': 's', 'content': {'a': 1}, 'visible_to': ['public'], 'id': 'x'}, ['s']),
        ({'gmeta': [{'subject': 's', 'content': {}}, {'subject': 't', 'content': {}}]}, ['s', 't']),
        ({'ingest_type': 'GMetaEntry', 'ingest_data': {'@datatype': 'GMetaEntry', '@version': '1', 'subject': 's', 'content': {}}}, ['s']),
        ({'ingest_type': 'GMetaList', 'ingest_data': {'gmeta': [{'subject': 's', 'content': {}}]}}, ['s']),
    ],
)
def test_every_form_of_an_entry(tmp_path: Path, body: dict[str, Any], subjects: list[str]) -> None:
    surroundings = Surroundings(MemoryRecords(), {'directory': str(tmp_path)}, lambda _: None, lambda: 2000.0)
    status = SearchIngest(surroundings).run(Call('r:S:1', {'search_index': 'i', **body}, time=1000.0))
    assert status.details['num_documents_ingested'] == len(subjects)
    assert [key[0] for key in Index(tmp_path, 'i').entries()] == subjects
    SearchDelete(surroundings).run(Call('r:T:1', {'search_index': 'i', 'subject': 's'}, time=1001.0))
    assert ('s', None) not in Index(tmp_path, 'i').entries()


def test_a_disk_that_refuses_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    surroundings = Surroundings(MemoryRecords(), {'directory': str(tmp_path / 'file' / 'under')}, lambda _: None, lambda: 2000.0)
    status = SearchIngest(surroundings).run(Call('r:S:1', {'search_index': 'i', 'subject': 's', 'content': {}}, time=1.0))
    assert (status.status, status.details['code']) == ('FAILED', 'IndexNotWritten')
