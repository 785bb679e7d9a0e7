"""Every fault that is tried, by its number."""

from __future__ import annotations

from tests.row import Row

ROWS = {
    1: Row('kill -9 of a client after its submit was accepted', 'the task runs; its result comes to whoever follows its id or group'),
    2: Row(
        'kill -9 of a client before its submit was accepted',
        'what the relay had taken runs once, and nothing else does; a task sent again under the same id runs once',
    ),
    3: Row('kill -9 of an idle relay', 'everything is back; clients and endpoints have a session again soon'),
    4: Row('kill -9 of a relay under load', 'nothing that was accepted is lost, nothing is doubled'),
    5: Row('kill -9 of a relay between commit and acknowledgement', 'what the client sends again is known by its id'),
    6: Row('kill -9 of a relay between receiving and commit', 'the client sends it again, and it is taken'),
    7: Row(
        'kill -9 of an idle endpoint with tasks in its queue',
        'what was dispatched may have started: it comes again as the next attempt, `at_most_once` ends as lost',
    ),
    8: Row(
        'kill -9 of an endpoint with running tasks',
        'the next attempt runs; a late result of an older one is taken while the task is open, and set aside afterwards',
    ),
    9: Row(
        'kill -9 of an endpoint that has a result, before the relay has recorded it',
        'a result in the journal (after a second, and of `at_most_once` before it is sent) is sent again; its task does not run again',
    ),
    10: Row('kill -9 of the interchange', 'the engine is built anew; its tasks run again or fail with the reason'),
    11: Row('kill -9 of a manager', '`ManagerLost`, tried again'),
    12: Row('kill -9, `os._exit` or a segmentation fault in a task', '`WorkerLost` for that task alone, with the evidence'),
    13: Row(
        'A task that kills whatever process it runs in',
        'it fails with `WorkerLost` or `ManagerLost` after `max_retries_on_system_failure`; the endpoint stays up',
    ),
    14: Row('No memory left in a worker', 'as 12, and the reason is told'),
    15: Row('A batch job reaches its walltime in the middle of a task', 'the task runs again in another block, within its count of tries'),
    16: Row('The batch system is away, says rubbish, refuses or hangs', 'it is asked less often, no storm of jobs, no job is called ended'),
    17: Row('The batch system takes a job, and its answer is lost', 'never more blocks than `max_blocks`'),
    18: Row('SIGSTOP of the relay for a minute, then SIGCONT', 'sessions are made anew; nothing fails, nothing is doubled'),
    19: Row('SIGSTOP of an endpoint, then SIGCONT', 'silence ends no lease; a newer process fences the older'),
    20: Row('A peer vanishes without a word (half-open TCP)', 'noticed within the time of a heartbeat'),
    21: Row('Client and relay parted for longer than any timer of theirs', 'submits wait in the outbox and leave afterwards'),
    22: Row('Relay and endpoint parted, both alive', 'the endpoint works on, keeps its results and delivers them later'),
    23: Row('Bytes pass in one direction only', 'noticed by a ping that nobody answers; connected anew'),
    24: Row(
        '20 % of packets lost, one way or both, delays of 500 ms ± 300, reordered', 'slower, and right; a slow handshake is not taken for a wrong key'
    ),
    25: Row('Connections reset every half second', 'it goes on; no descriptor and no thread is left over'),
    26: Row('Bytes changed on the way', 'CURVE drops them; never a wrong result'),
    27: Row('A firewall forgets an idle connection', 'kept alive, or connected anew'),
    28: Row('The relay has another address', 'its name is looked up anew with each try to connect; nothing is restarted'),
    29: Row('A fast client and a slow endpoint', 'windows bound what is held in memory; the backlog is on disk'),
    30: Row('A client that does not fetch its results', 'they wait on disk, beyond its window; others notice nothing'),
    31: Row('An argument over the limit', 'that future fails at once; the others go on'),
    32: Row('A frame that is too long for the relay', 'that peer is cut, others are served'),
    33: Row('A result over the limit', 'that task fails, and says how long it was and what to do; the others go on'),
    34: Row(
        '100,000 tasks wait while the relay is restarted',
        'it serves within ten seconds, its memory stays flat',
    ),
    35: Row('The disk of the relay is full', 'submits are refused, results still come in from a reserve, and it recovers by itself'),
    36: Row(
        'The disk of the endpoint is full',
        'it takes in no more tasks and starts none, small results wait in its memory, and it goes on by itself when there is room; after ten minutes '
        'it ends with code 1. A large argument or result fails its task, and says so',
    ),
    37: Row(
        'fsync fails',
        'no acknowledgement; of a store or journal: the process ends with code 1 and starts clean; of a large body at the relay: it is fetched anew',
    ),
    38: Row(
        'A store or journal cut off anywhere', 'it opens at a commit; clients send again what no answer confirmed, `at_most_once` never runs twice'
    ),
    39: Row(
        'A bit flipped in a store, a journal or a spool',
        'found by its sum, and told in the audit log or the log; never run or returned as good',
    ),
    40: Row('A store or journal that is gone, read-only or of another owner', 'it does not start, and says why; it never begins anew in silence'),
    41: Row('Two relays on one store, two endpoints with one identity', 'the second is refused, or the first is fenced, also one that stood still'),
    42: Row(
        'Restore of an old backup (state goes back in time)',
        'what endpoints hold of open tasks is taken over and nothing runs twice; tasks that came later end as lost, with the reason',
    ),
    43: Row('A clock that jumps by a day', 'nothing expires before its time, leases stay'),
    44: Row('64 file descriptors', 'connections are refused, and it recovers'),
    45: Row('No threads to be had, /tmp that cannot be written, a home that is read-only', 'a clear error, or it works all the same'),
    46: Row(
        'Rolling upgrade N-1↔N in each order, under load; downgrade',
        'every pair of versions works; the store is brought to the new tables and kept as it was; the older version refuses it and names the version',
    ),
    47: Row('An unknown type or field, frames that are missing', 'refused with a reason, and the session lives; a million of them cost no memory'),
    48: Row(
        'Any single message of a session doubled, dropped, or changed for its neighbour',
        'each task ends as it would without; one that is cancelled ends once',
    ),
    49: Row('A cancel at any moment, of a task whose endpoint is away too', 'one terminal state; what ran is dead'),
    50: Row(
        'SIGTERM at each party',
        'it finishes or gives back, and exits 0 within its grace (an endpoint: 30 s, or `--grace`); what still runs then is ended and runs again, '
        '`at_most_once` ends as lost; a script is gone, and what it had sent is there',
    ),
    51: Row(
        'A task that prints a gigabyte, leaves daemons, closes or redirects descriptors, changes directory or umask',
        'the next task on that worker is as it would be without',
    ),
    52: Row('A result that cannot be pickled, an exception that cannot be unpickled, endless recursion', 'that task fails, with the text of it'),
    53: Row('Other versions of Python at client and worker', '`VersionMismatch` that names both, before anything runs; source text runs'),
    54: Row(
        'kill -9 of the engine of flows between any two events',
        'it goes on: the same payload; each action is asked for under one request id, and one that knows its ids takes effect once (a mail, or a '
        'task without `at_most_once`, may come twice)',
    ),
}
