"""Times as RFC 3339 has them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

MOMENT = re.compile(r'\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)\Z', re.ASCII)


def is_moment(value: Any) -> bool:
    """Whether the value is a text with a date, a time and an offset: `2026-11-25T08:00:00Z`."""
    if not isinstance(value, str) or not MOMENT.match(value):
        return False
    try:
        datetime.fromisoformat(re.sub(r'\.\d+', '', value.upper()).replace('Z', '+00:00'))
    except ValueError:
        return False
    return True
