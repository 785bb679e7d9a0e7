"""Breaks of the loop of a relay."""

from __future__ import annotations

from tests.mutations.entry import Mutation

_LEASES = 'tests/unit/relay/test_leases.py'

MUTATIONS = (
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
