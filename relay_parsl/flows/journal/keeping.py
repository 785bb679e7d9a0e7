"""Ids, who one is, and what is deleted with a run."""

from __future__ import annotations

import getpass
import hashlib
import platform
import uuid

from relay_parsl.flows.definition import Definition, Json
from relay_parsl.flows.journal.coding import dump
from relay_parsl.flows.journal.file import JournalFile
from relay_parsl.flows.messages import Limits

OF_A_RUN = ('log', 'events', 'snapshots')


def digest(definition: Definition) -> str:
    """The SHA-256 of all that the machine goes by."""
    return hashlib.sha256(dump(definition).encode()).hexdigest()


def flow_id(digest: str) -> str:
    """A UUID of a definition's hash: the same definition is the same flow."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, digest))


def identity(now: float, limits: Limits) -> dict[str, Json]:
    """What `_context` says of who runs a flow: the account of this machine, in the fields of the hosted service."""
    user, host = getpass.getuser(), platform.node() or 'localhost'
    urn = f'urn:globus:auth:identity:{uuid.uuid5(uuid.NAMESPACE_DNS, f"{user}@{host}")}'
    token = {'exp': int(now + limits.duration), 'iat': int(now), 'nbf': int(now)}
    return {'username': user, 'email': f'{user}@{host}', 'user_id': urn, 'identities': [urn], 'token_info': token}


def delete_run(file: JournalFile, number: int) -> None:
    """A run and all that is its own; the definition too, if no other run has it. Inside a turn."""
    definition = file.one('SELECT definition FROM runs WHERE n = ?', number)[0]
    for table in OF_A_RUN:
        file.run(f'DELETE FROM {table} WHERE run = ?', number)  # noqa: S608  our own names
    file.run('DELETE FROM actions WHERE run = ? AND settled = 1', number)  # the others are not through: the engine goes on with them
    file.run('DELETE FROM runs WHERE n = ?', number)
    file.run('DELETE FROM definitions WHERE hash = ?1 AND NOT EXISTS (SELECT 1 FROM runs WHERE definition = ?1)', definition)
