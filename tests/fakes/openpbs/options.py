"""The options of `qsub`, from its command line and from a script's directives, and the resources that they ask for."""

from __future__ import annotations

import getopt
import re
import shlex
from typing import Any

from .server import Refused

LETTERS = 'a:A:c:C:e:fhIj:J:k:l:m:M:N:o:p:P:q:r:R:S:u:v:VW:Xz'
USAGE = """usage: qsub [-a date_time] [-A account_string] [-c interval]
	[-C directive_prefix] [-e path] [-f ] [-h ] [-I [-X]] [-j oe|eo] [-J X-Y[:Z]]
	[-k keep] [-l resource_list] [-m mail_options] [-M user_list]
	[-N jobname] [-o path] [-p priority] [-P project] [-q queue] [-r y|n]
	[-R o|e|oe] [-S path] [-u user_list] [-W otherattributes=value...]
	[-v variable_list] [-V ] [-z] [script | -- command [arg1 ...]]
       qsub --version"""
CHUNK = {'ncpus', 'ngpus', 'mem', 'vmem', 'mpiprocs', 'ompthreads', 'system', 'host', 'vnode', 'arch'}
WHOLE = {'ncpus', 'ngpus', 'mpiprocs', 'ompthreads'}
JOB = {'walltime', 'select', 'place', 'filesystems', 'software', 'cput', 'pmem', 'pvmem', 'file', 'nice', 'min_walltime', 'max_walltime', 'nodect'}
BELOW = ('ncpus', 'ngpus', 'mem', 'vmem', 'mpiprocs', 'ompthreads', 'system', 'host', 'vnode', 'arch')
PLACES = re.compile(r'(free|pack|scatter|vscatter)?(:?(excl|exclhost|shared))?(:?group=\w+)?')
NAME_LENGTH = 230


def parse(arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Options by letter (`l` by resource), and what follows them."""
    try:
        pairs, rest = getopt.getopt(arguments, LETTERS)
    except getopt.GetoptError as error:
        why = 'option requires an argument' if 'requires argument' in error.msg else 'invalid option'
        raise Refused(2, f"qsub: {why} -- '{error.opt}'\n{USAGE}") from None
    found: dict[str, Any] = {'l': {}}
    for letter, value in pairs:
        if letter == '-l':
            found['l'] |= {name: text for name, _, text in (part.partition('=') for part in value.split(','))}
        else:
            found[letter[1:]] = value
    _check(found)
    return found, rest


def _check(found: dict[str, Any]) -> None:
    name = found.get('N')
    if name is not None and (not name or re.search(r'\s', name) or not name.isprintable()):
        raise Refused(2, f'qsub: illegal -N value\n{USAGE}')
    if name is not None and len(name) > NAME_LENGTH:
        raise Refused(2, 'qsub: Job name is too long ')
    for letter, form in (('j', 'oe|eo|n'), ('k', '[oed]+|n'), ('r', '[yn]'), ('m', '[abej]+|n'), ('J', r'\d+-\d+(:\d+)?')):
        if letter in found and not re.fullmatch(form, found[letter]):
            raise Refused(2, f'qsub: illegal -{letter} value\n{USAGE}')
    if 'J' in found and found.get('r') == 'n':
        raise Refused(2, f'qsub:  cannot submit non-rerunable Array Job\n{USAGE}')


def directives(script: str) -> dict[str, Any]:
    """What `#PBS` lines say: those before the first command, and none that ends as on Windows."""
    found: dict[str, Any] = {'l': {}}
    for line in script.split('\n'):
        if match := re.match(r'\s*#PBS\s*(-.*?)$', line):
            if line.endswith('\r'):
                continue
            _directive(match[1], found)
        elif line.strip() and not line.lstrip().startswith('#'):
            break
    return found


def _directive(text: str, found: dict[str, Any]) -> None:
    try:
        options, rest = parse(shlex.split(text, comments=True))
    except Refused as refused:
        said = refused.text.splitlines()[0]
        raise Refused(1, f'{said}\nqsub: directive error: {text} ') if ' -- ' in said else refused from None
    if rest:
        raise Refused(1, f'qsub: directive error: {text} ')
    found['l'] = {**options.pop('l'), **found['l']}
    for letter, value in options.items():
        found.setdefault(letter, value)


def seconds(text: str) -> float:
    """A walltime: seconds, minutes:seconds or hours:minutes:seconds."""
    if not re.fullmatch(r'(?:(?:\d+:)?\d+:)?\d+(?:\.\d+)?', text):
        raise Refused(166, 'qsub: Illegal attribute or resource value Resource_List.walltime')
    total = 0.0
    for part in text.split(':'):
        total = total * 60 + float(part)
    return total


def resources(given: dict[str, str]) -> dict[str, Any]:
    """The job's Resource_List as the server keeps it, and its chunks.

    Raises:
        Refused: In PBS's words.
    """
    for name in given:
        if name not in JOB | CHUNK:
            raise Refused(187, f'qsub: Unknown resource Resource_List.{name}')
    beside = [name for name in given if name in BELOW]
    if beside and ('select' in given or 'place' in given):
        raise Refused(5, f'qsub: "-lresource=" cannot be used with "select" or "place", resource is: {beside[0]}')
    if 'place' in given and not (given['place'] and PLACES.fullmatch(given['place'])):
        raise Refused(166, 'qsub: Illegal attribute or resource value Resource_List.place')
    if 'place' in given and 'select' not in given:
        raise Refused(7, 'qsub: Cannot have "place" without "select"')
    chunks = select(given['select']) if 'select' in given else [{'ncpus': given.get('ncpus', '1'), **{n: given[n] for n in beside if n != 'ncpus'}}]
    if 'walltime' in given:
        seconds(given['walltime'])
    return {'chunks': chunks, **_totals(given, chunks)}


def _totals(given: dict[str, str], chunks: list[dict[str, str]]) -> dict[str, Any]:
    text = given.get('select') or '1:' + ':'.join(f'{name}={value}' for name, value in chunks[0].items())
    totals: dict[str, Any] = {name: value for name, value in given.items() if name not in BELOW}
    for name in ('ncpus', 'ngpus', 'mpiprocs'):
        if any(name in chunk for chunk in chunks) or name == 'ncpus':
            totals[name] = sum(int(chunk.get(name, 1 if name == 'ncpus' else 0)) for chunk in chunks)
    totals |= {'nodect': len(chunks), 'select': text, 'place': given.get('place', 'free' if 'select' in given else 'pack')}
    if 'walltime' in totals:
        total = int(seconds(totals['walltime']))
        totals['walltime'] = f'{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d}'
    return {'list': dict(sorted(totals.items())), 'schedselect': '+'.join(_scheduled(part) for part in text.split('+'))}


def _scheduled(part: str) -> str:
    return part if 'ncpus=' in part else f'{part}:ncpus=1'


def select(text: str) -> list[dict[str, str]]:
    """`2:ncpus=64:ngpus=4+1` → three chunks."""
    chunks: list[dict[str, str]] = []
    for part in text.split('+'):
        count, *pairs = part.split(':')
        if '=' in count:
            count, pairs = '1', [count, *pairs]
        if count == '0':
            raise Refused(166, 'qsub: Illegal attribute or resource value')
        if not count.isdigit() or not all(re.fullmatch(r'[A-Za-z]\w*=[^=]+', pair) for pair in pairs):
            raise Refused(166, 'qsub: Illegal attribute or resource value Resource_List.select')
        chunk = dict(pair.split('=') for pair in pairs)
        for name, value in chunk.items():
            _chunk_value(name, value)
        chunks += [chunk] * int(count)
    return chunks


def _chunk_value(name: str, value: str) -> None:
    if name in JOB:
        raise Refused(4, f'qsub: Resource invalid in "select" specification: {name}')
    if name not in CHUNK:
        raise Refused(187, f'qsub: Unknown resource: {name}')
    if (name in WHOLE and not value.isdigit()) or (name in ('mem', 'vmem') and not re.fullmatch(r'\d+([kmgtp]?[bw])?', value.lower())):
        raise Refused(166, f'qsub: Illegal attribute or resource value select.{name}')
