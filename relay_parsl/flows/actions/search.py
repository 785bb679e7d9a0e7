"""`search_ingest` and `search_delete`: indexes as files of JSON lines, `DIRECTORY/INDEX.jsonl`, that any program can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from relay_parsl.flows.actions import keys
from relay_parsl.flows.actions.base import Call, Description
from relay_parsl.flows.actions.bodies import Fields
from relay_parsl.flows.actions.kept import Kept, Row
from relay_parsl.flows.actions.search_index import Index, is_name
from relay_parsl.flows.definition import Json
from relay_parsl.flows.messages import ActionStatus
from relay_parsl.home import Home

MOST = 10_000
"""Entries of one request."""
_ENTRY = {
    'subject': {'type': 'string', 'minLength': 1},
    'visible_to': {'type': 'array', 'items': {'type': 'string'}},
    'content': {'type': 'object'},
    'id': {'type': ['string', 'null'], 'description': 'Tells entries of one subject apart.'},
}


class _Search(Kept):
    """Writes a request's lines once: after a crash it looks for them in the file."""

    settings_keys: ClassVar[keys.Keys] = {'directory': keys.text}

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        """A disk that is full ends it as FAILED: a flow may catch that."""
        index = Index(self._directory(), row['index'])
        try:
            index.add(row['request'], row['lines'], again=again)
        except OSError as error:
            return self.failed(action_id, row, 'IndexNotWritten', f'{index.path}: {error.strerror}', index=row['index'])
        return self.succeeded(action_id, row, {'index': row['index'], 'path': str(index.path), **row['said']})

    def _directory(self) -> Path:
        chosen = self.surroundings.settings.get('directory')
        return Path(chosen).expanduser() if chosen else Home.find().directory('flows') / 'search'


class SearchIngest(_Search):
    """Settings: `directory`, where the indexes are."""

    description = Description(
        name='search_ingest',
        title='Add to a search index',
        section='search',
        urls=('https://actions.globus.org/search/ingest', 'https://actions.automate.globus.org/search/ingest'),
        synchronous=True,
        input_schema={
            'type': 'object',
            'properties': {
                'search_index': {'type': 'string', 'description': 'A UUID or a name.'},
                **_ENTRY,
                'ingest_type': {'type': 'string', 'enum': ['GMetaEntry', 'GMetaList']},
                'ingest_data': {'type': 'object'},
                'gmeta': {'type': 'array'},
            },
            'required': ['search_index'],
        },
    )

    def check(self, call: Call) -> Row:
        """Raises ActionUnableToRun."""
        fields = Fields(call.body)
        index = _index(fields)
        lines = [_entry(each, call.time) for each in _entries(fields)]
        fields.only()
        fields.done()
        return {'request': call.request_id, 'index': index, 'lines': lines, 'said': {'num_documents_ingested': len(lines)}, 'body': None}


class SearchDelete(_Search):
    """Settings: as for `search_ingest`. Nothing is erased from the file: a line says that it counts no more."""

    description = Description(
        name='search_delete',
        title='Delete from a search index',
        section='search',
        urls=('https://actions.globus.org/search/delete', 'https://actions.automate.globus.org/search/delete'),
        synchronous=True,
        input_schema={
            'type': 'object',
            'properties': {
                'search_index': {'type': 'string', 'description': 'A UUID or a name.'},
                'delete_by': {'type': 'string', 'enum': ['subject', 'entry']},
                'subject': {'type': 'string', 'minLength': 1},
                'entry_id': {'type': ['string', 'null']},
            },
            'required': ['search_index', 'subject'],
        },
        destructive=True,
    )

    def check(self, call: Call) -> Row:
        """Raises ActionUnableToRun."""
        fields = Fields(call.body)
        index = _index(fields)
        by = fields.choice('delete_by', ('subject', 'entry'), 'subject')
        line: dict[str, Json] = {'subject': fields.text('subject'), 'deleted': True, 'time': call.time}
        entry = fields.any('entry_id')
        if by == 'entry':
            line['id'] = entry
        if not isinstance(entry, str | None):
            fields.fault('entry_id', 'is text or null')
        fields.only()
        fields.done()
        return {'request': call.request_id, 'index': index, 'lines': [line], 'said': {'subject': line['subject']}}


def _index(fields: Fields) -> str:
    index = fields.text('search_index')
    if index and not is_name(index):
        fields.fault('search_index', f'is a UUID, or a name of letters, digits and ._- that begins with no dot, not {index[:60]!r}')
    return index


def _entries(fields: Fields) -> list[Fields]:
    """One GMetaEntry in the body itself or as `ingest_data`, or the `gmeta` of a GMetaList in either place."""
    inner = fields
    if 'ingest_data' in fields or 'ingest_type' in fields:
        kind = fields.choice('ingest_type', ('GMetaEntry', 'GMetaList'), 'GMetaEntry')
        inner = fields.object('ingest_data')
        for name in ('@datatype', '@version'):
            inner.any(name)
        if kind == 'GMetaList' and 'gmeta' not in inner:
            inner.fault('gmeta', 'is missing: a list of entries')
    found = inner.objects('gmeta', least=1) if 'gmeta' in inner else [inner]
    if len(found) > MOST:
        inner.fault('gmeta', f'has {MOST} entries at most')
    return found


def _entry(fields: Fields, at: float) -> dict[str, Any]:
    made = {
        'subject': fields.text('subject'),
        'id': fields.text('id', '') or None,
        'visible_to': fields.texts('visible_to', ['public']),
        'content': fields.mapping('content'),
        'time': at,
    }
    for name in ('@datatype', '@version'):
        fields.any(name)
    if 'search_index' not in fields:  # the outer object is asked once, with all that it has
        fields.only()
    return made
