"""Which hosts a job gets: chunks pack onto as few as hold them, unless they are to scatter."""

from __future__ import annotations

from typing import Any

from .server import Server

CAN_NEVER, NOT_NOW = 'Can Never Run: ', 'Not Running: '
FEW = 'Not enough free nodes available'


def arrange(server: Server, key: str) -> list[str] | str:
    """A host for each chunk, or the comment that says why there is none."""
    job, hosts = server.jobs[key], server.settings['hosts']
    chunks = job['wanted']['chunks']
    for chunk in chunks:
        if why := never(chunk, server.settings['host']):
            return CAN_NEVER + why
    scatter = 'scatter' in job['wanted']['list']['place']
    if _fit(chunks, hosts, server.settings['host'], scatter) is None:
        return CAN_NEVER + 'Not enough total nodes available'
    free = [host for host in hosts if host not in server.busy()]
    return _fit(chunks, free, server.settings['host'], scatter) or NOT_NOW + FEW


def others_first(server: Server, key: str) -> bool:
    """Whether a job that came earlier can start now, too."""
    before = list(server.jobs)[: list(server.jobs).index(key)]
    return any(server.jobs[each]['state'] == 'Q' and isinstance(arrange(server, each), list) for each in before)


def never(chunk: dict[str, str], host: dict[str, Any]) -> str:
    """Why no host can hold a chunk; '' when one can."""
    for name, value in chunk.items():
        if name == 'system' and value != host['system']:
            return f'Insufficient amount of resource: system ({value} != {host["system"]})'
        if name in ('ncpus', 'ngpus') and int(value) > host[name]:
            return f'Insufficient amount of resource: {name} (R: {value} A: {host[name]} T: {host[name]})'
    return ''


def _fit(chunks: list[dict[str, str]], hosts: list[str], host: dict[str, Any], scatter: bool) -> list[str] | None:
    left = {name: {'ncpus': host['ncpus'], 'ngpus': host['ngpus']} for name in hosts}
    found: list[str] = []
    for chunk in chunks:
        needs = {'ncpus': int(chunk.get('ncpus', 1)), 'ngpus': int(chunk.get('ngpus', 0))}
        fits = [name for name in hosts if all(left[name][each] >= needs[each] for each in needs) and not (scatter and name in found)]
        if not fits:
            return None
        for each, amount in needs.items():
            left[fits[0]][each] -= amount
        found.append(fits[0])
    return found


def exec_host(chunks: list[dict[str, str]], hosts: list[str]) -> str:
    """`p1/0*64+p2/0*64`."""
    parts = []
    for index, (chunk, host) in enumerate(zip(chunks, hosts)):
        cpus = int(chunk.get('ncpus', 1))
        parts.append(f'{host}/{hosts[:index].count(host)}' + (f'*{cpus}' if cpus > 1 else ''))
    return '+'.join(parts)


def exec_vnode(chunks: list[dict[str, str]], hosts: list[str]) -> str:
    """`(p1:ncpus=64:ngpus=4)+(p2:ncpus=64:ngpus=4)`."""
    named = [':'.join(f'{name}={chunk[name]}' for name in ('ncpus', 'ngpus', 'mem') if name in chunk) for chunk in chunks]
    return '+'.join(f'({host}:{words or "ncpus=1"})' for host, words in zip(hosts, named))
