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

FORMATS = ('text', 'json')
VARIABLE = 'RELAY_PARSL_LOG_FORMAT'
"""The variable that stands for `--log-format`."""
FIELDS = ('account', 'endpoint', 'task')
"""What a line may be about: given by `extra`, or by `about` for all lines of the process."""
_TEXT = '%(asctime)s %(levelname)-7s %(name)s  %(message)s'
_ABOUT: dict[str, str] = {}


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
    formatter = {'text': logging.Formatter(_TEXT), 'json': JsonLines()}[name]
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)


def begin(level: int) -> None:
    """Log on stderr from this level on, in the format that the environment says."""
    logging.basicConfig(level=level, format=_TEXT)
    if os.environ.get(VARIABLE) == 'json':
        use('json')


def about(**fields: str) -> None:
    """Every JSON line of this process carries these: which endpoint it is."""
    _ABOUT.update(fields)
