"""Breaks of the loop of a relay."""

from __future__ import annotations

from tests.mutations.entry import Mutation

_LEASES = 'tests/unit/relay/test_leases.py'

MUTATIONS = (
    Mutation(
        'clear refusals',
        'Large arguments count as written though their sync failed.',
        'relay_parsl/relay/server.py',
        '            self._spool_failed(key)\n        else:\n            self._events',
        '        if True:\n            self._events',
        ('tests/faults/test_failing_disks.py::test_large_arguments_whose_sync_failed_are_not_acknowledged_and_are_fetched_anew',),
    ),
    Mutation(
        'clear refusals',
        'Large arguments that could not be written are waited for.',
        'relay_parsl/relay/pulls.py',
        '        if pull is not None:\n            self._give_up(pull)\n\n    def drop',
        '\n    def drop',
        ('tests/unit/relay/test_delivery.py::test_a_body_that_could_not_be_written_is_given_up_and_fetched_anew',),
    ),
    Mutation(
        'on disk',
        'The relay speaks before it commits.',
        'relay_parsl/relay/server.py',
        '        self._record(now)\n        self._commit()',
        '        self._record(now)\n        [self._act(each) for each in self._reactor.take()]\n        self._commit()',
        ('tests/integration/test_relay_failures.py::test_a_disk_that_fails_ends_the_relay_and_nothing_is_acknowledged',),
    ),
    Mutation(
        'one end',
        'A task that is over may end once more.',
        'relay_parsl/relay/results.py',
        'if info.endpoint == session.account and info.stage != Stage.DONE})',
        'if info.endpoint == session.account})',
        (f'{_LEASES}::test_an_older_attempts_result_is_taken_and_the_newer_one_cancelled',),
    ),
)
