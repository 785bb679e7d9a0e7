"""Breaks of engines and workers."""

from __future__ import annotations

from tests.mutations.entry import Mutation

MUTATIONS = (
    Mutation(
        'deadly tasks',
        'What runs is taken back from a runner as if it had not started.',
        'relay_parsl/engines/shift.py',
        '            attempt = self._poured.pop()\n            self._bytes -= len(attempt.frame)\n            self._waiting.appendleft(attempt)',
        '            attempt = self._poured.popleft()\n            self._bytes -= len(attempt.frame)\n            self._waiting.appendleft(attempt)',
        ('tests/unit/engines/test_line.py::test_a_death_is_charged_to_the_guilty_and_the_others_run_on',),
    ),
    Mutation(
        'strangers',
        'One runner serves several accounts at once.',
        'relay_parsl/engines/shift.py',
        ' or attempt.head.account != first.head.account\n',
        '\n',
        ('tests/unit/engines/test_shift.py::test_a_runner_gets_many_at_once_of_one_account_and_not_too_much',),
    ),
    Mutation(
        'bounded',
        'A chunk is as long as what waits.',
        'relay_parsl/engines/fusion.py',
        '            and seconds <= AIM\n',
        '',
        ('tests/unit/engines/test_fusion.py::test_short_ones_travel_together_up_to_the_aim',),
    ),
    Mutation(
        'strangers',
        'Tasks of several accounts travel together.',
        'relay_parsl/engines/fusion.py',
        '            and item.account == self._account\n',
        '',
        ('tests/unit/engines/test_fusion.py::test_what_goes_alone',),
    ),
    Mutation(
        'ended means dead',
        'A timeout is not raised.',
        'relay_parsl/engines/interrupts.py',
        '        if self._open:\n            self._raise()\n\n    def _raise',
        '        if False:\n            self._raise()\n\n    def _raise',
        ('tests/unit/engines/test_interrupts.py::test_a_timeout_is_raised_in_the_function',),
    ),
    Mutation(
        'ended means dead',
        'A signal that comes before the function begins is lost.',
        'relay_parsl/engines/interrupts.py',
        '        if self._asked:\n            self._raise()\n        return self',
        '        return self',
        ('tests/unit/engines/test_interrupts.py::test_a_signal_outside_user_code_is_kept_for_it_and_raised_once',),
    ),
    Mutation(
        'ended means dead',
        'A wrapped timeout is what wrapped it.',
        'relay_parsl/engines/interrupts.py',
        '        ours.__cause__ = error\n        return ours',
        '        ours.__cause__ = error\n        return error',
        ('tests/unit/engines/test_interrupts.py::test_a_wrapped_timeout_is_a_timeout',),
    ),
    Mutation(
        'ended means dead',
        'A cancelled attempt is not told to end.',
        'relay_parsl/engines/inside.py',
        '            self._orders.append(number)\n',
        '',
        ('tests/unit/engines/test_inside.py::test_an_order_to_end_is_passed_on_once',),
    ),
    Mutation(
        'deadly tasks',
        'A runner may name any file as its result.',
        'relay_parsl/engines/frames.py',
        '    if end.body and end.body != result_name(work):\n',
        '    if False:\n',
        ('tests/unit/engines/test_frames.py::test_a_worker_cannot_name_files_outside_of_the_spool',),
    ),
    Mutation(
        'bombs',
        'A worker speaks of attempts that it was not given.',
        'relay_parsl/engines/frames.py',
        'or not all(type(place) is int and 0 <= place < count for place in places):',
        'or not all(type(place) is int for place in places):',
        ('tests/unit/engines/test_control.py::test_a_worker_has_ended_only_what_its_shift_was_given',),
    ),
    Mutation(
        'bounded',
        'A task waits behind another for as long as that takes.',
        'relay_parsl/engines/fusion.py',
        'BUDGET = 0.05',
        'BUDGET = 500.0',
        ('tests/unit/engines/test_shift.py::test_one_of_those_that_waited_too_long_stays_if_none_runs',),
    ),
    Mutation(
        'ended means dead',
        'Marks name other processes too.',
        'relay_parsl/engines/leash.py',
        "f'{process.environ().get(MARK)}/'.startswith(f'{mark}/')",
        "f'{process.environ().get(MARK)}'.startswith(mark[:4])",
        ('tests/unit/engines/test_leash.py::test_marks_name_what_is_below_them_only',),
    ),
)
