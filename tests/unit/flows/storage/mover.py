"""A process that does one transfer: `python -m tests.unit.flows.storage.mover ROWS SETTINGS REQUEST_ID BODY`. It says `begun` and how it ended."""

import json
import sys
import time
from pathlib import Path

from relay_parsl.flows.actions.transfer import TransferAction
from tests.unit.flows.storage.desk import Desk, Rows


def main(rows: str, settings: str, request_id: str, body: str) -> None:
    desk = Desk(TransferAction, json.loads(settings), Rows(Path(rows)))
    status = desk.run(json.loads(body), request_id=request_id)
    say('begun')
    while status.status == 'ACTIVE':
        time.sleep(0.005)
        status = desk.action.status(status.action_id)
    say(json.dumps([status.status, status.details]))


def say(text: str) -> None:
    sys.stdout.write(text + '\n')
    sys.stdout.flush()


if __name__ == '__main__':
    main(*sys.argv[1:])
