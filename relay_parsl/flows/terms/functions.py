"""The functions and the methods of strings that an expression may call, each of which pays for what it makes before it makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from relay_parsl.flows.definition import Json
from relay_parsl.flows.terms.fuel import Fuel, Refused, number
from relay_parsl.flows.terms.places import kind

Function: TypeAlias = Callable[..., Json]
DIGITS = 300
"""Of a number that is read from a string."""


def listed(value: Json, fuel: Fuel) -> list[Any]:
    """The elements of a list, the keys of an object, the characters of a string."""
    if not isinstance(value, (list, tuple, dict, str)):
        raise Refused(f'a list is wanted, not {kind(value)}')
    fuel.take(1 + len(value))
    return list(value)


def pathsplit(path: str) -> list[str]:
    """A path's beginning and its last name: `/a/b` is `['/a', 'b']`. `/~/`, by which Globus means the home directory, stays whole."""
    if not isinstance(path, str):
        raise Refused(f'pathsplit takes a string, not {kind(path)}')
    if path.startswith('/~/') and '/' not in path[3:]:
        return ['/~/', path[3:]]
    before, slash, last = path.rpartition('/')
    return [before or slash, last]


def _len(fuel: Fuel, value: Json) -> int:
    del fuel
    if not isinstance(value, (str, list, tuple, dict)):
        raise Refused(f'len takes a string, a list or an object, not {kind(value)}')
    return len(value)


def _str(fuel: Fuel, value: Json = '') -> str:
    if isinstance(value, (list, tuple, dict)):
        fuel.whole(value)
    return str(value)


def _int(fuel: Fuel, value: Json = 0, base: int = 10) -> int:
    del fuel
    if isinstance(value, str):
        if len(value) > DIGITS:
            raise Refused(f'int takes no more than {DIGITS} digits')
        try:
            return int(value, base)
        except ValueError:
            raise Refused('int takes a number, or a string of digits') from None
    return int(value)


def _float(fuel: Fuel, value: Json = 0.0) -> float:
    del fuel
    if isinstance(value, str) and len(value) > DIGITS:
        raise Refused(f'float takes no more than {DIGITS} digits')
    try:
        return float(value)
    except ValueError:
        raise Refused('float takes a number, or a string that is one') from None


def _bool(fuel: Fuel, value: Json = False) -> bool:
    del fuel
    return bool(value)


def _extreme(best: Callable[..., Json]) -> Function:
    def found(fuel: Fuel, *values: Json, **keywords: Json) -> Json:
        if not keywords.keys() <= {'default'}:
            raise Refused('min and max take values, or a list and a default')
        fuel.whole(list(values))
        return best(*values, **keywords)

    return found


def _sum(fuel: Fuel, values: Json, start: Json = 0) -> Json:
    items = [*listed(values, fuel), start]
    if not all(isinstance(item, (int, float)) for item in items):
        raise Refused('sum takes a list of numbers; lists are joined with +, strings with join')
    number(max((item.bit_length() for item in items if isinstance(item, int)), default=0) + len(items).bit_length())
    return sum(items[:-1], start)


def _sorted(fuel: Fuel, values: Json, *, reverse: bool = False) -> list[Json]:
    items = listed(values, fuel)
    for _ in range(len(items).bit_length()):
        fuel.whole(items)
    return sorted(items, reverse=bool(reverse))


def _reversed(fuel: Fuel, values: Json) -> list[Json]:
    return listed(values, fuel)[::-1]


def _round(fuel: Fuel, value: Json, digits: int | None = None) -> Json:
    del fuel
    if digits is not None and not -DIGITS <= digits <= DIGITS:
        raise Refused(f'round takes up to {DIGITS} digits')
    return round(value, digits)


def _abs(fuel: Fuel, value: Json) -> Json:
    del fuel
    return abs(value)


def _any(fuel: Fuel, values: Json) -> bool:
    return any(listed(values, fuel))


def _all(fuel: Fuel, values: Json) -> bool:
    return all(listed(values, fuel))


def _range(fuel: Fuel, *bounds: int) -> list[int]:
    numbers = range(*bounds)
    fuel.take(len(numbers))
    return list(numbers)


def _list(fuel: Fuel, values: Json = ()) -> list[Json]:
    return listed(values, fuel)


def _dict(fuel: Fuel, values: Json = (), **named: Json) -> dict[Any, Json]:
    """Of an object, or of pairs; the named values come last."""
    pairs = values.items() if isinstance(values, dict) else values
    fuel.take(2 * (len(pairs) + len(named)))
    return dict(pairs, **named)


def _enumerate(fuel: Fuel, values: Json, start: int = 0) -> list[Json]:
    items = listed(values, fuel)
    fuel.take(2 * len(items))
    return [list(pair) for pair in enumerate(items, start)]


def _zip(fuel: Fuel, *values: Json) -> list[Json]:
    columns = [listed(value, fuel) for value in values]
    fuel.take(2 * sum(map(len, columns)))
    return [list(row) for row in zip(*columns, strict=False)]


def _pathsplit(fuel: Fuel, path: str) -> list[str]:
    del fuel
    return pathsplit(path)


FUNCTIONS: Mapping[str, Function] = {
    'pathsplit': _pathsplit,
    'len': _len,
    'str': _str,
    'int': _int,
    'float': _float,
    'bool': _bool,
    'min': _extreme(min),
    'max': _extreme(max),
    'sum': _sum,
    'sorted': _sorted,
    'reversed': _reversed,
    'round': _round,
    'abs': _abs,
    'any': _any,
    'all': _all,
    'range': _range,
    'list': _list,
    'tuple': _list,
    'dict': _dict,
    'enumerate': _enumerate,
    'zip': _zip,
}
"""By name; each takes the fuel first."""
LOOKUPS = ('is_present', 'getattr')
"""Those that look at the payload, which the evaluator knows."""


def _whole_text(fuel: Fuel, text: str, *arguments: Json) -> None:
    """For what makes no more than the text itself, or a few of it, looking at each character."""
    fuel.text(3 * len(text))
    for argument in arguments[0] if arguments and isinstance(arguments[0], tuple) else arguments:
        fuel.scan(len(argument) if isinstance(argument, str) else 0, len(text), backwards=True)


def _wide(fuel: Fuel, text: str, width: int, *_fill: Json) -> None:
    fuel.text(len(text) + max(0, width))


def _splits(fuel: Fuel, text: str, separator: str | None = None, limit: int = -1) -> None:
    fuel.scan(len(separator or ' '), len(text), backwards=True)
    pieces = len(text) // 2 if separator is None else text.count(separator) if separator else 0
    fuel.text(len(text))
    fuel.take(2 + min(pieces, limit) if limit >= 0 else 2 + pieces)


def _lines(fuel: Fuel, text: str, *_keep: Json) -> None:
    fuel.take(2 + len(text))


def _replaces(fuel: Fuel, text: str, old: str, new: str, limit: int = -1) -> None:
    fuel.scan(len(old), len(text))
    times = text.count(old)
    times = min(times, limit) if limit >= 0 else times
    fuel.text(len(text) + times * max(0, len(new) - len(old)))


def _joins(fuel: Fuel, text: str, values: Json) -> None:
    items = listed(values, fuel)
    if not all(isinstance(item, str) for item in items):
        raise Refused('join takes a list of strings; write [str(x) for x in …]')
    fuel.text(sum(map(len, items)) + len(text) * len(items))


METHODS: Mapping[str, Callable[..., None]] = {
    **dict.fromkeys(('lower', 'upper', 'title', 'capitalize', 'casefold', 'swapcase', 'strip', 'lstrip', 'rstrip'), _whole_text),
    **dict.fromkeys(('removeprefix', 'removesuffix', 'startswith', 'endswith', 'find', 'rfind', 'index', 'rindex', 'count'), _whole_text),
    **dict.fromkeys(('partition', 'rpartition', 'isalnum', 'isalpha', 'isascii', 'isdecimal', 'isdigit', 'isidentifier', 'islower'), _whole_text),
    **dict.fromkeys(('isnumeric', 'isprintable', 'isspace', 'istitle', 'isupper'), _whole_text),
    **dict.fromkeys(('ljust', 'rjust', 'center', 'zfill'), _wide),
    **dict.fromkeys(('split', 'rsplit'), _splits),
    'splitlines': _lines,
    'replace': _replaces,
    'join': _joins,
}
"""The methods of a string, and what pays for each. No format, encode or translate."""


def method(fuel: Fuel, text: str, name: str, arguments: list[Json]) -> Json:
    """Call a method of a string; a tuple that it gives is a list here, as all of them are."""
    if name in ('startswith', 'endswith') and arguments and isinstance(arguments[0], list):
        arguments = [tuple(arguments[0]), *arguments[1:]]
    METHODS[name](fuel, text, *arguments)
    result = getattr(text, name)(*arguments)
    return list(result) if isinstance(result, tuple) else result
