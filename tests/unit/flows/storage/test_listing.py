"""Filters and orders of listings."""

import pytest

from relay_parsl.flows.storage.listing import fault_in_filter, fault_in_order, matches, moment, ordered

FILE = {'name': 'a.h5', 'type': 'file', 'size': 10, 'user': None, 'last_modified': '2026-01-02 00:00:00+00:00'}


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('name:a.h5', True),
        ('name:=a.h5', True),
        ('name:b,a.h5', True),
        ('name:~*.h5', True),
        ('name:~*.H5', False),
        ('name:!a.h5', False),
        ('name:!~*.txt', True),
        ('size:>9', True),
        ('size:>10', False),
        ('size:>=10', True),
        ('size:<10', False),
        ('size:10', True),
        ('size:>x', False),
        ('user:>a', False),
        ('last_modified:>2026-01-01', True),
        ('type:file/size:<=10', True),
        ('type:dir/size:<=10', False),
    ],
)
def test_filters(text: str, expected: bool) -> None:
    assert fault_in_filter(text) is None
    assert matches(FILE, text) is expected


def test_faults_are_named() -> None:
    assert 'colour' in str(fault_in_filter('colour:red'))
    assert 'FIELD:VALUE' in str(fault_in_filter('name'))
    assert 'SIDEWAYS' in str(fault_in_order(['name', 'size SIDEWAYS']))
    assert fault_in_order(['name', 'size desc']) is None


def test_orders() -> None:
    found = [{'name': name, 'size': size} for name, size in (('b', 1), ('a', None), ('c', 2), ('d', 1))]
    assert [each['name'] for each in ordered(found, ['size DESC', 'name'])] == ['c', 'b', 'd', 'a']
    assert [each['name'] for each in ordered(found, ['name'])] == ['a', 'b', 'c', 'd']


def test_times_are_those_of_globus() -> None:
    assert moment(0) == '1970-01-01 00:00:00+00:00'
    assert moment(None) is None
