"""Breaks of grants."""

from __future__ import annotations

from tests.mutations.entry import Mutation

_GRANTS = 'relay_parsl/wire/seal/grants.py'
_BODIES = 'relay_parsl/wire/seal/bodies.py'
_KEYS = 'relay_parsl/wire/seal/keys.py'
_FUNCTIONS = 'relay_parsl/wire/seal/functions.py'
_TESTS = 'tests/unit/wire/test_grants.py'
_BODY_TESTS = 'tests/unit/wire/test_bodies.py'

MUTATIONS = (
    Mutation(
        'grant',
        'A grant of anybody opens.',
        _GRANTS,
        'if not _trusts(trusted, claims.signer, claims.voucher, now):',
        'if False:',
        (f'{_TESTS}::test_signers_that_nobody_trusts', 'tests/unit/endpoint/test_gate.py::test_a_grant_of_a_stranger_is_refused'),
    ),
    Mutation(
        'grant',
        'The signature of a grant is not looked at when it is opened.',
        _GRANTS,
        '    verify(claims.signer, _GRANT, claims.body, claims.signature)\n    if claims.endpoint',
        '    if claims.endpoint',
        (f'{_TESTS}::test_a_grant_that_names_another_signer',),
    ),
    Mutation(
        'grant',
        'A grant to another endpoint opens, if its box does.',
        _GRANTS,
        'if claims.endpoint != uuid_of(keys.identity_public):',
        'if False:',
        (f'{_TESTS}::test_a_grant_to_another_endpoint',),
    ),
    Mutation(
        'grant',
        'A grant opens before its time, and however long it lasts.',
        _GRANTS,
        'if not (claims.not_before - SKEW <= now <= claims.not_after) or claims.not_after - claims.not_before > LONGEST:',
        'if now > claims.not_after:',
        (f'{_TESTS}::test_a_grant_outside_its_time',),
    ),
    Mutation(
        'grant',
        'A grant opens after its end.',
        _GRANTS,
        'if not (claims.not_before - SKEW <= now <= claims.not_after) or',
        'if claims.not_before - SKEW > now or',
        (f'{_TESTS}::test_a_grant_outside_its_time',),
    ),
    Mutation(
        'grant',
        'The box of a grant may hold another key than the one it commits to.',
        _GRANTS,
        'if len(key) != KEY or not compare_digest(_commit(key), self.commitment):',
        'if len(key) != KEY:',
        (f'{_TESTS}::test_a_grant_that_boxes_another_key_than_it_commits_to',),
    ),
    Mutation(
        'grant',
        'A grant expires only for those who open it anew.',
        'relay_parsl/endpoint/gate.py',
        'if now > grant.not_after:',
        'if False:',
        ('tests/unit/endpoint/test_gate.py::test_a_grant_that_expired_is_refused_also_when_it_was_taken_before',),
    ),
    Mutation(
        'seal',
        'The header is not bound to the seal.',
        _GRANTS,
        'return nonce + cipher.encrypt(nonce, plaintext, context + header)',
        'return nonce + cipher.encrypt(nonce, plaintext, context)',
        (f'{_TESTS}::test_another_header_direction_or_grant', 'tests/unit/endpoint/test_gate.py::test_a_header_that_the_relay_changed_is_refused'),
        (
            (
                'return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], context + header)',
                'return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], context)',
            ),
        ),
    ),
)
