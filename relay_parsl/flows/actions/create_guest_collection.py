"""`create_guest_collection`: a directory of a collection as a collection of its own, with an access list of its own."""

from __future__ import annotations

import errno
import uuid
from typing import Any

from relay_parsl.flows.actions.base import ActionUnableToRun, Call, Description
from relay_parsl.flows.actions.bodies import Fields
from relay_parsl.flows.actions.instant import TEXT, InstantAction
from relay_parsl.flows.actions.kept import Row
from relay_parsl.flows.storage.access import who_of
from relay_parsl.flows.storage.guests import Guest, Guests
from relay_parsl.flows.storage.listing import moment
from relay_parsl.flows.storage.place import Place

PARENT = ('mapped_collection_id', 'host_endpoint', 'host_endpoint_id', 'endpoint_id')
"""The fields that name the collection: of Globus Connect Server's form, of Personal's, and of other actions."""
BASE = ('collection_base_path', 'host_path', 'path')
_ROUTES = (
    'create_guest_collection',
    'create_guest_collection/gcsv5',
    'create_guest_collection/gcp',
    'create_guest_collection_gcsv5',
    'create_guest_collection_gcp',
    'create_gcsv5_guest_collection',
    'create_gcp_guest_collection',
    'guest_collection',
)


class CreateGuestCollectionAction(InstantAction):
    """Only the owner of a collection may share a part of it: who was let in by its access list could pass that on otherwise."""

    description = Description(
        name='create_guest_collection',
        title='Share a directory as a collection',
        urls=(
            *(f'https://transfer.actions.globus.org/{route}' for route in _ROUTES),
            'urn:globus:flows:handle:globus:TRANSFER.CREATE_GUEST_COLLECTION',
        ),
        synchronous=True,
        input_schema={
            'type': 'object',
            'properties': {**dict.fromkeys((*PARENT, *BASE), TEXT), 'display_name': TEXT, 'description': {'type': ['string', 'null']}},
            'required': ['display_name'],
        },
        section='collections',
    )

    def where(self, fields: Fields) -> tuple[str, str]:
        """Under any of their names."""
        parent = next((name for name in PARENT if name in fields), PARENT[0])
        base = next((name for name in BASE if name in fields), BASE[0])
        return fields.text(parent), fields.text(base)

    def fields(self, fields: Fields) -> dict[str, Any]:
        """How it is called."""
        return {'title': fields.text('display_name'), 'description': fields.text('description', '')}

    def check(self, call: Call) -> Row:
        """Who asks, and the rest."""
        row = super().check(call)
        collection = self.known(row['key'])
        if collection.parent:
            raise ActionUnableToRun(f'{collection.title!r} is a guest collection itself; share a directory of {collection.parent!r}')
        if not self.storage.owns(collection, who_of(call.context)):
            raise ActionUnableToRun(f'only the owner of collection {collection.name!r} may share a part of it')
        return row

    def do(self, place: Place, row: Row, again: bool, **said: Any) -> dict[str, Any]:
        """Write it down."""
        if place.store.entry(place.parts).type != 'dir':
            raise NotADirectoryError(errno.ENOTDIR, 'no directory', row['path'])
        guest_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f'relay-parsl:guest:{row["request_id"]}'))
        owner = str(row['context'].get('username') or self.storage.account)
        guest = Guest(guest_id, said['title'], place.collection.name, place.parts, owner, said['description'], row['time'])
        Guests(self.surroundings.records).put(guest)
        return {
            'DATA_TYPE': 'collection#1.9.0',
            'code': 'Created',
            'id': guest_id,
            'collection_id': guest_id,
            'endpoint_id': guest_id,
            'collection_type': 'guest',
            'collection_base_path': place.text(directory=True),
            'mapped_collection_id': place.collection.id,
            'host_endpoint': place.collection.id,
            'host_path': place.text(directory=True),
            'display_name': guest.title,
            'description': guest.description or None,
            'identity_id': row['context'].get('user_id'),
            'owner_string': owner or None,
            'created_at': (moment(guest.created) or '')[:10],
            'public': False,
            'high_assurance': False,
            'disable_verify': False,
        }
