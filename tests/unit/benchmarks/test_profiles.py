"""What is made of a profiler's samples."""

from __future__ import annotations

from benchmarks.profiles import shares, table

RAW = """
main (/a/run.py:3);seal (/a/relay_parsl/seal.py:10) 6
main (/a/run.py:3);seal (/a/relay_parsl/seal.py:12) 2
main (/a/run.py:3);outer.<locals>.read (relay/__init__.py:7) 2
""".strip()


def test_samples_count_for_the_innermost_function_whatever_its_line() -> None:
    assert shares(RAW.splitlines()) == {'seal (seal.py)': 0.8, 'outer.<locals>.read (relay)': 0.2}


def test_a_party_s_functions_stand_in_a_line_the_largest_first() -> None:
    line = table({'relay': shares(RAW.splitlines())}, {'relay': 40.0}).splitlines()[-1]
    assert line == '| relay | 40 | `seal (seal.py)` 80 %, `outer.<locals>.read (relay)` 20 % |'
