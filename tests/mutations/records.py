"""Breaks of what is told of damage, on record or in the log."""

from __future__ import annotations

from tests.mutations.entry import Mutation

_DELIVERY = 'tests/unit/relay/test_delivery.py::test_a_damaged_row_is_never_executed_or_believed'
_ROWS = 'tests/contract/test_sqlite_store.py::test_flipped_bits_are_noticed_row_by_row'
_MENDED = 'tests/faults/test_flipped_rows.py::test_what_is_made_anew_is_told'

MUTATIONS = (
    Mutation(
        'damaged files',
        'A damaged task leaves no line in the audit log of the relay.',
        'relay_parsl/relay/leases.py',
        "            self._core.audit('damaged', row.account, task=row.id.hex())",
        '            pass',
        (_DELIVERY,),
    ),
    Mutation(
        'damaged files',
        'A damaged result leaves no line in the audit log of the relay.',
        'relay_parsl/relay/delivery.py',
        "                self._core.audit('damaged', session.account, result=task_id.hex())",
        '                pass',
        (_DELIVERY,),
    ),
    Mutation(
        'damaged files',
        "A damaged body of a result leaves no line in the endpoint's audit log.",
        'relay_parsl/endpoint/hands.py',
        "            self._audit('damaged', task=task, reason=f'the body of its result {has}; it had {total}')\n",
        '',
        ('tests/integration/test_endpoint_loop.py::test_a_large_result_that_the_disk_has_damaged_is_on_record',),
    ),
    Mutation(
        'damaged files',
        'That rows of the store were made anew, or are gone, is not told.',
        'relay_parsl/relay/sqlite/file.py',
        "                log.error('%s: %s', self._path, word)",
        '                pass',
        (_MENDED,),
    ),
    Mutation(
        'damaged files',
        'That a task of the store counts as not there is not told.',
        'relay_parsl/relay/sqlite/__init__.py',
        "                log.error('%s: task %s is damaged on the disk, and counts as not there', self._path, number)\n",
        '',
        ('tests/faults/test_flipped_rows.py::test_how_a_task_stands_is_in_its_sum',),
    ),
    Mutation(
        'damaged files',
        'That objects of the store are dropped is not told.',
        'relay_parsl/relay/sqlite/books.py',
        "            log.error('%s: %d objects are damaged on the disk, and dropped', self._path, len(rows) - len(whole))\n",
        '',
        (_ROWS,),
    ),
    Mutation(
        'damaged files',
        'That a registered function is damaged is not told.',
        'relay_parsl/relay/sqlite/books.py',
        "            log.error('%s: a registered function is damaged on the disk', self._path)\n",
        '',
        (_ROWS,),
    ),
    Mutation(
        'damaged files',
        'That a result of the journal is not used is not told.',
        'relay_parsl/endpoint/journal.py',
        "                log.error('%s: the result of task %s is damaged on the disk, and not used', self._path, bytes(row[0]).hex())",
        '                pass',
        ('tests/faults/test_damaged_files.py::test_numbers_that_have_changed_are_not_believed',),
    ),
)
