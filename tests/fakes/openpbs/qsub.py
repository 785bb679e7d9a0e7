"""`qsub`: takes a script, or refuses it in PBS's words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from . import options
from .server import Refused, Server, command, locked, submit_host, user


def main() -> int:
    try:
        text, name, given = _script(*options.parse(sys.argv[1:]))
        with command('qsub', 'Connection refused\nqsub: cannot connect to server {short} (errno=15010)', 162) as server:
            key = _enter(server, text, name, given)
            where, hangs, mute = server.place, server.settings['hang'] == 'qsub', server.settings['mute']
    except Refused as refused:
        sys.stderr.write(f'{refused.text}\n')
        return refused.code
    _supervise(where, key)
    if hangs:
        time.sleep(600)
    if mute:
        sys.stderr.write('qsub: End of File\n')
        return 1
    sys.stdout.write('' if 'z' in given else f'{key}\n')
    return 0


def _script(given: dict[str, Any], rest: list[str]) -> tuple[str, str, dict[str, Any]]:
    """The script, the job's name, and the options of both places: the command line wins."""
    if rest:
        path = Path(rest[0])
        if not path.exists():
            raise Refused(1, 'qsub: script file:: No such file or directory')
        text, name = path.read_bytes().decode('utf-8', 'surrogateescape'), path.name
    else:
        text, name = sys.stdin.read(), 'STDIN'
    written = options.directives(text)
    merged = {**written, **given, 'l': {**written['l'], **given['l']}}
    if 'J' in merged and merged.get('r') == 'n':
        raise Refused(1, f'qsub:  cannot submit non-rerunable Array Job\nqsub: directive error: -J {merged["J"]} ')
    return text, merged.get('N', name), merged


def _enter(server: Server, text: str, name: str, given: dict[str, Any]) -> str:
    queue = given.get('q', server.settings['default_queue'])
    if queue not in server.settings['queues']:
        raise Refused(170, 'qsub: Unknown queue')
    wanted = options.resources(given['l'])
    if server.settings['hook']:
        _hook(server, given)
    _limits(server.settings['queues'][queue], wanted['list'])
    number = f'{server.state["next"]}[]' if 'J' in given else str(server.state['next'])
    server.state['next'] += 1
    key = f'{number}.{server.name}'
    server.jobs[key] = _record(server, key, name, queue, given, wanted)
    script = server.place / 'jobs' / f'{key}.SC'
    script.parent.mkdir(exist_ok=True)
    script.write_bytes(text.encode('utf-8', 'surrogateescape'))
    script.chmod(0o700)
    return key


def _hook(server: Server, given: dict[str, Any]) -> None:
    """What a hook of ALCF's says."""
    if 'walltime' not in given['l']:
        raise Refused(32, 'qsub: Resource: walltime is required to be set.')
    if 'A' not in given:
        raise Refused(32, 'qsub: Account_Name is required to be set.')
    if 'filesystems' not in given['l']:
        raise Refused(32, 'qsub: Resource: filesystems is required to be set.')
    if given['A'] not in server.settings['accounts']:
        raise Refused(32, f'qsub: Request rejected.  Reason: No active allocation found for project {given["A"]} and resource polaris.')
    unknown = [name for name in re.split('[:,]', given['l']['filesystems']) if name not in server.settings['filesystems']]
    if unknown:
        raise Refused(32, f'qsub: Invalid filesystem identifiers {",".join(unknown)}')


def _limits(queue: dict[str, Any], wanted: dict[str, Any]) -> None:
    if not queue.get('enabled', True):
        raise Refused(173, 'qsub: Queue is not enabled')
    if wanted['nodect'] > queue['nodes'] or options.seconds(wanted.get('walltime', '0')) > queue['walltime']:
        raise Refused(188, 'qsub: Job violates queue and/or server resource limits')


def _record(server: Server, key: str, name: str, queue: str, given: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    now, number, host = time.time(), key.partition('.')[0], submit_host()
    return {
        'name': name,
        'owner': f'{user()}@{host}',
        'state': 'H' if 'h' in given else 'Q',
        'substate': 20 if 'h' in given else 10,
        'queue': queue,
        'account': given.get('A'),
        'given': given,
        'stderr': _output(given.get('e'), f'{name}.e{number}', host),
        'stdout': _output(given.get('o'), f'{name}.o{number}', host),
        'wanted': wanted,
        'variables': _variables(given, queue, server.name),
        'comment': '',
        'hosts': [],
        'qtime': now,
        'mtime': now,
        'cwd': os.getcwd(),
        'arguments': ' '.join(sys.argv[1:]),
        'submit_host': host,
    }


def _output(given: str | None, default: str, host: str) -> str:
    """`host:path` as PBS shows it."""
    if given is None:
        return f'{host}:{os.path.join(os.getcwd(), default)}'
    where, mark, path = given.partition(':')
    return f'{where}:{path}' if mark else f'localhost:{os.path.join(os.getcwd(), given)}'


def _variables(given: dict[str, Any], queue: str, server: str) -> dict[str, str]:
    here = os.environ
    found = {f'PBS_O_{name}': here[name] for name in ('HOME', 'LANG', 'LOGNAME', 'PATH', 'SHELL') if name in here}
    found |= {'PBS_O_WORKDIR': os.getcwd(), 'PBS_O_SYSTEM': 'Linux'}
    if 'V' in given:
        found |= {name: value for name, value in here.items() if not name.startswith('PBS_')}
    for pair in filter(None, given.get('v', '').split(',')):
        name, mark, value = pair.partition('=')
        if mark or name in here:
            found[name] = value if mark else here[name]
    return {**found, 'PBS_O_QUEUE': queue, 'PBS_O_HOST': server}


def _supervise(where: Path, key: str) -> None:
    """Start what runs the job, on its own: it outlives this command."""
    code = 'import sys; sys.path.insert(0, sys.argv[1]); from openpbs import mom; mom.main(sys.argv[2], sys.argv[3])'
    with open(where / 'mom.log', 'a', encoding='utf-8') as log:
        process = subprocess.Popen(
            [sys.executable, '-S', '-c', code, str(Path(__file__).parents[1]), str(where), key],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd='/',
            env={'PATH': '/usr/bin:/bin'},  # nothing of the submitter's: it is no process of theirs
            start_new_session=True,
        )
    with locked(where) as server:
        if key in server.jobs and server.jobs[key]['state'] != 'F':
            server.jobs[key]['mom'] = process.pid
