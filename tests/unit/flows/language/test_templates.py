"""What `Parameters` may have, at any depth."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.unit.flows.definitions import ONE, action, fault, faults, flow, read


def parameters(**given: Any) -> list[str]:
    return [each.removeprefix('$.States.A.Parameters') for each in faults(flow(A=action(Parameters=given)))]


def test_parameters_are_constants_paths_and_expressions_at_any_depth() -> None:
    given = {
        'a': [1, 'x', None, True, 1.5, {'b.$': '$.c', 'd': [[{'e.=': 'f.g[0] + `$.h.i[1]`'}]]}],
        'input.x.y': 'a key with dots',
        '__Private_Parameters': ['a', 's', 't.='],
        's.$': '$.secret',
        't.=': 'x.y',
    }
    assert parameters(**given) == []


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        (
            {'tasks': [{'function.$': 'input.f'}]},
            '.tasks[0].function.$: must be a JSONPath, which begins with `$.`, not "input.f"; did you mean `$.i',
        ),
        ({'a.$': 7}, '.a.$: must be a JSONPath, as a text, not 7'),
        ({'a.$': {'b': 1}}, '.a.$: must be a JSONPath, as a text, not an object'),
        ({'a.$': '$.a['}, '.a.$: '),
        ({'a.$': 'a + b'}, '.a.$: must be a JSONPath, which begins with `$.`, not "a + b"; an expression needs a key that ends in `.=`'),
        ({'a.$': "States.Format('{}', $.a)"}, '.a.$: intrinsic functions of the Amazon States Language are not supported; use an expression'),
        ({'a.$': '$$.Execution.Id'}, '.a.$: the context object `$$` is not supported; `$._context`'),
        ({'a.=': 7}, '.a.=: must be an expression'),
        ({'a.=': "States.Format('{}', a)"}, '.a.=: intrinsic functions'),
        ({'a.=': '1 +'}, '.a.=: '),
        ({'a.=': ''}, '.a.=: '),
        ({'a.=': '().__class__'}, '.a.=: '),
        ({'a.=': 'lambda: 1'}, '.a.=: '),
        ({'a': 1, 'a.$': '$.a'}, '.a.$: makes `a`, which `a` makes, too; keep one'),
        ({'x': [{'a.=': 'b', 'a.$': '$.a'}]}, '.x[0].a.$: makes `a`, which `a.=` makes, too; keep one'),
        ({'.$': '$.a'}, "['.$']: the key has a suffix and no name"),
        ({'a': 1, '__Private_Parameters': ['b']}, '.__Private_Parameters[0]: there is no parameter "b" beside it'),
        (
            {'token.$': '$.t', '__Private_Parameters': ['tokn']},
            '.__Private_Parameters[0]: there is no parameter "tokn" beside it; did you mean `token`?',
        ),
        ({'a.$': '$.a', '__Private_Parameters': ['a.$', 'a']}, '.__Private_Parameters[1]: `a` stands twice'),
        ({'a': 1, '__Private_Parameters': ['a', 'a']}, '.__Private_Parameters[1]: `a` stands twice'),
        ({'a': 1, '__Private_Parameters': 'a'}, '.__Private_Parameters: must be a list of names'),
        ({'a': {'__Private_Parameters': ['b']}}, '.a.__Private_Parameters[0]: there is no parameter "b" beside it'),
    ],
)
def test_what_parameters_may_not_have(given: dict[str, Any], words: str) -> None:
    found = parameters(**given)
    assert len(found) == 1
    assert found[0].startswith(words)


def test_a_pass_has_no_expressions() -> None:
    assert fault(A={**ONE, 'Parameters': {'a.=': 'b'}}).startswith('$.States.A.Parameters.a.=: a Pass has no expressions; make it an ExpressionEval')


def test_expressions_and_filters_of_very_many_characters_are_refused_soon() -> None:
    begin = time.thread_time()
    for made in (
        {f'k{index}.=': '[' + '1<2,' * 1_900 + ']' for index in range(1_000)},
        {f'k{index}.$': '$[?' + '@.a||' * 20 + '@.a]' for index in range(60_000)},
    ):
        found = [each for each in faults(flow(A=action(Parameters=made))) if 'characters together' in each]
        assert found == ['$: the expressions and filters of this definition have more than 300,000 characters together']
    assert time.thread_time() - begin < 20


def test_a_private_name_may_have_its_suffix() -> None:
    found = read(flow(A=action(Parameters={'a.$': '$.a', 'b.=': 'c', '__Private_Parameters': ['a.$', 'b']})))
    assert found.definition()
    assert [str(each) for each in found.faults.warnings] == [
        '$.States.A.Parameters.__Private_Parameters[0]: names stand here without a suffix: `a`; taken as that'
    ]
