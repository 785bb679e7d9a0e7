"""`qdel`: deletes each job that it can; its exit status is that of the last that it could not."""

from __future__ import annotations

import getopt
import sys
import time

from .server import RUNNING, Refused, Server, command, user

USAGE = 'usage:\n\tqdel [-W force|suppress_email=X] [-x] job_identifier...\n\tqdel --version'


def main() -> int:
    try:
        pairs, ids = getopt.gnu_getopt(sys.argv[1:], 'W:x')
    except getopt.GetoptError as error:
        sys.stderr.write(f"qdel: invalid option -- '{error.opt}'\n{USAGE}\n")
        return 2
    if not ids:
        sys.stderr.write(f'{USAGE}\n')
        return 2
    code = 0
    try:
        with command('qdel', "Connection refused\nCouldn't connect to cluster: {server}", 162) as server:
            for text in ids:
                refused = _delete(server, text, history=('-x', '') in pairs)
                if refused is not None:
                    sys.stderr.write(f'{refused.text}\n')
                    code = refused.code
    except Refused as refused:
        sys.stderr.write(f'{refused.text}\n')
        return refused.code
    return code


def _delete(server: Server, text: str, *, history: bool) -> Refused | None:
    try:
        key = server.find(text)
    except ValueError:
        return Refused(1, f'qdel: illegally formed job identifier: {text}')
    if key is None or (server.jobs[key]['state'] == 'F' and not server.settings['history']):
        return Refused(153, f'qdel: Unknown Job Id {text if "." in text or "[" not in text else f"{text}.{server.name}"}')
    job = server.jobs[key]
    if job['state'] == 'F' and not history:
        return Refused(35, f'qdel: Job has finished {key}')
    if job['state'] == 'F':
        del server.jobs[key]
    elif job['state'] in RUNNING:
        job['deleted'] = f'{user()}@{server.name}'
        job['forget'] = history
    else:
        job |= {'state': 'F', 'substate': 91, 'mtime': time.time(), 'comment': f'{job["comment"]} and terminated' if job['comment'] else ''}
        if history:
            del server.jobs[key]
    return None
