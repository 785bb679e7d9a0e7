"""Sockets: the only importer of zmq. CURVE on every one, identity from the key alone, nothing that blocks for ever.

```
 Dealer ══ CURVE ══► Router       a party's one socket to the relay; the relay's one socket
                       └─ ZAP     asks `admit(key)` at each handshake, in the router's own thread
```

ZeroMQ is taken for a fast wire that may lose, double or cut anything at a reconnect (measured): what matters is resent by the
reactors until it is acknowledged. Full queues are answered with False and never waited for.
"""

from __future__ import annotations

from relay_parsl.transport.dealer import Dealer
from relay_parsl.transport.router import Peer, Router
from relay_parsl.transport.sockets import DRAIN, MAX_FRAME, OLDEST_ZMQ, check_library, libzmq, new_key, public_key

__all__ = ['DRAIN', 'MAX_FRAME', 'OLDEST_ZMQ', 'Dealer', 'Peer', 'Router', 'check_library', 'libzmq', 'new_key', 'public_key']
