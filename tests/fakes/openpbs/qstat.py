"""`qstat`: prints what it finds, and says of each id that it does not find why."""

from __future__ import annotations

import getopt
import sys

from . import show
from .server import Refused, Server, command, locked, place

USAGE = f"""usage:{' '}
qstat [-f] [-J] [-p] [-t] [-x] [-E] [-F format | -w] [-D delim] [ job_identifier... | destination... ]
qstat [-a|-i|-r|-H|-T] [-J] [-t] [-u user] [-n] [-s] [-G|-M] [-1] [-w]
	[ job_identifier... | destination... ]
qstat -Q [-f] [-F format] [-D delim] [ destination... ]
qstat -q [-G|-M] [ destination... ]
qstat -B [-f] [-F format] [-D delim] [ server_name... ]
qstat --version"""


def main() -> int:
    try:
        pairs, ids = getopt.gnu_getopt(sys.argv[1:], 'fF:D:xHtwanisGMu:')
    except getopt.GetoptError as error:
        sys.stderr.write(f"qstat: invalid option -- '{error.opt}'\n{USAGE}\n")
        return 2
    chosen = {letter[1:]: value for letter, value in pairs}
    json = chosen.get('F') == 'json' and 'f' in chosen
    try:
        with command('qstat', 'Connection refused\nqstat: cannot connect to server {server} (errno=15010)', 255) as server:
            keys, errors, code = _choose(server, ids, history='x' in chosen or 'H' in chosen)
            shown = keys[:1] if json and server.settings['first_only'] else keys
            text = show.as_json(server, shown) if json else show.as_text(server, shown) if 'f' in chosen else show.as_table(server, shown)
    except Refused as refused:
        with locked(place()) as server:
            text, errors, code = f'{show.head(server)}\n}}' if json else '', [refused.text], refused.code
    sys.stdout.buffer.write(text.encode('utf-8', 'surrogateescape'))
    sys.stdout.flush()
    sys.stderr.write(''.join(f'{error}\n' for error in errors))
    return code


def _choose(server: Server, ids: list[str], *, history: bool) -> tuple[list[str], list[str], int]:
    """The jobs to be shown, what is said of the others, and the exit status: that of the last error."""
    if server.settings['blank']:
        return [], [], 0
    if history and not server.settings['history']:
        none = 'qstat: PBS is not configured to maintain job history '
        return [], [none + (text if '.' in text else f'{text}.{server.name}') for text in ids] or [none], 0
    if not ids:
        return [key for key, job in server.jobs.items() if history or job['state'] != 'F'], [], 0
    keys, errors, code = [], [], 0
    for text in ids:
        try:
            key = server.find(text)
        except ValueError:
            starts = text[:1].isdigit()
            errors.append(f'qstat: illegally formed job identifier: {text}' if starts else f'qstat: Unknown queue destination {text}')
            code = 1 if starts else 170
            continue
        full = text if '.' in text else f'{text}.{server.name}'
        if key is None or (server.jobs[key]['state'] == 'F' and not server.settings['history']):
            errors.append(f'qstat: Unknown Job Id {full}')
            code = 153
        elif server.jobs[key]['state'] == 'F' and not history:
            errors.append(f'qstat: {full} Job has finished, use -x or -H to obtain historical job information')
            code = 35
        else:
            keys.append(key)
    return keys, errors, code
