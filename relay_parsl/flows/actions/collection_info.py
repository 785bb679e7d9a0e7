"""`collection_info`: what a collection is."""

from __future__ import annotations

from typing import Any

from relay_parsl.flows.actions.base import Description
from relay_parsl.flows.actions.bodies import Fields
from relay_parsl.flows.actions.instant import InstantAction, endpoint, schema, spellings
from relay_parsl.flows.actions.kept import Row
from relay_parsl.flows.messages import ActionStatus
from relay_parsl.flows.storage.access import who_of
from relay_parsl.flows.storage.collections import Collection
from relay_parsl.flows.storage.paths import text
from relay_parsl.flows.storage.place import Place


class CollectionInfoAction(InstantAction):
    """Describes a collection, by the fields that Globus has for one and that mean something here. Its root is not told."""

    description = Description(
        name='collection_info',
        title='Describe a collection',
        urls=spellings('collection_info'),
        synchronous=True,
        input_schema=schema({}),
        section='collections',
    )

    def check(self, call: Any) -> Row:
        """Whoever knows its name may ask."""
        fields = Fields(call.body)
        key = endpoint(fields)
        fields.done()
        return {'context': dict(call.context), 'key': self.known(key).name}

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        """Nothing is opened for it."""
        return self.succeeded(action_id, row, self._document(self.known(row['key']), row))

    def do(self, place: Place, row: Row, again: bool, **said: Any) -> dict[str, Any]:
        """The same of a place."""
        return self._document(place.collection, row)

    def _document(self, collection: Collection, row: Row) -> dict[str, Any]:
        web = collection.scheme in ('https', 'http')
        return {
            'DATA_TYPE': 'endpoint',
            'DATA': [],
            'id': collection.id,
            'name': collection.name,
            'canonical_name': collection.name,
            'display_name': collection.title or collection.name,
            'description': collection.description or None,
            'entity_type': 'relay_parsl_collection',
            'owner_string': collection.owner or self.storage.account or None,
            'default_directory': text(collection.home, directory=True),
            'allowed': [text(parts, directory=True) for parts in collection.allowed],
            'is_managed': False,
            'acl_available': True,
            'acl_editable': self.storage.owns(collection, who_of(row['context'])),
            'disable_verify': False,
            'force_encryption': collection.scheme in ('https', 'sftp'),
            'https_server': collection.root if web else None,
            'writable': not (collection.read_only or web),
        }
