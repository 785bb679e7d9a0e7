"""Paths as flows write them: what they mean, and what is none."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_parsl.flows.storage.faults import Outside
from relay_parsl.flows.storage.paths import name_of, parse, text, within

HOSTILE = [
    '..',
    '/..',
    '/../etc/passwd',
    '/a/../../etc',
    'a/..',
    '/a/..',
    '../..//etc',
    '~/../x',
    '/~/..',
    '/~root/.ssh',
    '~root',
    '/~ada/',
    '/a\0b',
    '\0',
    'file:///etc/passwd',
    'FILE:/etc/passwd',
    '/file:///etc/passwd',
    'http://169.254.169.254/latest',
    '/https://example.org/x',
    'sftp://host/x',
    '/a\ud800b',
    '/' + 'x' * 5000,
    '/' + 'a/' * 3000,
    '',
    None,
    7,
    ['/a'],
    {'path': '/a'},
    True,
    b'/a',
]


@pytest.mark.attack(40)
@pytest.mark.parametrize('path', HOSTILE, ids=lambda path: ascii(path)[:30])
def test_what_is_no_path_of_a_collection_is_refused(path: Any) -> None:
    with pytest.raises(Outside) as refusal:
        parse(path)
    assert str(refusal.value)
    assert '\n' not in str(refusal.value)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(
    ('path', 'parts'),
    [
        ('/', ()),
        ('//', ()),
        ('/.', ()),
        ('/a', ('a',)),
        ('/a//b/./c/', ('a', 'b', 'c')),
        ('/~/', ('home',)),
        ('~', ('home',)),
        ('/~/x', ('home', 'x')),
        ('~/x', ('home', 'x')),
        ('x/y', ('home', 'x', 'y')),
        ('/a/~/b', ('a', '~', 'b')),
        ('/a/~b', ('a', '~b')),
        ('/...', ('...',)),
        ('/..a/b..', ('..a', 'b..')),
        ('/new\nline/ü/ space ', ('new\nline', 'ü', ' space ')),
        ('/back\\slash', ('back\\slash',)),
        ('/%2e%2e/x', ('%2e%2e', 'x')),
        ('/caf\udce9', ('caf\udce9',)),
        ('/a:b', ('a:b',)),
    ],
)
def test_what_a_path_means(path: str, parts: tuple[str, ...]) -> None:
    assert parse(path, ('home',)) == parts


@pytest.mark.attack(40)
@given(st.text(alphabet=string.printable + '\0~/..ü\ud800\udce9', max_size=40))
def test_whatever_is_read_stays_within(path: str) -> None:
    try:
        parts = parse(path, ('home',))
    except Outside:
        return
    assert all(part not in ('', '.', '..') and '/' not in part and '\0' not in part for part in parts)
    if not (parts and parts[0].startswith('~')):
        assert parse(text(parts)) == parts


def test_prefixes_are_whole_names() -> None:
    assert within(('a', 'b'), ('a',))
    assert within((), ())
    assert not within(('ab',), ('a',))
    assert not within(('a',), ('a', 'b'))


@pytest.mark.attack(40)
@pytest.mark.parametrize('name', ['', '.', '..', 'a/b', 'a\0'])
def test_what_a_server_lists_is_not_believed_either(name: str) -> None:
    with pytest.raises(Outside):
        name_of(name)
