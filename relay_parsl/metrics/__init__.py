"""What a process counts and measures, in Prometheus's text format: as a file for node_exporter's textfile collector, or over loopback HTTP.

```
 relay, endpoint, flows ── a meter each ──► Family … ──► text.render ──► Publisher ──► FILE, GET /metrics
```

Counting is an addition a message or a turn, never one a task; a census is taken every few seconds. There are no names of users in it.
"""

from __future__ import annotations

from relay_parsl.metrics.publisher import BIND, FILE, INTERVAL, Publisher, is_loopback, published
from relay_parsl.metrics.text import Family, Histogram, counter, gauge, render

__all__ = ['BIND', 'FILE', 'INTERVAL', 'Family', 'Histogram', 'Publisher', 'counter', 'gauge', 'is_loopback', 'published', 'render']
