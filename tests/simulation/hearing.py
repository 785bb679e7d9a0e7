"""What a hostile party hears, judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_parsl.wire import messages as m
from relay_parsl.wire.codec import task_header
from relay_parsl.wire.messages import NO_ID, Id, Message

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.specs import Account

CARD = {'id', 'role', 'card'}
"""What the relay shows of a user to whoever knows the id."""


def told(judge: Invariants, message: Message, account: Account) -> None:
    """A hostile party hears something: never of others, but that what it has named is not to be had."""
    ids: list[Id] = []
    if isinstance(message, m.Deliver):
        ids = [each.task_id for each in message.results]
    elif isinstance(message, m.States):
        ids = [each.task_id for each in message.tasks]
    elif isinstance(message, m.Accepted):
        ids = list(message.ids)
    elif isinstance(message, m.Dispatch):
        ids = [task_header(each.header).task_id for each in message.tasks]
    elif isinstance(message, m.Segment):
        ids = [message.task_id] if message.total != -1 else []
    elif isinstance(message, m.Objects):
        judge.check(not {each.hash for each in message.objects} & secrets(judge), '6: %s was given an object of others', account.name)
    elif isinstance(message, m.Listing):
        people = {each.id: each.role for each in judge.world.accounts if not each.hostile}
        for row in message.rows:
            about = {key: value for key, value in row.items() if value not in ('', b'', NO_ID)}  # no name, nor whose it is
            known = about.keys() == CARD and (account.id, row['id']) in judge.named and people.get(row['id']) in ('user', 'service')
            judge.check(row.get('id') not in people or known, '6: %s was listed %s', account.name, row)
    judge.check(not set(ids) & judge.world.specs.keys(), '6: %s was told of tasks of others by %s', account.name, type(message).__name__)


def secrets(judge: Invariants) -> set[m.Hash]:
    """Objects that the relay has of honest accounts alone: what a stranger has brought itself is none to it."""
    strangers, rows = judge.world.relay.strangers, judge.world.relay.store._objects.values()
    return {row.hash for row in rows if row.account not in strangers} - {row.hash for row in rows if row.account in strangers}
