"""`ls` and `stat`: what is in a directory, and what is at a path."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from typing import Any

from relay_parsl.flows.actions.base import Description
from relay_parsl.flows.actions.bodies import Fields
from relay_parsl.flows.actions.instant import InstantAction, endpoint, schema, spellings
from relay_parsl.flows.actions.kept import Row
from relay_parsl.flows.storage.base import Entry
from relay_parsl.flows.storage.listing import document, fault_in_filter, fault_in_order, matches, ordered
from relay_parsl.flows.storage.place import Place

MOST = 100_000
"""Entries in one listing, as Globus has it. A run's state has a limit of its own: say `limit`."""
_WORDS = {'anyOf': [{'type': 'string'}, {'type': 'array', 'items': {'type': 'string'}}, {'type': 'null'}]}


class LsAction(InstantAction):
    """Lists a directory; of a file, and with `path_only` of a directory too, the one entry of the path itself."""

    description = Description(
        name='ls',
        title='List a directory',
        urls=spellings('ls'),
        synchronous=True,
        input_schema=schema(
            {
                'path': {'type': ['string', 'null']},
                'path_only': {'type': ['boolean', 'null']},
                'show_hidden': {'type': ['boolean', 'null']},
                'limit': {'type': ['integer', 'null'], 'minimum': 1, 'maximum': MOST},
                'offset': {'type': ['integer', 'null'], 'minimum': 0},
                'filter': _WORDS,
                'orderby': _WORDS,
            }
        ),
        section='collections',
    )

    def where(self, fields: Fields) -> tuple[str, str]:
        """Without a path it is the home of the collection."""
        return endpoint(fields), fields.text('path', '/~/')

    def fields(self, fields: Fields) -> dict[str, Any]:
        """How to list."""
        filters, order = _words(fields, 'filter', fault_in_filter), _words(fields, 'orderby', lambda word: fault_in_order(word.split(',')))
        return {
            'path_only': fields.flag('path_only', False),
            'show_hidden': fields.flag('show_hidden', True),
            'limit': min(int(fields.number('limit', MOST, least=1)), MOST),
            'offset': int(fields.number('offset', 0, least=0)),
            'filters': filters,
            'order': [each for word in order for each in word.split(',')] or ['name'],
        }

    def do(self, place: Place, row: Row, again: bool, **said: Any) -> dict[str, Any]:
        """The listing."""
        entry = place.store.entry(place.parts)
        alone = said['path_only'] or entry.type != 'dir'
        found = [document(entry, place)] if alone else [self._entry(place, row, each) for each in place.store.entries(place.parts)]
        kept = [each for each in found if all(matches(each, text) for text in said['filters'])]
        if not said['show_hidden'] and not alone:
            kept = [each for each in kept if not each['name'].startswith('.')]
        shown = ordered(kept, said['order'])[said['offset'] : said['offset'] + said['limit']]
        return {
            'DATA_TYPE': 'file_list',
            'DATA': shown,
            'endpoint': place.collection.id,
            'path': place.text(directory=entry.type == 'dir'),
            'absolute_path': None,
            'length': len(shown),
            'total': len(kept),
            'offset': said['offset'],
            'limit': said['limit'],
            'has_next_page': said['offset'] + len(shown) < len(kept),
            'rename_supported': False,
            'symlink_supported': False,
        }

    def _entry(self, place: Place, row: Row, entry: Entry) -> dict[str, Any]:
        return document(entry, place, partial(self._behind, place, row, entry.name))

    def _behind(self, place: Place, row: Row, name: str) -> Entry:
        target = self.storage.follow(place.collection, (*place.parts, name), row['context'])
        return target.store.entry(target.parts)


def _words(fields: Fields, name: str, fault: Callable[[str], str | None]) -> list[str]:
    """A text or a list of texts, each without a fault."""
    words = [fields.any(name)] if isinstance(fields.any(name), str) else fields.texts(name, [])
    for word in words:
        if (problem := fault(word)) is not None:
            fields.fault(name, problem)
    return words


class StatAction(InstantAction):
    """Says what is at a path. Where nothing is, it ends as FAILED with `details.code` `NotFound`, which flows may branch on."""

    description = Description(
        name='stat',
        title='Look at a path',
        urls=spellings('stat'),
        synchronous=True,
        input_schema=schema({}, 'path'),
        section='collections',
    )

    def do(self, place: Place, row: Row, again: bool, **said: Any) -> dict[str, Any]:
        """The file document."""
        entry = place.store.entry(place.parts)
        if row['path'].endswith('/') and entry.type != 'dir':
            raise NotADirectoryError(errno.ENOTDIR, 'no directory', row['path'])
        return document(entry, place)
