"""Launchers of our own: one manager on each node of a block, and what a site's nodes need before it. Endpoint files find them before Parsl's.

```
batch script on the first node ──► mpiexec | srun ──► on each node:  node_init ──► manager ──► node_exit
```
"""

from relay_parsl.launchers.mpiexec import HydraLauncher, PalsMpiexecLauncher
from relay_parsl.launchers.simple import SimpleLauncher
from relay_parsl.launchers.srun import SrunLauncher

__all__ = ['PalsMpiexecLauncher', 'HydraLauncher', 'SrunLauncher', 'SimpleLauncher']
