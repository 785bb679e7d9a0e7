"""How tasks ended, as an action says it. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relay_parsl.errors import RemoteError, SerializationError, TaskCancelled, with_article
from relay_parsl.flows.definition import Json

TRACEBACK = 8_000
"""Characters of a remote traceback that are kept: its end says most, and a run's state is bounded."""
PLAIN = 'return plain JSON from the function: .item() of a NumPy scalar, .tolist() of an array, str() of a path'
_LAST = re.compile(r'^([A-Za-z_][\w.]*?)(?:: (.*))?$')


@dataclass(frozen=True)
class Standing:
    """One task: its id, its state in the words of `TaskFuture.state`, why it waits, and how it ended."""

    task_id: str
    state: str
    why: str = ''
    done: bool = False
    value: Any = None
    error: BaseException | None = None


def progress(standings: Sequence[Standing]) -> Json:
    """What there is to say while some go on: tasks by state, and each reason why some wait, once."""
    counted = Counter(each.state for each in standings)
    reasons = list(dict.fromkeys(each.why for each in standings if each.why and not each.done))
    return {'tasks': dict(sorted(counted.items())), **({'why': '; '.join(reasons[:3])} if reasons else {})}


def outcome(standings: Sequence[Standing]) -> tuple[bool, Json]:
    """Whether all succeeded, and `details`: `result`, `results`; where one failed also `code`, `description` and `error`, the type of the first."""
    items = [_item(each) for each in standings]
    details: dict[str, Json] = {'result': [each.get('output') for each in items], 'results': items}
    failures = [each for each in items if 'exception' in each]
    if not failures:
        return True, details
    first = failures[0]
    cancelled = all(isinstance(each.error, TaskCancelled) for each in standings if each.error is not None)
    text = f'{first["error"]}: {first["cause"]} (task {first["task_id"]}; {len(failures)} of {len(items)} failed)'
    code = 'ActionCanceled' if cancelled else 'TaskFailed'
    return False, {'code': code, 'description': text, 'error': first['error'], **details}


def _item(standing: Standing) -> dict[str, Json]:
    error = standing.error or _not_json(standing.value)
    if error is None:
        return {'task_id': standing.task_id, 'output': standing.value}
    name, cause = _named(error)
    return {'task_id': standing.task_id, 'error': name, 'cause': cause, 'exception': _traceback(error) or f'{name}: {cause}'}


def _not_json(value: Any) -> SerializationError | None:
    """JSON of Python has NaN and infinity in it, which is no JSON."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return SerializationError(f'the result ({with_article(type(value).__name__)}) is no JSON: {error}')
    return None


def _named(error: BaseException) -> tuple[str, str]:
    """The type and the text of what a function raised, or of why there is no result."""
    if isinstance(error, RemoteError):  # its own type cannot be had here: the last line of its text names it
        found = _LAST.match(str(error).rstrip().rsplit('\n', 1)[-1])
        return (found[1].rsplit('.', 1)[-1], (found[2] or '')[:2000]) if found else ('RemoteError', str(error)[-2000:])
    text = str(error)[:2000]
    if isinstance(error, SerializationError) and 'result' in text:
        text = f'{text}; {PLAIN}'
    return type(error).__name__, text


def _traceback(error: BaseException) -> str:
    remote = error if isinstance(error, RemoteError) else error.__cause__
    return str(remote)[-TRACEBACK:] if isinstance(remote, RemoteError) else ''
