"""What an event log looks like to people: which lines, in which words. Decisions only; `flow_follow` draws them.

The shape is that of the hosted service's screen: `SourceTransfer - ActionStarted (10 seconds)`, then `SourceTransfer - ActionCompleted`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relay_parsl.flows.graph import seconds

GOOD, NOW, WARNING, BAD = 'good', 'now', 'warning', 'bad'
"""How a line is meant: it went well, goes on, was mended or waits for somebody, went wrong."""
MARKS = {GOOD: '✔', NOW: '●', WARNING: '!', BAD: '✘'}
SIZES = ('B', 'kB', 'MB', 'GB', 'TB', 'PB')
ENDS = ('FlowSucceeded', 'FlowFailed', 'FlowCanceled')
LONGEST = 400
"""Characters of a cause that a line shows; `flow show` has the rest."""


@dataclass(frozen=True)
class Line:
    """One line: what happened, `took` seconds that it took (None: not known, or not worth a word), and why, where there is a why."""

    text: str
    tone: str = GOOD
    time: float = 0.0
    took: float | None = None
    why: str = ''


def history(entries: Sequence[Mapping[str, Any]]) -> list[Line]:
    """A log, oldest first, with what each state took on the line of its start."""
    lines: list[Line] = []
    begun: dict[str, int] = {}
    for entry in entries:
        name, code = state_of(entry), str(entry.get('code', ''))
        line = line_of(entry)
        if name and code.endswith('Started'):
            begun[name] = len(lines)
        elif name in begun and not code.startswith('Flow'):
            started = lines[begun[name]]
            lines[begun.pop(name)] = timed(started, line.time - started.time)
        elif code in ENDS:
            for place in begun.values():
                lines[place] = timed(lines[place], line.time - lines[place].time)
        lines.append(line)
    return lines


def starts(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is about a state that was entered."""
    return str(entry.get('code', '')).endswith('Started') and bool(state_of(entry))


def settled(pending: list[dict[str, Any]]) -> tuple[list[Line], list[dict[str, Any]]]:
    """Of the entries that are not drawn yet: the lines that no later entry changes, and the entries that are kept.

    The start of a state waits for its end, and with it what happens to the run in between (`FlowInactive`).
    """
    if not pending or not starts(pending[0]):
        return history(pending), []
    later = pending[1:]
    if all(str(entry.get('code', '')) in ('FlowInactive', 'FlowResumed') for entry in later):
        return [], pending
    if starts(later[-1]):
        return history(pending)[:-1], later[-1:]
    return history(pending), []


def timed(line: Line, seconds: float) -> Line:
    """The same line, with what it took where that is worth a word: that of an action always is, nobody asks how long a Pass took."""
    worth = seconds >= 0.95 or (seconds >= 0.05 and '- Action' in line.text)
    return Line(line.text, line.tone, line.time, max(seconds, 0.0) if worth else None, line.why)


def line_of(entry: Mapping[str, Any]) -> Line:
    """The line of one entry, without what it took."""
    name, code = state_of(entry), str(entry.get('code', ''))
    text = f'{name} - {code}' if name and not code.startswith('Flow') else code
    return Line(text, tone_of(entry, code), seconds(entry.get('time')), None, why(entry, code))


def state_of(entry: Mapping[str, Any]) -> str:
    """The name of the state that an entry is about, without what a terminal would obey."""
    details = entry.get('details')
    name = details.get('state_name') if isinstance(details, Mapping) else None
    return printable(name) if isinstance(name, str) else ''


def tone_of(entry: Mapping[str, Any], code: str) -> str:
    """How an entry is meant."""
    if code in ('FlowFailed', 'FailStarted', 'FailCompleted'):
        return BAD
    if code in ('FlowInactive', 'FlowCanceled') or (code.endswith(('Failed', 'Timeout')) and not code.startswith('Flow')):
        return WARNING
    return WARNING if code == 'ActionCompleted' and output(entry).get('status') == 'FAILED' else GOOD


def why(entry: Mapping[str, Any], code: str) -> str:
    """Why something did not go well; where a Choice leads."""
    details = entry.get('details')
    if not isinstance(details, Mapping) or tone_of(entry, code) == GOOD:
        return ''
    said = output(entry) if code == 'ActionCompleted' else details
    inner = said.get('details')
    for place in (said, inner if isinstance(inner, Mapping) else {}):
        words = [str(place[key]) for key in ('error', 'code') if isinstance(place.get(key), str) and place[key] not in (code, f'Flow{code}')][:1]
        words += [str(place[key]) for key in ('cause', 'description', 'display_status') if isinstance(place.get(key), str)][:1]
        if words:
            return short(': '.join(word for word in words if word))
    return ''


def output(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """An entry's `output`, where it is an object."""
    details = entry.get('details')
    found = details.get('output') if isinstance(details, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def short(text: str) -> str:
    """One line of it, of bounded length."""
    text = printable(' '.join(text.split()))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'


def printable(text: str) -> str:
    """Without control characters: a name in a definition must not move the cursor of whoever reads the log."""
    return ''.join(character if character.isprintable() else '\N{REPLACEMENT CHARACTER}' for character in text)


# -- What goes on now --------------------------------------------------------------------------------------------------


def current(entries: Sequence[Mapping[str, Any]], run: Mapping[str, Any], now: float) -> Line | None:
    """The line of the state that a run is in, with how far its action is; None between two states, and at the end."""
    if run.get('status') not in ('ACTIVE', 'INACTIVE') or not entries:
        return None
    last = next((entry for entry in reversed(entries) if not str(entry.get('code', '')).startswith('Flow')), None)
    if last is None or not str(last.get('code', '')).endswith('Started'):
        return None
    line = line_of(last)
    inactive = run['status'] == 'INACTIVE'
    said = reason(run.get('details')) if inactive else progress(run.get('action'))
    return Line(line.text, WARNING if inactive else NOW, line.time, max(now - line.time, 0.0), said)


def reason(details: Any) -> str:
    """Why a run is INACTIVE, FAILED or ENDED."""
    if not isinstance(details, Mapping):
        return ''
    state = details.get('state_name')
    failed = isinstance(details.get('error'), str)
    words = [f'in state {state}'] if failed and isinstance(state, str) and state else []
    words += [str(details[key]) for key in (('error', 'cause') if failed else ('code', 'description')) if isinstance(details.get(key), str)]
    link = details.get('resolution_url')
    return short(': '.join(words) + (f' ({link})' if isinstance(link, str) else ''))


def progress(action: Any) -> str:
    """How far an action is, by what its provider says: bytes and files of a transfer, tasks of a compute action by state."""
    if not isinstance(action, Mapping):
        return ''
    details = action.get('details')
    if isinstance(details, Mapping):
        if number(details.get('files')) and number(details.get('bytes_transferred')) is not None:
            return transferred(details)
        tasks = details.get('tasks')
        if isinstance(tasks, Mapping) and tasks:
            counts = ', '.join(f'{count} {state}' for state, count in tasks.items())
            return short(f'{counts}: {details["why"]}' if isinstance(details.get('why'), str) else counts)
    said = action.get('display_status')
    return short(said) if isinstance(said, str) and said not in ('ACTIVE', '') else ''


def transferred(details: Mapping[str, Any]) -> str:
    """`12.0 MB of 40.0 MB, 3 of 9 files, 4.1 MB/s`, and what it is waiting for."""
    moved, total = number(details.get('bytes_transferred')) or 0, number(details.get('bytes_total')) or 0
    done = (number(details.get('files_transferred')) or 0) + (number(details.get('files_skipped')) or 0)
    words = [f'{size(moved)} of {size(total)}' if total else size(moved), f'{done:.0f} of {details["files"]} files']
    rate = number(details.get('effective_bytes_per_second'))
    if rate:
        words.append(f'{size(rate)}/s')
    trouble = details.get('nice_status_details') or details.get('nice_status')
    if isinstance(trouble, str) and details.get('nice_status') not in (None, 'OK', ''):
        words.append(trouble)
    return short(', '.join(words))


def number(value: Any) -> float | None:
    """A number that is one."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def size(count: float) -> str:
    """Bytes for people, in powers of 1000."""
    step = 0
    while count >= 999.5 and step < len(SIZES) - 1:
        count, step = count / 1000, step + 1
    return f'{count:.0f} {SIZES[step]}' if step == 0 else f'{count:.3g} {SIZES[step]}'


def duration(seconds: float) -> str:
    """As the screen says it: `0.4 seconds`, `10 seconds`, `2 minutes 34 seconds`, `1 hour 5 minutes`, `3 days 2 hours`."""
    if seconds < 9.95:
        text = f'{seconds:.1f}'.removesuffix('.0')
        return f'{text} second{"" if text == "1" else "s"}'
    whole = round(seconds)
    units = (('day', 86_400), ('hour', 3_600), ('minute', 60), ('second', 1))
    parts: list[str] = []
    for name, length in units:
        count, whole = divmod(whole, length)
        if count or parts:
            parts.append(f'{count} {name}{"" if count == 1 else "s"}' if count else '')
    return ' '.join(part for part in parts[:2] if part)


def worded(line: Line) -> str:
    """A line without colours: `✔ SourceTransfer - ActionStarted (10 seconds)`."""
    took = f' ({duration(line.took)})' if line.took is not None else ''
    return f'{MARKS[line.tone]} {line.text}{took}{f"  {line.why}" if line.why else ""}'
