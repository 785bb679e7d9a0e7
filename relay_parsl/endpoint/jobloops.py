"""Variables and loops of a shell script, followed as far as plain text goes. Linear in time. Pure."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Mapping

from relay_parsl.endpoint.joblines import bare, statements
from relay_parsl.endpoint.launchline import unquoted, words_of

FOR = re.compile(r'for\s+(\w+)\s+in\s([^\n;]*)[;\n]\s*do\b')
COUNTING = re.compile(
    r'for\s*\(\(\s*(\w+)\s*=\s*(\w+)\s*;\s*\w+\s*(<=?)\s*([^\s;]+)\s*;\s*(?:\w+\+\+|\+\+\w+)\s*\)\)\s*(?:;\s*)?do\b',
)
TURNS, LOOP, DIGITS = 1024, 4000, 200
"""Turns of a loop that are followed, and characters of one, and of a sum, at most."""
PIECE = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^'"\\]+""", re.DOTALL)
VARIABLE = re.compile(r'\$\{(\w+)\}|\$(\w+)')
SUM = re.compile(r'\$\(\(([^()$]*)\)\)')


def resolve(text: str, known: Mapping[str, str]) -> str:
    """The text with the variables that are known, and sums of numbers, put in; whatever else stays, and so does what is in single quotes."""

    def put(match: re.Match[str]) -> str:
        return match[0] if match[0][0] in "'\\" else _plain(match[0], known)

    return PIECE.sub(put, text)


def _plain(text: str, known: Mapping[str, str]) -> str:
    text = VARIABLE.sub(lambda match: known.get(match[1] or match[2], match[0]), text)
    return SUM.sub(lambda match: _sum(match[1], known, match[0]), text)


def _sum(text: str, known: Mapping[str, str], otherwise: str) -> str:
    """An integer expression of `+ - * / %`, from left to right within its precedence; `otherwise` where it is another."""
    text = re.sub(r'[A-Za-z_]\w*', lambda match: known.get(match[0], match[0]), text)
    if len(text) > DIGITS or not re.fullmatch(r'[\d\s+*/%-]+', text) or not re.fullmatch(r'\s*\d+(\s*[+*/%-]\s*\d+)*\s*', text):
        return otherwise
    words = re.findall(r'\d+|[+*/%-]', text)
    terms: list[int] = [int(words[0])]
    for sign, word in zip(words[1::2], map(int, words[2::2])):
        if sign in '+-':
            terms.append(word if sign == '+' else -word)
        elif sign == '*':
            terms[-1] *= word
        elif word == 0:
            return otherwise
        else:
            quotient = abs(terms[-1]) // word * (1 if terms[-1] >= 0 else -1)
            terms[-1] = quotient if sign == '/' else terms[-1] - quotient * word
    return str(sum(terms))


def unrolled(text: str, known: dict[str, str], budget: int) -> list[str] | None:
    """The commands of a `for` loop, turn by turn; None for what is no such loop, or one whose turns only the shell can tell.

    Args:
        text: The loop.
        known: Values of variables.
        budget: Commands that it may become, at most.
    """
    turns = _turns(text.strip(), known) if text.startswith('for') and len(text) <= LOOP else None
    if turns is None:
        return None
    name, values, body, after = turns
    if re.search(r'(?:^|[;\n&|({])\s*(for|while|until|if|case|break|continue)\b', bare(body.replace('\n', ';'))):
        return None
    commands = statements(body)
    if len(values) * len(commands) > budget:
        return None
    found = []
    for value in values:
        for command in commands:
            turn = resolve(command, ChainMap({name: value}, known))
            found.append(turn if '&' not in after or turn.endswith('&') else f'{turn} &')
    return [*found, 'wait'] if 'wait' in after else found


def _turns(text: str, known: Mapping[str, str]) -> tuple[str, list[str], str, str] | None:
    """The variable, its values, the body, and what stands behind `done`: nothing, `&` or `wait`."""
    if (match := FOR.match(text)) is not None:
        values = listed(match[2], known)
    elif (match := COUNTING.match(text)) is not None:
        values = _counted(match, known)
    if match is None or values is None:
        return None
    body, _, after = text[match.end() :].rpartition('done')
    after = ''.join(after.split())
    return (match[1], values, body, after) if after in ('', '&', 'wait', ';wait', '&wait') else None


def _counted(match: re.Match[str], known: Mapping[str, str]) -> list[str] | None:
    first, last = (resolve(f'${{{each}}}' if each.isidentifier() else each, known) for each in (match[2], match[4]))
    if not (first.isdigit() and last.isdigit()) or len(last) > len(first) + 5 or int(last) - int(first) > TURNS:
        return None
    return [str(each) for each in range(int(first), int(last) + (match[3] == '<='))]


def listed(text: str, known: Mapping[str, str]) -> list[str] | None:
    """The words after `in`: `0 1 2`, `{0..3}`, `$(seq 0 3)`; None where only the shell can tell."""
    text = resolve(text, known).strip()
    if (match := re.fullmatch(r'\{(\d+)\.\.(\d+)\}', text)) is not None:
        return _range(int(match[1]), int(match[2]))
    if (match := re.fullmatch(r'(?:\$\(|`)\s*seq\s+(?:-w\s+)?(\d+)(?:\s+(\d+))?\s*(?:\)|`)', text)) is not None:
        return _range(int(match[1]), int(match[2])) if match[2] else _range(1, int(match[1]))
    words = [unquoted(word) for word in words_of(text)]
    return None if re.search(r'[$`*?\[]', text) or len(words) > TURNS else words


def _range(first: int, last: int) -> list[str] | None:
    return [str(each) for each in range(first, last + 1)] if last - first < TURNS else None
