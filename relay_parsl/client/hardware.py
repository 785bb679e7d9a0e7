"""What a worker tells of its machine. Sent as source text: it runs under any Python."""

from __future__ import annotations

NAME = 'hardware_report'
SOURCE = """
def hardware_report():
    import os
    import platform
    import shutil
    import subprocess
    import sys

    def output(*command):
        if shutil.which(command[0]) is None:
            return command[0] + ': not there'
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
        except (OSError, subprocess.TimeoutExpired) as error:
            return command[0] + ': ' + str(error)

    visible = [name + '=' + os.environ[name] for name in sorted(os.environ) if name.endswith('_VISIBLE_DEVICES') or name == 'ZE_AFFINITY_MASK']
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else list(range(os.cpu_count() or 1))
    parts = [
        ('host', platform.node()),
        ('platform', platform.platform()),
        ('python', sys.version.split()[0] + ' at ' + sys.executable),
        ('cpus this worker may use', str(cpus)),
        ('accelerators this worker sees', ', '.join(visible) or 'none are set'),
        ('memory', output('free', '-h')),
        ('processors', output('lscpu')),
        ('NVIDIA', output('nvidia-smi', '-L')),
        ('AMD', output('rocm-smi', '--showproductname')),
        ('disks', output('df', '-h')),
    ]
    return '\\n'.join('== ' + name + '\\n' + text for name, text in parts)
"""
