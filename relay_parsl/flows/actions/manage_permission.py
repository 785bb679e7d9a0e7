"""`manage_permission`, once `set_permission`: the access list of a collection, which all our actions on files obey."""

from __future__ import annotations

import threading
from typing import Any

from relay_parsl.flows.actions.base import ActionUnableToRun, Call, Description
from relay_parsl.flows.actions.bodies import Fields
from relay_parsl.flows.actions.instant import InstantAction, endpoint, schema, spellings
from relay_parsl.flows.actions.kept import Row
from relay_parsl.flows.messages import ActionStatus
from relay_parsl.flows.storage.access import PERMISSIONS, PRINCIPALS, AccessList, Rule, directory, rule_id_of, who_of
from relay_parsl.flows.storage.collections import Collection
from relay_parsl.flows.storage.paths import parse
from relay_parsl.flows.storage.place import Place

_EDITING = threading.Lock()
OPERATIONS = ('CREATE', 'UPDATE', 'DELETE')
MOST = 1000
"""Rules of one collection, as Globus has it."""
_DONE = {
    'CREATE': ('access_create_result', 'Created', 'The access rule was created'),
    'UPDATE': ('result', 'Updated', 'The access rule was updated'),
    'DELETE': ('result', 'Deleted', 'The access rule was deleted'),
}


class ManagePermissionAction(InstantAction):
    """Adds, changes and takes out rules. Only the owner of the collection may; a read-only collection has its list, too."""

    description = Description(
        name='manage_permission',
        title='Edit an access list',
        urls=spellings('manage_permission', 'set_permission'),
        synchronous=True,
        input_schema=schema(
            {
                'operation': {'enum': [*OPERATIONS, *map(str.lower, OPERATIONS)]},
                'path': {'type': ['string', 'null']},
                'rule_id': {'type': ['string', 'null']},
                'access_id': {'type': ['string', 'null']},
                'principal_type': {'enum': [*PRINCIPALS, None]},
                'principal': {'type': ['string', 'null']},
                'permissions': {'enum': [*PERMISSIONS, None]},
            },
            'operation',
        ),
        section='collections',
    )

    def check(self, call: Call) -> Row:
        """Who asks, and whether the body says what its operation needs."""
        fields = Fields(call.body)
        key, operation = endpoint(fields), fields.text('operation').upper()
        if operation and operation not in OPERATIONS:
            fields.fault('operation', f'is one of {", ".join(OPERATIONS)}')
        said = self._create(fields) if operation == 'CREATE' else self._change(fields, operation)
        fields.done()
        collection = self.known(key)
        if not self.storage.owns(collection, who_of(call.context)):
            raise ActionUnableToRun(f'only the owner of collection {collection.name!r} may edit its access list')
        if operation == 'CREATE':
            try:
                said['path'] = directory(parse(said['path'], collection.home))
            except OSError as error:
                raise ActionUnableToRun(f'path: {error}') from error
        return {'context': {}, 'key': collection.name, 'operation': operation, 'said': said, 'request_id': call.request_id}

    def _create(self, fields: Fields) -> dict[str, str]:
        kind = fields.choice('principal_type', PRINCIPALS)
        named = kind in ('identity', 'group')
        return {
            'principal_type': kind,
            'principal': fields.text('principal') if named else '',
            'path': fields.text('path'),
            'permissions': fields.choice('permissions', PERMISSIONS),
        }

    def _change(self, fields: Fields, operation: str) -> dict[str, str]:
        name = next((name for name in ('rule_id', 'access_id') if name in fields), 'rule_id')
        said = {'rule_id': fields.text(name)}
        return said | ({'permissions': fields.choice('permissions', PERMISSIONS)} if operation == 'UPDATE' else {})

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        """Edit the list; one at a time, so that no two of the same make a rule each."""
        with _EDITING:
            return self._edit(action_id, row, again)

    def _edit(self, action_id: str, row: Row, again: bool) -> ActionStatus:
        collection, said = self.known(row['key']), row['said']
        rules = AccessList(self.surroundings.records, collection.name)
        if row['operation'] == 'CREATE':
            return self._created(action_id, row, rules, collection)
        rule = rules.get(said['rule_id'])
        if rule is None and not (again and row['operation'] == 'DELETE'):
            return self.failed(action_id, row, 'AccessRuleNotFound', f'no rule {said["rule_id"]!r} in the access list of {collection.name!r}')
        if row['operation'] == 'DELETE':
            rules.delete(said['rule_id'])
        elif rule is not None:
            rule = Rule(rule.id, rule.principal_type, rule.principal, rule.path, said['permissions'])
            rules.put(rule)
        return self._done(action_id, row, collection, said['rule_id'], rule)

    def _created(self, action_id: str, row: Row, rules: AccessList, collection: Collection) -> ActionStatus:
        rule = Rule(rule_id_of(row['request_id']), **row['said'])
        others = [each for each in rules.rules() if each.id != rule.id]
        twin = [each for each in others if (each.principal_type, each.principal, each.path) == (rule.principal_type, rule.principal, rule.path)]
        if twin:
            return self.failed(action_id, row, 'Exists', f'rule {twin[0].id} is of the same principal and path; UPDATE it', access_id=twin[0].id)
        if len(others) >= MOST:
            return self.failed(action_id, row, 'LimitExceeded', f'the access list has {MOST} rules; DELETE some')
        rules.put(rule)
        return self._done(action_id, row, collection, rule.id, rule)

    def _done(self, action_id: str, row: Row, collection: Collection, rule_id: str, rule: Rule | None) -> ActionStatus:
        kind, code, message = _DONE[row['operation']]
        details = {
            'DATA_TYPE': kind,
            'code': code,
            'message': message,
            'access_id': rule_id,
            'rule_id': rule_id,
            'request_id': row['request_id'],
            'resource': f'/endpoint/{collection.id}/access/{rule_id}',
        }
        return self.succeeded(action_id, row, details | ({'rule': rule.document()} if rule is not None else {}))

    def do(self, place: Place, row: Row, again: bool, **said: Any) -> dict[str, Any]:
        """No place is touched."""
        return {}
