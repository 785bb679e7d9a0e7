"""Which functions an endpoint runs: `any` that a trusted signer sends, or only those that its file names."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from relay_parsl.config import Located, Report
from relay_parsl.errors import ConfigError
from relay_parsl.wire.seal import hash_uuid

HOW = """write `function_policy: any`, or `function_policy: {hashes: [...]}`, or `function_policy: {names: ['package.module:function']}`"""


@dataclass(frozen=True)
class FunctionPolicy:
    """What may run. The default is `any`: who may send at all is the matter of grants.

    Attributes:
        kind: 'any', 'hashes' or 'names'.
        allowed: For 'hashes' the SHA-256 (hex) or the ids (UUIDs made of it) of functions' plaintext blobs; for 'names' importable functions,
            `package.module:function`.
    """

    kind: str = 'any'
    allowed: frozenset[str] = frozenset()

    def allows(self, digest: bytes, how: str, name: str) -> bool:
        """Whether a function may run.

        Args:
            digest: SHA-256 of its plaintext blob.
            how: How it travels: 'cloudpickle', 'source' or 'import'.
            name: Its name; what 'import' imports.
        """
        if self.kind == 'hashes':
            return digest.hex() in self.allowed or hash_uuid(digest) in self.allowed
        return self.kind == 'any' or (how == 'import' and name in self.allowed)

    def refusal(self, digest: bytes, name: str, whose: str) -> str:
        """What to tell who sent a function that may not run: which policy, and the remedy. `whose`: whose word the policy is."""
        if self.kind == 'hashes':
            how = f'it allows functions by their ids only, and not that of {name!r}, which is {hash_uuid(digest)}: ask the owner to add that id'
        else:
            some = ', '.join(sorted(self.allowed)[:5]) + (', …' if len(self.allowed) > 5 else '')
            how = f'it allows importable functions by their names only ({some}), and not {name!r}: submit one of those by its name, or ask the owner'
        return f'{whose} (function policy: {self.kind}) does not allow this: {how}'

    @property
    def serializers(self) -> tuple[str, ...] | None:
        """Serializers that arguments may use; None: all. Code that is not the owner's choice gets data only."""
        return None if self.kind == 'any' else ('json',)


def policy_of(functions: Sequence[str]) -> FunctionPolicy:
    """The policy that lists these: all hashes or ids, or all names. None is `any`. Raises ConfigError, which names the one that is neither."""
    if not functions:
        return FunctionPolicy()
    kind = 'names' if ':' in functions[0] else 'hashes'
    for value in functions:
        fault = _bad_hash(value) if kind == 'hashes' else _bad_name(value)
        if fault:
            raise ConfigError(f'{fault}. Give hashes and ids, or names, not both')
    return FunctionPolicy(kind, frozenset(value.lower() if kind == 'hashes' else value for value in functions))


def read_policy(root: Located, report: Report) -> FunctionPolicy:
    """The policy that a file states as `function_policy`, or as Globus Compute's `allowed_functions`."""
    node, ids = root.get('function_policy'), root.get('allowed_functions')
    if node is not None and ids is not None:
        report.error(ids, 'say it once: `function_policy` and `allowed_functions` mean the same')
    if node is None:
        return FunctionPolicy() if ids is None else _listed('hashes', ids, report)
    if node.value == 'any':
        return FunctionPolicy()
    if not node.is_mapping or len(node.value) != 1 or next(iter(node.value)) not in ('hashes', 'names'):
        report.error(node, HOW)
        return FunctionPolicy('names')
    kind, listed = next(iter(node.value.items()))
    return _listed(kind, listed, report)


def _listed(kind: str, node: Located, report: Report) -> FunctionPolicy:
    if not isinstance(node.value, list) or not node.value:
        report.error(node, 'must be a list of functions; ' + HOW)
        return FunctionPolicy(kind)
    allowed = set()
    for child in node.value:
        value = str(child.plain)
        fault = _bad_hash(value) if kind == 'hashes' else _bad_name(value)
        if fault:
            report.error(child, fault)
        allowed.add(value.lower() if kind == 'hashes' else value)
    return FunctionPolicy(kind, frozenset(allowed))


def _bad_hash(value: str) -> str:
    if re.fullmatch(r'[0-9a-fA-F]{64}', value):
        return ''
    try:
        version = uuid.UUID(value).version
    except ValueError:
        return f'must be the SHA-256 (64 hex digits) or the id of a function; it is {value!r}'
    if version != 8 or value.lower() != str(uuid.UUID(value)):
        return f'{value!r} is no id of relay-parsl, which makes it of what the function is: take the one that `register_function` returns'
    return ''


def _bad_name(value: str) -> str:
    return '' if re.fullmatch(r'[A-Za-z_][\w.]*:[A-Za-z_][\w.]*', value) else f"must be importable, like 'package.module:function'; it is {value!r}"
