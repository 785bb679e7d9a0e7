"""User objects to bytes and back: functions, arguments, values, exceptions. What comes out of here is sealed by `wire.seal`.

```
 pickling    cloudpickle, with the user's own modules by value; the only user of cloudpickle
 functions   blob of a function: cloudpickle, source text, or an importable name
 values      serializers, and the blob of a call's arguments
 outcomes    blob of what a call gave: its value, or its exception with the remote traceback
 calls       Call and Outcome: what is sealed
```

Errors: `SerializationError` for what does not survive, `ProtocolError` for bytes that are none of ours, `VersionMismatch` for
bytecode of another Python.
"""

from __future__ import annotations

from relay_parsl.wire.payload.calls import Call, Outcome, decode_call, decode_outcome, encode_call, encode_outcome
from relay_parsl.wire.payload.functions import (
    PYTHON,
    FunctionInfo,
    check_python,
    describe,
    dump_function,
    dump_importable,
    dump_source,
    load_function,
)
from relay_parsl.wire.payload.outcomes import dump_failure, dump_value, load_outcome, load_plain, value_parts
from relay_parsl.wire.payload.pickling import Part
from relay_parsl.wire.payload.values import (
    SERIALIZERS,
    CloudpickleSerializer,
    JsonSerializer,
    Serializer,
    argument_parts,
    check,
    dump_arguments,
    find_serializer,
    load_arguments,
    serializer_name,
)

__all__ = [
    'PYTHON',
    'SERIALIZERS',
    'Call',
    'CloudpickleSerializer',
    'FunctionInfo',
    'JsonSerializer',
    'Outcome',
    'Part',
    'Serializer',
    'argument_parts',
    'check',
    'check_python',
    'decode_call',
    'decode_outcome',
    'describe',
    'dump_arguments',
    'dump_failure',
    'dump_function',
    'dump_importable',
    'dump_source',
    'dump_value',
    'encode_call',
    'encode_outcome',
    'find_serializer',
    'load_arguments',
    'load_function',
    'load_outcome',
    'load_plain',
    'serializer_name',
    'value_parts',
]
