"""A directory of this machine as a store: nothing gets out of it, by whatever link, and not in a race either."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from relay_parsl.flows.storage.base import Store
from relay_parsl.flows.storage.faults import Outside
from relay_parsl.flows.storage.local import LocalStore, root_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / 'root'
    (root / 'in/deep').mkdir(parents=True)
    (root / 'in/f').write_text('f')
    (tmp_path / 'outside').mkdir()
    (tmp_path / 'outside/secret').write_text('secret')
    (root / 'out').symlink_to('../outside')
    (root / 'abs').symlink_to(tmp_path / 'outside')
    (root / 'etc').symlink_to('/etc')
    (root / 'twice').symlink_to('out')
    (root / 'deep-out').symlink_to('in/deep/../../../outside')
    (root / 'self').symlink_to('self')
    (root / 'ping').symlink_to('pong')
    (root / 'pong').symlink_to('ping')
    (root / 'ghost').symlink_to('missing/../../outside')
    (root / 'up').symlink_to('..')
    (root / 'slash').symlink_to('/')
    (root / 'in/good').symlink_to('../in/./f')
    (root / 'in/abs-good').symlink_to(root / 'in')
    (root / 'dangling').symlink_to('in/new')
    return root


@pytest.fixture
def store(root: Path) -> Store:
    return LocalStore(str(root))


def content(store: Store, *parts: str) -> bytes:
    reader = store.read(parts)
    try:
        return reader.read()
    finally:
        reader.close()


@pytest.mark.attack(40)
@pytest.mark.parametrize('name', ['out', 'abs', 'etc', 'twice', 'deep-out', 'ghost', 'up', 'slash'])
@pytest.mark.parametrize('rest', [(), ('secret',), ('root', 'in', 'f')], ids=['itself', 'beneath', 'and back'])
def test_no_link_leads_out(store: Store, name: str, rest: tuple[str, ...]) -> None:
    with pytest.raises(Outside, match=r'out of the collection|does not exist'):
        store.resolve((name, *rest))


@pytest.mark.parametrize('name', ['self', 'ping'])
def test_loops_end(store: Store, name: str) -> None:
    with pytest.raises(OSError, match='lead to one another'):
        store.resolve((name, 'x'))


@pytest.mark.parametrize(
    ('asked', 'there'),
    [
        (('in', 'good'), ('in', 'f')),
        (('in', 'abs-good', 'good'), ('in', 'f')),
        (('dangling',), ('in', 'new')),
        (('not', 'yet'), ('not', 'yet')),
        (('in', 'f'), ('in', 'f')),
        ((), ()),
    ],
)
def test_links_within_are_followed(store: Store, asked: tuple[str, ...], there: tuple[str, ...]) -> None:
    assert store.resolve(asked) == there


def test_a_file_is_no_directory(store: Store) -> None:
    with pytest.raises(NotADirectoryError):
        store.resolve(('in', 'f', 'x'))


@pytest.mark.attack(33, 40)
@pytest.mark.parametrize('name', ['out', 'abs', 'etc', 'in/abs-good'])
def test_after_the_check_no_link_is_followed_at_all(store: Store, root: Path, name: str) -> None:
    """Whoever skips `resolve`, or swaps a directory for a link after it, gets nowhere."""
    parts = (*name.split('/'), 'secret')
    for step in (
        lambda: store.entry(parts),
        lambda: store.read(parts),
        lambda: store.write(parts, '.part'),
        lambda: store.make(parts),
        lambda: store.remove(parts),
        lambda: store.settle([parts[:-1]]),
        lambda: list(store.entries(parts[:-1])),
    ):
        with pytest.raises(Outside):
            step()


def test_a_link_in_the_place_of_a_file_is_not_read(store: Store, root: Path, tmp_path: Path) -> None:
    (root / 'link').symlink_to(tmp_path / 'outside/secret')
    with pytest.raises(Outside):
        store.read(('link',))


@pytest.mark.attack(33, 40)
def test_a_swap_in_a_race_gets_nowhere(store: Store, root: Path, tmp_path: Path) -> None:
    """Somebody swaps a directory for a link out, back and forth, while it is read a thousand times."""
    (root / 'real').mkdir()
    (root / 'real/secret').write_text('harmless')
    (root / 'evil').symlink_to(tmp_path / 'outside')
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(root / 'real', root / 'aside')
            os.rename(root / 'evil', root / 'real')
            os.rename(root / 'real', root / 'evil')
            os.rename(root / 'aside', root / 'real')

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _ in range(1000):
            with suppress(OSError):
                seen.add(content(store, *store.resolve(('real', 'secret'))))
    finally:
        stop.set()
        thread.join()
    assert b'secret' not in seen
    assert b'harmless' in seen


@pytest.mark.attack(33)
@pytest.mark.parametrize('kind', ['link', 'hard link', 'pipe'])
def test_what_lies_in_the_place_of_a_part_is_not_written_to(store: Store, root: Path, tmp_path: Path, kind: str) -> None:
    precious, part = tmp_path / 'outside/secret', root / 'in/.f.part'
    if kind == 'link':
        part.symlink_to(precious)
    elif kind == 'hard link':
        os.link(precious, part)
    else:
        os.mkfifo(part)
    writer = store.write(('in', 'f'), '.f.part')
    assert writer.size == 0
    writer.write(b'new')
    writer.sync()
    writer.publish(None)
    writer.close()
    assert precious.read_text() == 'secret'
    assert (root / 'in/f').read_text() == 'new'


def test_a_pipe_is_refused_and_not_waited_for(store: Store, root: Path) -> None:
    os.mkfifo(root / 'pipe')
    assert store.entry(('pipe',)).type == 'other'
    with pytest.raises(OSError, match='no regular file'):
        store.read(('pipe',))


def test_the_mode_of_a_file_that_is_replaced_is_kept(store: Store, root: Path) -> None:
    (root / 'in/f').chmod(0o640)
    writer = store.write(('in', 'f'), '.f.part')
    writer.write(b'new')
    writer.publish(None)
    writer.close()
    assert (root / 'in/f').stat().st_mode & 0o777 == 0o640


def test_a_root_that_is_not_there_says_what_to_mend(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='mend `root`'):
        LocalStore(str(tmp_path / 'missing')).resolve(('x',))


def test_no_file_stays_open(store: Store, root: Path) -> None:
    before = len(os.listdir('/proc/self/fd'))
    for parts in (('in', 'f'), ('out', 'x'), ('in', 'f', 'x'), ('self',), ('missing', 'x'), ('in', 'deep', 'y')):
        for step in (store.resolve, store.entry, lambda parts: store.read(parts).close(), lambda parts: store.write(parts, '.p').close(), store.make):
            with suppress(OSError):
                step(parts)
    assert len(os.listdir('/proc/self/fd')) == before


def test_roots_are_paths_or_file_urls() -> None:
    assert root_of('/data/x') == root_of('file:///data/x') == root_of('file:/data/x') == '/data/x'
    assert root_of('~/x') == str(Path.home() / 'x')
