"""Templates: what values become, and that hostile ones are refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from relay_parsl.config import Report, parse_yaml
from relay_parsl.endpoint import rendering
from relay_parsl.endpoint.templates import SCHEMA, TEMPLATE, canonical, intruders, read_template, runtime_of
from relay_parsl.errors import ConfigError

MINE = """\
engine:
  type: HtexEngine
  max_workers_per_node: {{ workers|default(2) }}
  provider:
    type: SlurmProvider
    account: {{ account }}
    queue: {{ queue|default("debug") }}
    scheduler_options: {{ directives|default() }}
    worker_init: {{ worker_init|default() }}
"""
HOSTILE = [
    *('a\nb', '"', "'", '{{ 7*7 }}', '{% raw %}', ': x', '- y', '#', ' # z', '*a', '&b', '!!python/object:os.system', '%', '`id`', '$(id)', '\\'),
    *('\x07', '\u2028', '\x85', 'é😀', '', ' ', 'null', 'true', '1', '0x1f', '1:00:00', '~', '|', '>', '[', '{', '}', ',', '?', '@', 'a' * 5000),
]


def template(directory: Path, text: str = MINE, schema: Any = None) -> Any:
    (directory / TEMPLATE).write_text(text)
    if schema is not None:
        (directory / SCHEMA).write_text(json.dumps(schema))
    return read_template(directory / TEMPLATE)


def render(directory: Path, options: dict[str, Any], text: str = MINE, schema: Any = None) -> str:
    found: str = template(directory, text, schema).render(canonical(options), runtime_of('3.11')).text
    return found


def refusal(directory: Path, options: dict[str, Any], text: str = MINE, schema: Any = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        render(directory, options, text, schema)
    return str(caught.value).splitlines()


# --- what values become ---


@pytest.mark.attack(24)
@pytest.mark.parametrize('value', HOSTILE, ids=range(len(HOSTILE)))
def test_any_text_is_one_value_of_yaml_and_the_same_text(value: str, tmp_path: Path) -> None:
    (tmp_path / 'x').write_text('a: {{ x }}\nb: [{{ x }}, {{ y }}]\nc: last\n')
    text, faults = rendering.Kitchen('x', str(tmp_path)).render({'x': value, 'y': {value[:99]: [value, None, True, 1.5]}}, {})
    assert not faults
    assert yaml.safe_load(text) == {'a': value, 'b': [value, {value[:99]: [value, None, True, 1.5]}], 'c': 'last'}
    report = Report('x')
    assert parse_yaml(text, report).plain['a'] == value


def test_a_value_is_quoted_as_in_globus_computes_templates(tmp_path: Path) -> None:
    text = '{% if env == \'"test"\' %}found{% endif %}: {{ env|shell_escape }}\n'
    assert yaml.safe_load(render(tmp_path, {'env': 'test'}, text)) == {'found': 'test'}
    assert yaml.safe_load(rendering.Kitchen(TEMPLATE, str(tmp_path)).render({'env': "a b; 'c'"}, {})[0].replace(':', 'x:')) == {
        'x': "'a b; '\"'\"'c'\"'\"''"
    }


def test_defaults_runtime_and_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / 'more.j2').write_text('py: "{{ _GC.user_runtime.python.version }}"\nminor: {{ user_runtime.python.version_tuple[1] }}\nz: {{ z }}\n')
    found = template(tmp_path, 'a: {{ a|default(3) }}\n{% include "more.j2" %}')
    assert (found.variables, found.uses_runtime) == (('a', 'z'), True)
    assert yaml.safe_load(found.render(canonical({'z': 1}), runtime_of('3.12')).text) == {'a': 3, 'py': '3.12', 'minor': 12, 'z': 1}


# --- what is refused, by name ---


@pytest.mark.attack(24)
def test_undeclared_values_and_reserved_names_are_refused_each_by_its_name(tmp_path: Path) -> None:
    assert refusal(tmp_path, {'acount': 'x', 'nodes': 3, '_GC': {}, 'user_runtime': 1, 'mapped_identity': 'root'}) == [
        'user_endpoint_config._GC: is not declared; it belongs to the endpoint',
        'user_endpoint_config.acount: is not declared; did you mean `account`?',
        'user_endpoint_config.mapped_identity: is not declared; an endpoint belongs to one user here',
        'user_endpoint_config.nodes: is not declared; the template takes account, directives, queue, worker_init, workers',
        'user_endpoint_config.user_runtime: is not declared; the endpoint fills it in',
    ]


def test_every_value_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    assert refusal(tmp_path, {}, 'a: {{ a }}\nb: {{ b }}\nc: {% for x in c %}{{ x }}{% endfor %}{{ d.e }}\n') == [
        f'user_endpoint_config.{name}: is needed: the template has no default for it' for name in 'abcd'
    ]


def test_a_schema_is_held_to_and_says_everything(tmp_path: Path) -> None:
    schema = {
        'type': 'object',
        'properties': {'account': {'type': 'string', 'maxLength': 5}, 'workers': {'type': 'integer', 'maximum': 4}, 'queue': {'enum': ['debug']}},
        'required': ['account', 'queue'],
    }
    assert refusal(tmp_path, {'account': 'x' * 6, 'workers': 'four', 'extra': 1}, schema=schema) == [
        'user_endpoint_config.extra: is not declared; the template takes account, directives, queue, worker_init, workers',
        'user_endpoint_config.queue: is needed',
        "user_endpoint_config.account: 'xxxxxx' is too long",
        "user_endpoint_config.workers: 'four' is not of type 'integer'",
    ]


@pytest.mark.attack(24)
def test_nothing_is_fetched_for_a_schema(tmp_path: Path) -> None:
    schema = {'properties': {'account': {'$ref': 'http://127.0.0.1:9/schema.json'}}}
    assert refusal(tmp_path, {'account': 'x'}, schema=schema)[0].startswith('the schema refers to what is not in it')


@pytest.mark.attack(24)
@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'account': 'x\n#SBATCH -p secret'}, 'account: `#SBATCH -p secret` would be a directive, and it stands in `engine.provider.account`'),
        ({'account': 'x\ny'}, 'account: it must be one line, and it stands in `engine.provider.account`'),
        ({'account': 'x', 'queue': '#PBS -A other'}, 'queue: `#PBS -A other` would be a directive, and it stands in `engine.provider.queue`'),
        ({'account': 'x --reservation=y'}, 'account: it must be one word: after a space another option of the directive would begin'),
        ({'account': 'x', 'worker_init': 'module load y\n  #SBATCH -A z\n'}, 'worker_init: `#SBATCH -A z` would be a directive'),
    ],
)  # fmt: skip
def test_lines_and_directives_do_not_come_in_by_the_side(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert any(line.startswith(f'user_endpoint_config.{said}') for line in refusal(tmp_path, options))


def test_shell_lines_and_directives_come_in_where_the_template_gives_them_a_key_of_their_own(tmp_path: Path) -> None:
    options = {'account': 'x', 'worker_init': 'module load a\nconda activate b\n', 'directives': '#SBATCH -C gpu\n#SBATCH --exclusive'}
    provider = yaml.safe_load(render(tmp_path, options))['engine']['provider']
    assert (provider['worker_init'], provider['scheduler_options']) == (options['worker_init'], options['directives'])
    inside = MINE.replace('{{ directives|default() }}', '|\n      #SBATCH -C gpu\n      {{ directives }}')
    assert any('would be a directive' in line for line in refusal(tmp_path, options, inside))


def test_values_inside_longer_text_are_watched_too() -> None:
    root = parse_yaml('engine: {provider: {select_options: "ngpus=4:a b:system=polaris"}}', Report('x'))
    (said,) = intruders(root, {'deep': [{'er': 'a b'}]})
    assert said.startswith('user_endpoint_config.deep[0].er: it must be one word')


@pytest.mark.attack(24)
@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'a': 'x' * 70_000}, 'user_endpoint_config: 70008 bytes; an endpoint takes 65536 at most'),
        ({'a': [[[[[[[[[1]]]]]]]]]}, r'user_endpoint_config\.a(\[0\]){8}: nests deeper than 8 levels'),
        ({'a': b'x'}, r"user_endpoint_config\.a: b'x' is no value of JSON"),
        ({'a': float('nan')}, r'user_endpoint_config\.a: nan is no value of JSON'),
        ({'a': {1: 2}}, "user_endpoint_config.a: '1' is no name"),
        ({'a': 'x\0y', 'b': '\ud800'}, 'user_endpoint_config.a: holds a character that no file can\nuser_endpoint_config.b: holds'),
    ],
)
def test_too_large_too_deep_or_no_json(options: dict[Any, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        canonical(options)


def test_equal_values_are_the_same_whatever_their_order() -> None:
    assert canonical({'a': 1, 'b': {'c': 2, 'd': 3}}) == canonical({'b': {'d': 3, 'c': 2}, 'a': 1})
    assert canonical(None) == canonical({}) == '{}'


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('engine: {type: X, note: --x={{ v }}}\n', '1, max_blocks: 99'),
        ('engine:\n  note: --x={{ v }}\n', 'a #b'),
        ('engine: [--x={{ v }}, c]\n', 'a, b'),
    ],
)
def test_a_value_is_not_torn_by_yaml(text: str, value: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, {'v': value}, text) == [
        'user_endpoint_config.v: YAML would take part of it for something else: in the template, give it a value of its own, or a block (`|`)'
    ]
    for right in (text.replace('--x={{ v }}', '{{ v }}'), 'engine:\n  note: |\n    --x={{ v }}\n  {{ v }}: {{ [v, v] }}\n'):
        assert render(tmp_path, {'v': value}, right)


# --- the sandbox ---


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('{{ "".__class__.__mro__ }}', "the sandbox refuses: access to attribute '__class__'"),
        ('{{ a.append(1) }}', 'the sandbox refuses: '),
        ('{{ range(1000000) }}', 'Range too big'),
        ('{% for i in range(90000) %}{{ a }}{% endfor %}', 'has more than 262144 characters'),
    ],
)
def test_the_sandbox_is_strict(text: str, said: str, tmp_path: Path) -> None:
    assert any(said in line for line in refusal(tmp_path, {'a': [1] * 10}, '{# {{ a }} #}{{ a|length }}' + text))


@pytest.mark.attack(24)
def test_no_value_takes_time_or_memory_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('relay_parsl.endpoint.templates.WAIT', 20.0)
    evil = {'properties': {'a': {'type': 'string', 'pattern': '^(a+)+$'}}}
    (said,) = refusal(tmp_path, {'a': 'a' * 40 + '!'}, 'a: {{ a }}', evil)
    assert 'too much time or memory' in said or 'takes more than' in said
    (said,) = refusal(tmp_path, {'a': 2_000_000_000}, 'a: {{ "x" * a }}', {'properties': {'a': {}}})
    assert 'MemoryError' in said or 'too much time or memory' in said


# --- mistakes of the template itself ---


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('a: 1\nb: {{ x\n', r":2: unexpected end|:3: unexpected end|:2: "),
        ('{% include "../secret.j2" %}', 'a template includes files of its own directory only'),
        ('{% include "/etc/hostname" %}', 'a template includes files of its own directory only'),
        ('a: 1\nb: {{ _GC.mapped_identity.local.uname }}', ':2: `mapped_identity` has no meaning here: an endpoint belongs to one user'),
        ('a: {{ parent_config.debug }}', ':1: `parent_config` has no meaning here'),
        ('a: {{ _GC.env.HOME }}', ':1: `env` has no meaning here: write the value into the template'),
    ],
)  # fmt: skip
def test_a_template_with_a_mistake_is_refused_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'secret.j2').write_text('x')
    with pytest.raises(ConfigError, match=said) as caught:
        template(tmp_path / 'sub', text)
    assert str(tmp_path) in str(caught.value)


def test_a_schema_with_a_mistake_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f'{SCHEMA}: the schema is no JSON schema: properties: '):
        template(tmp_path, MINE, {'properties': 5})
    (tmp_path / SCHEMA).write_text('{')
    with pytest.raises(ConfigError, match=f'{SCHEMA}: no JSON: '):
        template(tmp_path)
