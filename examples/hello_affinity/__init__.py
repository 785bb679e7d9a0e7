"""A compiled program on pinned workers: `hello_affinity.py`."""
