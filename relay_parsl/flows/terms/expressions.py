"""Expressions (`.=`): simpleeval, inside a fence.

`grammar` has refused whatever is not of the language before this begins. Here a dot on an object is a look-up of a key and nothing else, a method is
one of a fixed list on a string, everything that grows is paid for before it grows, and what comes out is JSON.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import simpleeval

from relay_parsl.flows.definition import Json, StateError
from relay_parsl.flows.terms import paths
from relay_parsl.flows.terms.fuel import FUEL, Fuel, Refused, number, plain
from relay_parsl.flows.terms.functions import FUNCTIONS, LOOKUPS, listed, method
from relay_parsl.flows.terms.grammar import GrammarFault, Program, parse
from relay_parsl.flows.terms.places import kind, missing, shown

CACHED = 300
"""Characters of an expression that is kept once it was read: a tree is a thousand times larger than its source."""
_ERRORS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, Refused, simpleeval.InvalidExpression)
_parsed = lru_cache(maxsize=512)(parse)


def _cached(expression: Json) -> Program:
    return (_parsed if isinstance(expression, str) and len(expression) <= CACHED else parse)(expression)


def check(expression: object) -> str | None:
    """What is wrong with an expression before any payload is known, as a sentence; None where nothing is."""
    try:
        parse(expression)
    except GrammarFault as fault:
        return f'{shown(str(expression), 80)!r} is no expression: {fault}'
    return None


def evaluate(expression: str, payload: Json, context: Mapping[str, Json] | None = None, shared: Fuel | None = None) -> Json:
    """The value of an expression.

    Args:
        expression: Of `grammar`'s language.
        payload: Its keys are the names in the expression, where it is an object; back-quoted JSONPaths begin in it.
        context: The run's `_context`.
        shared: What it and others may use together, besides what each may use.

    Returns:
        JSON; no part of it is shared with the payload.

    Raises:
        StateError: `States.IntrinsicFailure`: the expression is none, something that it names is not there, or it takes more than its budget.
    """
    try:
        program = _cached(expression)
    except GrammarFault as fault:
        raise StateError('States.IntrinsicFailure', f'{shown(str(expression), 200)}: {fault}') from None
    fuel = Fuel(FUEL if shared is None else max(0, min(FUEL, shared.left)))
    evaluator = _Evaluator(program, payload, context, fuel)
    try:
        if len(expression) > CACHED:
            fuel.take(10 * len(expression))  # it was read anew, which takes longer than to evaluate it
        return plain(evaluator.evaluated(program.tree), fuel)
    except _ERRORS as error:
        place = program.excerpt(evaluator.place)
        raise StateError('States.IntrinsicFailure', f'{shown(program.source, 200)}: {_said(error)}, at {place}') from None
    finally:
        if shared is not None:
            shared.left -= fuel.units - fuel.left


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return 'it has too many levels'
    if isinstance(error, KeyError):
        return f'there is no {shown(repr(error.args[0]), 60)}'
    return shown(str(error), 300) or type(error).__name__


_OTHERWISE = {'true': '; write True', 'false': '; write False', 'null': '; write None'}


class _Evaluator(simpleeval.EvalWithCompoundTypes):  # type: ignore[misc]  # simpleeval has no annotations
    """Evaluates one program once."""

    def __init__(self, program: Program, payload: Json, context: Mapping[str, Json] | None, fuel: Fuel) -> None:
        super().__init__(operators=_OPERATORS, functions=dict(FUNCTIONS), names={})
        self.fuel = fuel
        self.place: ast.AST | None = None
        self._program, self._payload = program, payload
        self._context = None if context is None else dict(context)
        self._locals: dict[str, Json] = {}
        self.nodes[ast.Tuple] = self.nodes[ast.List]

    def evaluated(self, node: ast.AST) -> Json:
        """The value of a node."""
        return self._eval(node)

    def _eval(self, node: ast.AST | None) -> Json:
        self.fuel.take(1)
        try:
            return self.nodes[type(node)](node)
        except _ERRORS:
            if self.place is None:
                self.place = node
            raise

    def _eval_name(self, node: ast.Name) -> Json:
        name = node.id
        if name in self._locals:
            return self._locals[name]
        if name in self._program.paths:
            return self._path(self._program.paths[name])
        if name == '_context' and self._context is not None:
            return self._context
        if isinstance(self._payload, (dict, Mapping)) and name in self._payload:
            return self._payload[name]
        hint = _OTHERWISE.get(name, '')
        raise Refused(f'{name} is a function: call it' if name in FUNCTIONS else missing('the payload', self._payload, name) + hint)

    def _path(self, path: str) -> Json:
        self.fuel.take(2 + len(path) // 10)
        try:
            return paths.read(path, self._payload, self._context, self.fuel.take)
        except StateError as error:
            raise Refused(error.cause) from None

    def _eval_attribute(self, node: ast.Attribute) -> Json:
        owner = self._eval(node.value)
        if isinstance(owner, (dict, Mapping)):
            if node.attr in owner:
                return owner[node.attr]
            raise Refused(missing(self._program.excerpt(node.value), owner, node.attr))
        what = kind(owner)
        raise Refused(f'{self._program.excerpt(node.value)} is {what}, which has no .{node.attr}; a dot leads to a key of an object')

    def _eval_subscript(self, node: ast.Subscript) -> Json:
        owner, key = self._eval(node.value), self._eval(node.slice)
        if isinstance(owner, (dict, Mapping)):
            if _hashable(key) in owner:
                return owner[key]
            raise Refused(missing(self._program.excerpt(node.value), owner, str(key)))
        if isinstance(key, slice) and isinstance(owner, (str, list)):
            length = len(range(*key.indices(len(owner))))
            self.fuel.take(1 + length // (25 if isinstance(owner, str) else 1))
        if isinstance(owner, (str, list)) and isinstance(key, (int, slice)):
            return owner[key]
        raise Refused(
            f'{kind(owner)} has no elements' if kind(owner) not in ('a string', 'a list') else f'an index is a whole number, not {kind(key)}'
        )

    def _eval_binop(self, node: ast.BinOp) -> Json:
        return _BINARY[type(node.op)](self.fuel, self._eval(node.left), self._eval(node.right))

    def _eval_unaryop(self, node: ast.UnaryOp) -> Json:
        return _UNARY[type(node.op)](self._eval(node.operand))

    def _eval_boolop(self, node: ast.BoolOp) -> Json:
        wanted = isinstance(node.op, ast.Or)
        value: Json = None
        for part in node.values:
            value = self._eval(part)
            if bool(value) is wanted:
                break
        return value

    def _eval_compare(self, node: ast.Compare) -> Json:
        left = self._eval(node.left)
        for operation, part in zip(node.ops, node.comparators):
            right = self._eval(part)
            _pay_comparison(self.fuel, operation, left, right)
            if not _COMPARE[type(operation)](left, right):
                return False
            left = right
        return True

    def _eval_call(self, node: ast.Call) -> Json:
        arguments = [self._eval(argument) for argument in node.args]
        keywords = {str(keyword.arg): self._eval(keyword.value) for keyword in node.keywords}
        if isinstance(node.func, ast.Attribute):
            return self._method(node.func, arguments, keywords)
        name = node.func.id if isinstance(node.func, ast.Name) else ''
        if name in LOOKUPS:
            return self._looked_up(name, arguments, keywords)
        self.fuel.take(len(arguments))
        try:
            return FUNCTIONS[name](self.fuel, *arguments, **keywords)
        except TypeError as error:
            raise Refused(f'{name} does not take what it was given: {error}') from None

    def _method(self, function: ast.Attribute, arguments: list[Json], keywords: Mapping[Any, Json]) -> Json:
        owner = self._eval(function.value)
        if not isinstance(owner, str):
            raise Refused(f'{self._program.excerpt(function.value)} is {kind(owner)}; only strings have methods, and .{function.attr} is one')
        if keywords:
            raise Refused(f'.{function.attr} takes its arguments without their names')
        try:
            return method(self.fuel, owner, function.attr, arguments)
        except TypeError as error:
            raise Refused(f'.{function.attr} does not take what it was given: {error}') from None

    def _looked_up(self, name: str, arguments: list[Json], keywords: Mapping[Any, Json]) -> Json:
        """`is_present('a.b')` and `getattr('a.b', default)`: the path is a string, with or without `$.`."""
        default = name == 'getattr'
        if keywords or not 1 <= len(arguments) <= 1 + default or not isinstance(arguments[0], str):
            raise Refused(f"{name} takes a path as a string: {name}('a.b'{', default' if default else ''})")
        text = arguments[0].strip(' `')
        text = text if text.startswith('$') else f'${text}' if text.startswith('[') else f'$.{text}'
        self.fuel.take(10 + 5 * len(text))  # it may have to be read, and be another one at each turn of a loop
        fault = paths.check(text)
        if fault:
            raise Refused(fault)
        local = paths.parse(text).steps[:1]
        payload = self._locals if local and local[0] in self._locals else self._payload
        context = None if payload is self._locals else self._context
        there = paths.present(text, payload, context, self.fuel.take)
        if not default:
            return there
        return paths.read(text, payload, context, self.fuel.take) if there else arguments[1] if len(arguments) > 1 else None

    def _eval_dict(self, node: ast.Dict) -> Json:
        self.fuel.take(len(node.keys))
        return {_hashable(self._eval(key)): self._eval(value) for key, value in zip(node.keys, node.values)}

    def _eval_list(self, node: ast.List | ast.Tuple) -> Json:
        return [self._eval(element) for element in node.elts]

    def _eval_comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> Json:
        outer = self._locals
        self._locals = dict(outer)
        made: Any = {} if isinstance(node, ast.DictComp) else []
        try:
            self._loop(node, 0, made)
        finally:
            self._locals = outer
        return made

    def _loop(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp, level: int, made: Any) -> None:
        generator = node.generators[level]
        for item in listed(self._eval(generator.iter), self.fuel):
            self._bound(generator.target, item)
            if not all(self._eval(condition) for condition in generator.ifs):
                continue
            if level + 1 < len(node.generators):
                self._loop(node, level + 1, made)
            elif isinstance(node, ast.DictComp):
                self.fuel.take(1)
                key = _hashable(self._eval(node.key))
                made[key] = self._eval(node.value)
            else:
                made.append(self._eval(node.elt))

    def _bound(self, target: ast.expr, value: Json) -> None:
        if isinstance(target, ast.Name):
            self._locals[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            values = listed(value, self.fuel)
            if len(values) != len(target.elts):
                raise Refused(f'{len(target.elts)} variables for {len(values)} values')
            for each, item in zip(target.elts, values):
                self._bound(each, item)


def _hashable(key: Json) -> Any:
    if key is None or isinstance(key, (str, int, float)):
        return key
    raise Refused(f'a key is a string, not {kind(key)}')


def _add(fuel: Fuel, left: Json, right: Json) -> Json:
    if isinstance(left, str) and isinstance(right, str):
        fuel.text(len(left) + len(right))
    elif isinstance(left, list) and isinstance(right, list):
        fuel.take(len(left) + len(right))
    elif isinstance(left, str) or isinstance(right, str):
        raise Refused(f'{kind(left)} and {kind(right)} cannot be joined with +; str(…) makes a string')
    else:
        _arithmetic(left, right, 1 + _bits(left, right))
    return left + right


def _times(fuel: Fuel, left: Json, right: Json) -> Json:
    for some, often in ((left, right), (right, left)):
        if isinstance(some, (str, list)) and isinstance(often, int):
            length = len(some) * max(0, often)
            fuel.take(1 + length // (25 if isinstance(some, str) else 1))
            return some * often
    _arithmetic(left, right, sum(value.bit_length() for value in (left, right) if isinstance(value, int)))
    return left * right


def _power(fuel: Fuel, left: Json, right: Json) -> Json:
    del fuel
    whole = isinstance(left, int) and isinstance(right, int)
    _arithmetic(left, right, left.bit_length() * abs(right) if whole else 0)
    if isinstance(left, (int, float)) and left < 0 and not float(right).is_integer():
        raise Refused('a root of a negative number is none')
    return left**right


def _numbers(function: Callable[[Any, Any], Any]) -> Callable[[Fuel, Json, Json], Json]:
    def made(fuel: Fuel, left: Json, right: Json) -> Json:
        del fuel
        _arithmetic(left, right, 1 + _bits(left, right))
        return function(left, right)

    return made


def _bits(*values: Json) -> int:
    return max((value.bit_length() for value in values if isinstance(value, int)), default=0)


def _arithmetic(left: Json, right: Json, bits: int) -> None:
    for value in (left, right):
        if not isinstance(value, (int, float)):
            raise Refused(f'{kind(value)} is no number')
    number(bits)


def _pay_comparison(fuel: Fuel, operation: ast.cmpop, left: Json, right: Json) -> None:
    if isinstance(operation, (ast.In, ast.NotIn)):
        if not isinstance(right, (str, list, dict, Mapping)):
            raise Refused(f'{kind(right)} has nothing in it')
        if isinstance(right, str):
            fuel.scan(len(left) if isinstance(left, str) else 0, len(right))
        elif isinstance(right, list) and not isinstance(left, (list, dict)):
            fuel.take(1 + len(right) * (1 + (len(left) // 1_000 if isinstance(left, str) else 0)))
        elif isinstance(right, list):
            fuel.whole(right)
        else:
            _hashable(left)
    elif isinstance(left, str) and isinstance(right, str):
        fuel.take(min(len(left), len(right)) // 1_000)
    elif (
        isinstance(left, (list, dict))
        and isinstance(right, (list, dict))
        and (len(left) == len(right) or not isinstance(operation, (ast.Eq, ast.NotEq)))
    ):
        fuel.whole(left)
        fuel.whole(right)


_BINARY: Mapping[type, Callable[[Fuel, Json, Json], Json]] = {
    ast.Add: _add,
    ast.Sub: _numbers(operator.sub),
    ast.Mult: _times,
    ast.Div: _numbers(operator.truediv),
    ast.FloorDiv: _numbers(operator.floordiv),
    ast.Mod: _numbers(operator.mod),
    ast.Pow: _power,
}
_UNARY: Mapping[type, Callable[[Any], Any]] = {ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos}
_COMPARE: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_OPERATORS = {**_BINARY, **_UNARY, **_COMPARE}
