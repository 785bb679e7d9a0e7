"""The language of `.=`: source to a tree that has been checked node by node, before anything is evaluated.

It is a part of Python's expressions, with JSONPaths in back quotes besides. What is not in `ALLOWED` does not exist.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from relay_parsl.flows.terms import paths
from relay_parsl.flows.terms.functions import FUNCTIONS, LOOKUPS, METHODS
from relay_parsl.flows.terms.places import shown

LONGEST = 8_000
"""Characters of an expression."""
DEEPEST = 60
"""Levels of its tree: each operator and each pair of brackets is one."""
NODES = 4_000
LOOPS = 8
"""`for`s of one comprehension."""

_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.And, ast.Or, ast.Not, ast.USub, ast.UAdd)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot)
_COMPREHENSIONS = (ast.ListComp, ast.DictComp, ast.GeneratorExp, ast.comprehension)
_VALUES = (ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.List, ast.Tuple, ast.Dict, ast.Call, ast.keyword)
_REST = (ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Load, ast.Store)
ALLOWED = frozenset([*_OPERATORS, *_COMPARISONS, *_COMPREHENSIONS, *_VALUES, *_REST])
"""The nodes of Python's trees that may be in an expression."""

_TOKEN = re.compile(
    r"""(?P<triple>\'{3}|"{3})|(?P<raw>\b[rR])?(?P<string>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|(?P<path>`[^`]*`)|(?P<space>[\n\r\t\f]|\#[^\n]*)""",
    re.DOTALL,
)
_ESCAPE = re.compile(r'\\(?:(?P<known>[\\\'"abfnrtvxuUN0-7\n])|.)', re.DOTALL)
_HINTS = {
    '$': 'a JSONPath in an expression stands in back quotes: `$.a.b`',
    '&&': 'write and',
    '||': 'write or',
    '!': 'write not, or !=',
    '?': 'write a if condition else b',
}
"""What is found in other languages, and not in this one."""
_KEYWORD_HINT = re.compile(r'\.\s*(?:class|from|import|in|is|if|for|global|pass|lambda|with|return|def|del|not|and|or|as)\b')


class GrammarFault(ValueError):
    """The source is no expression of the language. The text says where and why."""


@dataclass(frozen=True, slots=True)
class Program:
    """An expression that was read and checked.

    Attributes:
        source: As it was written.
        prepared: As Python's parser saw it.
        paths: What each stand-in for a back-quoted JSONPath means.
    """

    source: str
    prepared: str
    tree: ast.expr
    paths: Mapping[str, str]

    def excerpt(self, node: ast.AST | None) -> str:
        """The part of the source that a node was made of."""
        found = ast.get_source_segment(self.prepared, node) if isinstance(node, (ast.expr, ast.keyword)) else None
        return shown(_restored(found or self.source, self.paths), 80)


def _restored(text: str, stand_ins: Mapping[str, str]) -> str:
    for name in reversed(list(stand_ins)):
        text = text.replace(name, f'`{stand_ins[name]}`')
    return text


def parse(source: object) -> Program:
    """Read an expression.

    Raises:
        GrammarFault: it is none.
    """
    if not isinstance(source, str):
        raise GrammarFault('an expression is a string')
    if len(source) > LONGEST:
        raise GrammarFault(f'it has {len(source)} characters; {LONGEST} are the most')
    if not source.strip():
        raise GrammarFault('it is empty')
    prepared, stand_ins = _prepared(source)
    _level(prepared)
    try:
        tree = ast.parse(prepared, mode='eval').body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise GrammarFault(_syntax(error, prepared)) from None
    program = Program(source, prepared, tree, stand_ins)
    _check(program)
    return program


def _prepared(source: str) -> tuple[str, dict[str, str]]:
    """The source as Python can read it: names in the place of back-quoted paths, one line, no escapes that Python warns of."""
    stem = '_path'
    while stem in unicodedata.normalize('NFKC', source):
        stem += '_'
    stand_ins: dict[str, str] = {}

    def replaced(found: re.Match[str]) -> str:
        if found['triple']:
            raise GrammarFault('a string has one quote at each end')
        if found['path']:
            name = f'{stem}{len(stand_ins)}_'
            stand_ins[name] = found['path'][1:-1].strip()
            return f' {name} '
        if found['string'] and not found['raw']:
            return _ESCAPE.sub(lambda escape: escape[0] if escape['known'] else f'\\{escape[0]}', found[0])
        return found[0] if found['string'] else ' '

    return _TOKEN.sub(replaced, source).strip(), stand_ins


def _syntax(error: Exception, prepared: str) -> str:
    if isinstance(error, (MemoryError, RecursionError)):
        return 'it has too many levels'
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    bare = _TOKEN.sub('', prepared)
    if '`' in bare:
        return 'a back quote is not closed'
    hint = next((hint for mark, hint in _HINTS.items() if mark in bare), None)
    if hint:
        return f'{said}; {hint}'
    if _KEYWORD_HINT.search(bare):
        return f"{said}; a key that is a word of Python's is written ['class'], or in back quotes"
    return said


def _level(prepared: str) -> None:
    """Refuse brackets in brackets in brackets before Python's parser sees them: it may take very long to say no."""
    depth = 0
    for character in _TOKEN.sub('', prepared):
        depth += (character in '([{') - (character in ')]}')
        if depth > DEEPEST:
            raise GrammarFault(_LEVELS)


_LEVELS = f'it has more than {DEEPEST} levels; share the work among several fields'


def _check(program: Program) -> None:
    for path in program.paths.values():
        fault = paths.check(path)
        if fault:
            raise GrammarFault(fault)
    called: set[int] = set()
    for count, node in enumerate(_nodes(program.tree)):
        if count >= NODES:
            raise GrammarFault(f'it has more than {NODES} parts')
        if type(node) not in ALLOWED:
            raise GrammarFault(f'{_what(node)} is not of the language, at {program.excerpt(node)}')
        fault = _fault(node, called)
        if fault:
            raise GrammarFault(f'{fault}, at {program.excerpt(node)}')


def _what(node: ast.AST) -> str:
    names = {ast.Lambda: 'lambda', ast.JoinedStr: 'an f-string', ast.NamedExpr: ':=', ast.Starred: '*', ast.Set: 'a set', ast.SetComp: 'a set'}
    return names.get(type(node), type(node).__name__)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node, a call before what it calls; no recursion, since the tree is not known to be shallow."""
    stack = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > DEEPEST:
            raise GrammarFault(_LEVELS)
        yield node
        stack += [(child, depth + 1) for child in ast.iter_child_nodes(node)]


def _fault(node: ast.AST, called: set[int]) -> str | None:
    """What is wrong with one node of an allowed type. `called` gathers the functions of calls, which have another meaning."""
    fault = None
    if isinstance(node, ast.Name):
        fault = _named(node.id)
    elif isinstance(node, ast.Attribute):
        fault = _attribute(node, called)
    elif isinstance(node, ast.Constant):
        known = node.value is None or isinstance(node.value, (str, int, float))
        fault = None if known else f'{type(node.value).__name__} is not of the language'
    elif isinstance(node, ast.Call):
        called.add(id(node.func))
        fault = _call(node.func)
    elif isinstance(node, (ast.keyword, ast.Dict)):
        fault = '** is not of the language' if None in (node.keys if isinstance(node, ast.Dict) else [node.arg]) else None
    elif isinstance(node, ast.comprehension):
        fault = _loop(node)
    elif isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.DictComp)):
        fault = f'more than {LOOPS} loops in one' if len(node.generators) > LOOPS else None
    elif isinstance(node, ast.Compare):
        fault = _identity(node)
    return fault


def _named(name: str) -> str | None:
    return f'names with two underscores are not of the language ({name[:40]})' if name.startswith('__') else None


def _attribute(node: ast.Attribute, called: set[int]) -> str | None:
    if id(node) in called:
        return None if node.attr in METHODS else f'there is no method {node.attr[:40]}; a string has {", ".join(sorted(METHODS))}'
    return _named(node.attr)


def _call(function: ast.expr) -> str | None:
    if isinstance(function, ast.Attribute):
        return None
    if isinstance(function, ast.Name):
        names = [*FUNCTIONS, *LOOKUPS]
        return None if function.id in names else f'there is no function {function.id[:40]}; there are {", ".join(sorted(names))}'
    return 'only functions by their name and methods of strings can be called'


def _identity(node: ast.Compare) -> str | None:
    for operation, other in zip(node.ops, node.comparators):
        if isinstance(operation, (ast.Is, ast.IsNot)) and not (
            isinstance(other, ast.Constant) and (other.value is None or isinstance(other.value, bool))
        ):
            return 'is compares with None, True and False alone; use =='
    return None


def _loop(node: ast.comprehension) -> str | None:
    if node.is_async:
        return 'async is not of the language'
    targets = [node.target]
    while targets:
        target = targets.pop()
        if isinstance(target, (ast.Tuple, ast.List)):
            targets += target.elts
        elif not isinstance(target, ast.Name):
            return 'a loop has names as its variables'
    return None
