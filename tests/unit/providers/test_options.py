"""Values of providers' options: what they may be, and what is said of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from relay_parsl.errors import ConfigError
from relay_parsl.providers import options


@pytest.mark.parametrize(
    ('given', 'clock'), [('00:20:00', '00:20:00'), ('1:0:0', '01:00:00'), ('1-02:00:00', '26:00:00'), (90, '00:01:30'), ('100:00:00', '100:00:00')]
)
def test_walltimes(given: Any, clock: str) -> None:
    assert options.walltime('walltime', given) == clock


@pytest.mark.parametrize('given', ['5minutes', '20:00', '00:00:00', 0, -1, True, 1.5, None, '00:20:00\n#PBS -A other', '00:61:00'])
def test_what_is_no_walltime(given: Any) -> None:
    with pytest.raises(ConfigError, match='walltime'):
        options.walltime('walltime', given)


@pytest.mark.parametrize(
    ('rule', 'value', 'said'),
    [
        (options.word, 'a b', 'one word'),
        (options.word, 'a\n#PBS -q other', 'one word'),
        (options.word, '', 'one word'),
        (options.word, 7, 'one word'),
        (options.line, 'a\nb', 'one line'),
        (options.line, ' ', 'one line'),
        (options.lines, None, 'must be text'),
        (options.lines, 'a\r\nb', 'line ends'),
        (options.whole, True, 'whole number'),
        (options.whole, 0, 'at least 1'),
        (options.whole, '4', 'whole number'),
        (options.maybe_whole, 1.0, 'whole number'),
        (options.number, float('nan'), 'a number'),
        (options.number, -1, 'at least 0'),
        (options.truth, 1, 'True or False'),
    ],
)
def test_what_is_refused(rule: Callable[[str, Any], Any], value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        rule('account', value)
    assert str(caught.value).startswith('account: ')


def test_what_is_taken() -> None:
    assert options.word('a', None) is None
    assert options.word('a', 'm1234_g') == 'm1234_g'
    assert options.line('a', ' a b ') == 'a b'
    assert options.lines('a', 'a\n\tb\n') == 'a\n\tb\n'
    assert options.whole('a', 0, 0) == 0
    assert options.maybe_whole('a', None) is None
    assert options.number('a', 0.5) == 0.5
    assert options.truth('a', False) is False
    assert options.one_of('a', 'x', 'xy') == 'x'
    with pytest.raises(ConfigError, match='use one of x, y'):
        options.one_of('a', 'z', 'xy')
