"""How `qstat` shows a job: its attributes in PBS's order, as JSON and as text."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from .server import VERSION, Server, clock, when

Attributes = dict[str, Any]


def attributes(server: Server, key: str) -> Attributes:
    """What is known of a job now."""
    job = server.jobs[key]
    ran, ended = 'stime' in job, job['state'] == 'F'
    shown: Attributes = {'Job_Name': job['name'], 'Job_Owner': job['owner']}
    if ran:
        shown['resources_used'] = _used(job)
    shown |= {'job_state': job['state'], 'queue': job['queue'], 'server': server.name}
    if job['account']:
        shown['Account_Name'] = job['account']
    shown |= {'Checkpoint': 'u', 'ctime': when(job['qtime']), 'Error_Path': job['stderr']}
    if ran:
        shown |= {'exec_host': job['exec_host'], 'exec_vnode': job['exec_vnode']}
    shown |= _fixed(job)
    if ran:
        shown['stime'] = when(job['stime'])
        shown |= {'obittime': when(job['obittime'])} if 'obittime' in job else {}
        shown |= {'session_id': job['session']} if 'session' in job else {}
        shown |= {'Shell_Path_List': job['given']['S']} if 'S' in job['given'] else {}
        shown['jobdir'] = job['jobdir']
    variables = {**job['variables'], **({'SPOILED': f'\0{server.settings["spoil"]}'} if server.settings['spoil'] else {})}
    owner = job['owner'].partition('@')[0]
    shown |= {'substate': job['substate'], 'Variable_List': variables, 'euser': owner, 'egroup': owner}
    if ran:
        shown['hashname'] = key
    shown |= {'queue_rank': int(job['qtime'] * 1e6), 'queue_type': 'E'}
    shown |= {'comment': job['comment']} if job['comment'] else {}
    return {**shown, **_last(job, ran, ended)}


def _used(job: dict[str, Any]) -> Attributes:
    until = job.get('obittime', time.time())
    return {
        'cpupercent': 0,
        'cput': '00:00:00',
        'mem': '0kb',
        'ncpus': job['wanted']['list']['ncpus'],
        'vmem': '0kb',
        'walltime': clock(until - job['stime']),
    }


def _fixed(job: dict[str, Any]) -> Attributes:
    given = job['given']
    return {
        'Hold_Types': 'u' if job['state'] == 'H' else 'n',
        'Join_Path': given.get('j', 'n'),
        'Keep_Files': given.get('k', 'n'),
        'Mail_Points': given.get('m', 'a'),
        'mtime': when(job['mtime']),
        'Output_Path': job['stdout'],
        'Priority': 0,
        'qtime': when(job['qtime']),
        'Rerunable': 'False' if given.get('r') == 'n' else 'True',
        'Resource_List': job['wanted']['list'],
        'schedselect': job['wanted']['schedselect'],
    }


def _last(job: dict[str, Any], ran: bool, ended: bool) -> Attributes:
    shown: Attributes = {} if job['state'] == 'H' else {'etime': when(job['qtime'])}
    shown |= {'run_count': 1} if ran else {}
    waited = int((job['stime'] if ran else time.time()) - job['qtime'])
    accrue = 4 if ended or 'obittime' in job else 3 if ran else 1 if job['state'] == 'H' else 2
    shown |= {'eligible_time': clock(0 if job['state'] == 'H' else waited), 'accrue_type': accrue}
    shown |= {'Stageout_status': 1} if ended and ran else {}
    shown |= {'Exit_status': job['exit']} if 'exit' in job else {}
    shown['Submit_arguments'] = job['arguments']
    shown |= {'history_timestamp': int(job['mtime'])} if ended else {}
    shown['project'] = '_pbs_project_default'
    shown |= {'run_version': 1} if ran else {}
    shown['Submit_Host'] = job['submit_host']
    return shown


# --- JSON as PBS writes it ---


def head(server: Server) -> str:
    """The beginning, which is printed even when there is nothing to say."""
    return f'{{\n    "timestamp":{int(time.time())},\n    "pbs_version":"{VERSION}",\n    "pbs_server":"{server.name}"'


def as_json(server: Server, keys: list[str]) -> str:
    if not keys:
        return head(server) + '\n}'
    jobs = {server.shown_id(key): attributes(server, key) for key in keys}
    return f'{head(server)},\n    "Jobs":{_object(jobs, 1)}\n}}\n'


def _object(values: Attributes, depth: int) -> str:
    inner = '    ' * (depth + 1)
    lines = [f'{inner}{json.dumps(name)}:{_object(value, depth + 1) if isinstance(value, dict) else _value(value)}' for name, value in values.items()]
    return '{\n' + ',\n'.join(lines) + '\n' + '    ' * depth + '}'


def _value(value: Any) -> str:
    """What looks like a number is one; what was put in to spoil it comes as it is."""
    text = str(value)
    if text.startswith('\0'):
        return f'"{text[1:]}"'
    if re.fullmatch(r'-?\d+', text):
        return text
    if re.fullmatch(r'-?\d+(\.\d*)?([eE][+-]?\d+)?', text):
        return repr(float(text))
    return json.dumps(text, ensure_ascii=False)


# --- text ---

WIDTH = 79


def as_text(server: Server, keys: list[str]) -> str:
    """The answer of `qstat -f`."""
    return ''.join(
        f'Job Id: {server.shown_id(key)}\n' + ''.join(_attribute(*each) for each in attributes(server, key).items()) + '\n' for key in keys
    )


def _attribute(name: str, value: Any) -> str:
    if name == 'Variable_List':
        return _wrapped(f'    Variable_List = {",".join(f"{key}={str(each).lstrip(chr(0))}" for key, each in value.items())}')
    if isinstance(value, dict):
        return ''.join(_wrapped(f'    {name}.{key} = {each}') for key, each in value.items())
    return _wrapped(f'    {name} = {value}')


def _wrapped(line: str) -> str:
    """Long values go on behind a tab."""
    parts = []
    while len(line) > WIDTH:
        cut = max(line.rfind(mark, 1, WIDTH) for mark in ',+ ') + 1 or WIDTH
        cut = cut if cut > WIDTH // 2 else WIDTH
        parts.append(line[:cut])
        line = line[cut:]
    return '\n\t'.join([*parts, line]) + '\n'


def as_table(server: Server, keys: list[str]) -> str:
    """The answer of `qstat`."""
    if not keys:
        return ''
    rows = [
        'Job id            Name             User              Time Use S Queue',
        '----------------  ---------------- ----------------  -------- - -----',
    ]
    for key in keys:
        job = server.jobs[key]
        name = job['name'] if len(job['name']) <= 16 else f'{job["name"][:15]}*'
        number = server.shown_id(key)
        number = number if len(number) <= 17 else f'{number[:16]}*'
        used = '0' if 'stime' not in job else '00:00:00'
        rows.append(f'{number:<17} {name:<16} {job["owner"].partition("@")[0]:<16}  {used:>8} {job["state"]} {job["queue"]:<16}')
    return '\n'.join(rows) + '\n'
