"""What is promised, and how it is kept: tables of `docs/guarantees.md` and `docs/security.md` are made from this. Every promise has a break."""

from __future__ import annotations

from tests.mutations.entry import Promise

_SIMULATION = 'tests/simulation/test_simulation.py'

GUARANTEES = {
    'on disk': Promise(
        'A task for which `accepted()` has returned is on disk at the relay.',
        'The relay commits with fsync (SQLite, WAL, `synchronous=FULL`) before any message of that turn leaves; it acknowledges header, whole body '
        'and every object together.',
        ('tests/contract/test_sqlite_store.py', 'tests/unit/test_spool.py', _SIMULATION, 'tests/integration/test_relay_failures.py'),
    ),
    'one end': Promise(
        'It ends in exactly one of success, failed, cancelled, expired, and whatever is told of its result is always the same.',
        'The first terminal state is written once, with the result in the place of the payload; every later one is answered with it. The bytes of a '
        'result that was received may be dropped before its `expires` when room is needed: who asks for them then is told so.',
        (_SIMULATION, 'tests/unit/relay/test_reactor.py'),
    ),
    'at least once': Promise(
        'It runs at least once until its `expires`.',
        'A lease ends only by a result, by a return (it goes to another), by a complete `HELD` that lacks it (then it goes back to the queue '
        'with the next attempt), by `expires`, or by the deletion of the endpoint.',
        (_SIMULATION, 'tests/unit/relay/test_leases.py'),
    ),
    'at most once': Promise(
        'With `at_most_once=True` it runs at most once.',
        "Its start is in the endpoint's journal, with fsync, before the engine hears of it; after that it is never leased, retried, returned or "
        'started again. Its `retries` do not count.',
        (_SIMULATION, 'tests/unit/endpoint/test_journalled.py'),
    ),
    'kills': Promise(
        'kill -9 of client, relay, endpoint, interchange, manager or worker, in any order, loses no accepted task and no result in an outbox.',
        'Ids make every message idempotent; each side says what *is* and repeats it until it is acknowledged; results are on disk at the endpoint, '
        'after a second at the latest, until the relay has recorded them.',
        (_SIMULATION, 'tests/integration/test_spine.py', 'tests/integration/test_htex_engine.py', 'tests/integration/test_shifts.py'),
    ),
    'deadly tasks': Promise(
        'A task that kills its worker fails after its retries, with the evidence, and its neighbours never notice.',
        'User code runs in a process of its own, the runner, whose death is charged to the very attempt that it ran.',
        ('tests/faults/test_deadly_tasks.py', 'tests/integration/test_htex_engine.py', 'tests/unit/endpoint/test_tasks.py'),
    ),
    'ended means dead': Promise(
        'A cancel or a timeout ends a function that runs, and what it started on its node.',
        "It is raised in the function first; who does not listen is killed with every process of its node that descends from it or has the attempt's "
        'mark in its environment. What has neither, runs as another user, on another node or in a batch job of its own is not reached, and goes on.',
        ('tests/unit/engines/test_interrupts.py', 'tests/integration/test_ending.py'),
    ),
    'clear refusals': Promise(
        'Overload, a full disk or a dead disk give a clear refusal, never a silent drop, never an ack that is not true. What a full relay refuses '
        'its client offers again; a full disk at an endpoint is waited for, ten minutes long, but fails tasks with large arguments or results.',
        'After any error of the store the turn is discarded, outputs and all, and the reactor is built anew from what is stored. A full relay '
        'refuses submits before anything is written, and results still come in. A full endpoint takes in nothing and starts nothing, with small '
        'results in its memory; after ten minutes it ends, and what it could not write is gone. An I/O error of a store or a journal: the process '
        'exits. Either way with code 1, which systemd starts again.',
        (
            _SIMULATION,
            'tests/integration/test_relay_failures.py',
            'tests/unit/client/test_full_disk.py',
            'tests/faults/test_full_disks.py',
            'tests/faults/test_failing_disks.py',
            'tests/unit/endpoint/test_commits.py',
        ),
    ),
    'bounded': Promise(
        'What relay and endpoint hold in memory is bounded: a fast client, a slow endpoint, or a client that fetches nothing costs disk alone.',
        'Windows: the relay leases to an endpoint no more than it asks for, and sends a client no more than it has room for; accounts have their '
        'turn one after the other; an engine gets what its workers can use. A client keeps what the relay has not accepted.',
        ('tests/faults/test_memory.py', 'tests/unit/relay/test_leases.py', 'tests/unit/relay/test_delivery.py'),
    ),
    'damaged files': Promise(
        'A store or journal that is damaged, newer, foreign or gone is never used as if nothing were wrong.',
        'Sums over rows, versions in files, and a look at what stands beside a file that is missing. A damaged task or result ends its task, with '
        'the reason; a newer one is refused; an older store is brought up, and kept as it was; an older journal is brought up in its place.',
        (
            'tests/faults/test_damaged_files.py',
            'tests/faults/test_flipped_rows.py',
            'tests/faults/test_lost_files.py',
            'tests/contract/test_sqlite_store.py',
            'tests/contract/test_journal.py',
        ),
    ),
    'backups': Promise(
        'After the restore of a backup nothing that is held or over at an endpoint runs twice, and nobody waits for ever.',
        'A restored store knows that it is one: session numbers go on above all before, what endpoints hold is taken over, and clients hear of tasks '
        'that are not in it.',
        ('tests/faults/test_backup.py', 'tests/unit/relay/test_restored.py'),
    ),
    'drain': Promise(
        'SIGTERM loses nothing: a party ends within its grace (an endpoint: 30 s, or what `stop --grace` says) and finishes or gives back. What '
        'still runs then at an endpoint is ended and runs again; `at_most_once` ends as lost.',
        'A draining endpoint takes nothing, gives back what no engine has, and leaves when results are recorded and returns are heard; a draining '
        'relay takes no new tasks and gives out no leases.',
        ('tests/faults/test_drain.py', 'tests/unit/endpoint/test_sessions.py'),
    ),
    'flows': Promise(
        'A run of a flow goes on after any kill, with the same payload, and asks for each action under one request id: an action that knows its ids '
        'takes effect once; a mail, or a task without `at_most_once`, may come twice.',
        "One fenced transaction a turn; replay from the last snapshot; an action's request id is stored before it is called, and the same after a "
        'restart, with the same body.',
        (
            'tests/simulation/flows/test_kill_anywhere.py',
            'tests/simulation/flows/test_real_journal.py',
            'tests/integration/test_flow_engines.py',
            'tests/contract/test_actions.py',
        ),
    ),
    'batch jobs': Promise(
        'A scheduler that is away, late, or forgets a job for less than its grace (PBS 15 s, Slurm 120 s) costs no block, and starts none twice.',
        'A job ends only by what the scheduler says of it; a command that fails is no answer; a submission without an answer is found by its name.',
        ('tests/unit/providers/test_pbs_faults.py', 'tests/unit/providers/test_slurm_faults.py', 'tests/faults/test_schedulers.py'),
    ),
    'nodes': Promise(
        'Each node of a block has its own manager, set up and cleaned up there, and one that dies takes no other along.',
        'A script beside the batch script, started once on each host with the options of srun, PALS or Hydra that say so.',
        ('tests/unit/launchers/test_launchers.py', 'tests/unit/launchers/test_parsl_faults.py'),
    ),
    'accelerators': Promise(
        'Each worker sees the accelerators and cores that are its own and exist; where none can work, that is told.',
        "What Parsl sets is put right on the node, after a look at its devices; bindings are counted before the start; managers' logs are read.",
        ('tests/unit/engines/test_accelerator_faults.py', 'tests/unit/engines/test_affinity.py', 'tests/integration/test_blocks.py'),
    ),
    'doctor': Promise(
        '`relay-parsl doctor` tells what is wrong, how grave it is, and the command that mends it.',
        'Looks with a limit of time each, and verdicts that are pure functions of what was seen.',
        ('tests/unit/doctor/test_findings.py', 'tests/unit/doctor/test_looks.py', 'tests/integration/test_doctor.py'),
    ),
}
"""Against accidents, in the order of the document."""

SECURITY = {
    'door': Promise(
        'Who has no key of an account, nor that of an open invitation, does not get past the handshake.',
        'CURVE on every socket, no other way in; the guard (ZAP) admits keys, and a relay whose guard is not asked does not open.',
    ),
    'speaker': Promise(
        'A message counts as that of the key it came under, and does what its role may do.',
        'A session belongs to the CURVE key that opened it; each verb is looked up by role; of two processes with one key one is refused or fenced.',
    ),
    'strangers': Promise(
        "Another account's tasks, endpoints and functions are, for whoever asks, not there.",
        'Every look-up is by account; the answer is the one for what does not exist, and it is on record.',
    ),
    'revoked': Promise(
        'A key that is revoked, past its time or replaced is out at the relay, with its sessions, its open invitations and its services.',
        'The account is looked up for each message. What an endpoint runs does not hang on the relay: it looks at `trusted.json` and its shares for '
        'each task.',
    ),
    'grant': Promise(
        'Nothing runs that no trusted account has sealed for this very endpoint.',
        'A grant counts only with a trusted signer, a signature that holds, this address, its time, and the key to which it commits.',
    ),
    'seal': Promise(
        'A task, result, function or body that was changed, moved or exchanged is not read.',
        'AES-256-GCM under a key for each direction; header, grant and place are bound to it; the header that is sealed is the one that counts.',
    ),
    'unpickled late': Promise(
        'Nothing is unpickled before grant, seal, address, time, replay and function policy hold.',
        'The gate opens and checks; only the runner, a process without keys, unpickles. With `ThreadPoolEngine`, the endpoint itself.',
    ),
    'replay': Promise(
        'What has finished, and what may run once and has started, does not run again, whatever the relay says.',
        'The journal keeps the numbers of each grant until a day after their `expires`.',
    ),
    'functions': Promise(
        'Under a function policy only the functions that are listed run, with plain data for arguments.',
        'What counts is the hash of the bytes that were unsealed, or the exact importable name; JSON is all that the runner reads then.',
    ),
    'results': Promise(
        'A result is data: it is unpickled only from an endpoint that its owner pinned, and says nothing that a seal does not.',
        'Others send JSON values and text; an end that the relay has said is shown as its word.',
    ),
    'names': Promise(
        'A name means whom its owner made sure of: the relay cannot say whose key it is.',
        'Ids follow from keys; an invitation carries a secret that the relay never had; pins, vouchers and cards of rising serials.',
    ),
    'guests': Promise(
        'A guest runs what the owner has signed for it, until then, and nobody brings an older statement back.',
        'The endpoint checks signer, address and serial, and the journal keeps the highest.',
    ),
    'registered': Promise(
        'A registered function is read, changed or exchanged by nobody.',
        'It is boxed and signed by its account; its id follows from it.',
    ),
    'files': Promise(
        "Keys, pins and spools are the user's alone, whatever the umask, and nothing that a stranger named becomes a path.",
        'Modes, owners and links are checked at each reading; files are called by hexadecimal ids.',
    ),
    'templates': Promise(
        "A user's options become one plain value in a batch script, or are refused.",
        'Values are quoted or refused by kind; only what the template names is taken.',
    ),
    'audit': Promise(
        'A line of the audit log that was changed, removed or cut off since the head that you keep elsewhere is found. Where no line can be written, '
        'the relay begins nothing new and carries out no order.',
        'A chain of hashes under a signed head; lines are written before the turn is committed. `--audit best-effort`, and endpoints without '
        '`audit: required`, go on.',
    ),
    'quotas': Promise(
        'One account cannot take the place of the others.',
        'Quotas of tasks, bytes and rate, shares of connections and sessions, and a refusal that says when to come again.',
    ),
    'bombs': Promise(
        'Bytes of a stranger end in an error of ours, in bounded time and memory.',
        'The codec knows plain types, of bounded depth and length; a peer that sends junk is refused.',
    ),
    'fence': Promise(
        "A flow's definition does nothing but name actions and shape their bodies.",
        'Expressions are checked against a list and paid for before they are made; paths know no patterns; collections bound what is reached.',
    ),
    'secrets': Promise(
        'No key and no content of a task is in logs, arguments, environments or core dumps, but for two: what runs a task dumps core as its user and '
        'the batch system allow (`ulimit -c 0` in `worker_init` ends that), and a link that is given to `join` as an argument is seen while it runs.',
        "Keys live in one process, which cannot be dumped; what engines and workers get is one body's key. `join` takes its link on stdin, too.",
    ),
}
"""Against people, in the order of the document."""
