"""What a party keeps under `~/.relay_parsl`: keys, relays, pins, invitations; and the modes that keep others out.

```
 accounts/NAME.key    Credentials: the private keys of an account, and its card
 relays/NAME.json     RelayEntry: where a relay is, its CURVE key, whose credentials to use there
 pins.json            Pin: names that this account confirmed, each with a whole identity key
 invites/             PendingInvite: what this account gave out and still has to confirm
```

Directories are 0700, files 0600, owned by the user and no symbolic links, or they are refused with the command that puts it right.
Files are replaced atomically: a crash leaves the old one or the new one.
"""

from __future__ import annotations

from relay_parsl.home.backup import lock, unlock
from relay_parsl.home.files import HOME, check_name, from_json, read_private, to_bytes, to_json, to_text, write_private
from relay_parsl.home.following import Following
from relay_parsl.home.place import CREDENTIALS, RELAY, Home
from relay_parsl.home.records import ENDS_SOON, Credentials, Invitation, PendingInvite, Pin, RelayEntry, ending

__all__ = [
    'CREDENTIALS',
    'ENDS_SOON',
    'HOME',
    'RELAY',
    'Credentials',
    'Following',
    'Home',
    'Invitation',
    'PendingInvite',
    'Pin',
    'RelayEntry',
    'check_name',
    'ending',
    'from_json',
    'lock',
    'read_private',
    'to_bytes',
    'to_json',
    'to_text',
    'unlock',
    'write_private',
]
