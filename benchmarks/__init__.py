"""Benchmarks: relay-parsl beside its peers, in one run on one machine; `python -m benchmarks`, or `pytest benchmarks`.

```
 suites/*  ──orders──►  session (this process)  ──pipe──►  driver (a process for one system)  ──►  that system's own processes
    │                                                        measures run here, with nothing else loaded
    └──samples──►  report  ──►  results/latest.json, table.md, *.png
```
"""
