"""`qselect`: the ids of jobs that have not ended, by name."""

from __future__ import annotations

import getopt
import sys

from .server import Refused, command


def main() -> int:
    try:
        chosen = dict(getopt.getopt(sys.argv[1:], 'N:')[0])
    except getopt.GetoptError as error:
        sys.stderr.write(f"qselect: invalid option -- '{error.opt}'\nusage: qselect [-N name]\n")
        return 2
    try:
        with command('qselect', 'Connection refused\nqselect: cannot connect to server {server} (errno=15010)', 255) as server:
            names = [key for key, job in server.jobs.items() if job['state'] != 'F' and job['name'] == chosen.get('-N', job['name'])]
    except Refused as refused:
        sys.stderr.write(f'{refused.text}\n')
        return refused.code
    sys.stdout.write(''.join(f'{server.shown_id(key)}\n' for key in names))
    return 0
