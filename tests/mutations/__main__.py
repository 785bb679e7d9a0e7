"""`python -m tests.mutations [NAME…]`: each break in a copy of its own, and whether the tests notice; `--write` makes the tables of the documents.

A name is a part of what is broken, of its file or of the key of its promise; without any, all are tried. First the tests must pass without a break.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.mutations import tables
from tests.mutations.bench import LONGEST_OF_ALL, Verdict, copied, imported_from, judge, run_tests
from tests.mutations.entry import Mutation
from tests.mutations.lists import MUTATIONS


def say(line: str) -> None:
    """A line for who reads along."""
    sys.stdout.write(line + '\n')
    sys.stdout.flush()


def chosen(names: Sequence[str]) -> list[Mutation]:
    """Those that are meant."""
    return [each for each in MUTATIONS if not names or any(name in f'{each.breaks} {each.what} {each.file}' for name in names)]


def one_each(mutations: Sequence[Mutation]) -> list[Mutation]:
    """The first of each promise."""
    first: dict[str, Mutation] = {}
    for each in mutations:
        first.setdefault(each.breaks, each)
    return list(first.values())


def whole(mutations: Sequence[Mutation]) -> str:
    """What is wrong without any break; else empty."""
    with copied() as root:
        if imported_from(root) != [root / 'relay_parsl', root / 'tests']:
            return 'the copy is not what Python imports'
        code, said = run_tests(root, list(dict.fromkeys(test for each in mutations for test in each.caught)), LONGEST_OF_ALL)
        return '' if code == 0 else f'these tests must pass without a break:\n{said}'


def show(number: int, count: int, mutation: Mutation, verdict: Verdict) -> None:
    """One line, and why not."""
    say(f'{number:3}/{count} {"caught    " if verdict.caught else "NOT CAUGHT"} {mutation.breaks}: {mutation.what}')
    for line in (*verdict.missing, *([verdict.trouble] if verdict.trouble else [])) if not verdict.caught else ():
        say(f'        {line}')


def plain(mutation: Mutation, verdict: Verdict) -> dict[str, object]:
    """For `--json`."""
    return {'breaks': mutation.breaks, 'what': mutation.what, 'file': mutation.file, 'caught': verdict.caught,
            'missing': verdict.missing, 'failures': verdict.failures, 'trouble': verdict.trouble}  # fmt: skip


def main() -> int:
    """Exit 1 when a break is not noticed, or the tests fail without one."""
    parser = argparse.ArgumentParser(prog='python -m tests.mutations', description=__doc__)
    parser.add_argument('names', nargs='*')
    parser.add_argument('--jobs', type=int, default=1, help='breaks that are tried at a time')
    parser.add_argument('--one-each', action='store_true', help='only the first break of each promise')
    parser.add_argument('--json', action='store_true', help='one object for each, and nothing else')
    parser.add_argument('--write', action='store_true', help='make the tables of the documents anew')
    options = parser.parse_args()
    if options.write:
        tables.write()
        return 0
    mutations = one_each(chosen(options.names)) if options.one_each else chosen(options.names)
    if not mutations:
        parser.error(f'no break is called so: {" ".join(options.names)}')
    if trouble := whole(mutations):
        say(trouble)
        return 1
    verdicts = []
    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        for number, (mutation, verdict) in enumerate(zip(mutations, pool.map(judge, mutations)), 1):
            verdicts.append(verdict)
            if options.json:
                say(json.dumps(plain(mutation, verdict)))
            else:
                show(number, len(mutations), mutation, verdict)
    caught = sum(verdict.caught for verdict in verdicts)
    if not options.json:
        say(f'{caught} caught, {len(verdicts) - caught} not caught')
    return int(caught < len(verdicts))


if __name__ == '__main__':
    sys.exit(main())
