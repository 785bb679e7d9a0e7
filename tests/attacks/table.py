"""Every attack that is tried, by its number."""

from __future__ import annotations

from tests.row import Row

ROWS = {
    1: Row('TCP connect, random bytes / HTTP GET / TLS hello', 'dropped ≤ HANDSHAKE_IVL 5 s; no traceback'),
    2: Row('ZMTP NULL or PLAIN client', 'handshake refused'),
    3: Row('CURVE with unknown key', 'HANDSHAKE_FAILED_AUTH, app sees nothing'),
    4: Row('Known client key, wrong server key pinned', 'client refuses to talk'),
    5: Row('Relay started without ZAP authenticator (mutation test)', 'start-up self-test connects with a random key and must fail, else exit'),
    6: Row('Client key used to register as endpoint / endpoint key submits tasks', 'ROLE_DENIED'),
    7: Row("Client claims another's routing id / client id / session epoch", 'bound to CURVE key; refused'),
    8: Row('Second process with same endpoint key', 'fenced or refused, audited'),
    9: Row("List/get/cancel/attach other user's task id (guessed or known)", 'NOT_FOUND (same as absent, same timing class)'),
    10: Row('Submit to an endpoint not granted', 'DENIED before storing'),
    11: Row('Task with bad signature', 'refused at endpoint; canary pickle (`__reduce__` touches a file) must not fire'),
    12: Row('Valid signature, payload swapped by relay', 'payload hash mismatch, canary silent'),
    13: Row('Valid task re-addressed by relay to another endpoint', 'audience mismatch'),
    14: Row(
        'Replay same bytes (now, after restart, after journal GC, after restore of old relay db)', 'DUPLICATE / EXPIRED, side-effect count stays 1'
    ),
    15: Row('Expired / far-future task', 'refused; clock moved ±1 day'),
    16: Row('Relay forges result / flips SUCCESS/FAILED / swaps results of two tasks', 'client raises SignatureError'),
    17: Row("Relay replays an older attempt's result", 'attempt bound in signature'),
    18: Row('Endpoint returns malicious pickle', 'not unpickled (default JSON); canary in the client silent'),
    19: Row('Exception object with hostile __reduce__/class from unknown module', 'RemoteError with text'),
    20: Row('Serializer downgrade: header says json, bytes are pickle; or content-type changed in transit', 'signed id wins; parser error'),
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
