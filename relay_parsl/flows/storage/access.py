"""Who may do what in a collection: its access list, in the words of Globus's guest collections. Pure but for `AccessList`, which keeps it in rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from relay_parsl.flows.actions.base import Records
from relay_parsl.flows.storage.paths import Parts, parse, text, within

PRINCIPALS = ('identity', 'group', 'all_authenticated_users', 'anonymous')
PERMISSIONS = ('r', 'rw')


@dataclass(frozen=True)
class Who:
    """An account, as the `_context` of its run says.

    Attributes:
        names: Everything that it is called: username, e-mail, UUID and URN of each of its identities.
    """

    names: frozenset[str] = frozenset()

    @property
    def authenticated(self) -> bool:
        """Whether it is anybody at all."""
        return bool(self.names)


def who_of(context: Mapping[str, Any]) -> Who:
    """The account that a run's `_context` speaks of."""
    found: list[str] = []
    for identity in (context, *(context.get('identities') or ())):
        fields = identity if isinstance(identity, Mapping) else {'id': identity}
        found += [str(fields[key]) for key in ('username', 'email', 'user_id', 'id', 'sub') if fields.get(key)]
    return Who(frozenset(name for each in found for name in (each.lower(), each.rpartition(':')[2].lower())))


@dataclass(frozen=True)
class Rule:
    """One line of an access list.

    Attributes:
        principal: A username, UUID or URN for an identity, a name of the collection's `groups` for a group; '' for the other two.
        path: A directory; the rule holds for all that lies beneath it.
        permissions: `r` or `rw`.
    """

    id: str
    principal_type: str
    principal: str
    path: str
    permissions: str

    def grants(self, who: Who, parts: Parts, write: bool, groups: Mapping[str, frozenset[str]]) -> bool:
        """Whether it lets this account do that there."""
        return (not write or self.permissions == 'rw') and within(parts, parse(self.path)) and self._means(who, groups)

    def _means(self, who: Who, groups: Mapping[str, frozenset[str]]) -> bool:
        if self.principal_type == 'anonymous':
            return True
        if self.principal_type == 'all_authenticated_users':
            return who.authenticated
        wanted = self.principal.lower()
        if self.principal_type == 'group':
            return bool(groups.get(wanted, frozenset()) & who.names)
        return wanted in who.names or wanted.rpartition(':')[2] in who.names

    def document(self) -> dict[str, Any]:
        """As Globus writes it."""
        return {'DATA_TYPE': 'access', **asdict(self), 'role_id': None, 'role_type': None}


def granted(rules: Iterable[Rule], who: Who, parts: Parts, write: bool, groups: Mapping[str, frozenset[str]]) -> bool:
    """Whether any rule does: rules only ever add."""
    return any(rule.grants(who, parts, write, groups) for rule in rules)


class AccessList:
    """The rules of one collection, in rows that all providers of the section share. The row of a rule is `access/COLLECTION/ID`."""

    def __init__(self, records: Records, collection: str) -> None:
        self.records, self.prefix = records, f'access/{collection}/'

    def rules(self) -> list[Rule]:
        """All of them."""
        return [Rule(**value) for _, value in self.records.scan(self.prefix)]

    def get(self, rule_id: str) -> Rule | None:
        """The one with this id."""
        value = self.records.get(self.prefix + rule_id)
        return None if value is None else Rule(**value)

    def put(self, rule: Rule) -> None:
        """Add or replace it."""
        self.records.put(self.prefix + rule.id, asdict(rule))

    def delete(self, rule_id: str) -> None:
        """Take it out."""
        self.records.delete(self.prefix + rule_id)


def rule_id_of(request_id: str) -> str:
    """The id of the rule that this request makes: the same at each repetition."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f'relay-parsl:access:{request_id}'))


def directory(parts: Parts) -> str:
    """A rule's path as it is stored: with a slash at both ends."""
    return text(parts, directory=True)
