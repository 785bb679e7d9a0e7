"""The engine process: `python -m relay_parsl.engines.child FD PARENT`. It reads a plan from an inherited socket, and serves it.

HTEX is disposable. When its interchange dies, `submit_payload`, the status poll and `shutdown` hang for ever (measured), and it unpickles what
workers send; so it lives in a process without keys, and is killed and built anew by `engines.htex` whenever it stops making sense.
"""

from __future__ import annotations

import os
import pickle
import sys
from multiprocessing.connection import Connection

from relay_parsl.engines.leash import die_with_parent
from relay_parsl.engines.service import serve


def main() -> None:
    """Run the command line: the number of an inherited socket, and the pid of the endpoint to die with."""
    die_with_parent(int(sys.argv[2]))
    number = int(sys.argv[1])
    os.set_inheritable(number, False)
    connection = Connection(number)
    plan = pickle.loads(connection.recv_bytes())  # noqa: S301  from our own parent, over a socket that nobody else holds
    serve(connection, plan)


if __name__ == '__main__':
    main()
