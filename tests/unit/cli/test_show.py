"""What commands print of what others have said."""

from __future__ import annotations

import math
from typing import Any

import pytest

from relay_parsl.cli.show import Failure, facts, listing, moment

HOSTILE = 'ok\x1b]0;owned\x07\x9b2J\u202e\rnot ok'


@pytest.mark.parametrize('how', ['facts', 'listing', 'error'])
def test_what_others_said_moves_no_cursor(how: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An endpoint's report, a relay's refusal."""
    ways: dict[str, Any] = {
        'facts': lambda: facts({'reason': HOSTILE}, as_json=False),
        'listing': lambda: listing([{'reason': HOSTILE}], ['reason'], as_json=False, empty=''),
        'error': lambda: Failure(HOSTILE).show(),
    }
    ways[how]()
    said = ''.join(capsys.readouterr())
    assert all(each.isprintable() for each in said.replace('\n', ''))
    assert all(each in said for each in (r'ok\x1b]0;owned\x07\x9b2J\u202e\rnot ok',))


def test_lines_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    facts({'error': 'Traceback\n\tfile'}, as_json=False)
    assert capsys.readouterr().out.splitlines() == ['error  Traceback', '        file']


@pytest.mark.parametrize('when', [1e18, 1e300, -1e18, math.nan, math.inf])
def test_a_time_that_no_calendar_has_is_printed_as_it_is(when: float) -> None:
    """A card may say of itself that it is valid for ever: the list of accounts is printed all the same."""
    assert moment(when) == f'{when:g} s after 1970'
    listing([{'not_after': when}], ['not_after'], as_json=False, empty='')
