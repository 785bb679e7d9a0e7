"""Collections as the settings name them: found, and every fault told."""

import subprocess
import sys
from typing import Any

import pytest

from relay_parsl.errors import ConfigError
from relay_parsl.flows.storage.collections import Collections, faults
from relay_parsl.flows.storage.faults import Outside
from relay_parsl.flows.storage.paths import parse

UUID = '74DEFD5B-5F61-42FC-BCC4-834C9F376A4F'


def test_they_are_found_by_name_and_uuid() -> None:
    found = Collections({'beamline': {'root': '/data', 'uuid': UUID, 'allowed': ['/raw', '/results/'], 'home': '/raw'}, 'plain': {'root': '~/x'}})
    assert found.find('beamline') is found.find(UUID) is found.find(UUID.lower())
    beamline = found.find('beamline')
    assert (beamline.id, beamline.allowed, beamline.home, beamline.scheme) == (UUID.lower(), (('raw',), ('results',)), ('raw',), 'file')
    assert (found.find('plain').id, found.find('plain').parallel) == ('plain', 4)


@pytest.mark.parametrize('key', ['Beamline', 'beamline ', '', '../beamline', None, 7, UUID[:-1]])
def test_others_are_not_and_the_known_ones_are_named(key: Any) -> None:
    with pytest.raises(LookupError, match=r'known are beamline .*flows\.yaml'):
        Collections({'beamline': {'root': '/data', 'uuid': UUID}}).find(key)
    with pytest.raises(LookupError, match='none is known'):
        Collections({}).find(key)


def test_allowed_prefixes_are_whole_names() -> None:
    collection = Collections({'c': {'root': '/data', 'allowed': ['/raw']}}).find('c')
    for path in ('/raw', '/raw/', '/raw/x/y'):
        collection.check(parse(path))
    for path in ('/', '/raw2', '/other/raw', '/Raw'):
        with pytest.raises(Outside, match='/raw/'):
            collection.check(parse(path))


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ({}, 'needs a `root`'),
        ('/data', 'needs a `root`'),
        ({'root': 7}, 'needs a `root`'),
        ({'root': 'data'}, 'not absolute'),
        ({'root': 'file:data'}, 'not absolute'),
        ({'root': 's3://bucket'}, "no storage by 's3'"),
        ({'root': 'https:///x'}, 'names no host'),
        ({'root': 'https://[x/'}, 'no URL'),
        ({'root': 'https://me:pw@host/x'}, 'no password'),
        ({'root': 'sftp://me:pw@host/x'}, 'no password'),
        ({'root': 'sftp://me@host:port/x'}, 'no URL'),
        ({'root': 'http://data.example.org/x'}, 'insecure'),
        ({'root': 'http://10.0.0.1/x'}, 'insecure'),
        ({'root': '/data', 'uuid': 'x'}, 'no UUID'),
        ({'root': '/data', 'readonly': True}, 'unknown key'),
        ({'root': '/data', 'read_only': 'yes'}, 'true or false'),
        ({'root': '/data', 'parallel': 0}, '1 to 64'),
        ({'root': '/data', 'parallel': True}, '1 to 64'),
        ({'root': '/data', 'allowed': '/raw'}, 'list of paths'),
        ({'root': '/data', 'allowed': ['/raw/../..']}, r'allowed\[0\].*"\.\."'),
        ({'root': '/data', 'home': 'file:///etc'}, 'home.*URL'),
        ({'root': '/data', 'groups': ['x']}, 'groups'),
        ({'root': '/data', 'owner': 7}, 'must be a text'),
    ],
)
def test_faults_are_named_with_the_remedy(given: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=f'(?s)collections.bad.*{words}'):
        Collections({'bad': given})


def test_all_faults_are_told_at_once() -> None:
    settings = {
        'a/b': {'root': '/x'},
        'one': {'root': 'x', 'colour': 'red'},
        'two': {'root': '/y', 'uuid': UUID},
        'three': {'root': '/z', 'uuid': UUID.lower()},
    }
    found = faults(settings)
    assert len(found) == 4
    assert "collection 'two' has the same" in found[-1]


@pytest.mark.attack(40)
@pytest.mark.parametrize('root', ['http://127.0.0.1:8000/x', 'http://localhost/x', 'http://[::1]/x'])
def test_plain_http_is_for_this_machine(root: str) -> None:
    assert not faults({'c': {'root': root}})
    assert not faults({'c': {'root': 'http://data.example.org/x', 'insecure': True}})


def test_nobody_loads_what_talks_to_servers_before_a_flow_touches_one() -> None:
    """`validate` looks at every action; a path of this machine needs no library either."""
    program = """
import sys
from relay_parsl.flows.catalogue import standard
from relay_parsl.flows.storage.place import Storage
standard()
print(sorted({'aiohttp', 'asyncssh', 'fsspec', 'sshfs'} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True).stdout == '[]\n'
