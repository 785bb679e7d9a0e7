"""Log lines as JSON objects."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from relay_parsl import logs


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a logger of its own writes."""
    monkeypatch.setattr(logs, '_ABOUT', {})
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines())
    logger = logging.getLogger('relay_parsl.test_logs')
    logger.addHandler(handler)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)


def test_each_line_is_an_object_whatever_is_in_the_message(out: io.StringIO) -> None:
    logger = logging.getLogger('relay_parsl.test_logs')
    logger.warning('two\nlines, %s', '"quotes" \x1b[31m')
    logs.about(endpoint='polaris')
    try:
        raise KeyError('x')
    except KeyError:
        logger.exception('task %s failed', 'ab', extra={'task': 'ab'})
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert first['message'] == 'two\nlines, "quotes" \x1b[31m'
    assert (first['level'], first['logger']) == ('WARNING', 'relay_parsl.test_logs')
    assert first['time'].endswith('Z')
    assert len(first['time']) == len('2026-11-25T08:00:00.123Z')
    assert 'endpoint' not in first
    assert (second['endpoint'], second['task']) == ('polaris', 'ab')
    assert 'KeyError' in second['exception']


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(KeyError):
        logs.use('xml')


HOSTILE = 'a\nb\r\x1b[2J\x9b31m\u202etxt\u2028\x85\0\ud800'


@pytest.mark.attack(25)
@pytest.mark.parametrize('kind', [logs.TextLines, logs.JsonLines])
def test_a_name_cannot_make_up_a_line_or_steer_a_terminal(kind: type[logging.Formatter]) -> None:
    record = logging.LogRecord('relay_parsl', logging.INFO, '', 0, 'task of %s', (HOSTILE,), None)
    line = kind().format(record)
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    assert '\\n' in line
    assert '\\u202e' in line


@pytest.mark.attack(25)
def test_the_text_of_an_exception_cannot_make_up_a_line() -> None:
    try:
        raise ValueError(f'{HOSTILE}\n2026-11-25 08:00:00 INFO relay_parsl forged')
    except ValueError as error:
        record = logging.LogRecord('relay_parsl', logging.INFO, '', 0, 'failed', (), (ValueError, error, error.__traceback__))
    first, *rest = logs.TextLines(logs._TEXT).format(record).split('\n')
    assert first.endswith('failed')
    assert all(each.isprintable() for each in rest)
    assert all(each.startswith('  ') for each in rest)
    assert rest[0] == '  Traceback (most recent call last):'


def test_plain_words_stay_as_they_are() -> None:
    assert logs.escaped('prüfen: 5 °C → ok, C:\\x') == 'prüfen: 5 °C → ok, C:\\x'


@pytest.mark.parametrize(('line', 'words'), [('{"message": "two\\nlines"}', 'two\nlines'), ('{"x": 1}', '{"x": 1}'), ('plain', 'plain'), ('[', '[')])
def test_what_an_object_says_is_told_to_people(line: str, words: str) -> None:
    assert logs.said(line) == words
