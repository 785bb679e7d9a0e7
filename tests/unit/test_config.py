"""YAML with places: what is read as what, and what is said about files that are wrong."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from relay_parsl.config import Level, Located, Report, closest, parse_yaml, read_yaml, settle
from relay_parsl.errors import ConfigError


def read(text: str | bytes) -> Located:
    report = Report('f.yaml')
    root = parse_yaml(text, report)
    report.verdict()
    return root


def mistakes(text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


def test_values_know_their_path_and_line() -> None:
    root = read('a: 1\nb:\n  c:\n  - x\n  - d: 2\n')
    found = root.get('b').get('c').value[1].get('d')
    assert (found.value, found.path, found.line) == (2, 'b.c[1].d', 5)
    assert root.get('b').line == 2
    assert root.plain == {'a': 1, 'b': {'c': ['x', {'d': 2}]}}


@pytest.mark.parametrize(
    ('written', 'value'),
    [
        ('1:00:00', '1:00:00'),
        ('10:30:00', '10:30:00'),
        ('01:00:00', '01:00:00'),
        ('1:30.5', '1:30.5'),
        ('2024-12-11', '2024-12-11'),
        ('3600', 3600),
        ('-7', -7),
        ('1.5', 1.5),
        ('1.0e-6', 1e-6),
        ('0x10', 16),
        ('yes', True),
        ('~', None),
        ('"12"', '12'),
        ('1_000', 1000),
    ],
)
def test_scalars_without_the_traps_of_base_60_and_dates(written: str, value: object) -> None:
    assert read(f'key: {written}').value['key'].value == value


def test_a_scalar_keeps_how_it_was_written() -> None:
    assert read('key: 0.10').get('key').text == '0.10'


def test_anchors_and_merges_work() -> None:
    root = read('base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n')
    assert root.get('use').plain == {'x': 1, 'y': 3}


def test_an_empty_file_is_an_empty_mapping() -> None:
    assert read('').plain == {}
    assert read('# nothing\n').plain == {}


@pytest.mark.attack(38)
def test_both_places_of_a_duplicate_key_are_named_and_all_duplicates_at_once() -> None:
    text = mistakes('a: 1\nb: 2\na: 3\nc:\n  d: 1\n  d: 2\n')
    assert text.splitlines() == [
        'f.yaml:3: a: this key stands twice, in line 1 and here; keep one',
        'f.yaml:6: c.d: this key stands twice, in line 5 and here; keep one',
    ]


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('a: [1, 2', 'f.yaml:1: not YAML'),
        ('a: b: c', 'needs quotes'),
        ('a:\n\tb: 1', 'indent with spaces'),
        ('- 1\n- 2', 'must be `key: value` lines'),
        ('just words', 'must be `key: value` lines'),
        ('a: 1\n---\nb: 2', 'not YAML'),
        ('a: !!python/object:os.system x', 'no value that YAML knows'),
        ('? [1, 2]\n: 3', 'a key must be a word'),
        (b'\xff\xfe\x00', 'not YAML'),
        ('a: *nowhere', 'not YAML'),
        ('a: &a [*a]', 'too deep or too many'),
        ('\n'.join(f'k{n}: &a{n} [{", ".join([f"*a{n - 1}" if n else "x"] * 9)}]' for n in range(9)), 'too deep or too many'),
    ],
)
def test_what_is_no_file_of_ours_is_said_in_one_error(text: str | bytes, said: str) -> None:
    assert said in mistakes(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='No such file'):
        read_yaml(tmp_path / 'none.yaml', Report('x'))
    with pytest.raises(ConfigError, match='Is a directory'):
        read_yaml(tmp_path, Report('x'))
    (tmp_path / 'large').write_bytes(b'a' * 2_000_000)
    with pytest.raises(ConfigError, match='larger than 1 MiB'):
        read_yaml(tmp_path / 'large', Report('x'))


def test_a_report_holds_each_mistake_once_in_the_order_of_lines() -> None:
    report = Report('f.yaml')
    for line in (9, 3, 9):
        report.error(Located(1, 'a.b', line), 'wrong')
    report.warn(Located(1, '', 5), 'odd')
    with pytest.raises(ConfigError) as caught:
        report.verdict()
    assert str(caught.value).splitlines() == ['f.yaml:3: a.b: wrong', 'f.yaml:5: warning: odd', 'f.yaml:9: a.b: wrong']
    assert [str(problem) for problem in report.warnings] == ['f.yaml:5: warning: odd']
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_warnings_alone_stop_nobody() -> None:
    report = Report('f.yaml')
    report.warn(Located(1, 'a', 1), 'odd')
    report.verdict()


@pytest.mark.parametrize(
    ('word', 'meant'),
    [
        ('max_idle_time', 'max_idletime'),
        ('job_status_kwarg', 'job_status_kwargs'),
        ('Walltime', 'walltime'),
        ('waltime', 'walltime'),
        ('color', None),
    ],
)
def test_what_was_probably_meant(word: str, meant: str | None) -> None:
    assert closest(word, ['max_idletime', 'job_status_kwargs', 'walltime', 'queue']) == meant


def settled(text: str) -> tuple[list[str], object]:
    """Two levels: the top knows `outer`, `outer` knows `inner` and `size`; `bad` is refused there."""
    report = Report('f.yaml')
    root = parse_yaml(text, report)
    settle(lambda: [Level('', root, ('outer',)), Level('outer', root.get('outer'), ('inner', 'size'), {'bad': 'say `size`'})], report)
    return [str(problem) for problem in report.errors], root.plain


def test_misplaced_keys_are_reported_and_moved() -> None:
    said, tree = settled('outer:\n  inner: 1\nsize: 4\n')
    assert said == ['f.yaml:3: size: belongs under `outer`']
    assert tree == {'outer': {'inner': 1, 'size': 4}}


def test_slips_are_reported_and_mended() -> None:
    said, tree = settled('outer:\n  iner: 1\nsizes: 4\n')
    assert said == ['f.yaml:2: outer.iner: unknown key; did you mean `inner`?', 'f.yaml:3: sizes: unknown key; did you mean `size`, under `outer`?']
    assert tree == {'outer': {'inner': 1, 'size': 4}}


def test_a_key_that_stands_too_deep_goes_up() -> None:
    said, _ = settled('outer:\n  outer: 1\n')
    assert said == ['f.yaml:2: outer.outer: belongs at the top of the file']


def test_unknown_and_refused_keys() -> None:
    said, tree = settled('outer:\n  bad: 1\n  color: red\nweather: null\n')
    assert said == [
        'f.yaml:2: outer.bad: say `size`',
        'f.yaml:3: outer.color: unknown key; `outer` takes inner, size',
        'f.yaml:4: weather: unknown key; the top of the file takes outer',
    ]
    assert tree == {'outer': {}}


def test_without_the_right_level_in_the_file_the_place_is_still_named() -> None:
    said, _ = settled('size: 4\n')
    assert said == ['f.yaml:1: size: belongs under `outer`']
