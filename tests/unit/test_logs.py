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
