"""What commands print of what others have said."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.cli.show import BadInput, Failure, facts, listing, moment, one_clear_line
from relay_parsl.errors import ConfigError, HomeError, StoreError, StoreFailed
from relay_parsl.home import write_private

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


def code_of(error: Exception) -> int:
    with pytest.raises(Failure, match='what is wrong') as caught, one_clear_line():
        raise error
    return caught.value.exit_code


def test_a_disk_that_is_full_or_fails_is_no_bad_input() -> None:
    """Code 2 is not restarted by systemd."""
    assert [code_of(kind('what is wrong')) for kind in (StoreError, ConfigError, HomeError, StoreFailed)] == [2, 2, 2, 1]


@pytest.mark.parametrize(('number', 'code'), [(errno.ENOSPC, 1), (errno.EDQUOT, 1), (errno.EIO, 1), (errno.EACCES, 2), (errno.EROFS, 2)])
def test_nor_is_it_where_a_file_was_to_be_written(number: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_file: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, 'fsync', refused)
    with pytest.raises(Failure, match='cannot be written') as caught, one_clear_line():
        write_private(tmp_path / 'file', b'')
    assert caught.value.exit_code == code
    assert isinstance(caught.value, BadInput) == (code == 2)
