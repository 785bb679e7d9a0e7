"""Transfers that are cut off, and transfers of very many files: what the next process finds."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.flows.actions.transfer import TransferAction
from relay_parsl.flows.storage import task as tasks
from tests.unit.flows.storage.desk import Desk, desk, ended, one, parts_left, tree, wait_for

MEGA = 1_000_000


def test_two_thousand_small_files_are_few_rows(transfer: Desk, here: Path, there: Path) -> None:
    for number in range(2_000):
        folder = here / f'd/{number // 100}'
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'{number}').write_bytes(b'%d' % number)
    begun = time.monotonic()
    found = ended(transfer.do(one('/d', '/d')))
    elapsed = time.monotonic() - begun
    assert tree(there) == tree(here)
    assert (found['files_transferred'], found['directories']) == (2_000, 21)
    assert transfer.rows.puts <= 20 + 4 * elapsed
    assert not [key for key in transfer.rows.rows if transfer.rows.rows[key] is not None and '/done/' in key]


class Mover:
    """Runs `mover` in a process, and kills it."""

    def __init__(self, directory: Path, body: Any) -> None:
        settings = {name: {'root': str(directory / name)} for name in ('here', 'there')}
        arguments = [str(directory / 'moves.jsonl'), json.dumps(settings), 'run:Move:1', json.dumps(body)]
        self.command = [sys.executable, '-m', 'tests.unit.flows.storage.mover', *arguments]

    def start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4])
        assert process.stdout is not None
        assert process.stdout.readline() == 'begun\n'
        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def finish(self) -> dict[str, Any]:
        process = self.start()
        assert process.stdout is not None
        with process.stdout:
            status, details = json.loads(process.stdout.read())
        assert process.wait(10) == 0
        assert status == 'SUCCEEDED', details
        return dict(details)


def test_a_killed_transfer_goes_on_from_its_part(tmp_path: Path) -> None:
    (tmp_path / 'here').mkdir()
    (tmp_path / 'there').mkdir()
    (tmp_path / 'here/big').write_bytes(os.urandom(100 * MEGA))
    mover = Mover(tmp_path, one('/big', '/big'))
    process = mover.start()
    wait_for(lambda: [path for path in parts_left(tmp_path / 'there') if (tmp_path / 'there' / path).stat().st_size > 3 * MEGA])
    mover.kill(process)
    part = tmp_path / 'there' / parts_left(tmp_path / 'there')[0]
    inode, size = part.stat().st_ino, part.stat().st_size
    assert 0 < size <= 100 * MEGA
    mover.finish()
    assert tree(tmp_path / 'there') == tree(tmp_path / 'here')
    assert (tmp_path / 'there/big').stat().st_ino == inode


def test_a_part_that_is_not_the_beginning_of_the_file_is_dropped(tmp_path: Path) -> None:
    (tmp_path / 'here').mkdir()
    (tmp_path / 'there').mkdir()
    (tmp_path / 'here/big').write_bytes(os.urandom(3 * MEGA))
    tag = tasks.task_id_of('run:Move:1')[:8]
    for wrong in (b'x' * MEGA, os.urandom(5 * MEGA)):
        (tmp_path / f'there/.big.{tag}.part').write_bytes(wrong)
        (tmp_path / 'moves.jsonl').unlink(missing_ok=True)
        Mover(tmp_path, one('/big', '/big')).finish()
        assert tree(tmp_path / 'there') == tree(tmp_path / 'here')
        (tmp_path / 'there/big').unlink()


@pytest.mark.parametrize('seed', range(3))
def test_random_trees_survive_random_kills(tmp_path: Path, seed: int) -> None:
    """At the end the destination equals the source, and no part is left."""
    random_ = random.Random(seed)
    folders = [tmp_path / 'here']
    (tmp_path / 'there').mkdir()
    for number in range(12):
        folders.append(random_.choice(folders) / f'folder {number}\n')
        folders[-1].mkdir(parents=True, exist_ok=True)
    for number in range(600):
        size = random_.choice([0, 1, 1000, 70_000, 3 * MEGA] if number < 40 else [0, 1, 1000])
        (random_.choice(folders) / f'file-{number}').write_bytes(random_.randbytes(size))
    mover = Mover(tmp_path, one('/', '/copy'))
    for _ in range(4):
        process = mover.start()
        time.sleep(random_.uniform(0, 0.4))
        mover.kill(process)
    found = mover.finish()
    assert tree(tmp_path / 'there/copy') == tree(tmp_path / 'here')
    assert not parts_left(tmp_path / 'there')
    assert (found['files'], found['directories']) == (600, 13)
    assert found['files_transferred'] + found['files_skipped'] == 600
    shutil.rmtree(tmp_path / 'here')


def test_an_engine_that_closes_leaves_it_to_the_next(tmp_path: Path) -> None:
    (tmp_path / 'here').mkdir()
    (tmp_path / 'here/big').write_bytes(os.urandom(150 * MEGA))
    with desk(TransferAction, tmp_path, here=tmp_path / 'here', there=tmp_path / 'there') as made:
        begun = made.run(one('/big', '/big'), request_id='run:Move:1')
        wait_for(lambda: made.action.status(begun.action_id).details['bytes_transferred'] > 0)
    assert parts_left(tmp_path / 'there')
    with desk(TransferAction, tmp_path, here=tmp_path / 'here', there=tmp_path / 'there') as made:
        assert made.action.status(begun.action_id).status == 'ACTIVE'
        ended(made.end(made.run(one('/big', '/big'), request_id='run:Move:1')))
    assert tree(tmp_path / 'there') == tree(tmp_path / 'here')


def test_progress_is_told_at_most_twice_a_second(transfer: Desk, here: Path, there: Path) -> None:
    with (here / 'big').open('wb') as file:
        file.truncate(100 << 30)
    begun, started = transfer.run(one('/big', '/big')), time.monotonic()
    wait_for(lambda: len(transfer.reports) >= 3)
    found = transfer.action.status(begun.action_id).details
    assert time.monotonic() - started > 0.9
    assert (found['status'], found['nice_status'], found['is_ok'], found['files']) == ('ACTIVE', 'OK', True, 1)
    assert found['effective_bytes_per_second'] > 0
    transfer.action.cancel(begun.action_id)
