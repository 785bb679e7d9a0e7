"""Keys under a passphrase: an account's for moving it, a relay's in its backup.

scrypt makes the key, AES-256-GCM seals, and every parameter is bound to the seal.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from relay_parsl.errors import ConfigError, HomeError

SHORTEST = 8
"""Characters of a passphrase, at least."""

ACCOUNT, RELAY = b'relay-parsl/1/account\0', b'relay-parsl/1/relay\0'
"""What a file of one kind begins with; it is bound to its seal."""

_SALT, _NONCE = 16, 12


def lock(plaintext: bytes, passphrase: str, head: bytes = ACCOUNT) -> bytes:
    """Head, salt, nonce and ciphertext. Raises ConfigError for a passphrase that is too short."""
    if len(passphrase) < SHORTEST:
        raise ConfigError(f'the passphrase has fewer than {SHORTEST} characters: choose a longer one')
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    return head + salt + nonce + AESGCM(_key(passphrase, salt)).encrypt(nonce, plaintext, head + salt)


def unlock(data: bytes, passphrase: str, where: str, head: bytes = ACCOUNT) -> bytes:
    """The plaintext. Raises HomeError for another passphrase, and for what `lock` did not write."""
    if not data.startswith(head):
        raise HomeError(f'{where} is no exported account' if head == ACCOUNT else f'{where} holds no keys of a relay')
    salt, nonce, sealed = data[len(head) :][:_SALT], data[len(head) + _SALT :][:_NONCE], data[len(head) + _SALT + _NONCE :]
    try:
        return AESGCM(_key(passphrase, salt)).decrypt(nonce, sealed, head + salt)
    except (InvalidTag, ValueError):  # ValueError: cut off within the nonce
        raise HomeError(f'{where} cannot be opened: the passphrase is another one, or the file is damaged') from None


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt, 32, n=2**16, r=8, p=1).derive(passphrase.encode())
