"""Log lines for people, or as JSON objects for what collects them.

```
{"time": "2026-11-25T08:00:00.123Z", "level": "INFO", "logger": "relay_parsl.relay.server", "message": "…", "endpoint": "polaris"}
```
Fields `account`, `endpoint` and `task` are there where a line is about one; `exception` holds a traceback.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import datetime, timezone
from types import TracebackType
from typing import Union

FORMATS = ('text', 'json')
VARIABLE = 'RELAY_PARSL_LOG_FORMAT'
"""The variable that stands for `--log-format`."""
FIELDS = ('account', 'endpoint', 'task')
"""What a line may be about: given by `extra`, or by `about` for all lines of the process."""
_TEXT = '%(asctime)s %(levelname)-7s %(name)s  %(message)s'
_ABOUT: dict[str, str] = {}
ExcInfo = Union[tuple[type[BaseException], BaseException, TracebackType | None], tuple[None, None, None]]


class TextLines(logging.Formatter):
    """A line each, too: what others have named cannot make up a line, nor move the cursor of who reads it. A traceback is indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name is of logging
        """The line, its message in one piece."""
        record.message = escaped(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802  likewise
        """The traceback, under its line."""
        return '\n'.join('  ' + escaped(line) for line in super().formatException(ei).split('\n'))


def escaped(text: str) -> str:
    r"""The text with `\n`, `\x1b`, `\u202e`, … for what is no letter: line breaks, controls, marks that turn the direction, halves of pairs."""
    return text if text.isprintable() else ''.join(each if each.isprintable() else repr(each)[1:-1] for each in text)


class JsonLines(logging.Formatter):
    """A line each, whatever is in the message."""

    def format(self, record: logging.LogRecord) -> str:
        """The object."""
        when = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec='milliseconds').replace('+00:00', 'Z')
        line = {'time': when, 'level': record.levelname, 'logger': record.name, 'message': record.getMessage(), **_ABOUT}
        line |= {name: str(value) for name in FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line['exception'] = self.formatException(record.exc_info)
        return json.dumps(line)


def use(name: str) -> None:
    """From now on, all lines have this format. Raises KeyError for none of `FORMATS`."""
    formatter = {'text': TextLines(_TEXT), 'json': JsonLines()}[name]
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)


def as_json() -> bool:
    """Whether the lines of this process are objects."""
    return os.environ.get(VARIABLE) == 'json'


def said(line: str) -> str:
    """What a line says: the message of an object, else itself."""
    try:
        return str(json.loads(line)['message'])
    except (ValueError, TypeError, KeyError, RecursionError):
        return line


def begin(level: int) -> None:
    """Log on stderr from this level on, in the format that the environment says."""
    handler = logging.StreamHandler()
    handler.setFormatter(TextLines(_TEXT))
    logging.basicConfig(level=level, handlers=[handler])
    if as_json():
        use('json')


def about(**fields: str) -> None:
    """Every JSON line of this process carries these: which endpoint it is."""
    _ABOUT.update(fields)
