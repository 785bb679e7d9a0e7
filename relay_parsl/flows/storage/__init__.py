"""Files of flows: collections, who may do what in them, and copying between them.

```
 settings ──► Collections ──┐
 rows ──────► AccessList ───┴─► Storage.place(collection, path, who) ──► Store (local, SFTP, HTTPS) ──► copying: part, SHA-256, rename
```

A path that a flow gives is checked as a text (`paths`), followed through its links by the store, and checked again where it ends (`place`). Data goes
from one store to the other through this process, never through the relay. SFTP and HTTPS load their libraries when a flow first touches one.
"""

from __future__ import annotations
