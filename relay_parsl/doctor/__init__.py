"""What is the matter with a home and its host, and how to mend it.

```
 looks, network   gather facts, each look bounded in time
 facts            what was seen
 findings         facts, now ─► ok, warning or fault, with the command that mends it; pure
```
"""

from __future__ import annotations

from relay_parsl.doctor.facts import Facts
from relay_parsl.doctor.findings import Finding, judge

__all__ = ['Facts', 'Finding', 'judge']
