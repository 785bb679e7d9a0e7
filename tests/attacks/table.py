"""Every attack that is tried, by its number."""

from __future__ import annotations

from tests.row import Row

ROWS = {
    1: Row('Random bytes, HTTP, TLS, half a greeting or nothing at the port of the relay', 'Cut off within 5 s, without a traceback'),
    2: Row('A ZMTP client without CURVE: NULL or PLAIN', 'The handshake is refused'),
    3: Row('CURVE with a key that no account has', 'The handshake is refused, the log names the address, and the application sees nothing'),
    4: Row('A relay in the place of the pinned one, with another key', 'The client says nothing to it'),
    5: Row('A relay whose guard is not asked, or admits everybody', 'Its self-test comes in with a random key, and it does not open'),
    6: Row('A key registers or speaks in a role that is not its own', '`denied`, on record'),
    7: Row(
        'A routing id, an instance or an epoch of somebody else is claimed',
        'A session belongs to the CURVE key that opened it: nothing is gained, nobody disturbed',
    ),
    8: Row('A second process with the key of an endpoint', '`duplicate` or `fenced`, on record'),
    9: Row(
        "Another account's task, whose id is known, is listed, followed, cancelled, watched or fetched",
        'The very answer as for one that is not there, on record',
    ),
    10: Row('A task for an endpoint that the account may not use', '`not-found` before anything is stored, on record'),
    11: Row('A task that no trusted account has sealed', 'Refused at the endpoint, on record; nothing is unpickled'),
    12: Row('The relay changes a task, or gives it the payload of another one', 'The seal does not hold: refused, on record; nothing is unpickled'),
    13: Row('The relay sends a task to another endpoint', 'Refused there, on record: neither grant nor header is for it'),
    14: Row(
        'The relay repeats a task: at once, after a restart, when the journal was pruned, out of an old store',
        '`replayed` or expired: it has run once',
    ),
    15: Row('A task that is over, or for a time far ahead; clocks that differ by a day', 'Not taken by the relay, not run by the endpoint'),
    16: Row('The relay makes up a result, changes how a task ended, or swaps two results', 'The client raises `SealError`, and unpickles nothing'),
    17: Row("The relay delivers an older attempt's result under a newer one", 'The attempt is under the seal: `SealError`'),
    18: Row('An endpoint that is not trusted returns a pickle', 'It is not read; from such endpoints come JSON and text'),
    19: Row('An exception with a hostile `__reduce__`, or of a module that is not here', '`RemoteError` with its text'),
    20: Row('Pickles where JSON is said, or the serializer is changed on the way', 'What is under the seal counts, and its reader refuses'),
    21: Row('Allow-list `hashes`: same name, other code; one byte changed; whitespace; hash in clear header right, code wrong', 'refused'),
    22: Row(
        '`registered`: "os:system", "builtins:eval", "pkg.mod:func.__globals__", "..", unicode look-alike, module in cwd',
        'refused; exact-match table only',
    ),
    23: Row('Pickled args in b/c mode', 'refused before unpickle'),
    24: Row(
        'user_endpoint_config with `\\n#SBATCH …`, `$(…)`, `;`, unknown key, nested Jinja `{{ }}`', 'schema refusal; rendered script byte-identical'
    ),
    25: Row(
        'Task id / group / function name with `../`, NUL, 10 KB, RTL, SQL quotes, newline (log injection)',
        'schema refusal; files only by our own hex ids',
    ),
    26: Row('Revoked key with a live session', 'next message refused ≤ 1 s'),
    27: Row('Key file 0644 / dir group-writable / symlink / owned by another', 'refuse to start, say chmod'),
    28: Row('umask 000 at enrolment', 'files still 0600'),
    29: Row(
        'Secret in logs: run all tests at DEBUG, grep for key material, tokens, payload canary',
        'zero hits; also `ps`, env of workers, core dumps off',
    ),
    30: Row('Enrolment token reused, expired, brute-forced, raced by two', 'one wins; rate limit; token stored hashed'),
    31: Row('Worker reads client/endpoint signing key', 'key not in worker env, not on compute node; test as separate uid in a userns'),
    32: Row(
        'Other local user connects to HTEX ports / localhost sockets / reads cert dir',
        'refused (CURVE, 0700); encrypted asserted for HTEX and MPIExecutor',
    ),
    33: Row('/tmp symlink or pre-created dir race (sockets, logs, .part files)', 'owner+mode check, O_NOFOLLOW, mkdtemp'),
    34: Row('10 000 connects, idle; slow-loris handshake', 'cap, others served'),
    35: Row('50 k tiny tasks/s from one key', 'RATE_LIMITED with retry-after; fair share for others'),
    36: Row(
        'Oversize frame; 800-frame multipart; never-ending multipart (raw ZMTP script)',
        'peer cut or process restarts within MemoryMax; nothing acked is lost',
    ),
    37: Row('Store filling by never fetching results', 'per-key quota, oldest-first policy stated'),
    38: Row(
        'Nested/huge JSON, msgpack bombs (ext types, 2^32 length), duplicate keys, NaN, deep recursion in flow definition or schema',
        'bounded parse error',
    ),
    39: Row(
        "Flow expression escapes: `().__class__`, `''.join`, lambda, format strings, `[[1]*9999 for i in [1]*9999]`, ReDoS in schema pattern",
        'refused or killed by time/memory budget',
    ),
    40: Row(
        'Flow/Transfer paths: `..`, symlink out of the collection, `/~/` of other user, file:// or http://169.254.169.254 (SSRF), redirect to file:',
        'refused',
    ),
    41: Row('Protocol downgrade: HELLO v0 / no E2E capability / relay strips frame2', 'REQUIRE_SIGNED is endpoint-side config, never negotiated'),
    42: Row('Audit: delete/edit/truncate a line; disk full on audit', '`audit verify` names the line; fail-closed mode stops pulling'),
    43: Row('SQL: hand-edited row in relay db (new task, changed endpoint, changed user)', 'endpoint refuses (signature); relay row-hash alarm'),
    44: Row('Operator key stolen: run tasks?', 'operator role cannot sign tasks; only drain/quota/revoke; all audited'),
    45: Row(
        'Dependency check',
        'pip-audit + pinned hashes + SBOM; CI fails on pickle/dill/eval/exec/yaml.load/shell=True outside the allow-listed modules (bandit/semgrep)',
    ),
}
