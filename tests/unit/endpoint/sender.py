"""An account that sends tasks: real grants, real seals, no executor."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Any

from relay_parsl.wire import codec, payload
from relay_parsl.wire.messages import Body, Hash, Id, Object, Result, Task, TaskHeader
from relay_parsl.wire.payload import Call, Outcome
from relay_parsl.wire.seal import Card, Grant, Keys, make_grant, new_body_key, sealed_size


class Sender:
    """Seals calls for one endpoint and opens what comes back."""

    def __init__(self, keys: Keys, card: Card, now: float, *, kind: str = 'user', lifetime: float = 86_400.0, voucher: bytes = b'') -> None:
        self.keys, self.card, self.now = keys, card, now
        self.grant: Grant = make_grant(keys, kind, card, now=now, lifetime=lifetime, voucher=voucher)
        self.sequence = 0
        self.headers: dict[Id, TaskHeader] = {}
        self.group = Id(os.urandom(16))

    @property
    def grant_object(self) -> Object:
        return Object(self.grant.hash, 'grant', Body(self.grant.data))

    def function(self, blob: bytes) -> Object:
        data = self.grant.seal('function', b'', blob)
        return Object(Hash(sha256(data).digest()), 'function', Body(data))

    def task(self, function: Object, blob: bytes, args: tuple[Any, ...] = (), **fields: Any) -> Task:
        """A sealed call; `serializer`, `options`, `length` and fields of the header may be given."""
        self.sequence += 1
        serializer, options, length = fields.pop('serializer', 'cloudpickle'), fields.pop('options', {}), fields.pop('length', 0)
        digest, python = fields.pop('digest', sha256(blob).digest()), fields.pop('python', payload.describe(blob).python)
        header = TaskHeader(
            **{
                'grant': self.grant.hash, 'sequence': self.sequence, 'task_id': Id(os.urandom(16)), 'group': self.group, 'endpoint': self.card.id,
                'function': function.hash, 'expires': self.now + 86_400.0, 'body': sealed_size(length) if length else 0, **fields,
            }
        )  # fmt: skip
        arguments = b'' if length else payload.dump_arguments(args, {}, serializer)
        self.body_key = new_body_key() if length else b''
        call = Call(digest, 'function', python, arguments, self.body_key, length, options)
        data = codec.encode_header(header)
        self.headers[header.task_id] = header
        return Task(data, Body(self.grant.seal('task', data, payload.encode_call(call))))

    def outcome(self, result: Result) -> Outcome:
        """What a result says, its seal checked."""
        return payload.decode_outcome(self.grant.open('result', result.header, result.payload))
