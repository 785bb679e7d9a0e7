"""Every attack that is tried, by its number."""

from __future__ import annotations

from tests.row import Row

ROWS = {
    1: Row('Random bytes, HTTP, TLS, half a greeting or nothing at the port of the relay', 'Cut off within 15 s, without a traceback'),
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
        'The very answer as for one that is not there, after the same statements, on record',
    ),
    10: Row('A task for an endpoint that the account may not use', '`not-found` before anything is stored, on record'),
    11: Row('A task that no trusted account has sealed', 'Refused at the endpoint, on record; nothing is unpickled'),
    12: Row('The relay changes a task, or gives it the payload of another one', 'The seal does not hold: refused, on record; nothing is unpickled'),
    13: Row('The relay sends a task to another endpoint', 'Refused there, on record: neither grant nor header is for it'),
    14: Row(
        'The relay repeats a task: at once, after a restart, when the journal was pruned, out of an old store',
        '`replayed` or expired: it has run once',
    ),
    15: Row(
        'A task that is over, or for a time far ahead; clocks that differ by a day',
        'Over: not taken by the relay, not run by the endpoint. Far ahead: not taken by the relay; the endpoint goes by the time of the grant',
    ),
    16: Row('The relay makes up a result, changes how a task ended, or swaps two results', 'The client raises `SealError`, and unpickles nothing'),
    17: Row(
        "The relay delivers an older attempt's result under a newer one",
        'The attempt is under the seal: `SealError`',
    ),
    18: Row('An endpoint that is not trusted returns a pickle', 'It is not read; from such endpoints come JSON and text'),
    19: Row('An exception with a hostile `__reduce__`, or of a module that is not here', '`RemoteError` with its text'),
    20: Row('Pickles where JSON is said, or the serializer is changed on the way', 'What is under the seal counts, and its reader refuses'),
    21: Row(
        'A function with a name that is listed and other code: one byte changed, white space, the right hash in the clear header',
        'refused: what counts is the hash of what was unsealed',
    ),
    22: Row(
        'A function policy of names, and `os:system`, `builtins:eval`, `m:f.__globals__`, `..`, letters that look alike, a module in the directory',
        'refused; a name is listed as it stands, or it is not',
    ),
    23: Row('Arguments as a pickle where only data may come', 'refused before anything is unpickled'),
    24: Row(
        '`user_endpoint_config` with `\\n#SBATCH …`, `$(…)`, `;`, unknown keys, Jinja in values',
        'refused by name, or one plain value: the script gets no line and no word more',
    ),
    25: Row(
        'Names, ids and groups with `../`, NUL, 10 KB, marks from right to left, quotes of SQL, newlines',
        'refused, or written as one escaped word; files are called by our own hexadecimal ids',
    ),
    26: Row(
        'A key that is revoked while its session is open',
        'the session ends before the operator hears that it is done, and nothing that it says counts',
    ),
    27: Row('A key file of mode 0644, a directory that others may write, a link, a foreign owner', 'refused, with the command that mends it'),
    28: Row('umask 000 when keys are made', 'files of mode 0600 in directories of 0700'),
    29: Row(
        'Secrets in logs, in arguments and environments of processes, in core dumps, at the highest log level',
        'none: no key, token or content of a task; but what runs a task may dump core, with what that holds, and a link that is an argument of '
        '`join` is seen while it runs',
    ),
    30: Row(
        'An invitation used twice, by two at once, after its end, with guessed tokens',
        'one joins, before its end and with its token; who guesses waits longer and longer, on record; the relay knows the hash alone',
    ),
    31: Row(
        'A task looks for keys: its environment, its open files, its ancestors; another user of the host looks into the home',
        'nothing is there; refused',
    ),
    32: Row(
        'Another user of the host dials the ports of an engine, or reads its certificates',
        'refused: CURVE with keys in directories of 0700, for HtexEngine and MPIEngine alike',
    ),
    33: Row(
        'A link or a file in the place of one that will be made: logs, parts, spools, sockets',
        'not followed, not written to; directories in /tmp are made anew with mode 0700',
    ),
    34: Row(
        '10,000 connections that say nothing, or begin a handshake and do not go on',
        'cut when they say nothing; those without a session have their share of the files, and others are served',
    ),
    35: Row(
        'One account sends tiny tasks as fast as it can',
        'refused with the time after which to come again; others are served meanwhile',
    ),
    36: Row(
        'A frame that is too long, a message of 800 frames, one that never ends',
        'the connection is cut, or the message is refused; memory stays bounded, and nothing that was accepted is lost',
    ),
    37: Row(
        'Results that nobody fetches fill the store',
        'a quota for each account; bodies that were received go first, the oldest before others',
    ),
    38: Row(
        'Bombs: nested or huge JSON, msgpack with extension types and false lengths, doubled keys, NaN, deep definitions and schemas',
        'an error of ours, soon, in bounded memory',
    ),
    39: Row(
        'Expressions of flows that lead to classes, build lists without end, format strings, patterns that take for ever',
        'refused, or stopped by their budget',
    ),
    40: Row('Paths with `..`, links out of a collection, homes of others, `file:` and addresses of metadata, redirects to them', 'refused'),
    41: Row(
        'A relay or a client says an older protocol, leaves the seal off, or takes the payload away',
        "refused: what must be sealed is the endpoint's own rule, and nothing negotiates it",
    ),
    42: Row(
        'A line of the audit log is changed, removed or cut off; its disk is full',
        '`audit verify` names the line; where an audit log is required, nothing new begins without one, and results still come in',
    ),
    43: Row(
        "Rows of the relay's store written by hand: a new task, another endpoint, another account",
        'the endpoint refuses what was not sealed for it; a damaged row ends its task',
    ),
    44: Row(
        'The key of an operator is stolen',
        'it can stop, drain, back up, set quotas, revoke, delete and invite, each on record; no task can be signed, read or cancelled with it',
    ),
    45: Row(
        'A dependency with a known hole; code that unpickles or evaluates where it should not',
        '`make lint` fails; where no advisories can be had it passes over holes, and a line says so; `make sbom` lists what is installed',
    ),
}
