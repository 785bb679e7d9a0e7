"""What MPI tasks may ask for, and what of it reaches the launcher."""

from __future__ import annotations

from typing import Any

import pytest
from parsl.executors.high_throughput.mpi_prefix_composer import compose_all, validate_resource_spec

from relay_parsl.engines.ranks import VARIABLES, BadSpecification, resolve, taken


@pytest.mark.parametrize(
    ('given', 'whole'),
    [
        ({'num_nodes': 2, 'ranks_per_node': 4}, (2, 4, 8)),
        ({'num_nodes': 2, 'num_ranks': 8}, (2, 4, 8)),
        ({'num_nodes': 2, 'num_ranks': 3}, (2, 2, 3)),
        ({'num_ranks': 8, 'ranks_per_node': 4}, (2, 4, 8)),
        ({'num_ranks': 7, 'ranks_per_node': 4}, (2, 4, 7)),
        ({'num_nodes': 3}, (3, 1, 3)),
        ({'num_nodes': 2, 'ranks_per_node': 2, 'num_ranks': 3}, (2, 2, 3)),
        ({'num_nodes': 1, 'num_ranks': None, 'priority': 3}, (1, 1, 1)),
    ],
)
def test_numbers_agree_and_are_whole(given: dict[str, Any], whole: tuple[int, int, int]) -> None:
    found = resolve(given, 4)
    assert (found['num_nodes'], found['ranks_per_node'], found['num_ranks']) == whole
    assert all(type(value) is int for value in found.values())


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ({}, 'how many nodes'),
        ({'num_ranks': 4}, 'how many nodes'),
        ({'ranks_per_node': 4}, 'how many nodes'),
        ({'num_nodes': 5}, '5 nodes are more than a block has: `nodes_per_block` is 4'),
        ({'num_ranks': 9, 'ranks_per_node': 1}, '9 nodes are more'),
        ({'num_nodes': 2, 'ranks_per_node': 2, 'num_ranks': 5}, '5 ranks do not fill 2 nodes with 2 ranks each'),
        ({'num_nodes': 2, 'ranks_per_node': 4, 'num_ranks': 4}, '4 ranks do not fill 2 nodes'),
        ({'num_nodes': 2, 'num_ranks': 1}, '1 ranks do not fill 2 nodes'),
        ({'num_nodes': '2'}, 'num_nodes is a whole number'),
        ({'num_nodes': True}, 'num_nodes is a whole number'),
        ({'num_nodes': 0}, 'num_nodes is a whole number'),
        ({'num_nodes': 2, 'ranks_per_node': 1.5}, 'ranks_per_node is a whole number'),
        ({'num_nodes': 2, 'launcher_options': ['-x']}, 'launcher_options is one line'),
        ({'num_nodes': 2, 'launcher_options': '-x\nrm'}, 'launcher_options is one line'),
        ({'num_nodes': 2, 'cores': 4}, 'no cores; there are num_nodes'),
    ],
)
def test_what_cannot_be_met_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSpecification, match=said):
        resolve(given, 4)


def parsls(given: dict[str, Any]) -> dict[str, Any]:
    specification = dict(given)
    validate_resource_spec(specification)
    return specification


def ours(given: dict[str, Any]) -> dict[str, Any]:
    return resolve(given, 4)


def a_launcher_is_told_whole_numbers(fill: Any) -> None:
    commands = compose_all('mpiexec', fill({'num_nodes': 2, 'num_ranks': 4}), ['n1', 'n2'])
    assert commands['PARSL_MPI_PREFIX'].split()[:7] == ['mpiexec', '-n', '4', '-ppn', '2', '-hosts', 'n1,n2']


def a_task_without_nodes_is_refused(fill: Any) -> None:
    """Parsl lets it through, and the manager ends on it (#3427)."""
    with pytest.raises(ValueError, match='how many nodes'):
        fill({'num_ranks': 4})


@pytest.mark.parametrize('check', [a_launcher_is_told_whole_numbers, a_task_without_nodes_is_refused])
def test_fault_41_is_parsls_and_not_ours(check: Any) -> None:
    check(ours)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(parsls)


def test_variables_are_taken_for_one_task() -> None:
    environment = {name: name.lower() for name in VARIABLES} | {'HOME': '/'}
    assert taken(environment) == {name: name.lower() for name in VARIABLES}
    assert environment == {'HOME': '/'}
    assert taken(environment) == {}
