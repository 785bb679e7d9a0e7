"""A snapshot as one file: a tar archive whose first member names all others with their sizes and SHA-256. What is not named is not read.

```
 manifest.json    what, when, by which version; name, size and SHA-256 of each other member
 relay.db         the store
 spool/…          sealed bodies
 audit.…          the audit log
 keys             the relay's keys and its operator's, under a passphrase; left out on wish
```
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from relay_parsl.errors import HomeError
from relay_parsl.home import from_json, to_json

MANIFEST, KEYS = 'manifest.json', 'keys'
FORMAT = 1
PIECE = 1 << 20
"""Bytes that are read at a time."""
LARGEST_MANIFEST = 1 << 28
"""Bytes: a line for each spooled body, of which there are no millions."""
_NAME = re.compile(r'relay\.db|keys|audit\.(?:log|head)(?:\.\d+)?|spool/[0-9a-f]{32}\.\d{1,9}\.(?:task|result)')


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself. `made` is in seconds since 1970, `store` the version of its tables."""

    version: str
    made: float
    store: int
    tasks: int
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Size and SHA-256 of each member."""
    format: int = FORMAT


def pack(snapshot: Path, target: Path, about: Manifest, keys: bytes | None, bodies: Collection[str]) -> Manifest:
    """Write the archive, readable by its owner alone; it replaces one of that name when it is complete and on the disk. Raises OSError.

    `bodies`: the names of those in the spool that the store refers to. Others may still be written to, and go with the next start of a relay.
    """
    paths = {path.relative_to(snapshot).as_posix(): path for path in sorted(snapshot.rglob('*')) if path.is_file()}
    paths = {name: path for name, path in paths.items() if _NAME.fullmatch(name) and (path.parent == snapshot or path.name in bodies)}
    files = {name: (path.stat().st_size, _digest(path)) for name, path in paths.items()}
    if keys is not None:
        files[KEYS] = (len(keys), hashlib.sha256(keys).hexdigest())
    manifest = Manifest(about.version, about.made, about.store, about.tasks, files)
    part = target.with_name(f'{target.name}.part')
    part.unlink(missing_ok=True)  # of a backup that was killed, or somebody else's, whose mode would stay
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, 'wb') as stream, tarfile.open(fileobj=stream, mode='w|') as archive:
            _add(archive, MANIFEST, io.BytesIO(text := to_json(asdict(manifest))), len(text))
            if keys is not None:
                _add(archive, KEYS, io.BytesIO(keys), len(keys))
            for name, path in paths.items():
                with path.open('rb') as source:
                    _add(archive, name, source, files[name][0])
            archive.close()
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return manifest


def unpack(source: Path, target: Path) -> Manifest:
    """Read an archive into an existing directory, and verify every byte.

    Raises:
        HomeError: it is no backup, a newer version wrote it, or it is damaged; the text names the member.
        OSError: the disk refuses.
    """
    with _opened(source) as archive:
        first = archive.next()
        if first is None or first.name != MANIFEST or not 0 < first.size <= LARGEST_MANIFEST:
            raise HomeError(f'{source} is no backup of a relay')
        manifest = _manifest(source, _stream(archive, first).read(first.size))
        left = dict(manifest.files)
        while (member := archive.next()) is not None:
            size, digest = left.pop(member.name, (-1, ''))
            if not member.isreg() or member.size != size:
                raise HomeError(f'{source} is damaged: {member.name[:80]!r} is not what its manifest says')
            if _extract(_stream(archive, member), target / member.name) != digest:
                raise HomeError(f'{source} is damaged: {member.name} has another SHA-256 than its manifest says')
    if left:
        raise HomeError(f'{source} is damaged: {min(left)} is missing, and {len(left) - 1} more' if len(left) > 1 else f'{source} lacks {min(left)}')
    return manifest


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source, 'r|') as archive:
            yield archive
    except (tarfile.TarError, EOFError, ValueError) as error:  # ValueError: numbers in extended headers that are none
        raise HomeError(f'{source} is no backup of a relay, or is cut off: {error}') from error


def _manifest(source: Path, data: bytes) -> Manifest:
    values = from_json(source, data)
    if values.get('format') != FORMAT:
        raise HomeError(f'{source} was written in format {values.get("format")!r}, this relay-parsl reads {FORMAT}: use the version that wrote it')
    try:
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in _mapping(values['files']).items()}
        manifest = Manifest(str(values['version']), float(values['made']), int(values['store']), int(values['tasks']), files)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise HomeError(f'{source} has a damaged manifest: {error}') from None
    strange = [name for name in files if not _NAME.fullmatch(name)]
    if strange or 'relay.db' not in files:
        raise HomeError(f'{source} is no backup of a relay: its manifest names {strange[0][:80]!r}' if strange else f'{source} has no store')
    return manifest


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError('no list of files')
    return value


def _stream(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(member)
    if stream is None:
        raise HomeError(f'{member.name[:80]!r} in the backup is no file')
    return stream


def _add(archive: tarfile.TarFile, name: str, source: IO[bytes], size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    archive.addfile(info, source)


def _extract(source: IO[bytes], target: Path) -> str:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    digest = hashlib.sha256()
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), 'wb') as made:
        while piece := source.read(PIECE):
            digest.update(piece)
            made.write(piece)
        made.flush()
        os.fsync(made.fileno())
    return digest.hexdigest()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
